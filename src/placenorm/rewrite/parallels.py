"""Norms on a skip whose sum has a conv of the same input beside them: RepVGG's, say.

There out = conv(x) + (a x + b) is (conv + (a - 1) at its centre tap)(x) + b + x: the conv takes the norm in, and the
skip stays a skip. The derivation is in docs/maths/folding.md.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from placenorm.graph.channel_rules import GROUND, ChannelRules, NormUse

Centre = Callable[[str], tuple[int, ...] | None]
"""Gives the tap with which the weight op at a path reads, at every place, the same place; None if it has none."""


@dataclass(frozen=True, slots=True)
class Parallel:
    """What one output channel of a weight op takes in of a norm beside it: ``scale * input + shift``.

    Attributes:
        path: of the weight op.
        gives: index of the output channel.
        reads: index of the input channel, within its group.
        tap: the tap that reads the same place.
        label: of the channel whose form the addition is in.
        source: label of the input channel.
        scale: what is added to that tap's weight.
        shift: what is added to the bias.
    """

    path: str
    gives: int
    reads: int
    tap: tuple[int, ...]
    label: int
    source: int
    scale: float
    shift: float


class ParallelFinder:
    """Finds weight ops beside norms.

    Args:
        rules: what the network's calls ask of the forms.
        folded: the norms that are folded by other ways already.
        centre: gives the tap of a weight op that reads the same place.
        groups: number of groups of the weight op at a path.
    """

    def __init__(
        self, rules: ChannelRules, folded: Iterable[NormUse], centre: Centre, groups: Callable[[str], int]
    ) -> None:
        self._rules = rules
        self._centre = centre
        self._groups = groups
        self._read: Counter[int] = Counter()
        self._sum_of: dict[int, tuple[int, int, int, int]] = {}
        self._sum_in: dict[int, tuple[int, int, int, int]] = {}
        runs = Counter(use.path for use in rules.weights)
        self._made = {
            label: (index, channel)
            for index, use in enumerate(rules.weights)
            if runs[use.path] == 1
            for channel, label in enumerate(use.gives.tolist())
        }
        for use in rules.weights:
            self._read.update(use.reads.tolist())
        for norm in rules.norms:
            self._read.update(norm.reads.tolist())
        for made, first, other, sign, _ in rules.sums:
            for row in zip(made.tolist(), first.tolist(), other.tolist(), strict=True):
                whole = (*row, sign)
                self._sum_of[row[0]] = whole
                for operand in row[1:]:
                    self._read[operand] += 1
                    self._sum_in[operand] = whole
        self._before = {y: x for use in folded for x, y in zip(use.reads.tolist(), use.gives.tolist(), strict=True)}

    def find(self, use: NormUse) -> list[Parallel] | None:
        """Return what weight ops beside a norm take in of it, one for every channel; None where there is none."""
        found: list[Parallel] = []
        channels = zip(use.reads.tolist(), use.gives.tolist(), use.scale.tolist(), use.shift.tolist(), strict=True)
        for x, y, scale, shift in channels:
            row = self._sum_in.get(y)
            if row is None or not self._is_alone(y):
                return None
            _, first, other, sign = row
            partner = other if first == y else first
            parallel = self._resolve(partner, sign, x, scale, shift)
            if parallel is None:
                return None
            found.append(parallel)
        return found

    def _is_alone(self, label: int) -> bool:
        """Whether one call reads a channel, and nothing else is asked of it."""
        rules = self._rules
        return self._read[label] == 1 and not any(
            label in each for each in (rules.fixed, rules.centred, rules.positive)
        )

    def _resolve(self, label: int, sign: int, x: int, scale: float, shift: float) -> Parallel | None:
        """Return what the weight op that makes a channel takes in of a norm that is added to it."""
        if not self._is_alone(label):
            return None
        if label in self._sum_of:
            _, first, other, turn = self._sum_of[label]
            return self._resolve(first, sign, x, scale, shift) or self._resolve(other, sign * turn, x, scale, shift)
        made = label
        if made in self._before:
            made = self._before[made]
            if not self._is_alone(made):
                return None
        if made not in self._made:
            return None
        index, channel = self._made[made]
        use = self._rules.weights[index]
        tap = self._centre(use.path)
        groups = self._groups(use.path)
        width = len(use.reads) // groups
        start = channel // (len(use.gives) // groups) * width
        inputs = use.reads[start : start + width].tolist()
        if tap is None or x == GROUND or x not in inputs:
            return None
        return Parallel(use.path, channel, inputs.index(x), tap, label, x, sign * (scale - 1.0), sign * shift)
