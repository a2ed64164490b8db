"""The fused way of a norm, whatever is fused with it: directly in eager, as an operator of torch elsewhere."""

from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.dispatch import Fused
from placenorm.kernels.pool_chain import PoolChain
from placenorm.kernels.running import Running
from placenorm.layers import chain_operators, chain_pool_operators, pool_chain_operators
from placenorm.layers.direct import Call, Direct, is_eager


def find_call(x: Tensor, eps: float, fused: Fused, running: Running | None) -> Call:
    """Return how inputs like x are computed directly.

    Args:
        x: ``[N, C, *]``, contiguous or with the channels last.
        eps: what is added to the variance.
        fused: the norm with what is fused with it.
        running: brought up to date in place; None for nothing.
    """
    if isinstance(fused, PoolChain):
        return Call(pool_chain_operators.BODY, fused, eps, dispatch.choose_pool(x, fused), running)
    if isinstance(fused, ChainPool):
        return Call(chain_pool_operators.BODY, fused, eps, dispatch.choose_chain_pool(x, fused), running)
    return Call(chain_operators.BODY, fused, eps, dispatch.choose(x, fused), running)


def run_fused(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    fused: Fused,
    running: Running | None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return ``(y, mean, var)`` by our kernels.

    mean and var are None where running statistics are given, which have taken them. An operator of torch's takes none:
    give None where the call is not eager.

    Args:
        x: ``[N, C, *]``, contiguous or with the channels last.
        residual: of the shape of x; None for nothing, and where there is a pool.
        weight: gamma, ``[C]``; None for 1.
        bias: beta, ``[C]``; None for 0.
        eps: what is added to the variance.
        fused: the norm with what is fused with it.
        running: brought up to date in place; None for nothing.
    """
    if is_eager(x):
        found = Direct.apply(x, residual, weight, bias, find_call(x, eps, fused, running))
        if running is not None:
            return found, None, None
        y, *_, mean, var, _ = found
        return y, mean, var
    if isinstance(fused, PoolChain):
        return pool_chain_operators.call_pool_chain(x, weight, bias, eps, fused)
    if isinstance(fused, ChainPool):
        return chain_pool_operators.call_chain_pool(x, weight, bias, eps, fused)
    return chain_operators.call_chain(x, residual, weight, bias, eps, fused)
