"""What a chain with a pool behind it is: a norm, an activation and a pool, as in the stem of a ResNet."""

from dataclasses import dataclass

from placenorm.kernels.activations import IDENTITY, Activation
from placenorm.kernels.pool_chain import Pool, never_falls


@dataclass(frozen=True, slots=True)
class ChainPool:
    """What is fused with a norm: ``pool(after(norm(x)))``.

    Attributes:
        pool: the pool.
        after: activation between norm and pool.
    """

    pool: Pool
    after: Activation = IDENTITY

    @property
    def is_monotone(self) -> bool:
        """Whether the sign of gamma alone tells which input of a window gives the largest output."""
        return never_falls(self.after)

    def __str__(self) -> str:
        back = "" if self.after.name == IDENTITY.name else f"-{self.after.name}"
        return f"norm{back}-{self.pool}"
