"""Batch norm in plain tensor operations: the readable twin that every fast path is held against.

All activations are viewed as ``[N, C, S]``: N batch, C channels, S product of the spatial sizes; M = N * S is the
number of values per channel. Everything is functional: nothing that is passed in is changed. The derivations are in
docs/maths/batch_norm.md, whose formula numbers the comments cite.
"""

import torch
from torch import Tensor

_OVER_VALUES = (0, 2)
"""The axes N and S: what is left is one number per channel."""


def batch_stats(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the biased variance of every channel.

    Args:
        x: activations, ``[N, C, S]``, any strides.

    Returns:
        Mean and variance (divided by M), each ``[C]``, float32 or wider.

    Raises:
        ValueError: if there is nothing to average (M == 0).

    Source:
        Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 1; formulas (1) and (2).
    """
    if x.shape[0] * x.shape[2] == 0:
        raise ValueError(f"Cannot take batch statistics of {tuple(x.shape)}: a channel has no values; pass N, S >= 1.")
    x = widen(x)
    mean = x.mean(_OVER_VALUES)
    centred = x - _per_channel(mean)
    # A second pass takes off what rounding left in the first mean. Beside a mean of 1e3 and a standard deviation
    # of 0.1, an error of 1e-7 of the mean is 1e-3 of the spread.
    rest = centred.mean(_OVER_VALUES)
    var = (centred - _per_channel(rest)).square().mean(_OVER_VALUES)
    return mean + rest, var


def standardize(x: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    """Return x-hat, the distance of every value from its channel's mean in standard deviations.

    Args:
        x: activations, ``[N, C, S]``.
        mean: ``[C]``.
        rstd: reciprocal standard deviation, ``[C]``.

    Returns:
        ``[N, C, S]``, float32 or wider, whatever the dtype of x: gradients are computed from it.

    Source:
        Formula (3).
    """
    # Subtract first: x * rstd - mean * rstd would cancel two large numbers where the mean is far from zero.
    return (widen(x) - _per_channel(mean)) * _per_channel(rstd)


def normalize(x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the standardised activations, scaled and shifted: the norm's output.

    Args:
        x: activations, ``[N, C, S]``.
        mean: ``[C]``.
        rstd: reciprocal standard deviation, ``[C]``.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.

    Returns:
        ``[N, C, S]`` in the dtype of x.

    Source:
        Formula (4).
    """
    y = standardize(x, mean, rstd)
    if weight is not None:
        y = y * _per_channel(weight)
    if bias is not None:
        y = y + _per_channel(bias)
    return y.to(x.dtype)


def batch_norm_fwd(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the output of the norm in training mode and the statistics it used.

    Args:
        x: activations, ``[N, C, S]``, M >= 1.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.

    Returns:
        ``(y, mean, var, rstd)``: y is ``[N, C, S]`` in the dtype of x; the rest is ``[C]``, float32 or wider. The
        biased var stands beside rstd because 1 / rstd**2 - eps loses it where it is far below eps.

    Raises:
        ValueError: if there is nothing to average (M == 0).

    Source:
        Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 1; formulas (1) to (4).
    """
    mean, var = batch_stats(x)
    rstd = (var + eps).rsqrt()
    return normalize(x, mean, rstd, weight, bias), mean, var, rstd


def batch_norm_bwd(
    dy: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the norm in training mode, where mean and rstd depend on x.

    Args:
        dy: gradient of the output, ``[N, C, S]``.
        x: activations of the forward pass, ``[N, C, S]``.
        mean: batch mean from `batch_norm_fwd`, ``[C]``.
        rstd: reciprocal standard deviation from `batch_norm_fwd`, ``[C]``.
        weight: gamma, ``[C]``; None for 1.

    Returns:
        ``(dx, dweight, dbias)``: dx is ``[N, C, S]`` in the dtype of x; dweight and dbias are ``[C]``, float32 or
        wider.

    Source:
        Formulas (5) to (7), derived in docs/maths/batch_norm.md.
    """
    dy = widen(dy)
    x_hat = standardize(x, mean, rstd)
    dbias = dy.sum(_OVER_VALUES)
    dweight = (dy * x_hat).sum(_OVER_VALUES)
    dx = _per_channel(_scale(rstd, weight)) * _project(dy, x_hat)
    return dx.to(x.dtype), dweight, dbias


def batch_norm_eval_fwd(
    x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Return the output of the norm in evaluation mode, ``[N, C, S]`` in the dtype of x.

    Args:
        x: activations, ``[N, C, S]``.
        running_mean: ``[C]``, a constant.
        running_var: ``[C]``, a constant.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.

    Source:
        Ioffe & Szegedy 2015, arXiv:1502.03167, Algorithm 2; formula (8).
    """
    return normalize(x, widen(running_mean), _running_rstd(running_var, eps), weight, bias)


def batch_norm_eval_bwd(
    dy: Tensor, x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the norm in evaluation mode, where the statistics are constants.

    Args:
        dy: gradient of the output, ``[N, C, S]``.
        x: activations of the forward pass, ``[N, C, S]``.
        running_mean: ``[C]``.
        running_var: ``[C]``.
        weight: gamma, ``[C]``; None for 1.
        eps: what is added to the variance.

    Returns:
        ``(dx, dweight, dbias)``, as `batch_norm_bwd`.

    Source:
        Formulas (9), (6) and (7), derived in docs/maths/batch_norm.md.
    """
    dy = widen(dy)
    rstd = _running_rstd(running_var, eps)
    x_hat = standardize(x, widen(running_mean), rstd)
    dx = _per_channel(_scale(rstd, weight)) * dy
    return dx.to(x.dtype), (dy * x_hat).sum(_OVER_VALUES), dy.sum(_OVER_VALUES)


def unbias(var: Tensor, values: int | Tensor) -> Tensor:
    """Return the unbiased variance of so many values, from the biased one."""
    return var * (values / (values - 1))


def update_running_stats(
    running_mean: Tensor, running_var: Tensor, mean: Tensor, var: Tensor, momentum: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Return the running statistics after one more batch.

    Args:
        running_mean: before the batch, ``[C]``.
        running_var: before the batch, unbiased, ``[C]``.
        mean: the batch's mean, ``[C]``.
        var: the batch's unbiased variance, ``[C]``; see `unbias`.
        momentum: weight of this batch, 0 to 1; see `cumulative_momentum` for an average over all batches.

    Returns:
        New mean and unbiased variance, each ``[C]`` in the dtype of the running ones.

    Source:
        torch.nn.BatchNorm2d, torch 2.14; formula (10).
    """
    new_mean = (1 - momentum) * widen(running_mean) + momentum * mean
    new_var = (1 - momentum) * widen(running_var) + momentum * var
    return new_mean.to(running_mean.dtype), new_var.to(running_var.dtype)


def cumulative_momentum(batches: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weight that makes the running statistics the plain average of all batches: 1 / batches.

    Args:
        batches: batches seen, this one included, an integer tensor without axes. It stays a tensor, so that
            nothing waits for the device and torch.compile sees no break.
        dtype: dtype of the batch statistics.
    """
    return batches.to(dtype).reciprocal()


def widen(x: Tensor) -> Tensor:
    """Return a tensor in the dtype of its statistics: float32, or float64 where it is float64."""
    return x.to(widened(x.dtype))


def widened(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of the statistics of activations in a dtype."""
    return torch.promote_types(dtype, torch.float32)


def _per_channel(values: Tensor) -> Tensor:
    """View ``[C]`` so that it meets axis C of ``[N, C, S]``."""
    return values[:, None]


def _mean(x: Tensor) -> Tensor:
    return _per_channel(x.mean(_OVER_VALUES))


def _project(v: Tensor, x_hat: Tensor) -> Tensor:
    """Take off what standardising can not carry: the mean of v and its part along x-hat. Formula (5)."""
    return v - _mean(v) - x_hat * _mean(x_hat * v)


def _scale(rstd: Tensor, weight: Tensor | None) -> Tensor:
    return rstd if weight is None else rstd * weight


def _running_rstd(running_var: Tensor, eps: float) -> Tensor:
    return (widen(running_var) + eps).rsqrt()
