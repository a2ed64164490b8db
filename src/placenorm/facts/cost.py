"""What the norms of a network cost, in counts that need no clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NormCost:
    """The cost of one norm on the example input.

    Attributes:
        norm: the norm's key.
        elements: values it normalises per step.
        train_bytes: bytes moved in one training step (forward and backward) by the best two-pass algorithm.
        eval_bytes: bytes moved in one inference step, when nothing is folded.
        parameters: gamma and beta.
    """

    norm: str
    elements: int
    train_bytes: int
    eval_bytes: int
    parameters: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a network's norms beside the traffic of the whole network.

    Attributes:
        norms: one entry a norm.
        train_bytes: bytes that all ops move in one training step, norms included.
        macs: multiply-adds of one forward pass.
        parameters: parameters of the network.
    """

    norms: tuple[NormCost, ...]
    train_bytes: int
    macs: int
    parameters: int

    @property
    def norm_elements(self) -> int:
        """Values normalised per step."""
        return sum(norm.elements for norm in self.norms)

    @property
    def norm_train_bytes(self) -> int:
        """Bytes that the norms move in one training step."""
        return sum(norm.train_bytes for norm in self.norms)

    @property
    def norm_share_pct(self) -> float:
        """Share of the norms in the bytes of a training step, in percent (0 to 100)."""
        return 100.0 * self.norm_train_bytes / self.train_bytes if self.train_bytes else 0.0
