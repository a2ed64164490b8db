"""A norm and its neighbours as torch's own operators, one after the other."""

import torch.nn.functional as F
from torch import Tensor

from placenorm.kernels.activations import activate
from placenorm.kernels.chain import Chain
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.dispatch import Fused
from placenorm.kernels.pool_chain import AvgPool, Pool, PoolChain


def compose(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: Fused,
    *,
    running: tuple[Tensor, Tensor] | None = None,
    of_batch: bool = True,
    momentum: float = 0.0,
) -> Tensor:
    """Return what a chain makes of its input.

    Args:
        x: ``[N, C, *]``.
        residual: of the shape of x; None for nothing, and where there is a pool.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.
        chain: what stands around the norm.
        running: running mean and variance, which are read or brought up to date in place; None for none.
        of_batch: whether the batch's statistics are used.
        momentum: weight of this batch in the running statistics.
    """
    mean, var = running or (None, None)
    u = x if isinstance(chain, ChainPool) else activate(x, chain.before)
    if isinstance(chain, PoolChain):
        u = apply_pool(u, chain.pool)
    z = F.batch_norm(u, mean, var, weight, bias, of_batch, momentum, eps)
    if isinstance(chain, Chain):
        return activate(z if residual is None else z + residual, chain.after)
    return apply_pool(activate(z, chain.after), chain.pool) if isinstance(chain, ChainPool) else z


def apply_pool(x: Tensor, pool: Pool) -> Tensor:
    """Return what torch's pool makes of ``[N, C, H, W]``."""
    sizes = pool.kernel_size, pool.stride, pool.padding
    if isinstance(pool, AvgPool):
        return F.avg_pool2d(x, *sizes, pool.ceil_mode, pool.count_include_pad, pool.divisor_override)
    return F.max_pool2d(x, *sizes, ceil_mode=pool.ceil_mode)
