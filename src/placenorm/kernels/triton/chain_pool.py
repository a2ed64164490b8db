"""The chains with a max pool behind them on a GPU: tensors in, tensors out, as `chain_pool_reference` has them.

Where the activation never falls, one sweep finds winners and statistics, and the chain ``after(norm(winner))`` follows.
Elsewhere the statistics come first, and what is compared are activated values.
"""

import torch
from torch import Tensor

from placenorm.kernels.chain import Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.running import Running, share_of
from placenorm.kernels.triton import chain_pool_kernels as kernels
from placenorm.kernels.triton import launch
from placenorm.kernels.triton.chain import (
    apply_norm,
    find_moments,
    give,
    lay_out,
    make_statistics,
    sum_gradients,
)
from placenorm.kernels.triton.launch import find_room, on_device_of
from placenorm.kernels.triton.pool_chain import count_cells, make_pooled, plan_pool


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
        x: ``[N, C, H, W]``, float16, bfloat16 or float32, contiguous or with the channels last.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.
    """
    samples, channels, height, width = x.shape
    pool, size = chain.pool, chain.pool.find_size(height, width)
    winner, place = (
        make_pooled((samples, channels, *size), x, dtype, x.is_contiguous()) for dtype in (x.dtype, torch.uint8)
    )
    with on_device_of(x):
        if chain.is_monotone:
            cells = count_cells((height, width), pool)
            plan = plan_pool(kernels.pool_and_sum, x, cells, (height, width, *size, *cells), launch.POOL, pool)
            mean, var, rstd = make_statistics(x)
            room = find_room(x, plan)
            kernels.pool_and_sum.start(
                plan,
                (x, weight, winner, place, room.partial, room.counters, mean, var, rstd, *give(running)),
                float(eps), share_of(running),
            )  # fmt: skip
            y, _ = apply_norm(winner, None, mean, rstd, weight, bias, Chain(after=chain.after))
            return y, winner, place, mean, var, rstd
        mean, var, rstd = find_moments(x, eps, Chain(after=chain.after), running)
        y = torch.empty_like(winner)
        plan = plan_pool(
            kernels.pool_activated, x, size, (height, width, *size), launch.POOL, pool, AFTER=chain.after.name
        )
        kernels.pool_activated.start(
            plan, (x, winner, place, y, mean, rstd, weight, bias), float(chain.after.parameter)
        )
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
    samples, _, height, width = x.shape
    pool, cells, left = chain.pool, count_cells((height, width), chain.pool), winner.shape[2:]
    with on_device_of(x):
        upstream, dx = lay_out(dy, winner), torch.empty_like(x)
        dweight, dbias = sum_gradients(upstream, winner, None, mean, rstd, weight, bias, Chain(after=chain.after))
        plan = plan_pool(
            kernels.spread_through, x, cells, (height, width, *left, *cells), launch.UNPOOL, pool,
            reads_input=True, AFTER=chain.after.name,
        )  # fmt: skip
        kernels.spread_through.start(
            plan, (upstream, x, winner, place, dx, mean, rstd, weight, bias, dweight, dbias),
            float(samples * height * width), float(chain.after.parameter),
        )  # fmt: skip
    return dx, dweight, dbias
