"""The chains with a max pool behind them as operators that autograd, torch.compile and torch.export know.

Saved are the input, which what made it holds too, and of each window what won and where. A gradient that is to be
differentiated again is made of torch's own operators, as in `chain_operators`.
"""

from typing import Any

import torch
from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.reference import widened
from placenorm.kernels.running import Running
from placenorm.layers.chain_operators import cast_gradient, differentiate_composed
from placenorm.layers.direct import is_eager, make_direct
from placenorm.layers.pools import describe_chain_pool, list_pool


def _run(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    after: str,
    parameter: float,
    pool: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, winner, place, mean, var, rstd)`` of ``pool(after(norm(x)))`` as `chain_pool_reference`.

    Args:
        x: ``[N, C, H, W]``.
        weight: gamma, ``[C]``, or None.
        bias: beta, ``[C]``, or None.
        eps: what is added to the variance.
        after: name of the activation between norm and pool.
        parameter: its parameter.
        pool: a max pool, as `list_pool` gives it.
    """
    with dispatch.as_operator(x):
        return _run_directly(x, weight, bias, eps, after, parameter, pool, None)


def _run_directly(*given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Do as `_run`, and bring running statistics, which are given last, up to date."""
    x, weight, bias, eps, after, parameter, pool, running = given
    fused = describe_chain_pool(after, parameter, pool)
    return dispatch.choose_chain_pool(x, fused).chain_pool_fwd(x, weight, bias, eps, fused, running)


def _run_backward(
    dy: Tensor,
    x: Tensor,
    winner: Tensor,
    place: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    after: str,
    parameter: float,
    pool: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(dx, dweight, dbias)`` as `chain_pool_reference.chain_pool_bwd`."""
    with dispatch.as_operator(x):
        return _run_backward_directly(dy, x, winner, place, mean, rstd, weight, bias, after, parameter, pool)


def _run_backward_directly(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Do as `_run_backward`."""
    dy, x, winner, place, mean, rstd, weight, bias, *settings = given
    fused = describe_chain_pool(*settings)
    kernels = dispatch.choose_chain_pool(x, fused)
    return kernels.chain_pool_bwd(dy, x, winner, place, mean, rstd, weight, bias, fused)


chain_pool = torch.library.custom_op("placenorm::chain_pool", _run, mutates_args=())
chain_pool_backward = torch.library.custom_op("placenorm::chain_pool_backward", _run_backward, mutates_args=())


@chain_pool.register_fake
def _(x: Tensor, *given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    size = describe_chain_pool(*given[-3:]).pool.find_size(x.shape[2], x.shape[3])
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    y = torch.empty((*x.shape[:2], *size), dtype=x.dtype, device=x.device, memory_format=layout)
    mean, var, rstd = (x.new_empty(x.shape[1], dtype=widened(x.dtype)) for _ in range(3))
    return y, torch.empty_like(y), torch.empty_like(y, dtype=torch.uint8), mean, var, rstd


@chain_pool_backward.register_fake
def _(dy: Tensor, x: Tensor, winner: Tensor, place: Tensor, mean: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(mean), torch.empty_like(mean)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, ctx.eps, *ctx.settings = inputs
    _, winner, place, mean, var, rstd = output
    ctx.mark_non_differentiable(winner, place, mean, var, rstd)
    ctx.save_for_backward(x, winner, place, weight, bias, mean, rstd)


def _differentiate(ctx: Any, dy: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    if dy is None:
        return (None,) * 7
    x, winner, place, weight, bias, mean, rstd = ctx.saved_tensors
    if torch.is_grad_enabled():
        fused = describe_chain_pool(*ctx.settings)
        dx, gamma, beta = differentiate_composed(dy, x, weight, bias, ctx.eps, fused)
        return dx, gamma, beta, None, None, None, None
    backward = _run_backward_directly if getattr(ctx, "is_direct", False) else chain_pool_backward
    dx, dweight, dbias = backward(dy, x, winner, place, mean, rstd, weight, bias, *ctx.settings)
    gamma = None if weight is None else cast_gradient(dweight, weight)
    beta = None if bias is None else cast_gradient(dbias, bias)
    return dx, gamma, beta, None, None, None, None


chain_pool.register_autograd(_differentiate, setup_context=_save)


_DirectChainPool = make_direct(_run_directly, _save, _differentiate)


def run_chain_pool(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, fused: ChainPool, running: Running | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return ``(y, mean, var)`` by our kernels; the arguments are those of `chain_pool_reference.chain_pool_fwd`.

    mean and var are None where running statistics are given, which have taken them. An operator of torch's takes none:
    give None where the call is not eager.
    """
    given = x, weight, bias, eps, fused.after.name, fused.after.parameter, list_pool(fused.pool)
    if running is not None:
        return _DirectChainPool.apply(*given, running), None, None
    y, _, _, mean, var, _ = _DirectChainPool.apply(*given, None) if is_eager(x) else chain_pool(*given)
    return y, mean, var
