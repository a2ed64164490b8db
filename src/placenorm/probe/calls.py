"""Calls of norms, activations and pools, heard while a model runs, under the keys that the graph gives them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from placenorm.facts.graph import OpKind
from placenorm.graph.values import tensors_in
from placenorm.graph.vocabulary import (
    is_leaf_module,
    is_norm_with_activation,
    kind_of_call,
    kind_of_module,
    name_of_call,
)

SITES: frozenset[OpKind] = frozenset({"norm", "activation", "pool"})
"""What is listened to."""

_QUIET: frozenset[OpKind] = frozenset({"weight", "dropout", "reshape", "identity"})
"""Roles of torch's own modules in whose forward no site can stand: they need no hook."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is about to run.

    Attributes:
        key: its key in the graph.
        kind: its role.
        name: name of the module's class or of the function.
        path: path of the module that makes it; "" for a function.
        module: that module; None for a function.
        args: what it is called with.
        kwargs: the same, by name.
        features: features of the linear layer that ran last; None if the weight op that ran last is none.
    """

    key: str
    kind: OpKind
    name: str
    path: str
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    features: int | None


class Listener(Protocol):
    """Who wants to hear of calls."""

    def begin(self, call: Call) -> object:
        """Hear of a call before it runs, and return what `end` shall get."""

    def end(self, begun: object, output: Tensor) -> None:
        """Hear what it returned."""

    def meet_weight(self, weight: object) -> None:
        """Hear of the weights that a weight op is about to use."""


@dataclass(slots=True)
class _Frame:
    """A module that is running: the call it is, if it is one, and how often it called each function."""

    module: nn.Module
    path: str
    leaf: bool
    begun: object = None
    calls: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Role:
    path: str
    kind: OpKind
    leaf: bool


class CallListener(TorchFunctionMode):
    """Tells a listener of every call of a norm, an activation or a pool while it listens.

    The hooks on the root's children come and go with `start` and `stop`; the root's own forward is told by `enter` and
    `leave`. A module's output is taken before other hooks of the module change it, its input after they did.

    Args:
        model: the model to listen to.
        listener: who is told.
        known: roles of modules that were found before; filled, so that the next one need not ask again.
    """

    def __init__(
        self, model: nn.Module, listener: Listener, known: dict[nn.Module, tuple[OpKind, bool]] | None = None
    ) -> None:
        super().__init__()
        self._model = model
        self._listener = listener
        self._known = {} if known is None else known
        self._handles: list[RemovableHandle] = []
        self._roles: dict[nn.Module, _Role] = {}
        self._frames: list[_Frame] = []
        self._keys: Counter[str] = Counter()
        self._leaf_depth = 0
        self._features: int | None = None
        self._listening = False

    def start(self) -> None:
        """Begin to listen: the root is about to run."""
        self._keys.clear()
        self._frames.clear()
        self._leaf_depth, self._features = 0, None
        self._roles = {module: _Role(path, *self._judge(module)) for path, module in self._model.named_modules()}
        for module, role in self._roles.items():
            own = type(module).__module__.startswith("torch.nn.")
            if module is not self._model and not (own and role.leaf and role.kind in _QUIET):
                self._handles.append(module.register_forward_pre_hook(self.enter, with_kwargs=True))
                self._handles.append(module.register_forward_hook(self.leave, prepend=True, always_call=True))
        super().__enter__()  # type: ignore[no-untyped-call]
        self._listening = True

    def stop(self) -> None:
        """Stop listening, and take the hooks away; a second time does nothing."""
        if self._listening:
            self._listening = False
            super().__exit__(None, None, None)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._frames.clear()

    def _judge(self, module: nn.Module) -> tuple[OpKind, bool]:
        """Return the role of a module, and whether it is one op to us."""
        if module not in self._known:
            self._known[module] = kind_of_module(module), is_leaf_module(module)
        return self._known[module]

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hear that a module's forward begins."""
        if self._leaf_depth:
            self._leaf_depth += 1
            return
        role = self._roles[module]
        frame = _Frame(module, role.path, role.leaf)
        if role.leaf:
            self._leaf_depth = 1
            if role.kind in SITES:
                key = self._count(role.path)
                frame.begun = self._begin(key, role.kind, type(module).__name__, role.path, module, args, kwargs)
        self._frames.append(frame)

    def leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Hear that it ended; without an output where it raised."""
        if self._leaf_depth > 1:
            self._leaf_depth -= 1
            return
        if not self._frames or self._frames[-1].module is not module:
            return
        frame = self._frames.pop()
        self._leaf_depth = 0
        self._end(frame.begun, output)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = kind_of_call(func)
        if kind == "weight":
            with torch._C.DisableTorchFunction():
                self._listener.meet_weight(args[1] if len(args) > 1 else kwargs.get("weight"))
            result = func(*args, **kwargs)
            self._features = result.shape[-1] if name_of_call(func) == "linear" else None
            return result
        if kind not in SITES or self._leaf_depth or not self._frames:
            return func(*args, **kwargs)
        frame, name = self._frames[-1], name_of_call(func)
        frame.calls[name] += 1
        if kind == "norm" and is_norm_with_activation(frame.module):
            key, name = self._count(frame.path), type(frame.module).__name__
            begun = self._begin(key, kind, name, frame.path, frame.module, args, kwargs)
        else:
            key = self._count(f"{frame.path}:{name}_{frame.calls[name]}")
            begun = self._begin(key, kind, name, "", None, args, kwargs)
        result = func(*args, **kwargs)
        self._end(begun, result)
        return result

    def _begin(
        self,
        key: str,
        kind: OpKind,
        name: str,
        path: str,
        module: nn.Module | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> object:
        if next(tensors_in((args, kwargs)), None) is None:
            return None
        with torch._C.DisableTorchFunction(), torch.no_grad():
            return self._listener.begin(Call(key, kind, name, path, module, args, kwargs, self._features))

    def _end(self, begun: object, output: Any) -> None:
        if begun is not None and isinstance(output, Tensor):
            with torch._C.DisableTorchFunction(), torch.no_grad():
                self._listener.end(begun, output)

    def _count(self, base: str) -> str:
        self._keys[base] += 1
        return base if self._keys[base] == 1 else f"{base}#{self._keys[base]}"
