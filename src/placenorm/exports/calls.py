"""Calls of a model to export it with and to hold its files against: the example, and others of other sizes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from placenorm.errors import ModelError, first_line
from placenorm.graph.tracing import ExampleInputs, bind_inputs, describe_inputs, map_tensors, undisturbed
from placenorm.probe.measuring import fit_inputs
from placenorm.rewrite.varying import vary_inputs

BATCH: Final = "batch"
SIZE: Final = "size"

FEWEST_SAMPLES: Final = 2
"""torch.export takes an axis of one value for a constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call of a model and what it gives.

    Attributes:
        args: the arguments by position.
        kwargs: the arguments by name.
        given: the tensors that come out, in order.
        other: what has another size than in the first call: `BATCH`, `SIZE`.
        shapes: of the inputs, in words.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: tuple[Tensor, ...]
    other: frozenset[str]
    shapes: str

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors that go in, in order."""
        return tensors_of((self.args, self.kwargs))


def tensors_of(value: Any) -> tuple[Tensor, ...]:
    """Return the tensors in a nest, in order."""
    return tuple(leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


def make_calls(model: nn.Module, example_inputs: ExampleInputs) -> tuple[Call, ...]:
    """Return calls of a model: the example first, with two samples at least, and others like it that the model takes.

    Args:
        model: the model.
        example_inputs: what it is called with.

    Raises:
        ModelError: if it does not run on the example.
    """
    given = fit_inputs(model, example_inputs)
    try:
        first = _call(model, _widen(given), frozenset())
    except Exception:  # its batch is one and no other, or what it reads has no batch
        first = _call_example(model, given)
    calls = [first]
    for inputs in vary_inputs(example_inputs):
        fitted = fit_inputs(model, inputs)
        try:
            calls.append(_call(model, fitted, _compare(first.tensors, tensors_of(fitted))))
        except Exception:  # it does not take this size, which is no fault
            continue
    return tuple(calls)


def _call_example(model: nn.Module, inputs: ExampleInputs) -> Call:
    try:
        return _call(model, inputs, frozenset())
    except ModelError:
        raise
    except Exception as error:  # the user's forward, anything can come out of it
        raise ModelError(
            f"{type(model).__name__} does not run on an input of shape {describe_inputs(inputs)}: {first_line(error)}; "
            "give the example that it was folded with."
        ) from error


def _call(model: nn.Module, inputs: ExampleInputs, other: frozenset[str]) -> Call:
    bound = bind_inputs(model, map_tensors(lambda x: x.detach().clone(), inputs))
    kept = map_tensors(lambda x: x.clone(), (bound.args, bound.kwargs))
    with undisturbed(model):
        given = tensors_of(model(*bound.args, **bound.kwargs))
    args, kwargs = kept
    shapes = ", ".join("x".join(map(str, x.shape)) for x in tensors_of(kept))
    return Call(args, kwargs, tuple(x.detach().clone() for x in given), other, shapes)


def _widen(inputs: ExampleInputs) -> ExampleInputs:
    """Return inputs with two samples where they have one."""

    def widen(x: Tensor) -> Tensor:
        return torch.cat([x] * FEWEST_SAMPLES) if x.dim() > 1 and len(x) == 1 else x

    widened: ExampleInputs = map_tensors(widen, inputs)
    return widened


def _compare(first: Iterable[Tensor], other: Iterable[Tensor]) -> frozenset[str]:
    found: set[str] = set()
    for one, two in zip(first, other, strict=True):
        if one.shape[:1] != two.shape[:1]:
            found.add(BATCH)
        if one.shape[1:] != two.shape[1:]:
            found.add(SIZE)
    return frozenset(found)
