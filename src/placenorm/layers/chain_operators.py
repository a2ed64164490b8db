"""The fused chains as operators that autograd, torch.compile and torch.export know.

All of them are functional: statistics come back as outputs, and buffers are updated by the layer. mean, var and rstd
carry no gradient of their own: what flows through them is part of the gradient of x. A gradient that is to be
differentiated again (``create_graph=True``) is made of torch's own operators; forward-mode derivatives and the
transforms of torch.func raise, as custom operators of torch do.
"""

from typing import Any, Final

import torch
from torch import Tensor

from placenorm.kernels import dispatch
from placenorm.kernels.activations import IDENTITY, choose_parameter, differentiate
from placenorm.kernels.chain import Chain, unpack
from placenorm.kernels.dispatch import Fused
from placenorm.kernels.reference import widened
from placenorm.layers.composing import compose
from placenorm.layers.direct import Body, Call, Four, keep, recall


def _run(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    before: str,
    after: str,
    parameter: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return ``(y, bits, mean, var, rstd)`` of ``after(norm(before(x)) + residual)`` as `chain_reference.chain_fwd`.

    bits is empty where the output tells where the activation was on.

    Args:
        x: ``[N, C, *]``, contiguous or with the channels last.
        residual: of the shape of x, or None.
        weight: gamma, ``[C]``, or None.
        bias: beta, ``[C]``, or None.
        eps: what is added to the variance.
        before: name of the activation in front of the norm.
        after: name of the activation behind it.
        parameter: the activations' parameter.

    Raises:
        ValueError: no chain has these activations; see `Chain`.
    """
    fused = describe_chain(before, after, parameter, residual is not None)
    with dispatch.as_operator(x):
        y, bits, mean, var, rstd = dispatch.choose(x, fused).chain_fwd(x, residual, weight, bias, eps, fused)
    return y, x.new_empty(0, dtype=torch.uint8) if bits is None else bits, mean, var, rstd


def _run_backward(
    dy: Tensor,
    x: Tensor,
    told: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    before: str,
    after: str,
    parameter: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ``(dx, dresidual, dweight, dbias)`` as `chain_reference.chain_bwd`; dresidual is empty if told is None."""
    fused = describe_chain(before, after, parameter, told is not None)
    with dispatch.as_operator(x):
        kernels = dispatch.choose(x, fused)
        dx, dresidual, dweight, dbias = kernels.chain_bwd(dy, x, told, mean, rstd, weight, bias, fused)
    return dx, dx.new_empty(0) if dresidual is None else dresidual, dweight, dbias


chain = torch.library.custom_op("placenorm::chain", _run, mutates_args=())
chain_backward = torch.library.custom_op("placenorm::chain_backward", _run_backward, mutates_args=())


@chain.register_fake
def _(x: Tensor, residual: Tensor | None, *given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    mean, var, rstd = (x.new_empty(x.shape[1], dtype=widened(x.dtype)) for _ in range(3))
    *_, before, after, parameter = given
    size = dispatch.count_bytes_of_bits(x, describe_chain(before, after, parameter, residual is not None))
    return torch.empty_like(x), x.new_empty(size, dtype=torch.uint8), mean, var, rstd


@chain_backward.register_fake
def _(dy: Tensor, x: Tensor, told: Tensor | None, mean: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    branch = x.new_empty(0) if told is None else torch.empty_like(x)
    return torch.empty_like(x), branch, torch.empty_like(mean), torch.empty_like(mean)


def describe_chain(before: str, after: str, parameter: float, adds: bool) -> Chain:
    """Return the chain of two activations by name, their parameter, and whether something is added.

    Raises:
        ValueError: no chain has these activations; see `Chain`.
    """
    key = before, after, parameter, adds
    held = _CHAINS.get(key)
    if held is None:
        held = Chain(choose_parameter(before, parameter), choose_parameter(after, parameter), adds)
        if not torch.compiler.is_compiling():
            _CHAINS[key] = held
    return held


_CHAINS: dict[tuple[str, str, float, bool], Chain] = {}
"""Those there have been. torch.compile finds them here: in some versions (2.11) it cannot make them."""


def _run_body(
    call: Call, x: Tensor, residual: Tensor | None, weight: Tensor | None, bias: Tensor | None
) -> tuple[Tensor | None, ...]:
    return call.kernels.chain_fwd(  # type: ignore[no-any-return]
        x, residual, weight, bias, call.eps, call.fused, call.running
    )


def _save(ctx: Any, tensors: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    x, _, weight, bias = tensors
    y, bits, mean, _, rstd = output
    fused, told = ctx.call.fused, None
    # Behind an addition alone the residual's gradient is that of the output, and nothing need tell where it was on.
    if fused.adds and fused.after.name != IDENTITY.name:
        told = y if bits is None or not bits.numel() else bits
    keep(ctx, x, told, weight, bias, mean, rstd)


def _differentiate(ctx: Any, dy: Tensor | None) -> Four:
    if dy is None:
        return None, None, None, None
    call = ctx.call
    x, told, weight, bias, mean, rstd = recall(ctx)
    if torch.is_grad_enabled():
        dx, dresidual, gamma, beta = _differentiate_through(dy, x, told, weight, bias, call.eps, call.fused)
    else:
        given = dy, x, told, mean, rstd, weight, bias
        if call.kernels is None:
            dx, dresidual, dweight, dbias = chain_backward(*given, *_list_activations(call.fused))
        else:
            dx, dresidual, dweight, dbias = call.kernels.chain_bwd(*given, call.fused)
        gamma = None if weight is None else cast_gradient(dweight, weight)
        beta = None if bias is None else cast_gradient(dbias, bias)
    if not call.fused.adds:
        return dx, None, gamma, beta
    return dx, dy if told is None else dresidual, gamma, beta


def cast_gradient(gradient: Tensor, parameter: Tensor) -> Tensor:
    """Return the gradient of a parameter in the parameter's dtype."""
    return gradient if gradient.dtype == parameter.dtype else gradient.to(parameter.dtype)


def _differentiate_through(
    dy: Tensor,
    x: Tensor,
    told: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    fused: Chain,
) -> Four:
    """Return the gradients as torch's operators have them, which can be differentiated again."""
    dz = dy
    if told is not None:  # where the activation behind the addition is on does not change with its input
        on = unpack(told, x) if told.dtype == torch.uint8 else differentiate(told.detach(), fused.after)
        dz = dy * on
    dx, gamma, beta = differentiate_composed(
        dz, x, weight, bias, eps, Chain(fused.before, fused.after if told is None else IDENTITY)
    )
    return dx, None if told is None else dz, gamma, beta


def differentiate_composed(
    dy: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, fused: Fused
) -> list[Tensor | None]:
    """Return the gradients of a chain's input, gamma and beta by torch's operators; they can be differentiated again.

    Args:
        dy: gradient of the output.
        x: ``[N, C, *]``.
        weight: gamma, ``[C]``, or None.
        bias: beta, ``[C]``, or None.
        eps: what is added to the variance.
        fused: the chain, without an addition.
    """
    x = x.view_as(x)
    weight, bias = (None if each is None else each.view_as(each) for each in (weight, bias))
    found = compose(x, None, weight, bias, eps, fused)
    wanted = [each for each in (x, weight, bias) if each is not None and each.requires_grad]
    given = iter(torch.autograd.grad(found, wanted, dy, create_graph=True)) if wanted else iter(())
    return [next(given) if each is not None and each.requires_grad else None for each in (x, weight, bias)]


BODY: Final = Body(_run_body, _save, _differentiate)


def _set_up(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, eps, before, after, parameter = inputs
    ctx.call = Call(BODY, describe_chain(before, after, parameter, tensors[1] is not None), eps)
    ctx.mark_non_differentiable(*output[1:])
    _save(ctx, tuple(tensors), output)


def _differentiate_operator(ctx: Any, dy: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    return *_differentiate(ctx, dy), None, None, None, None


chain.register_autograd(_differentiate_operator, setup_context=_set_up)


def _list_activations(fused: Chain) -> tuple[str, str, float]:
    return fused.before.name, fused.after.name, fused.parameter


def call_chain(
    x: Tensor, residual: Tensor | None, weight: Tensor | None, bias: Tensor | None, eps: float, fused: Chain
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``(y, mean, var)`` of a chain by the operator; the arguments are those of `chain_reference.chain_fwd`."""
    y, _, mean, var, _ = chain(x, residual, weight, bias, eps, *_list_activations(fused))
    return y, mean, var
