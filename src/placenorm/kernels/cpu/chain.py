"""The fused chains on the processor: tensors in, tensors out, as `chain_reference` has them."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from placenorm.kernels.activations import Activation, activate
from placenorm.kernels.chain import Chain
from placenorm.kernels.cpu import chain_loops
from placenorm.kernels.cpu.arithmetic import CODES
from placenorm.kernels.cpu.memory import empty_like
from placenorm.kernels.running import Running
from placenorm.kernels.threads import count_shares, share_out

Array = NDArray[np.float32]
Layout = Literal["planes", "rows"]


def chain_fwd(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: Chain,
    running: Running | None = None,
) -> tuple[Tensor, None, Tensor, Tensor, Tensor]:
    """Return ``(y, bits, mean, var, rstd)`` as `chain_reference.chain_fwd`.

    Args:
        x: ``[N, C, *]``, float32, contiguous or with the channels last.
        residual: of the shape of x, in any layout.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.
    """
    channels = x.shape[1]
    y = empty_like(x)
    mean, var = torch.empty(channels), torch.empty(channels)
    gamma, beta = _fill(weight, channels, 1.0), _fill(bias, channels, 0.0)
    codes = _encode(chain)
    view = _find_layout(x)
    given, out = _view(x, view), _view(y, view)
    added = given if residual is None else _view(_lay_out(residual, x), view)
    if view == "planes":
        share_out(
            lambda _, start, stop: chain_loops.forward_planes(
                given, added, out, mean.numpy(), var.numpy(), gamma, beta, eps, *codes, start, stop
            ),
            channels,
        )
        return _finish(y, mean, var, eps, running)
    rows = given.shape[0]
    parameter = codes[-1]
    shift = _average_first(x, chain.before)
    sums = np.zeros((count_shares(rows), 2, channels))
    share_out(
        lambda share, start, stop: chain_loops.measure_rows(
            given, shift, sums[share], codes[0], parameter, start, stop
        ),
        rows,
    )
    total, squares = sums.sum(0) / rows
    spread = np.maximum(squares - total * total, 0.0)
    scale = (gamma / np.sqrt(spread + eps)).astype(np.float32)
    centre = total.astype(np.float32)
    mean.copy_(torch.from_numpy(shift + total))
    var.copy_(torch.from_numpy(spread))
    share_out(
        lambda _, start, stop: chain_loops.forward_rows(
            given, added, out, shift, centre, scale, beta, *codes, start, stop
        ),
        rows,
    )
    return _finish(y, mean, var, eps, running)


def _finish(
    y: Tensor, mean: Tensor, var: Tensor, eps: float, running: Running | None
) -> tuple[Tensor, None, Tensor, Tensor, Tensor]:
    if running is not None:
        running.take(mean, var, y.numel() // y.shape[1])
    return y, None, mean, var, (var + eps).rsqrt()


def chain_bwd(
    dy: Tensor,
    x: Tensor,
    y: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    chain: Chain,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Return ``(dx, dresidual, dweight, dbias)`` as `chain_reference.chain_bwd`.

    Args:
        dy: gradient of the output, of the shape of x, in any layout.
        x: as in `chain_fwd`.
        y: the output, where there was a residual; it tells where the activation was on. None without a residual.
        mean: from `chain_fwd`.
        rstd: from `chain_fwd`.
        weight: as in `chain_fwd`.
        bias: as in `chain_fwd`.
        chain: as in `chain_fwd`.
    """
    channels = x.shape[1]
    dx = empty_like(x)
    dresidual = None if y is None else empty_like(x)
    dweight, dbias = torch.empty(channels), torch.empty(channels)
    gamma, beta = _fill(weight, channels, 1.0), _fill(bias, channels, 0.0)
    codes = _encode(chain)
    view = _find_layout(x)
    given, out, upstream = _view(x, view), _view(dx, view), _view(_lay_out(dy, x), view)
    seen = given if y is None else _view(_lay_out(y, x), view)
    branch = out if dresidual is None else _view(dresidual, view)
    mu, r = mean.numpy(), rstd.numpy()
    if view == "planes":
        share_out(
            lambda _, start, stop: chain_loops.backward_planes(
                upstream, given, seen, out, branch, mu, r, gamma, beta, dweight.numpy(), dbias.numpy(),
                *codes, start, stop,
            ),
            channels,
        )  # fmt: skip
        return dx, dresidual, dweight, dbias
    rows = given.shape[0]
    sums = np.zeros((count_shares(rows), 2, channels))
    share_out(
        lambda share, start, stop: chain_loops.sum_gradients_rows(
            upstream, given, seen, mu, r, gamma, beta, sums[share], *codes, start, stop
        ),
        rows,
    )
    total, along = sums.sum(0)
    dbias.copy_(torch.from_numpy(total))
    dweight.copy_(torch.from_numpy(along))
    shared, slope = (total / rows).astype(np.float32), (along / rows).astype(np.float32)
    share_out(
        lambda _, start, stop: chain_loops.backward_rows(
            upstream, given, seen, out, branch, mu, r, gamma, beta, shared, slope, *codes, start, stop
        ),
        rows,
    )
    return dx, dresidual, dweight, dbias


def _find_layout(x: Tensor) -> Layout:
    return "planes" if x.is_contiguous() and x.numel() > x.shape[0] * x.shape[1] else "rows"


def _view(x: Tensor, layout: Layout) -> Array:
    """Return the numbers of a tensor, ``[N, C, S]`` or ``[M, C]``, without a copy."""
    view = x.flatten(2) if layout == "planes" else x.movedim(1, -1).flatten(0, -2)
    numbers: Array = view.detach().numpy()
    return numbers


def _lay_out(y: Tensor, x: Tensor) -> Tensor:
    """Return a tensor in the layout of another one of its shape."""
    return y if y.stride() == x.stride() else empty_like(x).copy_(y)


def _fill(parameter: Tensor | None, channels: int, value: float) -> Array:
    """Return a parameter as numbers, ``[C]``; so many times the value where it is not there."""
    held: Array = (torch.full((channels,), value) if parameter is None else parameter.detach().float()).numpy()
    return held


def _encode(chain: Chain) -> tuple[Any, ...]:
    """Return what kernels take for the activations in front and behind, the addition, and the parameter."""
    return CODES[chain.before.name], CODES[chain.after.name], (0,) if chain.adds else (), np.float32(chain.parameter)


def _average_first(x: Tensor, before: Activation) -> Array:
    """Return the mean of every channel over the first rows, which is what its values are measured from."""
    first: Array = activate(x.movedim(1, -1).flatten(0, -2)[: chain_loops.ROWS], before).mean(0).numpy()
    return first
