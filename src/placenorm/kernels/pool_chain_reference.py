"""The readable twin of the pooled chains: an activation and a max pool in front of a norm.

Nothing of the input is kept for the backward: of each window only its largest value, before the activation, and where
in the window it stood.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from placenorm.kernels import reference
from placenorm.kernels.activations import activate, differentiate
from placenorm.kernels.pool_chain import Pool, PoolChain
from placenorm.kernels.running import Running


def pool_chain_fwd(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: PoolChain,
    running: Running | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the output of a pooled chain in training mode, what won, and the statistics of its norm.

    Args:
        x: input, ``[N, C, H, W]``.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.
        chain: what is fused with the norm; its activation is monotone.
        running: brought up to date in place.

    Returns:
        ``(y, winner, place, mean, var, rstd)``. y and winner, the largest value of each window before the activation,
        ``[N, C, OH, OW]`` in the dtype of x; place, where in its window it stood (row times the window's width plus
        column), uint8 of that shape; the statistics are those of the activated winners, ``[C]``.
    """
    pool = chain.pool
    winner, flat = F.max_pool2d(
        x, pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode, return_indices=True
    )
    place = find_place(flat, x.shape[3], pool)
    u = activate(reference.widen(winner), chain.before)
    y, mean, var, rstd = reference.batch_norm_fwd(u.flatten(2), weight, bias, eps)
    if running is not None:
        running.take(mean, var, u.numel() // u.shape[1])
    return y.view(u.shape).to(x.dtype), winner, place, mean, var, rstd


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
    """Return the gradients of a pooled chain in training mode.

    Args:
        dy: gradient of the output, ``[N, C, OH, OW]``.
        winner: from `pool_chain_fwd`.
        place: from `pool_chain_fwd`.
        mean: from `pool_chain_fwd`, ``[C]``.
        rstd: from `pool_chain_fwd`, ``[C]``.
        weight: as in `pool_chain_fwd`.
        size: height and width of the input.
        chain: as in `pool_chain_fwd`.

    Returns:
        ``(dx, dweight, dbias)``: ``[N, C, H, W]`` in the dtype of winner, and twice ``[C]``, float32 or wider.

    Source:
        Formulas (5) to (7) of docs/maths/batch_norm.md for the norm; a window's gradient goes to its winner.
    """
    wide = reference.widen(winner)
    u = activate(wide, chain.before)
    du, dweight, dbias = reference.batch_norm_bwd(reference.widen(dy).flatten(2), u.flatten(2), mean, rstd, weight)
    dv = du.view(u.shape) * differentiate(wide, chain.before)
    dx = dv.new_zeros(*winner.shape[:2], size[0] * size[1])
    dx.scatter_add_(2, find_flat(place, size[1], chain.pool).flatten(2), dv.flatten(2))
    return dx.view(*winner.shape[:2], *size).to(winner.dtype), dweight, dbias


def _corners(place: Tensor, pool: Pool) -> tuple[Tensor, Tensor]:
    """Return row and column of each window's first value, ``[OH, 1]`` and ``[1, OW]``; negative in the padding."""
    rows = torch.arange(place.shape[2], device=place.device)[:, None] * pool.stride[0] - pool.padding[0]
    columns = torch.arange(place.shape[3], device=place.device)[None, :] * pool.stride[1] - pool.padding[1]
    return rows, columns


def find_place(flat: Tensor, width: int, pool: Pool) -> Tensor:
    """Return where in its window each winner stands, uint8, from where it stands in a plane of this width."""
    rows, columns = _corners(flat, pool)
    return ((flat // width - rows) * pool.kernel_size[1] + flat % width - columns).to(torch.uint8)


def find_flat(place: Tensor, width: int, pool: Pool) -> Tensor:
    """Undo `find_place`."""
    rows, columns = _corners(place, pool)
    across = pool.kernel_size[1]
    return (place.long() // across + rows) * width + place.long() % across + columns
