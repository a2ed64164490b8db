"""The pooled chains on a GPU: tensors in, tensors out, as `pool_chain_reference` has them.

Pooling writes the winners and their places and adds them up on the way; what follows is the chain
``norm(before(winner))``.
"""

from functools import lru_cache
from math import gcd
from typing import Any, Final

import torch
import triton
from torch import Tensor

from placenorm.kernels.chain import Chain
from placenorm.kernels.pool_chain import MaxPool, PoolChain
from placenorm.kernels.triton import launch
from placenorm.kernels.triton import pool_chain_kernels as kernels
from placenorm.kernels.triton.chain import apply_norm, find_statistics, lay_out, make_partial, sum_gradients
from placenorm.kernels.triton.launch import Launch, on_device_of
from placenorm.kernels.triton.tiles import ALIGNED

WIDEST: Final = 128
"""Columns of a tile."""


def pool_chain_fwd(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, chain: PoolChain
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, winner, place, mean, var, rstd)`` as `pool_chain_reference.pool_chain_fwd`.

    Args:
        x: ``[N, C, H, W]``, float16, bfloat16 or float32, contiguous or with the channels last.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
    """
    samples, channels, height, width = x.shape
    size = chain.pool.find_size(height, width)
    planes = x.is_contiguous()
    winner = _make((samples, channels, *size), x, x.dtype, planes)
    place = _make((samples, channels, *size), x, torch.uint8, planes)
    how = launch.POOL
    grid, tile = _spread(planes, samples, channels, size, how, x.device)
    partial = make_partial(x, grid[0])
    with on_device_of(x):
        kernels.pool_values.start(
            grid, how.warps, (x, winner, place, partial),
            (float(chain.before.parameter), samples, channels // tile["ALIGN"], height, width, *size),
            {"BEFORE": chain.before.name, **_describe(chain.pool), **tile},
        )  # fmt: skip
        mean, var, rstd = find_statistics(partial, grid[0], channels, samples * size[0] * size[1], eps)
        y, _ = apply_norm(winner.flatten(2), None, mean, rstd, weight, bias, Chain(chain.before))
    return y.view(winner.shape), winner, place, mean, var, rstd


def pool_chain_bwd(
    dy: Tensor,
    winner: Tensor,
    place: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    size: tuple[int, int],
    chain: PoolChain,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(dx, dweight, dbias)`` as `pool_chain_reference.pool_chain_bwd`.

    Args:
        dy: ``[N, C, OH, OW]`` in any layout.
        winner: from `pool_chain_fwd`.
        place: from `pool_chain_fwd`.
        mean: from `pool_chain_fwd`.
        rstd: from `pool_chain_fwd`.
        weight: ``[C]``.
        size: height and width of the input.
        chain: as in `pool_chain_fwd`.
    """
    samples, channels, *pooled = winner.shape
    planes = place.is_contiguous()
    flat = winner.flatten(2)
    dx = _make((samples, channels, *size), winner, winner.dtype, planes)
    (down, across), (padded_down, padded_across) = chain.pool.stride, chain.pool.padding
    cells = -(-(size[0] + padded_down) // down), -(-(size[1] + padded_across) // across)
    with on_device_of(winner):
        upstream = lay_out(dy.flatten(2), flat)
        dweight, dbias = sum_gradients(upstream, flat, None, mean, rstd, weight, None, Chain(chain.before))
        grid, tile = _spread(planes, samples, channels, cells, launch.UNPOOL, winner.device)
        kernels.spread_gradients.start(
            grid, launch.UNPOOL.warps, (upstream, winner, place, dx, mean, rstd, weight, dweight, dbias),
            (float(samples * pooled[0] * pooled[1]), float(chain.before.parameter), samples, channels // tile["ALIGN"],
             *size, *pooled, *cells),
            {"BEFORE": chain.before.name, **_describe(chain.pool), **tile},
        )  # fmt: skip
    return dx, dweight, dbias


def _make(shape: tuple[int, ...], like: Tensor, dtype: torch.dtype, planes: bool) -> Tensor:
    layout = torch.contiguous_format if planes else torch.channels_last
    return torch.empty(shape, dtype=dtype, device=like.device, memory_format=layout)


@lru_cache(maxsize=4096)
def _spread(
    planes: bool, samples: int, channels: int, size: tuple[int, int], how: Launch, device: torch.device
) -> tuple[tuple[int, int], dict[str, Any]]:
    """Return the grid and the tiles that go through so many lines and columns of every sample and channel."""
    along = size[1] if planes else channels
    width = min(WIDEST, triton.next_power_of_2(along))
    rows = max(1, how.values // width)
    lines = samples * size[0] * (-(-along // width) if planes else size[1])
    blocks = channels if planes else -(-along // width)
    programs = max(1, min(-(-lines // rows), launch.count_programs(device, how) // blocks))
    align = 1 if planes else gcd(channels, ALIGNED)
    return (programs, blocks), {"PLANES": planes, "ALIGN": align, "ROWS": rows, "WIDTH": width}


@lru_cache
def _describe(pool: MaxPool) -> dict[str, int]:
    """Return a pool as the kernels have it."""
    names = ("HIGH", "WIDE", "STRIDE_DOWN", "STRIDE_ACROSS", "PADDED_DOWN", "PADDED_ACROSS")
    return dict(zip(names, (*pool.kernel_size, *pool.stride, *pool.padding), strict=True))
