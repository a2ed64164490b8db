"""The pooled chains as operators that autograd, torch.compile and torch.export know.

Of the input nothing is saved: the backward needs what won and where, which is 5 bytes for each value that is left where
the input has 4 for each that there was. That leaves nothing to differentiate a second time, which raises.
"""

from typing import Any, Final

import torch
from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.pool_chain import PoolChain
from placenorm.kernels.reference import widened
from placenorm.layers.chain_operators import cast_gradient
from placenorm.layers.direct import Body, Call, Four, differentiate_pooled, keep, recall
from placenorm.layers.pools import describe_pool_chain, list_pool


def _run(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    before: str,
    parameter: float,
    pool: list[int],
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, winner, place, mean, var, rstd)`` of ``norm(pool(before(x)))`` as `pool_chain_reference`.

    Args:
        x: ``[N, C, H, W]``.
        weight: gamma, ``[C]``, or None.
        bias: beta, ``[C]``, or None.
        eps: what is added to the variance.
        before: name of the activation in front of the pool.
        parameter: its parameter.
        pool: a max pool, as `list_pool` gives it.
    """
    fused = describe_pool_chain(before, parameter, pool)
    with dispatch.as_operator(x):
        return dispatch.choose_pool(x, fused).pool_chain_fwd(x, weight, bias, eps, fused)


def _run_backward(
    dy: Tensor,
    winner: Tensor,
    place: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    height: int,
    width: int,
    before: str,
    parameter: float,
    pool: list[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(dx, dweight, dbias)`` as `pool_chain_reference.pool_chain_bwd`."""
    fused = describe_pool_chain(before, parameter, pool)
    with dispatch.as_operator(dy):
        kernels = dispatch.choose_pool(winner, fused)
        return kernels.pool_chain_bwd(dy, winner, place, mean, rstd, weight, (height, width), fused)


pool_chain = torch.library.custom_op("placenorm::pool_chain", _run, mutates_args=())
pool_chain_backward = torch.library.custom_op("placenorm::pool_chain_backward", _run_backward, mutates_args=())


@pool_chain.register_fake
def _(x: Tensor, *given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    *_, before, parameter, pool = given
    size = describe_pool_chain(before, parameter, pool).pool.find_size(x.shape[2], x.shape[3])
    y = _like(x, (*x.shape[:2], *size), x.dtype)
    mean, var, rstd = (x.new_empty(x.shape[1], dtype=widened(x.dtype)) for _ in range(3))
    return y, torch.empty_like(y), torch.empty_like(y, dtype=torch.uint8), mean, var, rstd


@pool_chain_backward.register_fake
def _(dy: Tensor, winner: Tensor, place: Tensor, mean: Tensor, *given: Any) -> tuple[Tensor, Tensor, Tensor]:
    _, _, height, width, *_ = given
    dx = _like(winner, (*winner.shape[:2], height, width), winner.dtype)
    return dx, torch.empty_like(mean), torch.empty_like(mean)


def _like(x: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    layout = torch.contiguous_format if x.is_contiguous() else torch.channels_last
    return torch.empty(shape, dtype=dtype, device=x.device, memory_format=layout)


def _run_body(call: Call, x: Tensor, _: None, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor | None, ...]:
    return call.kernels.pool_chain_fwd(x, weight, bias, call.eps, call.fused, call.running)  # type: ignore[no-any-return]


def _save(ctx: Any, tensors: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    x, _, weight, bias = tensors
    _, winner, place, mean, _, rstd = output
    ctx.size = x.shape[2], x.shape[3]
    ctx.bias_dtype = None if bias is None else bias.dtype
    keep(ctx, winner, place, weight, mean, rstd)


def _differentiate(ctx: Any, dy: Tensor | None) -> Four:
    if dy is None:
        return None, None, None, None
    call = ctx.call
    winner, place, weight, mean, rstd = recall(ctx)
    if torch.is_grad_enabled():
        raise RuntimeError(
            "Cannot differentiate a pooled norm a second time: it saved only what won; make the pool its own layer."
        )
    given = dy, winner, place, mean, rstd, weight
    if call.kernels is None:
        dx, dweight, dbias = pool_chain_backward(*given, *ctx.size, *_list_settings(call.fused))
    else:
        dx, dweight, dbias = call.kernels.pool_chain_bwd(*given, ctx.size, call.fused)
    gamma = None if weight is None else cast_gradient(dweight, weight)
    beta = None if ctx.bias_dtype is None else dbias.to(ctx.bias_dtype)
    return dx, None, gamma, beta


BODY: Final = Body(_run_body, _save, _differentiate)


def _set_up(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, eps, *settings = inputs
    ctx.call = Call(BODY, describe_pool_chain(*settings), eps)
    ctx.mark_non_differentiable(*output[1:])
    _save(ctx, (x, None, weight, bias), output)


pool_chain.register_autograd(differentiate_pooled, setup_context=_set_up)


def _list_settings(fused: PoolChain) -> tuple[str, float, list[int]]:
    return fused.before.name, fused.before.parameter, list_pool(fused.pool)


def call_pool_chain(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, fused: PoolChain
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(y, mean, var)`` by the operator; the arguments are those of `pool_chain_reference.pool_chain_fwd`."""
    y, _, _, mean, var, _ = pool_chain(x, weight, bias, eps, *_list_settings(fused))
    return y, mean, var
