"""The chains with a max pool behind them on the processor, as `chain_pool_reference` has them."""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.cpu import chain_pool_kernels as kernels
from placenorm.kernels.cpu.arithmetic import CODES
from placenorm.kernels.cpu.chain import fill_numbers, make_numbers
from placenorm.kernels.cpu.chain_loops import ROWS
from placenorm.kernels.cpu.memory import empty
from placenorm.kernels.cpu.pool_chain import find_layout, find_tiles, find_window, view
from placenorm.kernels.running import Running
from placenorm.kernels.threads import find_team, raise_caught

Array = NDArray[np.float32]

MAY_FALL: Final = (0,)
"""What kernels take for an activation that may fall; () for others."""


def chain_pool_fwd(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: ChainPool,
    running: Running | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, winner, place, mean, var, rstd)`` as `chain_pool_reference.chain_pool_fwd`.

    Args:
        x: ``[N, C, H, W]``, float32, contiguous or with the channels last.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.
    """
    samples, channels, height, width = x.shape
    shape = (samples, channels, *chain.pool.find_size(height, width))
    layout = find_layout(x)
    y, winner, place = (empty(shape, dtype, layout) for dtype in (x.dtype, x.dtype, torch.uint8))
    mean, var = make_numbers(channels), make_numbers(channels)
    given = x, winner, place, y, mean, var, fill_numbers(weight, channels, 1.0), fill_numbers(bias, channels, 0.0)
    forward = _forward_rows if layout == torch.channels_last else _forward_planes
    forward(*given, eps, chain)
    raise_caught()
    if running is not None:
        running.take(mean, var, x.numel() // channels)
    return y, winner, place, mean, var, (var + eps).rsqrt()


def _forward_planes(
    x: Tensor, winner: Tensor, place: Tensor, y: Tensor, mean: Tensor, var: Tensor, gamma: Array, beta: Array,
    eps: float, chain: ChainPool,
) -> None:  # fmt: skip
    pool, layout = chain.pool, torch.contiguous_format
    arrays = [view(each, layout) for each in (x, winner, place, y)]
    down, right = pool.stride
    kernels.forward_planes(
        find_team(), *arrays, mean.numpy(), var.numpy(), gamma, beta, eps, *_encode(chain),
        find_window(pool), (0,) * right, pool.kernel_size, down, pool.padding,
    )  # fmt: skip


def _forward_rows(
    x: Tensor, winner: Tensor, place: Tensor, y: Tensor, mean: Tensor, var: Tensor, gamma: Array, beta: Array,
    eps: float, chain: ChainPool,
) -> None:  # fmt: skip
    samples, channels, height, width = x.shape
    pool, rows = chain.pool, samples * height * width
    arrays = [view(each, torch.channels_last) for each in (x, winner, place)]
    after, falls, slope = _encode(chain)
    ways = find_window(pool), pool.kernel_size, pool.stride, pool.padding
    shift = arrays[0].reshape(rows, channels)[:ROWS].mean(0)
    team = find_team()
    sums = np.zeros((team.shares, 2, channels))
    kernels.pool_rows(team, *arrays, shift, sums, np.sign(gamma), falls, *ways)
    total, squares = sums.sum(0) / rows
    spread = np.maximum(squares - total * total, 0.0)
    affine = shift, total.astype(np.float32), (gamma / np.sqrt(spread + eps)).astype(np.float32), beta
    mean.copy_(torch.from_numpy(shift + total))
    var.copy_(torch.from_numpy(spread))
    if falls:
        kernels.rank_rows(team, *arrays, *affine, after, slope, *ways)
    best, out = arrays[1].reshape(-1, channels), view(y, torch.channels_last).reshape(-1, channels)
    kernels.apply_rows(team, best, out, *affine, after, slope)


def chain_pool_bwd(
    dy: Tensor,
    x: Tensor,
    winner: Tensor,
    place: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    chain: ChainPool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(dx, dweight, dbias)`` as `chain_pool_reference.chain_pool_bwd`.

    Args:
        dy: ``[N, C, OH, OW]`` in any layout.
        x: as in `chain_pool_fwd`.
        winner: from `chain_pool_fwd`.
        place: from `chain_pool_fwd`.
        mean: from `chain_pool_fwd`.
        rstd: from `chain_pool_fwd`.
        weight: as in `chain_pool_fwd`.
        bias: as in `chain_pool_fwd`.
        chain: as in `chain_pool_fwd`.
    """
    samples, channels, height, width = x.shape
    pool, layout = chain.pool, find_layout(x)
    dx = empty((samples, channels, height, width), x.dtype, layout)
    upstream = dy if dy.stride() == winner.stride() else empty(tuple(dy.shape), dy.dtype, layout).copy_(dy)
    dweight, dbias = make_numbers(channels), make_numbers(channels)
    arrays = [view(each, layout) for each in (upstream, x, winner, place, dx)]
    affine = mean.numpy(), rstd.numpy(), fill_numbers(weight, channels, 1.0), fill_numbers(bias, channels, 0.0)
    after, _, slope = _encode(chain)
    ways = find_tiles(pool, (height, width)), pool.kernel_size, pool.stride, pool.padding
    if layout == torch.contiguous_format:
        kernels.backward_planes(find_team(), *arrays, *affine, dweight.numpy(), dbias.numpy(), after, slope, *ways)
        raise_caught()
        return dx, dweight, dbias
    given, best = arrays[0].reshape(-1, channels), arrays[2].reshape(-1, channels)
    team = find_team()
    sums = np.zeros((team.shares, 2, channels))
    kernels.sum_gradients_rows(team, given, best, *affine, sums, after, slope)
    total, along = sums.sum(0)
    dbias.copy_(torch.from_numpy(total))
    dweight.copy_(torch.from_numpy(along))
    shared, tilt = ((each / (samples * height * width)).astype(np.float32) for each in (total, along))
    kernels.spread_rows(team, *arrays, *affine, shared, tilt, after, slope, *ways)
    raise_caught()
    return dx, dweight, dbias


def _encode(chain: ChainPool) -> tuple[Any, Any, Any]:
    """Return what kernels take for the activation, for whether it may fall, and for its parameter."""
    return CODES[chain.after.name], () if chain.is_monotone else MAY_FALL, np.float32(chain.after.parameter)
