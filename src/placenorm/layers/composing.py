"""A norm and its neighbours as torch's own operators, one after the other."""

import torch.nn.functional as F
from torch import Tensor

from placenorm.kernels.activations import activate
from placenorm.kernels.chain import Chain
from placenorm.kernels.pool_chain import PoolChain


def compose(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: Chain | PoolChain,
    *,
    running: tuple[Tensor, Tensor] | None = None,
    of_batch: bool = True,
    momentum: float = 0.0,
) -> Tensor:
    """Return what a chain makes of its input.

    Args:
        x: ``[N, C, *]``.
        residual: of the shape of x; None for nothing, and behind a pool.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.
        chain: what stands around the norm.
        running: running mean and variance, which are read or brought up to date in place; None for none.
        of_batch: whether the batch's statistics are used.
        momentum: weight of this batch in the running statistics.
    """
    mean, var = running or (None, None)
    u = activate(x, chain.before)
    if isinstance(chain, PoolChain):
        pool = chain.pool
        u = F.max_pool2d(u, pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode)
        return F.batch_norm(u, mean, var, weight, bias, of_batch, momentum, eps)
    z = F.batch_norm(u, mean, var, weight, bias, of_batch, momentum, eps)
    return activate(z if residual is None else z + residual, chain.after)
