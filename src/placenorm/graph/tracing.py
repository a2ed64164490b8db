"""A model and an example input in; its graph out. Describes, changes nothing."""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parameter import is_lazy

from placenorm.errors import ModelError, first_line
from placenorm.facts.graph import Graph, Op, OpKind
from placenorm.graph.blocks import find_blocks, find_unseen
from placenorm.graph.vocabulary import (
    CONVOLUTIONS,
    RELU_LIKE,
    WEIGHT_MODULES,
    activation_name,
    kind_of_function,
    kind_of_method,
    kind_of_module,
)
from placenorm.layers.attached import attached_norms
from placenorm.randomness import fix_seed

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

    The model runs once, in evaluation mode and without gradients; its mode, its parameters, buffers and attributes
    and the random states of Python, numpy and torch are afterwards what they were.

    Args:
        model: any model that torch.fx can trace.
        example_inputs: what the model is called with.

    Raises:
        ModelError: if torch.fx cannot trace the model, or the model does not run on the input.
    """
    with _undisturbed(model):
        nodes, tracer = _trace_symbolically(model, example_inputs)
        seen = _run(model, nodes, tracer, example_inputs)
        ops = _ops_of(model, nodes, seen)  # a parametrized weight may change when it is looked at
    blocks = find_blocks(ops)
    return Graph(ops=ops, blocks=blocks, unseen=find_unseen(ops, blocks))


def describe_inputs(example_inputs: ExampleInputs) -> str:
    """Return the shapes of example inputs, for messages."""
    args, kwargs = split_inputs(example_inputs)
    parts = [_describe(value) for value in args] + [f"{name}={_describe(value)}" for name, value in kwargs.items()]
    return ", ".join(parts)


def _describe(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else repr(value)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a block with the model in evaluation mode, and put everything back.

    A forward may change its module, and while torch.fx traces it what it keeps are stand-ins; torch.fx itself leaves
    the constants it meets as attributes.
    """
    states = [_State(module) for module in model.modules()]
    try:
        model.eval()
        with fix_seed(), torch.no_grad():
            yield
    finally:
        for state in states:
            state.restore()


class _State:
    """What one module holds: its attributes, what is in its dicts, lists and sets, and the values of its tensors."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._type = type(module)
        self._containers: dict[int, tuple[Any, Any]] = {}
        self._tensors: dict[int, tuple[Tensor, Tensor]] = {}
        self._note(module.__dict__)

    def _note(self, value: object) -> None:
        if isinstance(value, Tensor) and not is_lazy(value) and not value.is_meta:
            self._tensors[id(value)] = value, value.detach().clone()
        elif isinstance(value, (dict, list, set)) and id(value) not in self._containers:
            self._containers[id(value)] = value, value.copy()
            for inner in value.values() if isinstance(value, dict) else value:
                self._note(inner)

    def restore(self) -> None:
        if type(self._module) is not self._type:  # a lazy module has found its shape: it cannot go back
            return
        for container, before in self._containers.values():
            container.clear()
            container.extend(before) if isinstance(container, list) else container.update(before)
        with torch.no_grad():
            for tensor, value in self._tensors.values():
                if not torch.equal(tensor, value):  # a copy would spoil gradients that are yet to be taken
                    tensor.copy_(value)


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
            f"cannot follow ({first_line(error)}); move that part into a module of its own that torch.fx can pass by, "
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
    several: bool = False


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
        first = _first_tensor(result)
        if first is not None:
            self.seen[n] = _Seen(tuple(first.shape), first.element_size(), several=first is not result)
        return result


def _first_tensor(value: object) -> Tensor | None:
    """Return a tensor, or the first one in a nest of tuples, lists and dicts; None where there is none."""
    if isinstance(value, Tensor):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return next((tensor for tensor in map(_first_tensor, parts) if tensor is not None), None)


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
            f"{first_line(error)}; give an input of the shape it expects, or a model for this shape."
        ) from error
    return runner.seen


def _ops_of(model: nn.Module, graph: fx.Graph, seen: dict[fx.Node, _Seen]) -> tuple[Op, ...]:
    """Return the nodes that hand on tensors as ops; what computes sizes and the like is left out."""
    modules = dict(model.named_modules(remove_duplicate=False))
    names = _Names()
    held = {id(p) for node in graph.nodes if node.op == "call_module" for p in modules[str(node.target)].parameters()}
    index: dict[fx.Node, int] = {}
    ops: list[Op] = []
    for node in graph.nodes:
        if node not in seen and node.op != "output":
            continue
        readers = [source for source in node.all_input_nodes if source in index]
        in_shape = seen[readers[0]].shape if readers else ()
        here = seen.get(node, _Seen((), 4))
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        kind, name, unseen = _role(node, module, len(readers), several=here.several)
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
                parameters=_parameters(model, node, module, held),
                reduction=_reduction(in_shape, here.shape) if kind == "pool" else 1,
                macs=_macs(node, module, here.shape, seen) if kind == "weight" else 0,
                relu_like=kind == "activation" and activation_name(name) in RELU_LIKE,
                item_bytes=here.item_bytes,
                channel_axis=_channel_axis(node, module, here.shape, seen) if kind == "weight" else 1,
                unseen=unseen,
            )
        )
    return tuple(ops)


def _parameters(model: nn.Module, node: fx.Node, module: nn.Module | None, held: set[int]) -> int:
    """Return the parameters of a called module without its attached norms, or of one that is read by its name."""
    if module is not None:
        attached = tuple(f"{child}." for child in attached_norms(module))
        return sum(p.numel() for name, p in module.named_parameters() if not name.startswith(attached))
    if node.op != "get_attr":
        return 0
    value = attrgetter(str(node.target))(model)
    return value.numel() if isinstance(value, nn.Parameter) and id(value) not in held else 0


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


def _role(node: fx.Node, module: nn.Module | None, readers: int, *, several: bool) -> tuple[OpKind, str, str]:
    """Return the role of a node, what runs there in torch's words, and what about it cannot be described."""
    if node.op == "placeholder":
        return "input", "input", ""
    if node.op == "output":
        return "output", "output", ""
    if node.op == "get_attr":
        return "constant", "constant", ""
    if module is not None:
        kind, name = kind_of_module(module), type(module).__name__
    elif node.op == "call_method":
        kind, name = kind_of_method(str(node.target)), str(node.target).rstrip("_")
    else:
        function: Any = node.target
        kind, name = kind_of_function(function), getattr(function, "__name__", str(function)).strip("_")
    if several:  # taking a part of such a nest is no call of its own
        return "other", name, "" if name == "getitem" else "which returns several tensors"
    if kind == "other-norm" and isinstance(module, _BatchNorm):
        return kind, name, "whose forward is your own, which is not there yet"
    if kind == "join" and readers < 2:  # a tensor and a number
        kind = "other"
    return kind, name, ""


def _reduction(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> int:
    """Return the input elements per output element of a pool."""
    out = math.prod(out_shape)
    return max(1, round(math.prod(in_shape) / out)) if out else 1


def _macs(node: fx.Node, module: nn.Module | None, out_shape: tuple[int, ...], seen: dict[fx.Node, _Seen]) -> int:
    """Return the multiply-adds of a weight op: one per output element and weight that it reads."""
    weight = _weight_shape(node, module, seen)
    if not weight:
        return 0
    transposed = isinstance(module, CONVOLUTIONS) and module.transposed
    if transposed or "transpose" in str(node.target):  # every input element meets every weight of its channel
        source = node.all_input_nodes[0]
        return math.prod(seen[source].shape) * math.prod(weight[1:])
    return math.prod(out_shape) * math.prod(weight[1:])


def _weight_shape(node: fx.Node, module: nn.Module | None, seen: dict[fx.Node, _Seen]) -> tuple[int, ...]:
    """Return the shape of the weights of a weight op; empty where it is not known."""
    if isinstance(module, WEIGHT_MODULES):
        return tuple(module.weight.shape)
    given = node.args[1] if len(node.args) > 1 else node.kwargs.get("weight")
    return seen[given].shape if isinstance(given, fx.Node) and given in seen else ()


def _channel_axis(
    node: fx.Node, module: nn.Module | None, out_shape: tuple[int, ...], seen: dict[fx.Node, _Seen]
) -> int:
    """Return the axis of a weight op's output that its weights speak of: before the places of a conv, or the last."""
    return len(out_shape) - 1 - max(len(_weight_shape(node, module, seen)) - 2, 0)
