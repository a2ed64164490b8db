"""Which norms of a network can be folded away, chosen for the whole of it: forms of its channels that keep every rule.

A channel whose values are x may be carried as ``scale * x + shift``, its form, wherever everybody who reads it knows
that. Weight ops take any form in and give any form out, for nothing. A norm y = a x + b does nothing where the form of
x is (scale_y * a, scale_y * b + shift_y): then it is folded. All other calls set rules (`graph.channels`). Scales hang
together by ratios, as the potentials of a graph do, and shifts by linear equations; the norms that can go together are
those whose ratios close no circle and whose equations do not contradict. The derivation is in docs/maths/folding.md.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from placenorm.graph.channel_rules import ChannelRules, Labels, NormUse, Values
from placenorm.rewrite.parallels import Parallel, ParallelFinder
from placenorm.rewrite.scales import Scales
from placenorm.rewrite.shifts import Shifts
from placenorm.rewrite.stuck import StuckError


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
        self._scales = Scales(rules)
        self._shifts = Shifts(rules)
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
            known: dict[tuple[int, float], list[int]] = {}
            for use in uses:
                self._fold_call(use, known)
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

    def _fold_call(self, use: NormUse, known: dict[tuple[int, float], list[int]]) -> None:
        """Fold a call of a norm.

        Args:
            use: the call.
            known: the known numbers of the norm's other calls, by channel and shift; this one's are added.
        """
        reads, gives = use.reads.tolist(), use.gives.tolist()
        falling = int((use.scale < 0).sum())
        for place, (x, y) in enumerate(zip(reads, gives, strict=True)):
            scale, shift = float(use.scale[place]), float(use.shift[place])
            if self._scales.link(x, y, scale, shift, falling):
                row = {x: 1.0, y: -1.0}
                if shift != 0.0:
                    row[-self._find_number(y, shift, known.setdefault((place, shift), []))] = -1.0
                self._shifts.demand(row, y)

    def _find_number(self, y: int, shift: float, held: list[int]) -> int:
        """Return the known number of a shift as it is carried: that of another call whose output has the same scale."""
        for number in held:
            if self._scales.are_alike(self._numbers[number - 1][0], y):
                return number
        self._numbers.append((y, shift))
        held.append(len(self._numbers))
        return held[-1]

    def find(self) -> Forms:
        """Return forms for the norms that were folded: with no shift on padded inputs where that can be."""
        scale = self._scales.find()
        known = {-1 - index: scale[label] * shift for index, (label, shift) in enumerate(self._numbers)}
        wanted = [use.reads for use in self._rules.weights if use.varies]
        wanted += [use.reads for use in self._rules.weights if not use.varies]
        shift = self._shifts.find(known, wanted)
        return Forms(scale, shift, dict(self._scales.dead))


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
