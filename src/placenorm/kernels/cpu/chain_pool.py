"""The chains with a max pool behind them on the processor, as `chain_pool_reference` has them."""

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.cpu import chain_pool_kernels as kernels
from placenorm.kernels.cpu.arithmetic import CODES
from placenorm.kernels.cpu.lending import (
    NOWHERE,
    find_address,
    find_numbers,
    give,
    lay_out,
    make_numbers,
    point,
)
from placenorm.kernels.cpu.memory import empty, list_strides
from placenorm.kernels.cpu.pool_chain import find_layout, find_window, list_shape
from placenorm.kernels.running import Running, share_of
from placenorm.kernels.threads import find_team, raise_caught

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
    channels, pool, layout = x.shape[1], chain.pool, find_layout(x)
    shape = x.shape[0], channels, *pool.find_size(x.shape[2], x.shape[3])
    y, winner, place = (empty(shape, dtype, layout) for dtype in (x.dtype, x.dtype, torch.uint8))
    mean, var, rstd = make_numbers(channels), make_numbers(channels), make_numbers(channels)
    gamma, beta = find_numbers(weight, channels), find_numbers(bias, channels)
    ways: tuple[Any, ...]
    if layout == torch.contiguous_format:
        forward = kernels.forward_planes
        ways = (0,) * pool.stride[1], pool.kernel_size, pool.stride[0], pool.padding
    else:
        forward = kernels.forward_rows
        ways = pool.kernel_size, pool.stride, pool.padding
    kept = give(running, channels)
    after, slope = _encode(chain)
    forward(
        find_team(), list_shape(x.shape, layout), list_shape(shape, layout),
        (find_address(x), winner.data_ptr(), place.data_ptr(), y.data_ptr()),
        (mean.data_ptr(), var.data_ptr(), rstd.data_ptr(), point(gamma), point(beta)), channels,
        kept, share_of(running), float(eps), after, () if chain.is_monotone else MAY_FALL, slope,
        (find_window(pool), *ways),
    )  # fmt: skip
    raise_caught()
    if running is not None and kept[0] == NOWHERE:
        running.take(mean, var, x.numel() // channels)
    return y, winner, place, mean, var, rstd


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
    channels, pool, layout = x.shape[1], chain.pool, find_layout(x)
    dx = empty(tuple(x.shape), x.dtype, layout)
    shape = x.shape[0], channels, *pool.find_size(x.shape[2], x.shape[3])
    stride = list_strides(shape, layout)
    upstream, best = lay_out(dy, shape, stride, x.dtype), lay_out(winner, shape, stride, x.dtype)
    spot = lay_out(place, shape, stride, torch.uint8)
    centre, scale = find_numbers(mean, channels), find_numbers(rstd, channels)
    dweight, dbias = make_numbers(channels), make_numbers(channels)
    gamma, beta = find_numbers(weight, channels), find_numbers(bias, channels)
    backward = kernels.backward_planes if layout == torch.contiguous_format else kernels.backward_rows
    backward(
        find_team(), list_shape(x.shape, layout), list_shape(shape, layout),
        (find_address(x), find_address(best), find_address(spot), find_address(upstream), dx.data_ptr()),
        (dweight.data_ptr(), dbias.data_ptr(), point(centre), point(scale), point(gamma), point(beta)), channels,
        *_encode(chain), (pool.kernel_size, pool.stride, pool.padding),
    )  # fmt: skip
    raise_caught()
    return dx, dweight, dbias


def _encode(chain: ChainPool) -> tuple[Any, Any]:
    """Return what kernels take for the activation and for its parameter."""
    return CODES[chain.after.name], np.float32(chain.after.parameter)
