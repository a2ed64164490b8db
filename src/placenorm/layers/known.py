"""The short way of an input that is like the last one: what was found out then is not found out again.

A small norm, and any on a GPU, is over before Python has asked all its questions, so a layer remembers the last input
that it took, and what it was asked about.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from placenorm.kernels.activations import Activation
from placenorm.kernels.chain import Chain
from placenorm.kernels.dispatch import Fused
from placenorm.kernels.pool_chain import Pool
from placenorm.kernels.running import Running
from placenorm.layers.composing import compose
from placenorm.layers.direct import Call, Direct, is_eager
from placenorm.layers.fused import find_call
from placenorm.layers.normalizing import is_recomputing, view_dense
from placenorm.layers.paths import find_gap


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """An input that a layer has taken, and the layer as it was then.

    Attributes:
        shape: of the input.
        stride: of the input.
        dtype: of the input.
        device: of the input.
        threads: of torch.
        training: the layer's mode.
        eps: what it adds to the variance.
        momentum: weight of a batch in the running statistics.
        weight: gamma, ``[C]``, or None.
        bias: beta, ``[C]``, or None.
        running_mean: ``[C]``.
        running_var: ``[C]``.
        num_batches_tracked: number of batches, or None.
        before: the layer's activation in front of the norm.
        after: the one behind it.
        pool: the pool in front of it, or None.
        pool_after: the one behind it, or None.
        kinds: type, length and device of gamma, beta and the running statistics.
        fused: the norm with what is fused with it.
        call: of our kernels; None where the input went torch's way.
    """

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    threads: int
    training: bool
    eps: float
    momentum: float
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor | None
    before: Activation
    after: Activation
    pool: Pool | None
    pool_after: Pool | None
    kinds: "list[_Kind | None]"
    fused: Fused
    call: Call | None

    def fits(self, layer: Any, x: Tensor, residual: Tensor | None) -> bool:
        """Whether an input is like this one, and nothing about the layer or the call is different."""
        parameters, buffers = layer._parameters, layer._buffers  # the module itself asks more
        return (
            x.shape == self.shape
            and x.stride() == self.stride
            and x.dtype is self.dtype
            and x.device == self.device
            and layer.training is self.training
            and layer.eps == self.eps
            and layer.momentum == self.momentum
            and parameters.get("weight", self) is self.weight
            and parameters.get("bias", self) is self.bias
            and buffers.get("running_mean", self) is self.running_mean
            and buffers.get("running_var", self) is self.running_var
            and buffers.get("num_batches_tracked", self) is self.num_batches_tracked
            and layer.before is self.before
            and layer.after is self.after
            and layer.pool is self.pool
            and layer.pool_after is self.pool_after
            and torch.get_num_threads() == self.threads
            # Kernels take them by address, and who assigns to ``Tensor.data`` changes them where they are.
            and _list_kinds(self.weight, self.bias, self.running_mean, self.running_var) == self.kinds
            and (self._takes(residual) if self._adds else residual is None)
            and not (self.training and is_recomputing())
            and (self.call is None or _is_plain_call(x))
        )

    @property
    def _adds(self) -> bool:
        return isinstance(self.fused, Chain) and self.fused.adds

    def _takes(self, residual: Tensor | None) -> bool:
        return (
            isinstance(residual, Tensor)
            and residual.shape == self.shape
            and residual.dtype is self.dtype
            and residual.device == self.device
        )

    def run(self, x: Tensor, residual: Tensor | None) -> Tensor:
        """Return the layer's output, and bring its running statistics up to date where it is training."""
        if self.call is not None:
            y: Tensor = Direct.apply(x, residual, self.weight, self.bias, self.call)
            return y
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return compose(
            x, residual, self.weight, self.bias, self.eps, self.fused, running=(self.running_mean, self.running_var),
            of_batch=self.training, momentum=self.momentum if self.training else 0.0,
        )  # fmt: skip


def remember(layer: Any, x: Tensor, fused: Fused) -> Known | None:
    """Return what a layer can know of an input that it has just taken; None where the way depends on more.

    Args:
        layer: a layer that keeps running statistics.
        x: ``[N, C, *]``.
        fused: the norm with what is fused with it.
    """
    mean, var, momentum = layer.running_mean, layer.running_var, layer.momentum
    if mean is None or var is None or momentum is None or not _is_plain_call(x) or not _owns_affine(layer):
        return None
    call = None
    if layer.training and not find_gap(view_dense(x), fused, of_batch=True):
        if view_dense(x) is not x or mean.dtype != torch.float32:
            return None
        call = find_call(x, layer.eps, fused, Running(mean, var, momentum, layer.num_batches_tracked))
    return Known(
        x.shape, x.stride(), x.dtype, x.device, torch.get_num_threads(), layer.training, layer.eps, momentum,
        layer.weight, layer.bias, mean, var, layer.num_batches_tracked, layer.before, layer.after, layer.pool,
        layer.pool_after, _list_kinds(layer.weight, layer.bias, mean, var), fused, call,
    )  # fmt: skip


_Kind = tuple[torch.dtype, int, torch.device]


def _list_kinds(*tensors: Tensor | None) -> list[_Kind | None]:
    return [None if each is None else (each.dtype, each.numel(), each.device) for each in tensors]


def _owns_affine(layer: Any) -> bool:
    """Whether gamma and beta are the layer's own, or None: neither computed when asked for, nor lent by somebody."""
    held = [layer._parameters.get(name, layer) for name in ("weight", "bias")]
    return all(each is None or (isinstance(each, Tensor) and each.is_leaf) for each in held)


def _is_plain_call(x: Tensor) -> bool:
    """Whether nothing but autograd watches the call."""
    return is_eager(x) and torch._C._functorch.peek_interpreter_stack() is None and forward_ad._current_level < 0
