"""BatchNorm1d, 2d and 3d on our own forward and backward; drop-in for torch's layers of the same names."""

from math import prod
from typing import final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.kernels import reference
from placenorm.layers import operators


class _OwnForward(_BatchNorm):
    """A torch batch norm whose forward and backward are ours; everything else stays torch's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name, which callers may use as a keyword
        """Return the normalised activations.

        In training mode the statistics are the batch's and the running ones are updated; in evaluation mode they
        are the running ones, or the batch's where none are kept.

        Args:
            input: ``[N, C, *]``, float16, bfloat16, float32 or float64, any strides.

        Returns:
            ``[N, C, *]`` in the dtype and the memory format of the input.

        Raises:
            ValueError: if the rank is not this layer's, if training sees one value per channel, or if eps is out of
                range; in torch's words.
            RuntimeError: if the number of channels or the dtype does not fit the layer.
            NotImplementedError: if the input is not floating point.

        Source:
            torch.nn.modules.batchnorm._BatchNorm.forward, torch 2.14.
        """
        if isinstance(input, fx.Proxy):
            path = input.tracer.path_of_module(self)
            if path:
                # A leaf, as torch's own norms are: traced through, the mode would be baked into the graph.
                node: Tensor = input.tracer.create_proxy("call_module", path, (input,), {})
                return node
        else:
            self._check_input_dim(input)  # type: ignore[no-untyped-call]
        buffers_in_use = self.track_running_stats or not self.training
        return normalize_batch(
            input,
            self.running_mean if buffers_in_use else None,
            self.running_var if buffers_in_use else None,
            self.num_batches_tracked if self.track_running_stats else None,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )


@final
class BatchNorm1d(_OwnForward, nn.BatchNorm1d):
    """Batch norm over ``[N, C]`` or ``[N, C, S]``; arguments, buffers and errors are those of torch.nn.BatchNorm1d."""


@final
class BatchNorm2d(_OwnForward, nn.BatchNorm2d):
    """Batch norm over ``[N, C, H, W]``; arguments, buffers and errors are those of torch.nn.BatchNorm2d."""


@final
class BatchNorm3d(_OwnForward, nn.BatchNorm3d):
    """Batch norm over ``[N, C, D, H, W]``; arguments, buffers and errors are those of torch.nn.BatchNorm3d."""


def normalize_batch(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    num_batches_tracked: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float | None,
    eps: float,
) -> Tensor:
    """Return the normalised activations and, when training, bring the running statistics up to date in place.

    Args:
        x: ``[N, C, *]``.
        running_mean: ``[C]``; None where none is kept.
        running_var: ``[C]``; None where none is kept.
        num_batches_tracked: number of training batches so far, an integer tensor without axes.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        training: whether the batch's statistics are used and the running ones are updated.
        momentum: weight of this batch in the running statistics; None for the average over all batches.
        eps: what is added to the variance.

    Returns:
        ``[N, C, *]`` in the dtype and the memory format of x.

    Raises:
        ValueError: if training sees one value per channel, or if eps is out of range.
        RuntimeError: if the number of channels or the dtype does not fit.
        NotImplementedError: if x is not floating point.
    """
    of_batch = training or (running_mean is None and running_var is None)
    values = x.shape[0] * prod(x.shape[2:])
    _check(x, running_mean, running_var, weight, bias, eps, of_batch=of_batch, values=values)
    if training and num_batches_tracked is not None:
        num_batches_tracked.add_(1)
    viewed = _view_ncs(x)
    y: Tensor
    if values == 0:
        # Nothing to average and nothing to learn: as in torch, the running statistics stay.
        zero = x.new_zeros(x.shape[1], dtype=reference.widened(x.dtype))
        y = operators.batch_norm_eval(viewed, zero, zero + 1, weight, bias, eps)
    elif of_batch:
        y, mean, var, _ = operators.batch_norm(viewed, weight, bias, eps)
        if running_mean is not None and running_var is not None and training:
            share = _share_of_batch(momentum, num_batches_tracked, mean.dtype)
            new_mean, new_var = reference.update_running_stats(running_mean, running_var, mean, var, values, share)
            running_mean.copy_(new_mean)
            running_var.copy_(new_var)
    else:
        y = operators.batch_norm_eval(viewed, running_mean, running_var, weight, bias, eps)
    return y.view(x.shape)


def _share_of_batch(momentum: float | None, batches: Tensor | None, dtype: torch.dtype) -> float | Tensor:
    if momentum is not None:
        return momentum
    return 0.0 if batches is None else reference.cumulative_momentum(batches, dtype)


def _view_ncs(x: Tensor) -> Tensor:
    """View x as ``[N, C, S]`` in the layouts that torch's norms keep; any other is copied to a contiguous one."""
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(x.dim())
    if channels_last is None or not x.is_contiguous(memory_format=channels_last):
        x = x.contiguous()
    return x.flatten(2) if x.dim() > 2 else x.unsqueeze(2)


def _check(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    *,
    of_batch: bool,
    values: int,
) -> None:
    """Refuse what torch refuses, with its classes; in its words where they are as clear as ours."""
    if of_batch and values == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
    if of_batch and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if not x.is_floating_point():
        raise NotImplementedError(f"Cannot take batch norm of {x.dtype}: it is not floating point; cast it first.")
    owned = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, tensor in owned.items():
        if tensor is None:
            continue
        if tensor.numel() != x.shape[1]:
            raise RuntimeError(f"{name} should contain {x.shape[1]} elements not {tensor.numel()}")
        if tensor.dtype not in (x.dtype, reference.widened(x.dtype)):
            raise RuntimeError(
                f"Cannot take batch norm of {x.dtype} with {name} in {tensor.dtype}: mixed dtype means a 16-bit input "
                "with float32 parameters and buffers, nothing else; cast the input or the layer."
            )


# In a trace of the layer alone, which has no path to be a leaf under, this call is one node.
fx.wrap("normalize_batch")
