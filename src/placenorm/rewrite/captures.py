"""What the modules of a model are called with when it runs on its example input."""

import inspect
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from placenorm.graph.tracing import ExampleInputs, bind_inputs, map_tensors, set_training, undisturbed


class Captures:
    """The arguments of some modules, from one run of the model; the model is afterwards as it was.

    Args:
        model: the model.
        example_inputs: what it is called with.
        paths: the modules whose arguments are kept.
        training: whether the model runs in training mode, its norms still evaluating.

    Attributes:
        varying: the modules that are called with other plain values from one call to the next.
    """

    def __init__(
        self, model: nn.Module, example_inputs: ExampleInputs, paths: Iterable[str], *, training: bool
    ) -> None:
        self._model = model
        self._given: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self.varying: set[str] = set()

        def keep(path: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if path not in self._given:
                self._given[path] = map_tensors(_copy, (args, kwargs))  # what follows may write into them
            elif _plain_values(self._given[path]) != _plain_values((args, kwargs)):
                self.varying.add(path)

        handles = [
            model.get_submodule(path).register_forward_pre_hook(
                lambda module, args, kwargs, path=path: keep(path, args, kwargs), with_kwargs=True
            )
            for path in paths
        ]
        try:
            with undisturbed(model):
                if training:
                    set_training(model)
                bound = bind_inputs(model, map_tensors(_copy, example_inputs))
                model(*bound.args, **bound.kwargs)
        finally:
            for handle in handles:
                handle.remove()

    def bind(self, path: str) -> inspect.BoundArguments:
        """Return copies of what a module is called with, bound to the arguments of its forward."""
        args, kwargs = map_tensors(_copy, self._given[path])
        bound = inspect.signature(self._model.get_submodule(path).forward).bind(*args, **kwargs)
        bound.apply_defaults()
        return bound


def _plain_values(given: tuple[tuple[Any, ...], dict[str, Any]]) -> tuple[object, ...]:
    """Return what a module is called with, without what its tensors hold."""
    plain = map_tensors(lambda x: x.new_empty(0), given)
    return tuple(
        type(value) if isinstance(value, Tensor) else (type(value), repr(value))
        for value in (*plain[0], *(value for _, value in sorted(plain[1].items())))
    )


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().clone()
