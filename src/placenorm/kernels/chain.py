"""What a chain is: a norm with the activation in front of it or behind it, and an addition.

A chain is ``y = after(norm(before(x)) + residual)``. At most one of the two activations is not the identity, and behind
an addition there is the identity or a ReLU, whose derivative the output tells, so that nothing else need be saved.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from placenorm.kernels.activations import IDENTITY, Activation

BEHIND_ADDITION: Final = ("identity", "relu")
"""Activations whose derivative the output tells."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What is fused with a norm.

    Attributes:
        before: activation in front of the norm.
        after: activation behind the norm, or behind the addition.
        adds: whether a residual is added to the norm's output.

    Raises:
        ValueError: both activations are there, or one behind the addition whose derivative the output does not tell.
    """

    before: Activation = IDENTITY
    after: Activation = IDENTITY
    adds: bool = False

    def __post_init__(self) -> None:
        if self.before.name != IDENTITY.name and self.after.name != IDENTITY.name:
            raise ValueError(
                f"A norm is fused with one activation, not with {self.before.name} in front of it and "
                f"{self.after.name} behind it; leave one of them a layer of its own."
            )
        if self.adds and self.after.name not in BEHIND_ADDITION:
            raise ValueError(
                f"Behind an addition a norm is fused with {' or '.join(BEHIND_ADDITION)}, not with {self.after.name}; "
                "leave it a layer of its own."
            )

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but the norm."""
        return self.before.name == self.after.name == IDENTITY.name and not self.adds

    @property
    def parameter(self) -> float:
        """The parameter of the one activation; 0.0 where it has none."""
        return self.before.parameter or self.after.parameter

    def __str__(self) -> str:
        front = "" if self.before.name == IDENTITY.name else f"{self.before.name}-"
        back = "" if self.after.name == IDENTITY.name else f"-{self.after.name}"
        return f"{front}norm{'-add' if self.adds else ''}{back}"


def unpack(bits: Tensor, x: Tensor) -> Tensor:
    """Return bits as numbers, 0 or 1, in the shape, dtype and layout of a tensor.

    Args:
        bits: one for each value in the order of memory, the lowest of a byte first, uint8, ``[values / 8]``.
        x: ``[N, C, *]``, contiguous or with the channels last.
    """
    flat = (bits[:, None] >> torch.arange(8, dtype=torch.uint8, device=bits.device) & 1).flatten().to(x.dtype)
    if x.is_contiguous():
        return flat.view(x.shape)
    return flat.view(x.movedim(1, -1).shape).movedim(-1, 1)
