"""The short way of an input that is like the last one: what was found out then is not found out again.

A norm on a GPU is over before Python has asked all its questions, so a layer remembers the last input that its kernels
took, and what it was asked about.
"""

import operator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from placenorm.kernels.chain import Chain
from placenorm.kernels.running import Running
from placenorm.layers.chain_operators import run_chain
from placenorm.layers.direct import is_eager
from placenorm.layers.normalizing import is_recomputing, view_dense
from placenorm.layers.paths import find_gap

REMEMBERED = {"cuda"}
"""Kinds of devices on which asking costs more than it saves."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """An input that a layer's kernels took in training.

    Attributes:
        shape: of the input.
        stride: of the input.
        dtype: of the input.
        device: of the input.
        settings: eps and momentum.
        owned: the layer's weight, bias and buffers.
        chain: what is fused with the norm.
        running: the layer's running statistics.
    """

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    settings: tuple[float, float | None]
    owned: tuple[Tensor | None, ...]
    chain: Chain
    running: Running

    def fits(
        self,
        x: Tensor,
        residual: Tensor | None,
        settings: tuple[float, float | None],
        owned: tuple[Tensor | None, ...],
    ) -> bool:
        """Whether an input is like this one, and nothing about the layer or the call is different.

        A layer whose own tensors change their type or device in place forgets; see ``_apply``.
        """
        return (
            x.shape == self.shape
            and x.dtype is self.dtype
            and x.stride() == self.stride
            and x.device == self.device
            and settings == self.settings
            and not any(map(operator.is_not, owned, self.owned))
            and (residual is not None) is self.chain.adds
            and (residual is None or (residual.shape == self.shape and residual.dtype is self.dtype))
            and (residual is None or residual.device == self.device)
            and _is_plain_call(x)
        )

    def run(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Return the layer's output, and bring its running statistics up to date."""
        weight, bias = self.owned[:2]
        return run_chain(x, residual, weight, bias, self.settings[0], self.chain, self.running)[0]


def remember(
    x: Tensor,
    residual: Tensor | None,
    settings: tuple[float, float | None],
    owned: tuple[Tensor | None, ...],
    chain: Chain,
) -> Known | None:
    """Return what a layer can know of an input that it has just normalised in training; None where it went torch's way.

    Args:
        x: ``[N, C, *]``.
        residual: of its shape, or None.
        settings: eps and momentum.
        owned: the layer's weight, bias and buffers.
        chain: what is fused with the norm.
    """
    momentum = settings[1]
    *_, mean, var, tracked = owned
    if x.device.type not in REMEMBERED or mean is None or var is None or momentum is None or not _is_plain_call(x):
        return None
    if mean.dtype != torch.float32 or view_dense(x) is not x or find_gap(x, chain, of_batch=True):
        return None
    return Known(x.shape, x.stride(), x.dtype, x.device, settings, owned, chain, Running(mean, var, momentum, tracked))


def _is_plain_call(x: Tensor) -> bool:
    """Whether nothing but autograd watches the call, and it is not the second one of a checkpoint."""
    return (
        is_eager(x)
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and not is_recomputing()
    )
