"""The short way of an input that is like the last one: what was found out then is not found out again.

A small norm, and any on a GPU, is over before Python has asked all its questions, so a layer remembers the last input
that it took, and what it was asked about.
"""

import operator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad

from placenorm.kernels.activations import Activation
from placenorm.kernels.chain import Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.dispatch import Fused
from placenorm.kernels.pool_chain import Pool, PoolChain
from placenorm.kernels.running import Running
from placenorm.layers.chain_operators import run_chain
from placenorm.layers.chain_pool_operators import run_chain_pool
from placenorm.layers.composing import compose
from placenorm.layers.direct import is_eager
from placenorm.layers.normalizing import is_recomputing, view_dense
from placenorm.layers.paths import find_gap
from placenorm.layers.pool_chain_operators import run_pool_chain

Tensors = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""A layer's weight, bias, running mean and variance, and number of batches."""

Owned = tuple[*Tensors, Activation, Activation, Pool | None, Pool | None]
"""A layer's tensors, and what it holds in front of the norm and behind it: activations, then pools."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a layer is set to, and what beside it decides which way an input takes.

    Attributes:
        training: its mode.
        eps: what is added to the variance.
        momentum: weight of a batch in the running statistics.
        threads: of torch.
    """

    training: bool
    eps: float
    momentum: float | None
    threads: int


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """An input that a layer has taken.

    Attributes:
        shape: of the input.
        stride: of the input.
        dtype: of the input.
        device: of the input.
        settings: of the layer.
        owned: the layer's own, compared by identity.
        chain: what is fused with the norm.
        running: what the kernels brought up to date; None where the input went torch's way.
    """

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    settings: Settings
    owned: Owned
    chain: Fused
    running: Running | None

    def fits(self, x: Tensor, residual: Tensor | None, settings: Settings, owned: Owned) -> bool:
        """Whether an input is like this one, and nothing about the layer or the call is different.

        A layer whose own tensors change their type or device in place forgets; see ``_apply``.
        """
        adds = isinstance(self.chain, Chain) and self.chain.adds
        return (
            x.shape == self.shape
            and x.dtype is self.dtype
            and x.stride() == self.stride
            and x.device == self.device
            and settings == self.settings
            and not any(map(operator.is_not, owned, self.owned))
            and (residual is not None) is adds
            and (residual is None or (residual.shape == self.shape and residual.dtype is self.dtype))
            and (residual is None or residual.device == self.device)
            and not (settings.training and is_recomputing())
            and (self.running is None or _is_plain_call(x))
        )

    def run(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Return the layer's output, and bring its running statistics up to date where it is training."""
        weight, bias, mean, var, tracked, *_ = self.owned
        settings, chain = self.settings, self.chain
        if self.running is not None:
            if isinstance(chain, PoolChain):
                return run_pool_chain(x, weight, bias, settings.eps, chain, self.running)[0]
            if isinstance(chain, ChainPool):
                return run_chain_pool(x, weight, bias, settings.eps, chain, self.running)[0]
            return run_chain(x, residual, weight, bias, settings.eps, chain, self.running)[0]
        assert mean is not None
        assert var is not None
        if settings.training and tracked is not None:
            tracked.add_(1)
        of_batch, running = settings.training, (mean, var)
        share = (settings.momentum or 0.0) if of_batch else 0.0
        return compose(
            x, residual, weight, bias, settings.eps, chain, running=running, of_batch=of_batch, momentum=share
        )


def remember(x: Tensor, residual: Tensor | None, settings: Settings, owned: Owned, chain: Fused) -> Known | None:
    """Return what a layer can know of an input that it has just taken; None where the way depends on more.

    Args:
        x: ``[N, C, *]``.
        residual: of its shape, or None.
        settings: of the layer.
        owned: the layer's own; it keeps running statistics.
        chain: what is fused with the norm.
    """
    _, _, mean, var, tracked, *_ = owned
    if mean is None or var is None or settings.momentum is None or not _is_plain_call(x):
        return None
    running = None
    if settings.training and not find_gap(view_dense(x), chain, of_batch=True):
        if view_dense(x) is not x or mean.dtype != torch.float32:
            return None
        running = Running(mean, var, settings.momentum, tracked)
    return Known(x.shape, x.stride(), x.dtype, x.device, settings, owned, chain, running)


def _is_plain_call(x: Tensor) -> bool:
    """Whether nothing but autograd watches the call."""
    return is_eager(x) and torch._C._functorch.peek_interpreter_stack() is None and forward_ad._current_level < 0
