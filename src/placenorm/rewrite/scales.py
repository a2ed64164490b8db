"""Scales of channels: ratios between classes of labels, taken up one by one as norms are folded.

The derivation is in docs/maths/folding.md.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from placenorm.graph.channel_rules import GROUND, ChannelRules, Labels, Values
from placenorm.rewrite.stuck import BESIDE_WEIGHTS, NEVER_NEGATIVE, NEVER_ZERO, ONE_OF_TWO, StuckError

CLOSE: Final = 1e-12
"""Relative difference up to which two scales that have to be the same are, in float64."""


class Scales:
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
            raise StuckError(f"gamma of the norm before it is zero in a channel; {NEVER_ZERO}")
        (one, to_one), (two, to_two) = self._root(x), self._root(y)
        # scale_x = to_one * scale_one and scale_y = to_two * scale_two, so scale_two = ratio * scale_one
        ratio = to_one / (scale * to_two)
        if one == two:
            if abs(to_one - scale * to_two) > CLOSE * abs(to_one):
                raise StuckError(
                    f"{self._tell(x)} and {self._tell(y)} hang together, and scales between them are fixed; "
                    f"{ONE_OF_TWO}"
                )
            return True
        if self._grounded[one] and self._grounded[two]:
            raise StuckError(
                f"no scale can pass {self._tell(x)} before it, nor {self._tell(y)} behind it; {BESIDE_WEIGHTS}"
            )
        if self._zero[one] != self._zero[two]:
            other = two if self._zero[one] else one
            if self._grounded[other] or self._read[other]:
                raise StuckError(f"gamma of another norm is zero in a channel that others read; {NEVER_ZERO}")
        turn = 1 if ratio > 0 else -1
        if self._sign[one] and self._sign[two] and self._sign[one] * turn != self._sign[two]:
            raise StuckError(
                f"gamma is negative in {falling} channels, and no change of sign can pass {self._tell_sign(x)} before "
                f"it, nor {self._tell_sign(y)} behind it; {NEVER_NEGATIVE}"
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

    def are_alike(self, one: int, two: int) -> bool:
        """Whether two labels have the same scale, whatever scales are found."""
        (first, to_first), (second, to_second) = self._root(one), self._root(two)
        return first == second and abs(to_first - to_second) <= CLOSE * abs(to_first)

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
                raise StuckError(f"gamma is zero in a channel that another norm reads; {NEVER_ZERO}")
            self._write(self._grounded, alone, True)  # nothing may hang on its scale any more
            self._log.append(lambda: self.dead.pop(y))
            self.dead[y] = shift
            return False
        raise StuckError(
            f"gamma is zero in a channel that {self._tell(x)} reads before it, and {self._tell(y)} behind it; "
            f"{NEVER_ZERO}"
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
