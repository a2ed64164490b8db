"""Shifts of channels: linear equations, solved one by one as norms are folded.

The derivation is in docs/maths/folding.md.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from placenorm.graph.channel_rules import GROUND, ChannelRules, Labels, Values
from placenorm.rewrite.stuck import BESIDE_WEIGHTS, StuckError

Row = dict[int, float]
"""A linear expression: coefficients by label, and by known numbers, which have negative keys."""

_NOTHING: Final = 1e-12
"""Coefficients below that are rounding."""


class Shifts:
    """Shifts as unknowns of linear equations, solved as far as they are known.

    Args:
        rules: what the network's calls ask of the forms.
    """

    def __init__(self, rules: ChannelRules) -> None:
        self._rules = rules
        one, two = (
            np.concatenate([np.zeros(0, dtype=np.int64), *(pair[side] for pair in rules.alike)]) for side in (0, 1)
        )
        links = coo_array((np.ones(len(one), dtype=np.int8), (one, two)), shape=(rules.count, rules.count))
        _, self._class = connected_components(links, directed=False)
        none = {GROUND, *rules.fixed, *rules.centred}
        self._solved: dict[int, Row] = {int(self._class[label]): {} for label in none}
        self._order: list[int] = []
        for made, first, other, sign, _ in rules.sums:
            for a, b, c in zip(made.tolist(), first.tolist(), other.tolist(), strict=True):
                row = {a: 1.0, b: -1.0}
                row[c] = row.get(c, 0.0) - sign  # x + x has one addend, twice
                self._add(row)

    def mark(self) -> int:
        """Return where to go back to."""
        return len(self._order)

    def go_back(self, mark: int) -> None:
        """Drop every equation since a mark."""
        while len(self._order) > mark:
            del self._solved[self._order.pop()]

    def demand(self, row: Row, label: int) -> None:
        """Demand that an expression is zero.

        Raises:
            StuckError: if it cannot be, whatever the known numbers are.
        """
        if not self._add(row):
            raise StuckError(
                f"no shift can pass {self._tell(label)} behind it, nor go back before it; {BESIDE_WEIGHTS}"
            )

    def _add(self, row: Row) -> bool:
        """Solve one more equation between labels; return whether it does not contradict the others."""
        classes: Row = {}
        for key, value in row.items():
            held = int(self._class[key]) if key >= 0 else key
            classes[held] = classes.get(held, 0.0) + value
        left = self._reduce(classes)
        unknown = [key for key in left if key >= 0]
        if not unknown:
            return not left
        pivot = max(unknown)
        share = left.pop(pivot)
        self._solved[pivot] = {key: -value / share for key, value in left.items()}
        self._order.append(pivot)
        return True

    def _reduce(self, row: Row) -> Row:
        """Return an expression in classes as one in unknowns that are not solved, and known numbers."""
        found: Row = {}
        pending = list(row.items())
        while pending:
            key, value = pending.pop()
            solved = self._solved.get(key)
            if solved is None:
                found[key] = found.get(key, 0.0) + value
            else:
                pending.extend((other, value * share) for other, share in solved.items())
        return {key: value for key, value in found.items() if abs(value) > _NOTHING}

    def find(self, known: Row, wanted: Iterable[Labels]) -> Values:
        """Return the shift of every label, zero where that is free.

        Args:
            known: the known numbers.
            wanted: labels whose shifts had better be zero, most wanted first.
        """
        for labels in wanted:
            for label in labels.tolist():
                self._add({label: 1.0})
        values: dict[int, float] = {}

        def evaluate(key: int) -> float:
            if key < 0:
                return known[key]
            if key not in values:
                row = self._reduce({key: 1.0})
                values[key] = sum(known[other] * share for other, share in row.items() if other < 0)
            return values[key]

        return np.array([evaluate(int(each)) for each in self._class], dtype=np.float64)

    def _tell(self, label: int) -> str:
        if label in self._rules.centred:
            return self._rules.centred[label]
        if label in self._rules.fixed:
            return self._rules.fixed[label]
        return next(
            (cause for made, first, other, _, cause in self._rules.sums if label in first or label in other),
            "what reads it",
        )
