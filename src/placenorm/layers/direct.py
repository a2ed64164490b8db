"""The operators without torch's dispatcher, whose two calls cost more than a small norm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from placenorm.kernels.running import Running

Four = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""Input, residual, weight and bias of a norm, or their gradients."""


def is_eager(x: Tensor) -> bool:
    """Whether a call is neither compiled nor watched by a dispatch mode, so that no operator of torch is needed."""
    plain = type(x) is Tensor or type(x) is nn.Parameter
    watched = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    return plain and not watched and torch._C._len_torch_dispatch_stack() == 0


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """What an operator does.

    Attributes:
        run: returns ``(y, ..., mean, var, rstd)`` for a call and the four tensors.
        save: keeps in a context what the gradients need, of the four tensors and of what `run` returned.
        differentiate: returns the gradients of the four tensors, for a context and the gradient of y.
    """

    run: Callable[..., tuple[Tensor | None, ...]]
    save: Callable[[Any, tuple[Any, ...], tuple[Any, ...]], None]
    differentiate: Callable[[Any, Tensor | None], Four]


Layouts = list[tuple[torch.dtype, tuple[int, ...], torch.device] | None]
"""How tensors lie; None for none."""


@dataclass(slots=True, eq=False)
class Call:
    """What is the same in all calls with inputs that are alike; contexts hold it as ``call``.

    Attributes:
        body: of the operator.
        fused: the norm with what is fused with it.
        eps: what is added to the variance.
        kernels: the module that computes both directions; None for the operators of torch.library.
        running: brought up to date in place; None for nothing.
        layouts: of the tensors that the forwards saved for kernels; None before the first.
    """

    body: Body
    fused: Any
    eps: float
    kernels: Any = None
    running: Running | None = None
    layouts: Layouts | None = None


def keep(ctx: Any, *tensors: Tensor | None) -> None:
    """Save tensors for the backward."""
    ctx.save_for_backward(*tensors)
    call = ctx.call
    if call.layouts is None and call.kernels is not None:
        call.layouts = _list_layouts(tensors)


def recall(ctx: Any) -> tuple[Any, ...]:
    """Return the tensors that were saved, as they lay then: hooks, and ``Tensor.data``, put others in their places."""
    tensors: tuple[Tensor | None, ...] = ctx.saved_tensors
    layouts = ctx.call.layouts
    if layouts is None or _list_layouts(tensors) == layouts:
        return tensors
    found: list[Tensor | None] = []
    for each, layout in zip(tensors, layouts, strict=True):
        if each is None or layout is None or _list_layouts((each,)) == [layout]:
            found.append(each)
        else:
            dtype, stride, device = layout
            found.append(torch.empty_strided(each.shape, stride, dtype=dtype, device=device).copy_(each))
    return tuple(found)


def _list_layouts(tensors: tuple[Tensor | None, ...]) -> Layouts:
    return [None if each is None else (each.dtype, each.stride(), each.device) for each in tensors]


def differentiate_pooled(ctx: Any, dy: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
    """Return the gradients of what a pooled operator takes: input, weight, bias, and four settings."""
    gradients: Four = ctx.call.body.differentiate(ctx, dy)
    return gradients[0], *gradients[2:], None, None, None, None


class Direct(torch.autograd.Function):
    """An operator's body as a function of the four tensors and the call.

    Where running statistics are brought up to date it returns the first output alone: every other one would cost time,
    and they have been used.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor | None, weight: Tensor | None, bias: Tensor | None, call: Call
    ) -> Any:
        """Return what the body returns."""
        ctx.call = call
        ctx.set_materialize_grads(False)  # for the outputs without a gradient zeros would be made
        output = call.body.run(call, x, residual, weight, bias)
        call.body.save(ctx, (x, residual, weight, bias), output)
        if call.running is not None:
            return output[0]
        ctx.mark_non_differentiable(*[each for each in output[1:] if each is not None])
        return output

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of the four tensors."""
        return *ctx.call.body.differentiate(ctx, dy), None
