"""A model runs once on its example input, and every call it makes is written down: what runs, where, on what.

A recording describes; it is never replayed. It sees what ran, whatever decided that it ran: control flow on values and
shapes, calls in place, modules that run twice. What it cannot see (compiled code, say) comes out as a tensor that
nobody made, and is named in `Graph.unseen`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from placenorm.facts.graph import Op, OpKind
from placenorm.graph.modes import HookedMode
from placenorm.graph.values import count_writes, list_contents, tensors_in
from placenorm.graph.vocabulary import (
    RELU_LIKE,
    WEIGHT_MODULES,
    activation_name,
    call_means_only,
    is_leaf_module,
    is_norm_with_activation,
    kind_of_call,
    kind_of_module,
    module_means_only,
    name_of_call,
)
from placenorm.graph.weights import Weights, count_macs, count_own_parameters, find_weights
from placenorm.layers.attached import attached_norms
from placenorm.layers.batch_norm import takes_neighbours

OUTSIDE = -1
"""The ordinal of an op that stands in nobody's forward: an input, a parameter, a norm that a hook runs."""

_FROM_INPUT, _FROM_PARAMETERS, _STILL = 2, 1, 0
"""What a value hangs on: the network's input, its parameters, or neither."""

_SHAPED_LIKE = frozenset({"reshape_as", "view_as", "expand_as", "type_as"})
"""Calls that read the values of their first tensor only, and of others the shape or the type."""

_PASSIVE = frozenset({"identity", "reshape", "other"})
"""Kinds that a call may have whose value does not hang on the input: it acts on weights, not on activations."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What ran.

    Attributes:
        ops: the calls that hand on tensors, in the order they ran.
        visits: for every module whose forward is looked into, and every time it ran, the names of the calls in it: the
            ordinals of `Op` count along these.
        training: whether the model ran in training mode.
        calls: how often each module ran, also inside of calls that are not looked into.
    """

    ops: tuple[Op, ...]
    visits: dict[str, tuple[tuple[str, ...], ...]]
    training: bool = False
    calls: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Frame:
    """A module that is running, what it was given (tensors and their versions), and what it has done so far."""

    module: nn.Module
    path: str
    host: str | None
    first: int
    leaf: bool
    events: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    given: list[tuple[Tensor, int]] = field(default_factory=list)
    reads: dict[int, tuple[int, ...]] = field(default_factory=dict)
    weights: list[Weights] = field(default_factory=list)
    others: int = 0


class CallRecorder(HookedMode):
    """Writes down the calls of a model while the block runs.

    Hooks are gone when the block ends, also after an exception. The model must run under `torch.no_grad`.

    Args:
        model: the model; it, or modules in it, run in the block.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._paths: dict[int, str] = {}
        for path, module in model.named_modules():
            self._paths.setdefault(id(module), path)
        self._hosts = {
            id(module.get_submodule(child)): path
            for path, module in model.named_modules()
            for child in attached_norms(module)
        }
        self._owned = {
            id(tensor): (f"{path}.{name}" if path else name, isinstance(tensor, nn.Parameter))
            for path, module in reversed(list(model.named_modules()))
            for name, value in list_contents(module)
            for tensor in tensors_in(value)
        }
        self._ops: list[Op] = []
        self._liveness: list[int] = []
        self._makers: Any = WeakTensorKeyDictionary()
        self._frames: list[_Frame] = []
        self._leaf_depth = 0
        self._off = False
        self._keys: Counter[str] = Counter()
        self._visits: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
        self._constants: dict[int, int] = {}
        self._fleeting: list[Tensor] = []
        self._counted: set[int] = set()
        self._calls: Counter[str] = Counter()

    # -- a life

    def add_hooks(self) -> Iterable[RemovableHandle]:
        """See modules begin and end."""
        yield register_module_forward_pre_hook(self._enter_module)
        yield register_module_forward_hook(self._leave_module, always_call=True)

    def note_input(self, name: str, value: object) -> None:
        """Make the tensors of an argument inputs of the network."""
        for tensor in tensors_in(value):
            key = self._count(f"input:{name}")
            self._makers[tensor] = self._add(
                Op(key, "input", "input", None, "", OUTSIDE, (), (), tuple(tensor.shape)), tensor, _FROM_INPUT
            )

    def finish(self, output: object) -> Recording:
        """Return what was recorded, closed by what the network returned."""
        reads = self._read(list(tensors_in(output)))
        first = next(iter(reads.values()), ())
        self._add(Op("output", "output", "output", None, "", OUTSIDE, tuple(reads), first, ()), None, _FROM_INPUT)
        ops = tuple(
            replace(op, parameters=0) if self._constants.get(index) in self._counted else op
            for index, op in enumerate(self._ops)
        )
        visits = {path: tuple(visits) for path, visits in self._visits.items()}
        return Recording(ops, visits, calls=dict(self._calls))

    # -- frames, for those who run one forward by itself

    def enter(self, module: nn.Module) -> None:
        """Begin a module's forward that is not called through the module."""
        self._enter_module(module, ())

    def leave(self) -> tuple[str, ...]:
        """End it, and return the names of the calls in it; what an error left unfinished ends with it."""
        names = tuple(self._frames[0].events)
        self._frames.clear()
        self._leaf_depth = 0
        return names

    @property
    def events(self) -> int:
        """How many calls the module that is running has made."""
        return len(self._frames[-1].events)

    # -- what the modules say

    def _enter_module(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        path = self._paths.get(id(module), type(module).__name__)
        self._calls[path] += 1
        if self._leaf_depth:
            self._leaf_depth += 1
            return
        leaf = is_leaf_module(module) or id(module) not in self._paths
        frame = _Frame(module, path, self._hosts.get(id(module)), len(self._ops), leaf)
        if leaf:
            self._leaf_depth = 1
            given = list(tensors_in(args))
            frame.given = [(tensor, count_writes(tensor)) for tensor in given]
            frame.reads.update(self._read(given))
        elif self._frames and frame.host is None:
            self._frames[-1].events.append(path)
        self._frames.append(frame)

    def _leave_module(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self._leaf_depth > 1:
            self._leaf_depth -= 1
            return None
        if not self._frames or self._frames[-1].module is not module:
            return None  # its forward raised, and somebody caught it
        frame = self._frames.pop()
        changed: Any = None
        if frame.leaf:
            self._leaf_depth = 0
            output = changed = self._note_leaf(frame, output)
        else:
            self._visits[frame.path].append(tuple(frame.events))
            self._fold_into_weight_op(frame, output)
        self._note_return(frame, output)
        return changed

    def _note_leaf(self, frame: _Frame, output: Any) -> Any:
        """Write down a module as one call; return its output, anew where it is one of its inputs."""
        module, known = frame.module, id(frame.module) in self._paths
        name = type(module).__name__
        kind = _judge(kind_of_module(module) if known else "other", output)
        unseen = ""
        if kind == "other-norm" and isinstance(module, _BatchNorm):
            more = "which holds an activation or a pool" if takes_neighbours(module) else "whose forward is your own"
            unseen = f"{more}, so that its norm cannot be told from the rest"
        weight = frame.weights[0] if len(frame.weights) == 1 else None
        self._counted.update(map(id, module.parameters()))
        in_place = any(tensor is output and count_writes(tensor) != before for tensor, before in frame.given)
        parent = self._frames[-1] if self._frames else None
        owner = frame.host if frame.host is not None else (parent.path if parent else "")
        ordinal = OUTSIDE
        if parent is not None and frame.host is None:
            ordinal = len(parent.events)
            parent.events.append(frame.path)
        return self._note_call(
            Op(
                key=self._count(frame.path),
                kind=kind,
                name=name,
                module=frame.path if known else None,
                owner=owner,
                ordinal=ordinal,
                inputs=(),
                in_shape=(),
                out_shape=(),
                parameters=count_own_parameters(module),
                unseen=unseen,
                plain_weights=weight is not None and weight.own and not frame.others,
                means_only=module_means_only(module),
            ),
            frame.reads,
            output,
            weight,
            in_place=in_place,
        )

    def _fold_into_weight_op(self, frame: _Frame, output: Any) -> None:
        """Write a weight module with a forward of its own down as one op, where that only pads before it."""
        made = self._ops[frame.first :]
        weights = [op for op in made if op.kind == "weight"]
        if not isinstance(frame.module, WEIGHT_MODULES) or len(weights) != 1 or weights[0] is not made[-1]:
            return
        if not weights[0].plain_weights or any(op.name not in ("pad", "constant") for op in made[:-1]):
            return
        outer = self._frames[-1] if self._frames else None
        sources = [source for op in made if op.kind != "constant" for source in op.inputs if source < frame.first]
        for tensor in [tensor for tensor, maker in self._makers.items() if maker >= frame.first]:
            del self._makers[tensor]
        for index in range(frame.first, len(self._ops)):
            self._constants.pop(index, None)
        del self._ops[frame.first :], self._liveness[frame.first :]
        self._counted.update(map(id, frame.module.parameters()))
        op = replace(
            weights[0],
            key=self._count(frame.path),
            name=type(frame.module).__name__,
            module=frame.path,
            owner=outer.path if outer else "",
            ordinal=len(outer.events) - 1 if outer else OUTSIDE,
            inputs=tuple(dict.fromkeys(sources)),
            in_shape=made[0].in_shape if made[0].kind != "constant" else weights[0].in_shape,
            parameters=count_own_parameters(frame.module),
        )
        self._makers[output] = self._add(op, output, _FROM_INPUT)

    def _note_return(self, frame: _Frame, output: Any) -> None:
        """Note that a module returned what an op in it made: behind it, a hook of the module can go on."""
        maker = self._makers.get(output) if isinstance(output, Tensor) else None
        if maker is not None and maker >= frame.first and frame.path:
            op = self._ops[maker]
            self._ops[maker] = replace(op, returned_by=(*op.returned_by, frame.path))

    # -- what the functions say

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._off or not self._frames:
            return func(*args, **kwargs)
        read = list(tensors_in((args, kwargs)))
        if name_of_call(func) in _SHAPED_LIKE:
            read = read[:1]
        versions = [count_writes(tensor) for tensor in read]
        result = func(*args, **kwargs)
        frame = self._frames[-1]
        name = name_of_call(func)
        kind = kind_of_call(func)
        weight = find_weights(func, frame.module, args, kwargs) if kind == "weight" else None
        if frame.leaf:
            frame.reads.update(self._read(read, known_only=True))
            if weight is not None:
                frame.weights.append(weight)
            elif next(tensors_in(result), None) is not None and not (name == "pad" and not frame.weights):
                frame.others += 1
            return result
        changed = result
        if result is None and read and count_writes(read[0]) != versions[0]:  # x[:, 0] = y
            changed = read[0]
        if next(tensors_in(changed), None) is None:
            return result
        in_place = any(t is changed and count_writes(t) != before for t, before in zip(read, versions, strict=True))
        noted = self._note_function(func, args, kwargs, frame, read, changed, weight, in_place=in_place)
        return result if changed is not result else noted

    def _note_function(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        frame: _Frame,
        read: list[Tensor],
        output: Any,
        weight: Weights | None,
        *,
        in_place: bool,
    ) -> Any:
        """Write down a call of a function or of a tensor's method."""
        kind, name = kind_of_call(func), name_of_call(func)
        reads = self._read(read, owner=frame.path)
        lives = [self._liveness[maker] for maker in reads]
        live = max(lives, default=_STILL)
        if live == _STILL:
            self._note_constant(read, output, frame.path, name)
            return output
        kind = _judge(kind, output)
        if kind == "join" and sum(life == _FROM_INPUT for life in lives) < 2:  # a tensor and a number
            kind = "other"
        if live == _FROM_PARAMETERS and kind not in _PASSIVE:
            kind = "other"
        if kind == "weight":
            kind = self._judge_weight(read, output)
        module = None
        if kind == "norm" and is_norm_with_activation(frame.module):
            module = frame.path
            name = type(frame.module).__name__
            self._counted.update(map(id, frame.module.parameters(recurse=False)))
        frame.calls[name] += 1
        base = f"{frame.path}:{name}_{frame.calls[name]}"
        ordinal = len(frame.events)
        frame.events.append(name)
        return self._note_call(
            Op(
                key=self._count(frame.path if module else base),
                kind=kind,
                name=name,
                module=module,
                owner=frame.path,
                ordinal=ordinal,
                inputs=(),
                in_shape=(),
                out_shape=(),
                parameters=0 if module is None else sum(p.numel() for p in frame.module.parameters(recurse=False)),
                plain_weights=weight is not None and weight.own,
                means_only=call_means_only(func, args, kwargs, output),
            ),
            reads,
            output,
            weight,
            live=live,
            in_place=in_place,
        )

    def _judge_weight(self, read: list[Tensor], output: Any) -> OpKind:
        """Return what a functional weight op really is, by where its weights come from."""
        life = self._liveness[self._makers[read[1]]] if len(read) > 1 else _FROM_PARAMETERS
        if life == _FROM_INPUT:
            return "join"  # two values of the network meet
        if life == _FROM_PARAMETERS:
            return "weight"
        shrinks = math.prod(output.shape[2:]) < math.prod(read[0].shape[2:])
        return "pool" if shrinks else "other"  # a filter that is not learned: it smooths

    # -- ops

    def _note_call(
        self,
        op: Op,
        reads: dict[int, tuple[int, ...]],
        output: Any,
        weight: Weights | None,
        *,
        live: int = _FROM_INPUT,
        in_place: bool = False,
    ) -> Any:
        first = next(tensors_in(output), None)
        if first is None:
            return output
        in_shape = next(iter(reads.values()), ())
        out_shape = tuple(first.shape)
        weight = weight if op.kind == "weight" else None
        op = replace(
            op,
            inputs=tuple(reads),
            in_shape=in_shape,
            out_shape=out_shape,
            in_place=in_place,
            reduction=_reduction(in_shape, out_shape) if op.kind == "pool" else 1,
            macs=count_macs(weight, in_shape, out_shape),
            relu_like=op.kind == "activation" and activation_name(op.name) in RELU_LIKE,
            channel_axis=1 if weight is None else len(out_shape) - 1 - max(len(weight.shape) - 2, 0),
        )
        index = self._add(op, first, live)
        if isinstance(output, Tensor) and not in_place and output in self._makers and type(output) is Tensor:
            output = self._rename(output)
        for tensor in tensors_in(output):
            self._makers[tensor] = index
        return output

    def _rename(self, tensor: Tensor) -> Tensor:
        """Return the same values as another tensor: who reads the input of an op must not seem to read the op."""
        self._off = True
        try:
            return torch.ops.aten.alias.default(tensor)  # type: ignore[no-any-return]
        finally:
            self._off = False

    def _add(self, op: Op, tensor: Tensor | None, live: int) -> int:
        self._ops.append(replace(op, item_bytes=4 if tensor is None else tensor.element_size()))
        self._liveness.append(live)
        return len(self._ops) - 1

    def _read(self, tensors: list[Tensor], *, owner: str = "", known_only: bool = False) -> dict[int, tuple[int, ...]]:
        """Return the makers of tensors, in order, each with the shape of what is read of it."""
        found: dict[int, tuple[int, ...]] = {}
        for tensor in tensors:
            maker = self._makers.get(tensor)
            if known_only and (maker is None or maker in self._constants):
                continue  # within one call: what it made itself, and its own parameters
            if maker is None:
                maker = self._note_stranger(tensor, owner)
            found.setdefault(maker, tuple(tensor.shape))
        return found

    def _note_stranger(self, tensor: Tensor, owner: str) -> int:
        """Write down a tensor that no call made: a parameter, a buffer, a constant."""
        shape = tuple(tensor.shape)
        if id(tensor) not in self._owned:
            unseen = "made by a call that tracing cannot see"
            inputs = (len(self._ops) - 1,) if self._ops else ()  # it reads something: at a guess, what was made last
            key = self._count(f"{owner}:value")
            op = Op(key, "other", "value", None, owner, OUTSIDE, inputs, shape, shape, unseen=unseen)
            maker = self._makers[tensor] = self._add(op, tensor, _FROM_INPUT)
            return maker
        name, is_parameter = self._owned[id(tensor)]
        key = self._count(name)
        parameters = tensor.numel() if is_parameter else 0
        op = Op(key, "constant", "constant", None, "", OUTSIDE, (), (), shape, parameters=parameters)
        maker = self._add(op, tensor, _FROM_PARAMETERS if is_parameter else _STILL)
        self._makers[tensor] = maker
        self._constants[maker] = id(tensor)
        return maker

    def _note_constant(self, read: list[Tensor], output: Any, owner: str, name: str) -> None:
        """Write down what hangs on neither the input nor the parameters: it is there when something reads it."""
        for tensor in tensors_in(output):
            if tensor not in self._makers:
                self._owned[id(tensor)] = (f"{owner}:{name}", False)
                self._fleeting.append(tensor)

    def _count(self, base: str) -> str:
        self._keys[base] += 1
        return base if self._keys[base] == 1 else f"{base}#{self._keys[base]}"


def _judge(kind: OpKind, output: object) -> OpKind:
    """Return the role of a call: one that returns several tensors plays none that is known."""
    return kind if isinstance(output, Tensor) else "other"


def _reduction(in_shape: tuple[int, ...], out_shape: tuple[int, ...]) -> int:
    """Return the input elements per output element of a pool."""
    out = math.prod(out_shape)
    return max(1, round(math.prod(in_shape) / out)) if out else 1
