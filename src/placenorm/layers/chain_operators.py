"""The fused chains as operators that autograd, torch.compile and torch.export know.

As in `operators`, all of them are functional, and statistics come back as outputs that carry no gradient of their own.
A second derivative raises: layers that need one take the sequence of torch's own operators.
"""

from typing import Any

import torch
from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.activations import Activation
from placenorm.kernels.chain import Chain
from placenorm.kernels.reference import widened


@torch.library.custom_op("placenorm::chain", mutates_args=())
def chain(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    before: str,
    after: str,
    parameter: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, mean, var, rstd)`` of ``after(norm(before(x)) + residual)`` as `chain_reference.chain_fwd`.

    Args:
        x: ``[N, C, S]``.
        residual: ``[N, C, S]``, or None.
        weight: gamma, ``[C]``, or None.
        bias: beta, ``[C]``, or None.
        eps: what is added to the variance.
        before: name of the activation in front of the norm.
        after: name of the activation behind it.
        parameter: the activations' parameter.

    Raises:
        ValueError: no chain has these activations; see `Chain`.
    """
    fused = _describe(before, after, parameter, residual)
    return dispatch.choose(x, fused).chain_fwd(x, residual, weight, bias, eps, fused)


@torch.library.custom_op("placenorm::chain_backward", mutates_args=())
def chain_backward(
    dy: Tensor,
    x: Tensor,
    y: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    before: str,
    after: str,
    parameter: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``(dx, dresidual, dweight, dbias)`` as `chain_reference.chain_bwd`; dresidual is empty without a y."""
    fused = _describe(before, after, parameter, y)
    dx, dresidual, dweight, dbias = dispatch.choose(x, fused).chain_bwd(dy, x, y, mean, rstd, weight, bias, fused)
    return dx, dx.new_empty(0) if dresidual is None else dresidual, dweight, dbias


@chain.register_fake
def _(x: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, var, rstd = (x.new_empty(x.shape[1], dtype=widened(x.dtype)) for _ in range(3))
    return torch.empty_like(x), mean, var, rstd


@chain_backward.register_fake
def _(dy: Tensor, x: Tensor, y: Tensor | None, mean: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    branch = x.new_empty(0) if y is None else torch.empty_like(x)
    return torch.empty_like(x), branch, torch.empty_like(mean), torch.empty_like(mean)


def _describe(before: str, after: str, parameter: float, added: Tensor | None) -> Chain:
    return Chain(Activation(before, parameter), Activation(after, parameter), added is not None)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, residual, weight, bias, _, *ctx.activations = inputs
    y, mean, var, rstd = output
    ctx.mark_non_differentiable(mean, var, rstd)
    ctx.save_for_backward(x, None if residual is None else y, weight, bias, mean, rstd)


def _differentiate(ctx: Any, dy: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    x, y, weight, bias, mean, rstd = ctx.saved_tensors
    dx, dresidual, dweight, dbias = chain_backward(dy, x, y, mean, rstd, weight, bias, *ctx.activations)
    gamma = None if weight is None else dweight.to(weight.dtype)
    beta = None if bias is None else dbias.to(bias.dtype)
    return dx, None if y is None else dresidual, gamma, beta, None, None, None, None


chain.register_autograd(_differentiate, setup_context=_save)
