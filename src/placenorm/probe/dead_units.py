"""A running model in, dead units and active values out, seen at the true input of each call of an activation."""

from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from placenorm.facts.trial import DeadShare
from placenorm.graph.modes import HookedMode
from placenorm.graph.vocabulary import activation_name, kind_of_call, kind_of_module, name_of_call

_SILENT: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": lambda x: x <= 0,
    "ReLU6": lambda x: (x <= 0) | (x >= 6),
    "Hardswish": lambda x: x <= -3,
    "Hardsigmoid": lambda x: (x <= -3) | (x >= 3),
}
"""Where the gradient of an activation is exactly zero, by its input: one entry for each in `RELU_LIKE`."""


class DeadUnitProber(HookedMode):
    """Watches every ReLU-like activation of a model while the block runs.

    A unit is a channel of a map (axis 1) or a feature of a linear layer (the last axis). It is dead if its activation
    had a zero gradient for every value it saw: learning cannot bring it back on these data.

    A call has the key that the graph gives it: the module path (``path#2`` for the second call in one forward pass),
    or ``owner:relu_1`` for a functional one. Hooks are gone when the block ends, also after an exception.

    Args:
        model: the model to watch.

    Example:
        >>> import torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
        >>> with torch.no_grad():
        ...     _ = net[0].bias.fill_(-100.0)
        >>> with DeadUnitProber(net) as prober:
        ...     _ = net(torch.zeros(4, 2))
        >>> prober.shares()
        (DeadShare(activation='1', units=3, dead=3, active=0.0),)
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model
        self._alive: dict[str, Tensor] = {}
        self._on: dict[str, Tensor] = {}
        self._values: Counter[str] = Counter()
        self._running: list[tuple[str, Counter[str]]] = []
        self._keys: Counter[str] = Counter()
        self._features: int | None = None  # of the weight op that ran last, if it was a linear layer

    def shares(self) -> tuple[DeadShare, ...]:
        """Return what was on at every activation that ran, in the order of the first forward pass."""
        return tuple(
            DeadShare(
                activation=key,
                units=alive.numel(),
                dead=int((~alive).sum()),
                active=int(self._on[key]) / self._values[key] if self._values[key] else None,
            )
            for key, alive in self._alive.items()
        )

    def add_hooks(self) -> Iterable[RemovableHandle]:
        """See modules begin and end."""
        for path, module in self._model.named_modules():
            yield module.register_forward_pre_hook(self._enter(path))
            yield module.register_forward_hook(self._leave, always_call=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._running.clear()

    def _enter(self, path: str) -> Callable[..., None]:
        kind = kind_of_module(self._model.get_submodule(path))

        def note(module: nn.Module, args: tuple[Any, ...]) -> None:
            if not path:
                self._keys.clear()
                self._running.clear()
            self._running.append((f"activation {path}" if kind == "activation" else path, Counter()))

        return note

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if self._running:
            self._running.pop()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = name_of_call(func)
        silent = _SILENT.get(activation_name(name))
        if silent is not None and args and kind_of_call(func) == "activation":
            self._note(name, silent, args[0])  # before the call: it may work in place
        result = func(*args, **(kwargs or {}))
        if kind_of_call(func) == "weight":
            self._features = result.shape[-1] if name == "linear" else None
        return result

    def _note(self, name: str, silent: Callable[[Tensor], Tensor], x: Tensor) -> None:
        key = self._key(name)
        with torch.no_grad():
            alive = ~silent(x.detach())
            on, values = alive.sum(), alive.numel()
            if alive.dim() > 1:  # a linear layer's features stay last, unless they were made a map since
                axis = -1 if alive.shape[-1] == self._features else 1
                alive = alive.movedim(axis, 0).flatten(1).any(1)
        seen = self._alive.get(key)
        self._alive[key] = alive if seen is None else seen | alive
        self._on[key] = on if seen is None else self._on[key] + on
        self._values[key] += values

    def _key(self, name: str) -> str:
        path, calls = self._running[-1] if self._running else ("", self._keys)
        if path.startswith("activation "):
            base = path.removeprefix("activation ")
        else:
            calls[name] += 1
            base = f"{path}:{name}_{calls[name]}"
        self._keys[base] += 1
        return base if self._keys[base] == 1 else f"{base}#{self._keys[base]}"
