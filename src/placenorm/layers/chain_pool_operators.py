"""The chains with a max pool behind them as operators that autograd, torch.compile and torch.export know.

Saved are the input, which what made it holds too, and of each window what won and where. A gradient that is to be
differentiated again is made of torch's own operators, as in `chain_operators`.
"""

from typing import Any, Final

import torch
from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.chain_pool import ChainPool
from placenorm.kernels.reference import widened
from placenorm.layers.chain_operators import cast_gradient, differentiate_composed
from placenorm.layers.direct import Body, Call, Four, differentiate_pooled, keep, recall
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
    fused = describe_chain_pool(after, parameter, pool)
    with dispatch.as_operator(x):
        return dispatch.choose_chain_pool(x, fused).chain_pool_fwd(x, weight, bias, eps, fused)


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
    fused = describe_chain_pool(after, parameter, pool)
    with dispatch.as_operator(x):
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


def _run_body(call: Call, x: Tensor, _: None, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor | None, ...]:
    return call.kernels.chain_pool_fwd(x, weight, bias, call.eps, call.fused, call.running)  # type: ignore[no-any-return]


def _save(ctx: Any, tensors: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    x, _, weight, bias = tensors
    _, winner, place, mean, _, rstd = output
    keep(ctx, x, winner, place, weight, bias, mean, rstd)


def _differentiate(ctx: Any, dy: Tensor | None) -> Four:
    if dy is None:
        return None, None, None, None
    call = ctx.call
    x, winner, place, weight, bias, mean, rstd = recall(ctx)
    if torch.is_grad_enabled():
        dx, gamma, beta = differentiate_composed(dy, x, weight, bias, call.eps, call.fused)
        return dx, None, gamma, beta
    given = dy, x, winner, place, mean, rstd, weight, bias
    if call.kernels is None:
        dx, dweight, dbias = chain_pool_backward(*given, *_list_settings(call.fused))
    else:
        dx, dweight, dbias = call.kernels.chain_pool_bwd(*given, call.fused)
    gamma = None if weight is None else cast_gradient(dweight, weight)
    beta = None if bias is None else cast_gradient(dbias, bias)
    return dx, None, gamma, beta


BODY: Final = Body(_run_body, _save, _differentiate)


def _set_up(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, eps, *settings = inputs
    ctx.call = Call(BODY, describe_chain_pool(*settings), eps)
    ctx.mark_non_differentiable(*output[1:])
    _save(ctx, (x, None, weight, bias), output)


chain_pool.register_autograd(differentiate_pooled, setup_context=_set_up)


def _list_settings(fused: ChainPool) -> tuple[str, float, list[int]]:
    return fused.after.name, fused.after.parameter, list_pool(fused.pool)


def call_chain_pool(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, fused: ChainPool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(y, mean, var)`` by the operator; the arguments are those of `chain_pool_reference.chain_pool_fwd`."""
    y, _, _, mean, var, _ = chain_pool(x, weight, bias, eps, *_list_settings(fused))
    return y, mean, var
