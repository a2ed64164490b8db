"""What a network's calls ask of the forms of its channels, as facts: `graph.channels` finds them.

A label stands for a channel that may be carried in another form, ``scale * value + shift``, as long as every rule about
it holds; `rewrite.forms` finds out which forms there are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Values = NDArray[np.float64]

GROUND: Final = 0
"""The label of everything that stays as it is: inputs, constants, what an op gives that lets no other form pass."""


@dataclass(frozen=True, slots=True)
class WeightUse:
    """One call of a conv, a transposed conv or a linear layer that can take other forms in, and give them.

    Attributes:
        path: of the module.
        reads: label of every input channel, ``[C_in]``.
        gives: label of every output channel, ``[C_out]``.
        varies: whether a shift of its input is another shift of its output from place to place: zeros are padded, or
            the op is transposed.
    """

    path: str
    reads: Labels
    gives: Labels
    varies: bool


@dataclass(frozen=True, slots=True)
class NormUse:
    """One call of a norm that evaluates by its running statistics.

    Attributes:
        path: of the module; of the module in whose forward it stands where the call is functional.
        number: which norm this is among the calls of norms in its owner's forward, from 0; among its module's own
            where it is a module.
        functional: whether the call is no module of its own.
        reads: label of every input channel, ``[C]``.
        gives: label of every output channel, ``[C]``.
        scale: ``[C]``, float64: what it multiplies with.
        shift: ``[C]``, float64: what it adds then.
        adjustable: whether the module can take other forms in and give them while it stays.
        size: number of values that it normalises.
    """

    path: str
    number: int
    functional: bool
    reads: Labels
    gives: Labels
    scale: Values
    shift: Values
    adjustable: bool
    size: int


@dataclass(slots=True)
class ChannelRules:
    """The rules that a network's calls set for the forms of its channels.

    Attributes:
        count: number of labels, `GROUND` among them.
        weights: the calls of weight ops.
        norms: the calls of norms.
        scaled_alike: pairs of labels, ``[P, 2]``, whose scales must be the same.
        alike: pairs of labels whose scales and shifts must be the same.
        sums: rows of (label, addend, addend, sign of the second): the shift of the first is that of their sum.
        centred: labels whose shift must be zero, each with what asks for it.
        positive: labels whose scale must be positive, or zero, each with what asks for it.
        fixed: labels that stay as they are, each with what asks for it.
        odd: norms whose calls set no rules, by path: why they stay.
    """

    count: int = 1
    weights: list[WeightUse] = field(default_factory=list)
    norms: list[NormUse] = field(default_factory=list)
    scaled_alike: list[tuple[Labels, Labels]] = field(default_factory=list)
    alike: list[tuple[Labels, Labels]] = field(default_factory=list)
    sums: list[tuple[Labels, Labels, Labels, int, str]] = field(default_factory=list)
    centred: dict[int, str] = field(default_factory=dict)
    positive: dict[int, str] = field(default_factory=dict)
    fixed: dict[int, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)

    def add_labels(self, count: int) -> Labels:
        """Return so many new labels."""
        start = self.count
        self.count += count
        return np.arange(start, self.count)

    def fix(self, labels: Iterable[int], cause: str) -> None:
        """Keep channels as they are."""
        _note(self.fixed, labels, cause)

    def centre(self, labels: Iterable[int], cause: str) -> None:
        """Allow channels no shift."""
        _note(self.centred, labels, cause)

    def keep_sign(self, labels: Iterable[int], cause: str) -> None:
        """Allow channels no negative scale."""
        _note(self.positive, labels, cause)


def _note(rules: dict[int, str], labels: Iterable[int], cause: str) -> None:
    for label in labels:
        if label != GROUND:
            rules.setdefault(int(label), cause)
