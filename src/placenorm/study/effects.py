"""Which blocks matter: differences between the positions of each block, from placements that were drawn at random.

The placements are drawn before any of them is trained, every position of a block equally often and independently of
the other blocks, so that a difference of means is what the position does, on average over where the others stand. The
rule, its simulation and what it does not hold: docs/decisions/0016-search.md.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from placenorm.facts.placement import Position
from placenorm.facts.search import BlockEffect, BlockWord, Choice, Effect, SearchSpace
from placenorm.study.pairing import FAMILY_ERROR, critical_t

Values = NDArray[np.float64]


def judge_blocks(
    space: SearchSpace,
    drawn: Sequence[tuple[int, ...]],
    values: Sequence[float],
    found: Mapping[str, Position],
    margin: float,
    floor: float,
) -> tuple[BlockEffect, ...]:
    """Return what is known of every block.

    The effects of all blocks are fitted together where there are placements enough: at least twice as many as there are
    effects. With fewer, each block is fitted alone, and what the others do is noise. All intervals share one error of
    5 % (Bonferroni over all pairs of positions of all blocks).

    Args:
        space: what the blocks choose from.
        drawn: for every placement that was drawn and tried, the place of each choice's position.
        values: what each reached, higher is better.
        found: the placement that the search found.
        margin: differences up to this size have no practical meaning.
        floor: smallest standard deviation of a value to believe in.

    Source:
        Least squares with Student's t and Bonferroni's correction; simulated in docs/decisions/0016-search.md.
    """
    y = np.asarray(values, dtype=np.float64)
    codes = np.asarray(drawn, dtype=np.int64).reshape(len(y), len(space.choices))
    pairs = sum(math.comb(len(choice.positions), 2) for choice in space.choices)
    error = FAMILY_ERROR / max(pairs, 1)
    whole = _Fit(space.choices, codes, y, floor)
    together = whole.freedom >= whole.effects
    judged = []
    for place, choice in enumerate(space.choices):
        fit, at = (whole, place) if together else (_Fit((choice,), codes[:, [place]], y, floor), 0)
        effects = [
            fit.compare(at, (first, second), choice.positions, error)
            for first, second in combinations(range(len(choice.positions)), 2)
        ]
        word = _find_word(effects, margin)
        effects.sort(key=lambda effect: -abs(effect.difference))
        judged.append(BlockEffect(choice.blocks, found[choice.blocks[0]], word, tuple(effects)))
    return tuple(judged)


class _Fit:
    """A linear model of values: one effect for each position of each choice but its first.

    Args:
        choices: what is chosen.
        codes: for every value, the place of each choice's position, ``[n, choices]``.
        values: ``[n]``.
        floor: smallest standard deviation of a value to believe in.
    """

    def __init__(self, choices: Sequence[Choice], codes: NDArray[np.int64], values: Values, floor: float) -> None:
        columns = [np.ones(len(values))]
        self._places: dict[tuple[int, int], int] = {}
        for at, choice in enumerate(choices):
            for option in range(1, len(choice.positions)):
                self._places[at, option] = len(columns)
                columns.append((codes[:, at] == option).astype(np.float64))
        design = np.stack(columns, axis=1)
        self.effects = len(columns) - 1
        rank = int(np.linalg.matrix_rank(design)) if len(values) else 0
        self.freedom = len(values) - len(columns) if rank == len(columns) else -1
        self._counts = {
            (at, option): int((codes[:, at] == option).sum())
            for at, choice in enumerate(choices)
            for option in range(len(choice.positions))
        }
        if self.freedom < 1:
            return
        self._inverse = np.linalg.inv(design.T @ design)
        self._effect = self._inverse @ design.T @ values
        residual = values - design @ self._effect
        self._sd = max(math.sqrt(float(residual @ residual) / self.freedom), floor)

    def compare(self, at: int, options: tuple[int, int], positions: Sequence[Position], error: float) -> Effect:
        """Return the difference of two positions of a choice, with an interval that may miss it with this chance."""
        first, second = (positions[option] for option in options)
        if self.freedom < 1:
            return Effect(first, second, 0.0, None, None)
        contrast = np.zeros(len(self._effect))
        for option, sign in zip(options, (1.0, -1.0), strict=True):
            if option:
                contrast[self._places[at, option]] = sign
        difference = float(contrast @ self._effect)
        half = critical_t(self.freedom + 1, error) * self._sd * math.sqrt(float(contrast @ self._inverse @ contrast))
        return Effect(first, second, difference, difference - half, difference + half)


def _find_word(effects: Sequence[Effect], margin: float) -> BlockWord:
    """Return whether a block matters, by the rule of the verdict: a certain difference inside the margin does not."""
    known = [(effect.low, effect.high) for effect in effects if effect.low is not None and effect.high is not None]
    if len(known) < len(effects):
        return "not known"
    if all(-margin <= low and high <= margin for low, high in known):
        return "does not matter"
    outside = [(low, high) for low, high in known if not (-margin <= low and high <= margin)]
    return "matters" if any(low > 0 or high < 0 for low, high in outside) else "not known"
