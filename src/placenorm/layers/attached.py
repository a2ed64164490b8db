"""A norm that hangs on another module: its child, run by a forward hook on what the module returns."""

from dataclasses import dataclass
from typing import TypeGuard

from torch import Tensor, nn

NAME = "norm"

APPENDED = "_placenorm_appended"
"""Attribute of a Sequential: the names of the norms that were put at its end."""


@dataclass(frozen=True, slots=True)
class _RunNorm:
    """The forward hook: hands the module's output to its child."""

    child: str

    def __call__(self, module: nn.Module, args: tuple[object, ...], output: Tensor) -> Tensor:
        norm: nn.Module = getattr(module, self.child)
        normed: Tensor = norm(output)
        return normed


def attach_norm(module: nn.Module, norm: nn.Module) -> str:
    """Make a norm the child of a module and run it on the module's output; return the child's name.

    A plain Sequential runs all its children by itself: there the norm is simply the last, and noted as ours.

    Args:
        module: the module that the norm follows.
        norm: the norm; ``norm`` becomes its name, ``norm_2`` where that name is taken.
    """
    name, count = NAME, 1
    while hasattr(module, name):
        count += 1
        name = f"{NAME}_{count}"
    module.add_module(name, norm)
    if is_plain_sequential(module):
        module.__dict__[APPENDED] = (*module.__dict__.get(APPENDED, ()), name)
    else:
        module.register_forward_hook(_RunNorm(name))
    return name


def is_plain_sequential(module: nn.Module) -> TypeGuard[nn.Sequential]:
    """Whether a module runs its children one after the other, by the forward of `nn.Sequential` itself."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def detach_norm(module: nn.Module, child: str) -> nn.Module:
    """Undo `attach_norm` and return the norm.

    Raises:
        KeyError: if no such norm hangs on the module.
    """
    appended = module.__dict__.get(APPENDED, ())
    if child in appended:
        module.__dict__[APPENDED] = tuple(name for name in appended if name != child)
        norm: nn.Module = getattr(module, child)
        delattr(module, child)
        return norm
    for hook_id, hook in list(module._forward_hooks.items()):
        if isinstance(hook, _RunNorm) and hook.child == child:
            del module._forward_hooks[hook_id]
            norm = getattr(module, child)
            delattr(module, child)
            return norm
    raise KeyError(child)


def is_appended(module: nn.Module, child: str) -> bool:
    """Whether a child is a norm that `attach_norm` put at the end of a Sequential."""
    return child in module.__dict__.get(APPENDED, ())


def attached_norms(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the norms that hang on a module, in the order they run."""
    return tuple(hook.child for hook in module._forward_hooks.values() if isinstance(hook, _RunNorm))
