"""What a pooled chain is: an activation and a pool in front of a norm."""

from dataclasses import dataclass
from typing import Final, final

from placenorm.kernels.activations import IDENTITY, Activation

MONOTONE: Final = ("identity", "relu", "relu6", "leaky_relu", "tanh", "sigmoid", "elu")
"""Activations that never fall: the largest input of a window gives the largest output, and only it is activated."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A two-dimensional pool, abstract; the arguments are those of torch's layers.

    Attributes:
        kernel_size: height and width of a window.
        stride: from one window to the next, down and to the right.
        padding: rows and columns that are added at each edge.
        ceil_mode: whether a window may begin inside and end outside.

    Raises:
        ValueError: a size or a stride is below 1, or a padding is negative or above half of the window.
    """

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        if min(*self.kernel_size, *self.stride) < 1:
            raise ValueError(f"A pool's window and stride are at least 1; {self!r} has less.")
        if any(not 0 <= 2 * pad <= size for pad, size in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"A pool's padding is at least 0 and at most half of its window; {self!r} has another.")

    def find_size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width of what is pooled, as torch has them.

        Raises:
            RuntimeError: nothing is left.
        """
        sizes = []
        for size, window, stride, padding in zip(
            (height, width), self.kernel_size, self.stride, self.padding, strict=True
        ):
            room = size + 2 * padding - window
            count = (-(-room // stride) if self.ceil_mode else room // stride) + 1
            if self.ceil_mode and (count - 1) * stride >= size + padding:
                count -= 1  # the last window would begin in the padding
            sizes.append(count)
        if min(sizes) < 1:
            raise RuntimeError(
                f"Cannot pool {height}x{width} by windows of {self.kernel_size[0]}x{self.kernel_size[1]}: nothing is "
                "left; take a smaller window, or leave the pool out."
            )
        return sizes[0], sizes[1]


@final
@dataclass(frozen=True, slots=True)
class MaxPool(Pool):
    """A two-dimensional max pool, as torch.nn.MaxPool2d; the padding never wins."""

    def __str__(self) -> str:
        return "maxpool"


@final
@dataclass(frozen=True, slots=True)
class AvgPool(Pool):
    """A two-dimensional average pool, as torch.nn.AvgPool2d.

    Attributes:
        count_include_pad: whether the padding counts.
        divisor_override: what a window's sum is divided by; None for the number of its values.
    """

    count_include_pad: bool = True
    divisor_override: int | None = None

    def __str__(self) -> str:
        return "avgpool"


def never_falls(activation: Activation) -> bool:
    """Whether the largest input of a window gives the largest output."""
    falls = activation.name in ("leaky_relu", "elu") and activation.parameter < 0
    return activation.name in MONOTONE and not falls


@dataclass(frozen=True, slots=True)
class PoolChain:
    """What is fused with a norm: ``norm(pool(before(x)))``.

    Attributes:
        before: activation in front of the pool.
        pool: the pool.
    """

    pool: Pool
    before: Activation = IDENTITY

    @property
    def is_monotone(self) -> bool:
        """Whether the largest input of a window gives the largest output."""
        return never_falls(self.before)

    def __str__(self) -> str:
        front = "" if self.before.name == IDENTITY.name else f"{self.before.name}-"
        return f"{front}{self.pool}-norm"
