"""A batch norm for tensors whose features are on the last axis."""

from typing import final

from torch import Tensor, nn


@final
class FeaturesLast(nn.Module):
    """Runs a norm for ``[N, D]`` on ``[N, *, D]``: every place counts as a sample.

    Args:
        norm: the norm, over D features; it becomes the child ``norm``.
    """

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised activations, in the shape of the input.

        Args:
            x: ``[N, *, D]``.
        """
        normed: Tensor = self.norm(x.flatten(0, -2))
        return normed.view_as(x)
