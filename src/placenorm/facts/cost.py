"""What the norms of a network cost, in counts that need no clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NormCost:
    """The cost of one norm on the example input.

    The fields with a default are missing in comparisons of placenorm 0.1.0 and before.

    Attributes:
        norm: the norm's key; of a norm that is only planned, its block's key and ``:norm``.
        elements: values it normalises per step.
        train_bytes: bytes moved in one training step (forward and backward) by the best two-pass algorithm.
        eval_bytes: bytes moved in one inference step, when nothing is folded.
        parameters: gamma and beta; 0 where an earlier call of the same norm has them.
        block: key of the block that it belongs to.
        train_operations: additions and multiplications of one training step, forward and backward.
        eval_operations: those of one inference step, when nothing is folded.
        buffers: values of running mean, running variance and number of batches; 0 where an earlier call has them.
    """

    norm: str
    elements: int
    train_bytes: int
    eval_bytes: int
    parameters: int
    block: str = ""
    train_operations: int = 0
    eval_operations: int = 0
    buffers: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a network's norms beside the traffic of the whole network.

    Attributes:
        norms: one entry a norm and call, in the order they run.
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
    def norm_train_operations(self) -> int:
        """Additions and multiplications of the norms in one training step."""
        return sum(norm.train_operations for norm in self.norms)

    @property
    def norm_eval_operations(self) -> int:
        """Additions and multiplications of the norms in one inference step, when nothing is folded."""
        return sum(norm.eval_operations for norm in self.norms)

    @property
    def norm_train_bytes(self) -> int:
        """Bytes that the norms move in one training step."""
        return sum(norm.train_bytes for norm in self.norms)

    @property
    def norm_eval_bytes(self) -> int:
        """Bytes that the norms move in one inference step, when nothing is folded."""
        return sum(norm.eval_bytes for norm in self.norms)

    @property
    def norm_parameters(self) -> int:
        """Gammas and betas."""
        return sum(norm.parameters for norm in self.norms)

    @property
    def norm_buffers(self) -> int:
        """Values of the running statistics and the numbers of batches."""
        return sum(norm.buffers for norm in self.norms)

    @property
    def norm_share_pct(self) -> float:
        """Share of the norms in the bytes of a training step, in percent (0 to 100)."""
        return 100.0 * self.norm_train_bytes / self.train_bytes if self.train_bytes else 0.0


@dataclass(frozen=True, slots=True)
class CostChange:
    """What becomes of the cost of norms when they move: each field holds the number before and the number after.

    Attributes:
        elements: values normalised per step; operations go with them.
        train_bytes: bytes moved in one training step.
        eval_bytes: bytes moved in one inference step, when nothing is folded.
        parameters: gammas and betas.
        buffers: values of the running statistics and the numbers of batches.
    """

    elements: tuple[int, int]
    train_bytes: tuple[int, int]
    eval_bytes: tuple[int, int]
    parameters: tuple[int, int]
    buffers: tuple[int, int]
