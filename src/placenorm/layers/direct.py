"""An operator without torch's dispatcher, whose two calls cost more than a small norm."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Run = Callable[..., tuple[Tensor | None, ...]]
Differentiate = Callable[..., tuple[Tensor | None, ...]]


def is_eager(x: Tensor) -> bool:
    """Whether a call is neither compiled nor watched by a dispatch mode, so that no operator of torch is needed."""
    plain = type(x) is Tensor or type(x) is nn.Parameter
    watched = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    return plain and not watched and torch._C._len_torch_dispatch_stack() == 0


def make_direct(run: Run, save: Callable[..., None], differentiate: Differentiate) -> type[torch.autograd.Function]:
    """Return the autograd function of an operator's body, and of what torch.library is given for its gradient.

    It takes one argument more than the operator, the running statistics to bring up to date. Where they are given, it
    returns the first output alone: every other one would cost time, and they have been used.

    Args:
        run: the body of the operator, with that argument.
        save: its ``setup_context``.
        differentiate: its backward; it finds ``ctx.is_direct`` where it is called by this function.
    """

    class Direct(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *given: Any) -> Tensor | tuple[Tensor | None, ...] | None:
            ctx.is_direct = True
            ctx.set_materialize_grads(False)  # for the outputs without a gradient zeros would be made
            output = run(*given)
            save(ctx, given[:-1], output)
            return output if given[-1] is None else output[0]

        @staticmethod
        def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
            return *differentiate(ctx, *gradients), None

    return Direct
