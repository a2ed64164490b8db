"""A model and an example input in; its graph out. Describes, changes nothing."""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.errors import ModelError
from placenorm.facts.graph import Graph, Op, OpKind
from placenorm.graph.blocks import find_blocks
from placenorm.graph.vocabulary import (
    CONVOLUTIONS,
    OTHER_NORM_FUNCTIONS,
    OTHER_NORMS,
    RELU_LIKE,
    WEIGHT_MODULES,
    activation_name,
    kind_of_function,
    kind_of_method,
    kind_of_module,
)
from placenorm.layers.attached import attached_norms

ExampleInputs = Tensor | tuple[Any, ...] | dict[str, Any]
"""A tensor, a tuple of arguments, or a dict of keyword arguments."""

CALLS = frozenset({"call_function", "call_method", "call_module"})


class CallTracer(fx.Tracer):
    """Marks the checks that torch.fx adds for arguments it holds fixed, which stand in nobody's forward."""

    _guarding = False

    def create_args_for_root(self, *args: Any, **kwargs: Any) -> Any:
        """Make the inputs, and mark what is made on the way."""
        self._guarding = True
        try:
            return super().create_args_for_root(*args, **kwargs)
        finally:
            self._guarding = False

    def create_node(self, kind: str, *args: Any, **kwargs: Any) -> fx.Node:
        """Make a node, marked if it checks an argument."""
        node = super().create_node(kind, *args, **kwargs)
        node.meta["guard"] = self._guarding
        return node


def stands_in_forward(node: fx.Node) -> bool:
    """Whether a node is a call that somebody wrote, and so counts among the calls of a forward."""
    return node.op in CALLS and not node.meta["guard"]


def split_inputs(example_inputs: ExampleInputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return example inputs as positional and keyword arguments."""
    if isinstance(example_inputs, dict):
        return (), example_inputs
    if isinstance(example_inputs, tuple):
        return example_inputs, {}
    return (example_inputs,), {}


def trace_model(model: nn.Module, example_inputs: ExampleInputs) -> Graph:
    """Return the graph of a model: its ops in the order they run, and the blocks they form.

    The model runs once, in evaluation mode and without gradients; its mode, its buffers and the random state are
    afterwards what they were.

    Args:
        model: any model that torch.fx can trace.
        example_inputs: what the model is called with.

    Raises:
        ModelError: if torch.fx cannot trace the model, or the model does not run on the input.
    """
    with _undisturbed(model):
        nodes, tracer = _trace_symbolically(model, example_inputs)
        seen = _run(model, nodes, tracer, example_inputs)
    ops = _ops_of(model, nodes, seen)
    return Graph(ops=ops, blocks=find_blocks(ops))


def describe_inputs(example_inputs: ExampleInputs) -> str:
    """Return the shapes of example inputs, for messages."""
    args, kwargs = split_inputs(example_inputs)
    parts = [_describe(value) for value in args] + [f"{name}={_describe(value)}" for name, value in kwargs.items()]
    return ", ".join(parts)


def _describe(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else repr(value)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a block with the model in evaluation mode, and put everything back."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    attributes = [(module, set(module.__dict__)) for module in model.modules()]
    try:
        model.eval()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for module, names in attributes:  # fx leaves the constants it meets as attributes of the model
            for name in set(module.__dict__) - names:
                delattr(module, name)


class _PathTracer(CallTracer):
    """Traces through the user's modules and notes, for every call, in whose forward it stands and as which."""

    def __init__(self) -> None:
        super().__init__(param_shapes_constant=False)
        self._frames: list[list[Any]] = [["", 0]]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _BatchNorm) or super().is_leaf_module(m, module_qualified_name)

    def create_node(self, kind: str, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(kind, *args, **kwargs)
        if stands_in_forward(node):
            owner, ordinal = self._frames[-1]
            node.meta["owner"], node.meta["ordinal"] = owner, ordinal
            self._frames[-1][1] += 1
        return node

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        path = self.path_of_module(m)
        if self.is_leaf_module(m, path):
            result = self.create_proxy("call_module", path, args, kwargs)
            for child in attached_norms(m):  # they run in a hook, which a leaf call hides
                self._frames.append([path, 0])
                result = self.create_proxy("call_module", f"{path}.{child}", (result,), {})
                self._frames.pop()
            return result
        self._frames[-1][1] += 1
        self._frames.append([path, 0])
        try:
            return forward(*args, **kwargs)
        finally:
            self._frames.pop()


def _trace_symbolically(model: nn.Module, example_inputs: ExampleInputs) -> tuple[fx.Graph, _PathTracer]:
    tracer = _PathTracer()
    try:
        return tracer.trace(model, concrete_args=_fixed_arguments(model, example_inputs)), tracer
    except Exception as error:  # the user's forward runs with stand-ins for tensors, anything can come out of it
        raise ModelError(
            f"Cannot trace {type(model).__name__}: its forward depends on values or shapes in a way that torch.fx "
            f"cannot follow ({_first_line(error)}); move that part into a module of its own that torch.fx can pass by, "
            "or give the model without it."
        ) from error


def _fixed_arguments(model: nn.Module, example_inputs: ExampleInputs) -> dict[str, Any]:
    """Return the arguments that are no tensors, among them defaults that the example leaves alone."""
    args, kwargs = split_inputs(example_inputs)
    try:
        bound = inspect.signature(model.forward).bind(*args, **kwargs)
    except TypeError as error:
        raise ModelError(
            f"{type(model).__name__} cannot be called with {describe_inputs(example_inputs)}: {error}; "
            "give example inputs that fit its forward."
        ) from error
    bound.apply_defaults()
    kinds = inspect.signature(model.forward).parameters
    variadic = {name for name, p in kinds.items() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return {
        name: value
        for name, value in bound.arguments.items()
        if name not in variadic and not isinstance(value, (Tensor, tuple, list, dict))
    }


@dataclass(slots=True)
class _Seen:
    """What one node returned on the example input."""

    shape: tuple[int, ...]
    item_bytes: int


class _ShapeRunner(fx.Interpreter):
    """Runs the nodes on the example input and keeps the shape of every tensor."""

    def __init__(self, module: fx.GraphModule, attached: frozenset[str]) -> None:
        super().__init__(module)
        self.seen: dict[fx.Node, _Seen] = {}
        self._attached = attached

    def run_node(self, n: fx.Node) -> Any:
        if n.op == "call_module" and str(n.target) in self._attached:
            result = self.fetch_args_kwargs_from_env(n)[0][0]  # it ran already, in the hook of the module before it
        else:
            result = super().run_node(n)
        if isinstance(result, Tensor):
            self.seen[n] = _Seen(tuple(result.shape), result.element_size())
        return result


def _run(model: nn.Module, graph: fx.Graph, tracer: _PathTracer, example_inputs: ExampleInputs) -> dict[fx.Node, _Seen]:
    attached = frozenset(
        f"{path}.{child}" if path else child
        for path, module in model.named_modules()
        if tracer.is_leaf_module(module, path)
        for child in attached_norms(module)
    )
    runner = _ShapeRunner(fx.GraphModule(model, graph), attached)
    args, kwargs = split_inputs(example_inputs)
    bound = inspect.signature(model.forward).bind(*args, **kwargs)
    bound.apply_defaults()
    values: list[Any] = []
    for name, parameter in inspect.signature(model.forward).parameters.items():
        value = bound.arguments.get(name)
        values.extend(value if parameter.kind == parameter.VAR_POSITIONAL and value else [value])
    try:
        runner.run(*values)
    except Exception as error:  # the model itself says that it does not take this input
        raise ModelError(
            f"{type(model).__name__} does not run on an input of shape {describe_inputs(example_inputs)}: "
            f"{_first_line(error)}; give an input of the shape it expects, or a model for this shape."
        ) from error
    return runner.seen


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0].rstrip(".") if text else type(error).__name__


def _ops_of(model: nn.Module, graph: fx.Graph, seen: dict[fx.Node, _Seen]) -> tuple[Op, ...]:
    """Return the nodes that hand on tensors as ops; what computes sizes and the like is left out."""
    modules = dict(model.named_modules(remove_duplicate=False))
    names = _Names()
    index: dict[fx.Node, int] = {}
    ops: list[Op] = []
    for node in graph.nodes:
        if node not in seen and node.op != "output":
            continue
        readers = [source for source in node.all_input_nodes if source in index]
        in_shape = seen[readers[0]].shape if readers else ()
        here = seen.get(node, _Seen((), 4))
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        kind, name = _role(node, module, len(readers))
        index[node] = len(ops)
        ops.append(
            Op(
                key=names.key(node, name),
                kind=kind,
                name=name,
                module=str(node.target) if module is not None else None,
                owner=node.meta.get("owner", ""),
                ordinal=node.meta.get("ordinal", -1),
                inputs=tuple(index[source] for source in readers),
                in_shape=in_shape,
                out_shape=here.shape,
                parameters=0 if module is None else sum(p.numel() for p in module.parameters(recurse=False)),
                reduction=_reduction(in_shape, here.shape) if kind == "pool" else 1,
                macs=_macs(node, module, here.shape, seen) if kind == "weight" else 0,
                relu_like=kind == "activation" and activation_name(name) in RELU_LIKE,
                item_bytes=here.item_bytes,
            )
        )
    return tuple(ops)


class _Names:
    """Hands out the key of every call."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()

    def key(self, node: fx.Node, name: str) -> str:
        if node.op == "call_module":
            path = str(node.target)
            self._calls[path] += 1
            return path if self._calls[path] == 1 else f"{path}#{self._calls[path]}"
        if node.op in ("placeholder", "output", "get_attr"):
            return str(node.target) if node.op != "placeholder" else f"input:{node.target}"
        base = f"{node.meta['owner']}:{name}" if node.meta["owner"] else f":{name}"
        self._calls[base] += 1
        return f"{base}_{self._calls[base]}"


def _role(node: fx.Node, module: nn.Module | None, readers: int) -> tuple[OpKind, str]:
    """Return the role of a node and what runs there, in torch's words."""
    if node.op == "placeholder":
        return "input", "input"
    if node.op == "output":
        return "output", "output"
    if node.op == "get_attr":
        return "constant", "constant"
    if module is not None:
        name = type(module).__name__
        return (
            ("other", f"{name} (another norm)") if isinstance(module, OTHER_NORMS) else (kind_of_module(module), name)
        )
    if node.op == "call_method":
        kind, name = kind_of_method(str(node.target)), str(node.target).rstrip("_")
    else:
        function: Any = node.target
        name = getattr(function, "__name__", str(function)).strip("_")
        if function in OTHER_NORM_FUNCTIONS:
            return "other", f"{name} (another norm)"
        kind = kind_of_function(function)
    if kind == "join" and readers < 2:  # a tensor and a number
        kind = "other"
    return kind, name


def _reduction(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> int:
    """Return the input elements per output element of a pool."""
    out = math.prod(out_shape)
    return max(1, round(math.prod(in_shape) / out)) if out else 1


def _macs(node: fx.Node, module: nn.Module | None, out_shape: tuple[int, ...], seen: dict[fx.Node, _Seen]) -> int:
    """Return the multiply-adds of a weight op: one per output element and weight that it reads."""
    if isinstance(module, WEIGHT_MODULES):
        weight: tuple[int, ...] = tuple(module.weight.shape)
    else:
        given = node.args[1] if len(node.args) > 1 else node.kwargs.get("weight")
        weight = seen[given].shape if isinstance(given, fx.Node) and given in seen else ()
    if not weight:
        return 0
    transposed = isinstance(module, CONVOLUTIONS) and module.transposed
    if transposed or "transpose" in str(node.target):  # every input element meets every weight of its channel
        source = node.all_input_nodes[0]
        return math.prod(seen[source].shape) * math.prod(weight[1:])
    return math.prod(out_shape) * math.prod(weight[1:])
