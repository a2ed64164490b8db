"""The readable twin of the chains with a max pool behind them: a norm, an activation and the pool.

Where the activation never falls, the largest output of a window comes from its largest input, or from its smallest
where gamma is negative, and from any where gamma is zero: the first. So the winner is known before the statistics are.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from placenorm.kernels import reference
from placenorm.kernels.activations import activate, differentiate
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.pool_chain_reference import find_flat, find_place
from placenorm.kernels.running import Running


def chain_pool_fwd(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: ChainPool,
    running: Running | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the output of a chain with a pool in training mode, what won, and the statistics of its norm.

    Args:
        x: input, ``[N, C, H, W]``.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.
        chain: what is fused with the norm; its pool is a max pool.
        running: brought up to date in place.

    Returns:
        ``(y, winner, place, mean, var, rstd)``. y and winner, the input of each window that became its output,
        ``[N, C, OH, OW]`` in the dtype of x; place, where in its window it stood (row times the window's width plus
        column), uint8 of that shape; the statistics are those of x, ``[C]``.
    """
    pool = chain.pool
    z, mean, var, rstd = reference.batch_norm_fwd(reference.widen(x).flatten(2), weight, bias, eps)
    if running is not None:
        running.take(mean, var, x.numel() // x.shape[1])
    if chain.is_monotone:
        sign = z.new_ones(x.shape[1]) if weight is None else weight.sign()
        rank = reference.widen(x) * sign.view(1, -1, 1, 1)
    else:
        rank = activate(z.view(x.shape), chain.after)
    _, flat = F.max_pool2d(
        rank, pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode, return_indices=True
    )
    winner = x.flatten(2).gather(2, flat.flatten(2)).view(flat.shape)
    y = activate(_normalize(winner, mean, rstd, weight, bias), chain.after)
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    place = find_place(flat, x.shape[3], pool)
    y, winner, place = (each.contiguous(memory_format=layout) for each in (y.to(x.dtype), winner, place))
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
    """Return the gradients of a chain with a pool in training mode.

    Args:
        dy: gradient of the output, ``[N, C, OH, OW]``.
        x: as in `chain_pool_fwd`.
        winner: from `chain_pool_fwd`.
        place: from `chain_pool_fwd`.
        mean: from `chain_pool_fwd`, ``[C]``.
        rstd: from `chain_pool_fwd`, ``[C]``.
        weight: as in `chain_pool_fwd`.
        bias: as in `chain_pool_fwd`.
        chain: as in `chain_pool_fwd`.

    Returns:
        ``(dx, dweight, dbias)``: ``[N, C, H, W]`` in the dtype of x, and twice ``[C]``, float32 or wider.

    Source:
        A window's gradient goes to its winner; formulas (5) to (7) of docs/maths/batch_norm.md for the norm.
    """
    dz = reference.widen(dy) * differentiate(_normalize(winner, mean, rstd, weight, bias), chain.after)
    spread = dz.new_zeros(*x.shape[:2], x.shape[2] * x.shape[3])
    spread.scatter_add_(2, find_flat(place, x.shape[3], chain.pool).flatten(2), dz.flatten(2))
    dx, dweight, dbias = reference.batch_norm_bwd(spread, x.flatten(2), mean, rstd, weight)
    return torch.empty_like(x).copy_(dx.view(x.shape)), dweight, dbias


def _normalize(winner: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return the norm's output at the winners, ``[N, C, OH, OW]``, float32 or wider."""
    z = reference.normalize(reference.widen(winner).flatten(2), mean, rstd, weight, bias)
    return z.view(winner.shape)
