"""Modules with hooks of the user's, and whether these see other values after a rewrite."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from placenorm.graph.tracing import ExampleInputs, map_tensors, split_inputs, undisturbed
from placenorm.layers.attached import attached_norms
from placenorm.rewrite.proving import measure_error

_HOOKS: Final = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
"""Where torch keeps them."""

_HELD: Final = (
    *_HOOKS,
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
)
"""The same, with what torch knows of each."""


def carry_hooks(norms: dict[str, nn.Module], model: nn.Module) -> None:
    """Give the hooks of norms that were taken out to what stands in their place now, in place.

    Args:
        norms: the norms, by path.
        model: the model that they were taken out of.
    """
    modules = dict(model.named_modules())
    for path, norm in norms.items():
        stands = modules.get(path)
        if stands is not None and stands is not norm and not _has_users_hooks(stands):
            for name in _HELD:
                getattr(stands, name).update(getattr(norm, name))
            stands._is_full_backward_hook = norm._is_full_backward_hook


def find_hooked(before: nn.Module, after: nn.Module, inputs: ExampleInputs) -> tuple[str, ...]:
    """Return the paths of the modules whose hooks see other values in a model after a rewrite, but for rounding.

    Those whose hooks are no longer called are among them.

    Args:
        before: the model as it was.
        after: the model as it is.
        inputs: what both are called with.
    """
    paths = [path for path, module in before.named_modules() if _has_users_hooks(module)]
    if not paths:
        return ()
    old, new = (_listen(model, paths, inputs) for model in (before, after))
    return tuple(path for path in paths if path in old and _differ(old[path], new.get(path)))


def _has_users_hooks(module: nn.Module) -> bool:
    return sum(len(getattr(module, name)) for name in _HOOKS) > len(attached_norms(module))


def _listen(model: nn.Module, paths: list[str], inputs: ExampleInputs) -> dict[str, list[Any]]:
    """Return what some modules read and give on an input, by path."""
    heard: dict[str, list[Any]] = {}
    modules = dict(model.named_modules())

    def note(path: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            heard.setdefault(path, []).append(map_tensors(lambda x: x.detach().clone(), (args, output)))

        return hook

    with undisturbed(model), ExitStack() as stack:
        for path in paths:
            if path in modules:
                stack.callback(modules[path].register_forward_hook(note(path)).remove)
        args, kwargs = split_inputs(map_tensors(lambda x: x.detach().clone(), inputs))
        model(*args, **kwargs)
    return heard


def _differ(old: Any, new: Any) -> bool:
    """Whether values differ by more than half of the digits that their type has."""
    steps = [torch.finfo(x.dtype).eps for x in tree_leaves(old) if isinstance(x, Tensor) and x.is_floating_point()]
    return bool(measure_error(old, new) > max(steps, default=0.0) ** 0.5)
