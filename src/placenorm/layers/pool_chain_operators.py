"""The pooled chains as operators that autograd, torch.compile and torch.export know.

Of the input nothing is saved: the backward needs what won and where, which is 5 bytes for each value that is left where
the input has 4 for each that there was. That leaves nothing to differentiate a second time, which raises.
"""

from typing import Any

import torch
from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.pool_chain import PoolChain
from placenorm.kernels.reference import widened
from placenorm.kernels.running import Running
from placenorm.layers.direct import is_eager, make_direct
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
    with dispatch.as_operator(x):
        return _run_directly(x, weight, bias, eps, before, parameter, pool, None)


def _run_directly(*given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Do as `_run`, and bring running statistics, which are given last, up to date."""
    x, weight, bias, eps, before, parameter, pool, running = given
    fused = describe_pool_chain(before, parameter, pool)
    return dispatch.choose_pool(x, fused).pool_chain_fwd(x, weight, bias, eps, fused, running)


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
    with dispatch.as_operator(dy):
        return _run_backward_directly(dy, winner, place, mean, rstd, weight, height, width, before, parameter, pool)


def _run_backward_directly(*given: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Do as `_run_backward`."""
    dy, winner, place, mean, rstd, weight, height, width, before, parameter, pool = given
    fused = describe_pool_chain(before, parameter, pool)
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


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, _, *ctx.settings = inputs
    _, winner, place, mean, var, rstd = output
    ctx.mark_non_differentiable(winner, place, mean, var, rstd)
    ctx.size = x.shape[2], x.shape[3]
    ctx.bias_dtype = None if bias is None else bias.dtype
    ctx.save_for_backward(winner, place, weight, mean, rstd)


def _differentiate(ctx: Any, dy: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    if dy is None:
        return (None,) * 7
    winner, place, weight, mean, rstd = ctx.saved_tensors
    if torch.is_grad_enabled():
        raise RuntimeError(
            "Cannot differentiate a pooled norm a second time: it saved only what won; make the pool its own layer."
        )
    backward = _run_backward_directly if getattr(ctx, "is_direct", False) else pool_chain_backward
    dx, dweight, dbias = backward(dy, winner, place, mean, rstd, weight, *ctx.size, *ctx.settings)
    gamma = None if weight is None else dweight.to(weight.dtype)
    beta = None if ctx.bias_dtype is None else dbias.to(ctx.bias_dtype)
    return dx, gamma, beta, None, None, None, None


pool_chain.register_autograd(_differentiate, setup_context=_save)


_DirectPoolChain = make_direct(_run_directly, _save, _differentiate)


def run_pool_chain(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, fused: PoolChain, running: Running | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return ``(y, mean, var)`` by our kernels; the arguments are those of `pool_chain_reference.pool_chain_fwd`.

    mean and var are None where running statistics are given, which have taken them. An operator of torch's takes none:
    give None where the call is not eager.
    """
    pool, before = fused.pool, fused.before
    given = x, weight, bias, eps, before.name, before.parameter, list_pool(pool)
    if running is not None:
        return _DirectPoolChain.apply(*given, running), None, None
    y, _, _, mean, var, _ = _DirectPoolChain.apply(*given, None) if is_eager(x) else pool_chain(*given)
    return y, mean, var
