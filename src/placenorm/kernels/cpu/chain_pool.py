"""The chains with a max pool behind them on the processor, as `chain_pool_reference` has them."""

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.cpu import chain_pool_kernels as kernels
from placenorm.kernels.cpu.arithmetic import CODES
from placenorm.kernels.cpu.chain import fill_numbers, make_numbers
from placenorm.kernels.cpu.memory import empty
from placenorm.kernels.cpu.pool_chain import find_layout, find_window, stack, view
from placenorm.kernels.running import Running
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
    samples, channels, height, width = x.shape
    shape = (samples, channels, *chain.pool.find_size(height, width))
    layout = find_layout(x)
    y, winner, place = (empty(shape, dtype, layout) for dtype in (x.dtype, x.dtype, torch.uint8))
    mean, var, rstd = (make_numbers(channels) for _ in range(3))
    gamma, beta = fill_numbers(weight, channels, 1.0), fill_numbers(bias, channels, 0.0)
    ways: tuple[Any, ...]
    pool, arrays = chain.pool, [view(each, layout) for each in (x, winner, place, y)]
    if layout == torch.contiguous_format:
        forward = kernels.forward_planes
        arrays, ways = stack(arrays), ((0,) * pool.stride[1], pool.kernel_size, pool.stride[0], pool.padding)
    else:
        forward = kernels.forward_rows
        ways = pool.kernel_size, pool.stride, pool.padding
    after, slope = _encode(chain)
    forward(
        find_team(), *arrays, mean.numpy(), var.numpy(), rstd.numpy(), gamma, beta, eps, after,
        () if chain.is_monotone else MAY_FALL, slope, (find_window(pool), *ways),
    )  # fmt: skip
    raise_caught()
    if running is not None:
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
    samples, channels, height, width = x.shape
    pool, layout = chain.pool, find_layout(x)
    dx = empty((samples, channels, height, width), x.dtype, layout)
    upstream = dy if dy.stride() == winner.stride() else empty(tuple(dy.shape), dy.dtype, layout).copy_(dy)
    dweight, dbias = make_numbers(channels), make_numbers(channels)
    arrays = [view(each, layout) for each in (upstream, x, winner, place, dx)]
    affine = mean.numpy(), rstd.numpy(), fill_numbers(weight, channels, 1.0), fill_numbers(bias, channels, 0.0)
    is_planar = layout == torch.contiguous_format
    backward = kernels.backward_planes if is_planar else kernels.backward_rows
    backward(
        find_team(), *(stack(arrays) if is_planar else arrays), *affine, dweight.numpy(), dbias.numpy(),
        *_encode(chain), (pool.kernel_size, pool.stride, pool.padding),
    )  # fmt: skip
    raise_caught()
    return dx, dweight, dbias


def _encode(chain: ChainPool) -> tuple[Any, Any]:
    """Return what kernels take for the activation and for its parameter."""
    return CODES[chain.after.name], np.float32(chain.after.parameter)
