"""A model and an example input in; its graph out. Describes, changes nothing."""

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from placenorm.errors import ModelError, PlacenormError, UsageError, first_line
from placenorm.facts.graph import Graph, Unseen
from placenorm.graph.blocks import find_blocks, find_joins, find_unseen
from placenorm.graph.recording import CallRecorder, Recording
from placenorm.graph.snapshot import ModuleSnapshot
from placenorm.graph.vocabulary import kind_of_module
from placenorm.randomness import fix_seed

ExampleInputs = Tensor | tuple[Any, ...] | dict[str, Any]
"""A tensor, a tuple of arguments, or a dict of keyword arguments."""


def split_inputs(example_inputs: ExampleInputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return example inputs as positional and keyword arguments."""
    if isinstance(example_inputs, dict):
        return (), example_inputs
    if isinstance(example_inputs, tuple):
        return example_inputs, {}
    return (example_inputs,), {}


def trace_model(model: nn.Module, example_inputs: ExampleInputs) -> Graph:
    """Return the graph of a model: its ops in the order they run, and the blocks they form.

    The model runs in evaluation mode and without gradients; its mode, its parameters, buffers and attributes and the
    random states of Python, numpy and torch are afterwards what they were. Where it has weight layers or norms that
    run in training only (an auxiliary head), it runs once more in training mode, its norms still evaluating.

    Args:
        model: any model that runs on the example.
        example_inputs: what the model is called with.

    Raises:
        ModelError: if the model does not run on the input, or is of a kind that cannot be looked into.
        UsageError: if the example inputs are neither a tensor nor a tuple nor a dict.
    """
    return make_graph(model, record_model(model, example_inputs))


def trace_lightly(model: nn.Module, example_inputs: ExampleInputs) -> Graph:
    """Return the graph of a model as `trace_model` does, from shapes alone where that can be: in no time.

    Raises:
        ModelError: as `trace_model`.
        UsageError: as `trace_model`.
    """
    try:
        return trace_model(_outline(model), map_tensors(lambda x: x.to("meta"), example_inputs))
    except Exception:  # it needs values, or cannot be copied; what is wrong for other reasons is so on the model too
        return trace_model(model, example_inputs)


def _outline(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose parameters and buffers have shapes and no values: it takes no memory."""
    known: dict[int, object] = {id(buffer): buffer.to("meta") for buffer in model.buffers()}
    for parameter in model.parameters():
        known[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, known)


def trace_training(model: nn.Module, example_inputs: ExampleInputs) -> Graph | None:
    """Return the graph of a model in training mode, its norms still evaluating; None if it does not train on these.

    Raises:
        ModelError: if the model is of a kind that cannot be looked into.
    """
    check_model(model)
    with undisturbed(model):
        set_training(model)
        try:
            recording = _record(model, example_inputs)
        except ModelError:
            return None
    return make_graph(model, recording)


def make_graph(model: nn.Module, recording: Recording) -> Graph:
    """Return the graph of a recording."""
    blocks = find_blocks(recording.ops)
    asleep = tuple(
        Unseen(path, "it does not run on the example input") for path in sorted(_missing(model, recording, {"norm"}))
    )
    return Graph(
        ops=recording.ops,
        blocks=blocks,
        unseen=(*find_unseen(recording.ops), *asleep),
        joins=find_joins(recording.ops, blocks),
    )


def record_model(model: nn.Module, example_inputs: ExampleInputs) -> Recording:
    """Return the recording that a model's graph is made of; the model stays as it is.

    Raises:
        ModelError: as `trace_model`.
        UsageError: as `trace_model`.
    """
    check_model(model)
    if not isinstance(example_inputs, (Tensor, tuple, dict)):
        raise UsageError(
            f"Cannot call {type(model).__name__} with a {type(example_inputs).__name__} as example inputs: give a "
            "tensor, a tuple of arguments, or a dict of keyword arguments."
        )
    with undisturbed(model):
        recording = _record(model, example_inputs)
        missing = _missing(model, recording, {"weight", "norm"})
        if missing:
            set_training(model)
            try:
                other = _record(model, example_inputs)
            except ModelError:  # it does not train on this example; what runs in training stays unseen
                return recording
            if _missing(model, other, {"weight", "norm"}) < missing:
                return replace(other, training=True)
    return recording


def set_training(model: nn.Module) -> None:
    """Bring a model into training mode, but for its norms: they would need more than one value, and would learn."""
    model.train()
    for module in model.modules():
        if kind_of_module(module) in ("norm", "other-norm"):
            module.training = False


def describe_inputs(example_inputs: ExampleInputs) -> str:
    """Return the shapes of example inputs, and their types where they are not the usual one, for messages."""
    args, kwargs = split_inputs(example_inputs)
    parts = [_describe(value) for value in args] + [f"{name}={_describe(value)}" for name, value in kwargs.items()]
    return ", ".join(parts)


def _describe(value: object) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    usual = value.dtype == torch.get_default_dtype()
    return str(list(value.shape)) + f" ({str(value.dtype).removeprefix('torch.')})" * (not usual)


def map_tensors(change: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return a nest of tuples, lists, dicts and dataclasses with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        changed = {key: map_tensors(change, held) for key, held in value.items()}
        if type(value) is dict:
            return changed
        made = copy.copy(value)  # an ordered dict, an output of a library that is one and has attributes too
        for key, held in changed.items():
            made[key] = held
        return made
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(change, held) for held in value))
    if type(value) in (list, tuple):
        return type(value)(map_tensors(change, held) for held in value)
    if is_dataclass(value) and not isinstance(value, type):
        twin = copy.copy(value)
        for field in fields(value):
            object.__setattr__(twin, field.name, map_tensors(change, getattr(value, field.name)))
        return twin
    return value


def check_model(model: nn.Module) -> None:
    """Raise an error for a model that cannot be looked into, with the way to one that can.

    Raises:
        ModelError: if it is no module, is compiled, scripted or quantised, or is wrapped for several devices.
    """
    if not isinstance(model, nn.Module):
        if isinstance(model, type) and issubclass(model, nn.Module):
            raise ModelError(
                f"Cannot look into the class {model.__name__}: give a model of it, such as {model.__name__}()."
            )
        raise ModelError(f"Cannot look into a {type(model).__name__}: give a torch.nn.Module.")
    name = getattr(model, "original_name", type(model).__name__)  # a script keeps the name of what it was
    if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        raise ModelError(
            f"Cannot trace a model wrapped in {name}: give its .module, and wrap the result again "
            "(processes that train together must place alike, each before wrapping)."
        )
    if hasattr(model, "_orig_mod"):
        raise ModelError(
            "Cannot trace a model that torch.compile compiled: give its ._orig_mod, and compile the result."
        )
    for path, module in model.named_modules():
        where = f"{name}, whose {path} is" if path else f"{name}, which is"
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                f"Cannot trace {where} scripted or traced by torch.jit: its forward can no longer be seen; give the "
                "model as it was before, and script the result."
            )
        if "quantized" in type(module).__module__:
            raise ModelError(
                f"Cannot trace {where} quantised ({type(module).__name__}): its norms are part of integer arithmetic "
                "by now; give the model as it was before, and quantise the result."
            )


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a block with the model in evaluation mode, fixed random states and no gradients, and put everything back."""
    before = ModuleSnapshot(model)
    try:
        model.eval()
        with fix_seed(), torch.no_grad():
            yield
    finally:
        before.restore()


def _missing(model: nn.Module, recording: Recording, kinds: set[str]) -> set[str]:
    """Return the paths of the modules of some kinds that did not run."""
    ran = {op.module for op in recording.ops}
    inside = tuple(f"{op.module}." for op in recording.ops if op.module is not None and op.kind == "other")
    return {
        path
        for path, module in model.named_modules()
        if kind_of_module(module) in kinds and path not in ran and not path.startswith(inside)
    }


def _record(model: nn.Module, example_inputs: ExampleInputs) -> Recording:
    """Run a model under a recorder."""
    bound = bind_inputs(model, map_tensors(lambda x: x.detach().clone(), example_inputs))
    try:
        with CallRecorder(model) as recorder:
            for name, value in bound.arguments.items():
                recorder.note_input(name, value)
            output = model(*bound.args, **bound.kwargs)
            return recorder.finish(output)
    except PlacenormError:
        raise
    except Exception as error:  # the model itself says that it does not take this input
        raise ModelError(
            f"{type(model).__name__} does not run on an input of shape {describe_inputs(example_inputs)}: "
            f"{first_line(error)}; give an input of the shape and type that it expects."
        ) from error


def bind_inputs(model: nn.Module, example_inputs: ExampleInputs) -> inspect.BoundArguments:
    """Return example inputs as the arguments of a model's forward.

    Raises:
        ModelError: if they do not fit its signature.
    """
    args, kwargs = split_inputs(example_inputs)
    try:
        return inspect.signature(model.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise ModelError(
            f"{type(model).__name__} cannot be called with {describe_inputs(example_inputs)}: {error}; "
            "give example inputs that fit its forward."
        ) from error
