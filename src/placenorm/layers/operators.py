"""The reference kernels as operators that autograd, torch.compile and torch.export know.

Every operator is functional: statistics come back as outputs and buffers are updated by the layer. Each kernel is its
own fake kernel, because it consists of torch operations. mean, var and rstd carry no gradient of their own: what flows
through them is part of the gradient of x. Double backward works in eager mode; a third derivative raises, and so do
forward-mode derivatives and the transforms of torch.func, which torch's custom operators do not offer.
"""

from typing import Any

import torch
from torch import Tensor

from placenorm.kernels import reference


@torch.library.custom_op("placenorm::batch_norm", mutates_args=())
def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, mean, var, rstd)`` as `reference.batch_norm_fwd`."""
    return reference.batch_norm_fwd(x, weight, bias, eps)


@torch.library.custom_op("placenorm::batch_norm_backward", mutates_args=())
def batch_norm_backward(
    dy: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(dx, dweight, dbias)`` as `reference.batch_norm_bwd`."""
    return reference.batch_norm_bwd(dy, x, mean, rstd, weight)


@torch.library.custom_op("placenorm::batch_norm_double_backward", mutates_args=())
def batch_norm_double_backward(
    ddx: Tensor,
    ddweight: Tensor,
    ddbias: Tensor,
    dy: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(grad_dy, grad_x, grad_weight)`` as `reference.batch_norm_bwd_bwd`."""
    return reference.batch_norm_bwd_bwd(ddx, ddweight, ddbias, dy, x, mean, rstd, weight)


@torch.library.custom_op("placenorm::batch_norm_eval", mutates_args=())
def batch_norm_eval(
    x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Return y as `reference.batch_norm_eval_fwd`."""
    return reference.batch_norm_eval_fwd(x, running_mean, running_var, weight, bias, eps)


@torch.library.custom_op("placenorm::batch_norm_eval_backward", mutates_args=())
def batch_norm_eval_backward(
    dy: Tensor, x: Tensor, running_mean: Tensor, running_var: Tensor, weight: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(dx, dweight, dbias)`` as `reference.batch_norm_eval_bwd`."""
    return reference.batch_norm_eval_bwd(dy, x, running_mean, running_var, weight, eps)


@torch.library.custom_op("placenorm::batch_norm_eval_double_backward", mutates_args=())
def batch_norm_eval_double_backward(
    ddx: Tensor,
    ddweight: Tensor,
    ddbias: Tensor,
    dy: Tensor,
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(grad_dy, grad_x, grad_weight)`` as `reference.batch_norm_eval_bwd_bwd`."""
    return reference.batch_norm_eval_bwd_bwd(ddx, ddweight, ddbias, dy, x, running_mean, running_var, weight, eps)


def _save_batch_norm(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, _ = inputs
    _, mean, var, rstd = output
    ctx.mark_non_differentiable(mean, var, rstd)
    ctx.save_for_backward(x, weight, bias, mean, rstd)


def _differentiate_batch_norm(ctx: Any, dy: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    x, weight, bias, mean, rstd = ctx.saved_tensors
    dx, dweight, dbias = batch_norm_backward(dy, x, mean, rstd, weight)
    return dx, _match(dweight, weight), _match(dbias, bias), None


def _save_batch_norm_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.save_for_backward(*inputs)


def _differentiate_batch_norm_backward(
    ctx: Any, ddx: Tensor, ddweight: Tensor, ddbias: Tensor
) -> tuple[Tensor | None, ...]:
    dy, x, mean, rstd, weight = ctx.saved_tensors
    grad_dy, grad_x, grad_weight = batch_norm_double_backward(ddx, ddweight, ddbias, dy, x, mean, rstd, weight)
    return grad_dy, grad_x, None, None, _match(grad_weight, weight)


def _save_batch_norm_eval(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.eps = inputs
    ctx.save_for_backward(*tensors)


def _differentiate_batch_norm_eval(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    x, running_mean, running_var, weight, bias = ctx.saved_tensors
    dx, dweight, dbias = batch_norm_eval_backward(dy, x, running_mean, running_var, weight, ctx.eps)
    return dx, None, None, _match(dweight, weight), _match(dbias, bias), None


def _save_batch_norm_eval_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.eps = inputs
    ctx.save_for_backward(*tensors)


def _differentiate_batch_norm_eval_backward(
    ctx: Any, ddx: Tensor, ddweight: Tensor, ddbias: Tensor
) -> tuple[Tensor | None, ...]:
    dy, x, running_mean, running_var, weight = ctx.saved_tensors
    grad_dy, grad_x, grad_weight = batch_norm_eval_double_backward(
        ddx, ddweight, ddbias, dy, x, running_mean, running_var, weight, ctx.eps
    )
    return grad_dy, grad_x, None, None, _match(grad_weight, weight), None


def _match(gradient: Tensor, parameter: Tensor | None) -> Tensor | None:
    """Bring a gradient to its parameter's dtype; a parameter that is not there has none."""
    return None if parameter is None else gradient.to(parameter.dtype)


batch_norm.register_fake(reference.batch_norm_fwd)
batch_norm_backward.register_fake(reference.batch_norm_bwd)
batch_norm_double_backward.register_fake(reference.batch_norm_bwd_bwd)
batch_norm_eval.register_fake(reference.batch_norm_eval_fwd)
batch_norm_eval_backward.register_fake(reference.batch_norm_eval_bwd)
batch_norm_eval_double_backward.register_fake(reference.batch_norm_eval_bwd_bwd)

batch_norm.register_autograd(_differentiate_batch_norm, setup_context=_save_batch_norm)
batch_norm_backward.register_autograd(_differentiate_batch_norm_backward, setup_context=_save_batch_norm_backward)
batch_norm_eval.register_autograd(_differentiate_batch_norm_eval, setup_context=_save_batch_norm_eval)
batch_norm_eval_backward.register_autograd(
    _differentiate_batch_norm_eval_backward, setup_context=_save_batch_norm_eval_backward
)
