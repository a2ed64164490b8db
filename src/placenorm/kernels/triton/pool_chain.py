"""The pooled chains on a GPU: tensors in, tensors out, as `pool_chain_reference` has them.

Pooling writes the winners and their places and adds them up on the way; what follows is the chain
``norm(before(winner))``.
"""

from math import gcd, prod
from typing import Any, Final

import torch
import triton
from torch import Tensor

from placenorm.kernels.chain import Chain
from placenorm.kernels.pool_chain import Pool, PoolChain
from placenorm.kernels.running import Running, share_of
from placenorm.kernels.triton import launch
from placenorm.kernels.triton import pool_chain_kernels as kernels
from placenorm.kernels.triton.chain import (
    apply_norm,
    give,
    lay_out,
    make_statistics,
    sum_gradients,
)
from placenorm.kernels.triton.launch import (
    Kernel,
    Launch,
    Plan,
    count_shared_bytes,
    find_room,
    fit_stages,
    on_device_of,
)
from placenorm.kernels.triton.tiles import ALIGNED

WIDEST: Final = 128
"""Columns of a tile."""


def pool_chain_fwd(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: PoolChain,
    running: Running | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, winner, place, mean, var, rstd)`` as `pool_chain_reference.pool_chain_fwd`.

    Args:
        x: ``[N, C, H, W]``, float16, bfloat16 or float32, contiguous or with the channels last.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.
    """
    samples, channels, height, width = x.shape
    size = chain.pool.find_size(height, width)
    planes = x.is_contiguous()
    winner = make_pooled((samples, channels, *size), x, x.dtype, planes)
    place = make_pooled((samples, channels, *size), x, torch.uint8, planes)
    plan = plan_pool(
        kernels.pool_values, x, size, (*x.shape[2:], *size), launch.POOL, chain.pool, BEFORE=chain.before.name
    )
    mean, var, rstd = make_statistics(x)
    with on_device_of(x):
        room = find_room(x, plan)
        kernels.pool_values.start(
            plan,
            (x, winner, place, room.partial, room.counters, mean, var, rstd, *give(running)),
            float(eps), share_of(running), float(chain.before.parameter),
        )  # fmt: skip
        y, _ = apply_norm(winner, None, mean, rstd, weight, bias, Chain(chain.before))
    return y, winner, place, mean, var, rstd


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
    dx = make_pooled((samples, channels, *size), winner, winner.dtype, place.is_contiguous())
    cells = count_cells(size, chain.pool)
    with on_device_of(winner):
        upstream = lay_out(dy, winner)
        dweight, dbias = sum_gradients(upstream, winner, None, mean, rstd, weight, None, Chain(chain.before))
        plan = plan_pool(
            kernels.spread_gradients, dx, cells, (*size, *pooled, *cells), launch.UNPOOL, chain.pool,
            BEFORE=chain.before.name,
        )  # fmt: skip
        kernels.spread_gradients.start(
            plan,
            (upstream, winner, place, dx, mean, rstd, weight, dweight, dbias),
            float(samples * pooled[0] * pooled[1]), float(chain.before.parameter),
        )  # fmt: skip
    return dx, dweight, dbias


def count_cells(size: tuple[int, int], pool: Pool) -> tuple[int, int]:
    """Return how many cells of the stride's size an input and its padding are cut into, down and to the right."""
    (down, across), (padded_down, padded_across) = pool.stride, pool.padding
    return -(-(size[0] + padded_down) // down), -(-(size[1] + padded_across) // across)


def make_pooled(shape: tuple[int, ...], like: Tensor, dtype: torch.dtype, planes: bool) -> Tensor:
    """Return room on a tensor's device for ``[N, C, H, W]``, in planes or with the channels last."""
    layout = torch.contiguous_format if planes else torch.channels_last
    return torch.empty(shape, dtype=dtype, device=like.device, memory_format=layout)


def plan_pool(
    kernel: Kernel, x: Tensor, walked: tuple[int, int], sizes: tuple[int, ...], how: Launch, pool: Pool,
    *, reads_input: bool = False, **names: Any,
) -> Plan:  # fmt: skip
    """Return what a kernel with a pool is started with.

    Args:
        kernel: of `pool_chain_kernels` or `chain_pool_kernels`.
        x: of the shape and layout of the chain's input.
        walked: lines and columns of what the kernel goes through, of every sample and channel.
        sizes: heights and widths that it is told.
        how: its tiles and programs.
        pool: the pool.
        reads_input: of a kernel that goes through cells, whether it reads the input there.
        names: what else it is compiled for.
    """
    planes = x.is_contiguous()
    key = kernel, x.shape, x.dtype, planes, how, x.device, pool, *names.values()
    plan = _PLANS.get(key)
    if plan is not None:
        return plan
    if how.stages > 1:
        how = fit_stages(how, _count_read(pool, x.element_size(), reads_input), count_shared_bytes(x.device))
    samples, channels = x.shape[:2]
    along = walked[1] if planes else channels
    width = min(WIDEST, triton.next_power_of_2(along))
    rows = max(1, how.values // width)
    lines = samples * walked[0] * (-(-along // width) if planes else walked[1])
    blocks = channels if planes else -(-along // width)
    programs = max(1, min(-(-lines // rows), launch.count_programs(x.device, how) // blocks))
    align = 1 if planes else gcd(channels, ALIGNED)
    constants: dict[str, Any] = {**names, "PLANES": planes, "ALIGN": align}
    constants |= zip(POOL_NAMES, (*pool.kernel_size, *pool.stride, *pool.padding), strict=True)
    constants |= {"ROWS": rows, "WIDTH": width, "STAGES": how.stages}
    plan = _PLANS[key] = Plan((programs, blocks), programs, how.warps, (samples, channels // align, *sizes), constants)
    return plan


def _count_read(pool: Pool, size: int, reads_input: bool) -> int:
    """Return the bytes that are read for a cell: gradient, winner and place of every window that reaches it."""
    windows = prod((wide - 1) // stride + 1 for wide, stride in zip(pool.kernel_size, pool.stride, strict=True))
    return windows * (2 * size + 1) + reads_input * prod(pool.stride) * size


_PLANS: dict[tuple[object, ...], Plan] = {}

POOL_NAMES: Final = ("HIGH", "WIDE", "STRIDE_DOWN", "STRIDE_ACROSS", "PADDED_DOWN", "PADDED_ACROSS")
"""A pool as the kernels have it."""
