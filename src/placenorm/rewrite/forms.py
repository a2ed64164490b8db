"""Which norms of a network can be folded away, chosen for the whole of it: forms of its channels that keep every rule.

A channel whose values are x may be carried as ``scale * x + shift``, its form, wherever everybody who reads it knows
that. Weight ops take any form in and give any form out, for nothing. A norm y = a x + b does nothing where the form of
x is (scale_y * a, scale_y * b + shift_y): then it is folded. All other calls set rules (`graph.channels`). Scales hang
together by ratios, as the potentials of a graph do, and shifts by linear equations; the norms that can go together are
those whose ratios close no circle and whose equations do not contradict. The derivation is in docs/maths/folding.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from placenorm.graph.channels import GROUND, ChannelRules, Labels, NormUse
from placenorm.rewrite.parallels import Parallel, ParallelFinder

Values = NDArray[np.float64]
Row = dict[int, float]
"""A linear expression: coefficients by label, and by known numbers, which have negative keys."""

CLOSE: Final = 1e-12
"""Relative difference up to which two scales that have to be the same are, in float64."""


_BESIDE_WEIGHTS: Final = "beside a weight op it could (pn.place moves it there)"
_NEVER_NEGATIVE: Final = "with a gamma that is nowhere negative, or beside a weight op (pn.place), it could"
_ONE_OF_TWO: Final = "of norms whose outputs meet in a sum one can go, unless it stands beside a weight op"
_NEVER_ZERO: Final = "with a gamma that is nowhere exactly zero it could"
"""What would make it possible to fold a norm."""


class StuckError(Exception):
    """A norm cannot be folded, with the reason and what would make it possible."""


@dataclass(frozen=True, slots=True)
class Forms:
    """The form of every channel, by label.

    Attributes:
        scale: ``[L]``; zero where nobody but a norm whose gamma is zero reads the channel.
        shift: ``[L]``.
        dead: by label, the value of a channel that is the same whatever the network reads (gamma is zero): who reads
            it takes that value for the channel's.
    """

    scale: Values
    shift: Values
    dead: dict[int, float]

    def undo(self, labels: Labels) -> tuple[Values, Values]:
        """Return (scale, shift) of what makes of carried values the channels' own: x = scale * carried + shift."""
        scale, shift = self.scale[labels], self.shift[labels]
        dead = np.array([label in self.dead for label in labels.tolist()], dtype=bool)
        values = np.array([self.dead.get(label, 0.0) for label in labels.tolist()])
        safe = np.where(scale == 0.0, 1.0, scale)
        return np.where(dead, 0.0, 1.0 / safe), np.where(dead, values, -shift / safe)


class FormFinder:
    """Folds norms one by one as long as there are forms for all that are folded.

    Args:
        rules: what the network's calls ask of the forms.
    """

    def __init__(self, rules: ChannelRules) -> None:
        self._rules = rules
        self._scales = _Scales(rules)
        self._shifts = _Shifts(rules)
        self._numbers: list[tuple[int, float]] = []  # of each known number: label of the norm's output, and its shift

    def fold(self, uses: Sequence[NormUse]) -> None:
        """Fold a norm, all its calls at once.

        Raises:
            StuckError: with the reason, if then there are no forms for what is folded.
        """
        scales, shifts, numbers = self._scales.mark(), self._shifts.mark(), len(self._numbers)
        try:
            for use in uses:
                self._scales.stop_reading(use.reads)
            for use in uses:
                self._fold_call(use)
        except StuckError:
            self._scales.go_back(scales)
            self._shifts.go_back(shifts)
            del self._numbers[numbers:]
            raise

    def skip(self, uses: Sequence[NormUse]) -> None:
        """Fold a norm that weight ops beside it take in: what it reads and gives is carried in one form.

        Raises:
            StuckError: as `fold`.
        """
        ones = [replace(use, scale=np.ones_like(use.scale), shift=np.zeros_like(use.shift)) for use in uses]
        self.fold(ones)

    def _fold_call(self, use: NormUse) -> None:
        reads, gives = use.reads.tolist(), use.gives.tolist()
        falling = int((use.scale < 0).sum())
        for x, y, scale, shift in zip(reads, gives, use.scale.tolist(), use.shift.tolist(), strict=True):
            if self._scales.link(x, y, scale, shift, falling):
                self._numbers.append((y, shift))
                self._shifts.demand({x: 1.0, y: -1.0, -len(self._numbers): -1.0}, y)

    def find(self) -> Forms:
        """Return forms for the norms that were folded: with no shift on padded inputs where that can be."""
        scale = self._scales.find()
        known = {-1 - index: scale[label] * shift for index, (label, shift) in enumerate(self._numbers)}
        wanted = [use.reads for use in self._rules.weights if use.varies]
        wanted += [use.reads for use in self._rules.weights if not use.varies]
        shift = self._shifts.find(known, wanted)
        return Forms(scale, shift, dict(self._scales.dead))


class _Scales:
    """Scales as potentials: classes of labels whose scales are the same, and ratios between classes.

    Args:
        rules: what the network's calls ask of the forms.
    """

    def __init__(self, rules: ChannelRules) -> None:
        self._rules = rules
        ground = np.fromiter(rules.fixed, dtype=np.int64, count=len(rules.fixed))
        pairs = [*rules.scaled_alike, *rules.alike, (ground, np.zeros_like(ground))]
        one, two = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
        links = coo_array((np.ones(len(one), dtype=np.int8), (one, two)), shape=(rules.count, rules.count))
        count, self._class = connected_components(links, directed=False)
        self._sizes = np.bincount(self._class, minlength=count)
        self._readers = np.zeros(count, dtype=np.int64)
        for use in rules.weights:
            np.add.at(self._readers, self._class[use.reads], 1)
        readers = self._readers.copy()
        for norm in rules.norms:
            np.add.at(readers, self._class[norm.reads], 1)
        self._grounded = [False] * count
        self._grounded[int(self._class[GROUND])] = True
        self._sign = [0] * count
        self._sign[int(self._class[GROUND])] = 1
        for label in rules.positive:
            self._sign[int(self._class[label])] = 1
        self._parent = list(range(count))
        self._ratio = [1.0] * count
        self._read = readers.tolist()
        self._zero = [False] * count
        self._leads = [False] * count
        self.dead: dict[int, float] = {}
        self._log: list[Callable[[], object]] = []

    # -- steps that can be taken back

    def mark(self) -> int:
        """Return where to go back to."""
        return len(self._log)

    def go_back(self, mark: int) -> None:
        """Undo every step since a mark."""
        while len(self._log) > mark:
            self._log.pop()()

    def _write(self, held: list[Any], index: int, value: Any) -> None:
        before = held[index]
        self._log.append(lambda: held.__setitem__(index, before))
        held[index] = value

    def _root(self, label: int) -> tuple[int, float]:
        """Return the root of a label's class, and by what the root's scale is multiplied there."""
        here, ratio = int(self._class[label]), 1.0
        while self._parent[here] != here:
            ratio *= self._ratio[here]
            here = self._parent[here]
        return here, ratio

    def stop_reading(self, reads: Labels) -> None:
        """Note that a norm reads channels no longer."""
        for label in reads.tolist():
            root, _ = self._root(label)
            self._write(self._read, root, self._read[root] - 1)

    def link(self, x: int, y: int, scale: float, shift: float, falling: int) -> bool:
        """Demand that the scale of x is that of y times a norm's; return whether their shifts hang together then.

        Raises:
            StuckError: if it cannot be.
        """
        if scale == 0.0:
            return self._cut(x, y, shift)
        if x in self.dead:
            raise StuckError(f"gamma of the norm before it is zero in a channel; {_NEVER_ZERO}")
        (one, to_one), (two, to_two) = self._root(x), self._root(y)
        # scale_x = to_one * scale_one and scale_y = to_two * scale_two, so scale_two = ratio * scale_one
        ratio = to_one / (scale * to_two)
        if one == two:
            if abs(to_one - scale * to_two) > CLOSE * abs(to_one):
                raise StuckError(
                    f"{self._tell(x)} and {self._tell(y)} hang together, and scales between them are fixed; "
                    f"{_ONE_OF_TWO}"
                )
            return True
        if self._grounded[one] and self._grounded[two]:
            raise StuckError(
                f"no scale can pass {self._tell(x)} before it, nor {self._tell(y)} behind it; {_BESIDE_WEIGHTS}"
            )
        if self._zero[one] != self._zero[two]:
            other = two if self._zero[one] else one
            if self._grounded[other] or self._read[other]:
                raise StuckError(f"gamma of another norm is zero in a channel that others read; {_NEVER_ZERO}")
        turn = 1 if ratio > 0 else -1
        if self._sign[one] and self._sign[two] and self._sign[one] * turn != self._sign[two]:
            raise StuckError(
                f"gamma is negative in {falling} channels, and no change of sign can pass {self._tell_sign(x)} before "
                f"it, nor {self._tell_sign(y)} behind it; {_NEVER_NEGATIVE}"
            )
        if self._grounded[two]:  # the root stays the ground
            one, two, ratio = two, one, 1.0 / ratio
        self._write(self._parent, two, one)
        self._write(self._ratio, two, ratio)
        self._write(self._leads, one, True)
        if self._sign[two] and not self._sign[one]:
            self._write(self._sign, one, self._sign[two] * turn)
        self._write(self._read, one, self._read[one] + self._read[two])
        self._write(self._zero, one, self._zero[one] or self._zero[two])
        return True

    def _cut(self, x: int, y: int, shift: float) -> bool:
        """Give a channel whose gamma is zero its value: to who makes it, or to who reads it."""
        root, _ = self._root(x)
        if not self._grounded[root] and not self._read[root]:
            self._write(self._zero, root, True)
            return True
        alone = int(self._class[y])
        here, _ = self._root(y)
        centred = y in self._rules.centred and shift != 0.0
        if here == alone and self._sizes[alone] == 1 and not self._grounded[alone] and not centred:
            if self._leads[alone] or self._zero[alone]:
                raise StuckError(f"gamma is zero in a channel that another norm reads; {_NEVER_ZERO}")
            self._write(self._grounded, alone, True)  # nothing may hang on its scale any more
            self._log.append(lambda: self.dead.pop(y))
            self.dead[y] = shift
            return False
        raise StuckError(
            f"gamma is zero in a channel that {self._tell(x)} reads before it, and {self._tell(y)} behind it; "
            f"{_NEVER_ZERO}"
        )

    def find(self) -> Values:
        """Return the scale of every label: 1 where weight ops read it, as far as the ratios let it be."""
        count = len(self._parent)
        reference: dict[int, tuple[int, int]] = {}
        ratios, roots = np.ones(count), np.zeros(count, dtype=np.int64)
        for here in range(count):
            root, ratio = here, 1.0
            while self._parent[root] != root:
                ratio *= self._ratio[root]
                root = self._parent[root]
            ratios[here], roots[here] = ratio, root
            rank = (int(self._readers[here]), here)
            reference[root] = max(reference.get(root, (-1, -1)), rank)
        base, turn = np.ones(count), np.ones(count)
        for root, (_, chosen) in reference.items():
            if not self._grounded[root]:
                base[root] = ratios[chosen]
                flips = self._sign[root] and self._sign[root] * ratios[chosen] < 0
                turn[root] = 0.0 if self._zero[root] else (-1.0 if flips else 1.0)
        scale: Values = (ratios / base[roots] * turn[roots])[self._class]
        return scale

    # -- words

    def _tell(self, label: int) -> str:
        return self._rules.fixed.get(label, "a sum with what has a scale of its own")

    def _tell_sign(self, label: int) -> str:
        return self._rules.positive.get(label) or self._tell(label)


class _Shifts:
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
                f"no shift can pass {self._tell(label)} behind it, nor go back before it; {_BESIDE_WEIGHTS}"
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
        return {key: value for key, value in found.items() if abs(value) > CLOSE}

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


@dataclass(slots=True)
class Choice:
    """Which norms are folded, which stay and why, and the forms that go with it.

    Attributes:
        forms: the forms of the channels.
        folded: the norms that go, each as all its calls.
        kept: the norms that stay, each with the reason.
        parallels: what weight ops take in of norms beside them.
    """

    forms: Forms
    folded: list[tuple[NormUse, ...]]
    kept: list[tuple[tuple[NormUse, ...], str]]
    parallels: list[Parallel]


FindParallels = Callable[[Iterable[NormUse]], ParallelFinder]


def choose_forms(
    rules: ChannelRules, norms: Sequence[tuple[NormUse, ...]], look_beside: FindParallels | None = None
) -> Choice:
    """Return which norms of a network are folded, as many as can be, and the forms of its channels then.

    Those that cost most are taken first: of norms that shut each other out, the cheaper one stays. A norm that could
    not go because others still read a channel is tried again when one of them is gone.

    Args:
        rules: what the network's calls ask of the forms.
        norms: every norm that may go, as all its calls.
        look_beside: makes what finds weight ops beside norms, of the norms that are folded; None for not looking.
    """
    finder = FormFinder(rules)
    folded: list[tuple[NormUse, ...]] = []
    stuck = [(uses, "") for uses in sorted(norms, key=lambda uses: -sum(use.size for use in uses))]
    left = len(stuck) + 1
    while left > len(stuck):
        left = len(stuck)
        waiting, stuck = stuck, []
        for uses, _ in waiting:
            try:
                finder.fold(uses)
            except StuckError as error:
                stuck.append((uses, str(error)))
            else:
                folded.append(uses)
    kept: list[tuple[tuple[NormUse, ...], str]] = []
    parallels: list[Parallel] = []
    beside = look_beside(use for uses in folded for use in uses) if look_beside is not None and stuck else None
    for uses, reason in stuck:
        found = beside.find(uses[0]) if beside is not None and len(uses) == 1 else None
        try:
            if found is None:
                raise StuckError(reason)
            finder.skip(uses)
        except StuckError:
            kept.append((uses, reason))
        else:
            folded.append(uses)
            parallels.extend(found)
    return Choice(finder.find(), folded, kept, parallels)
