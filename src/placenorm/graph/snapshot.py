"""What a module holds, by value: whether a forward changed it, and the way back."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from placenorm.randomness import GENERATORS, read_generator, write_generator

_BY_VALUE = (type(None), bool, int, float, complex, str, bytes)

_FOREIGN = frozenset({"torch", "numpy", "builtins", "logging", "threading", "pathlib"})
"""Packages whose objects are not looked into: what changes in them is no state of a forward."""


def bit_equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same type, shape and values; NaN equals NaN, and meta tensors have no values."""
    if one.dtype != other.dtype or one.shape != other.shape or one.device != other.device:
        return False
    if one.is_meta:
        return True
    one, other = one.detach(), other.detach()
    if torch.equal(one, other):
        return True
    nowhere, other_nowhere = one.isnan(), other.isnan()
    return torch.equal(nowhere, other_nowhere) and torch.equal(
        one.masked_fill(nowhere, 0), other.masked_fill(other_nowhere, 0)
    )


class ModuleSnapshot:
    """The attributes, parameters and buffers of a module and of all modules in it, as they are now.

    Args:
        module: the module; its tensors are copied, and so are lists, dicts, sets and deques that its attributes hold,
            and the states of their random generators.
    """

    def __init__(self, module: nn.Module) -> None:
        seen: set[int] = set()
        self._kept = [(path, each, _keep_module(each, seen), type(each)) for path, each in module.named_modules()]

    def changes(self) -> tuple[str, ...]:
        """Return the paths of what is no longer as it was; the mode (``training``) does not count."""
        return tuple(
            f"{path}.{name}" if path else name
            for path, module, kept, _ in self._kept
            for name in _differences(kept, module.__dict__, "")
            if name != "training"
        )

    def restore(self, *, classes: bool = False) -> None:
        """Put everything back, in the objects that held it.

        A lazy module that has found its shape meanwhile stays as it is: it cannot go back.

        Args:
            classes: whether modules get their class back too, where a rewrite gave them another.
        """
        for _, module, kept, kind in self._kept:
            if classes and type(module) is not kind and issubclass(type(module), kind):
                module.__class__ = kind
            if type(module) is kind:
                _put_back(kept)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A value and what it held: a tensor's values, the content of a container, the state of a generator.

    The content is None where there is none to keep: a plain value, a lazy tensor, a container met before.
    """

    value: Any
    content: Any = None


def _keep_module(module: nn.Module, seen: set[int]) -> _Kept:
    """Keep what a module holds; of its hooks, which they are and not what they hold: that is theirs."""
    held = module.__dict__
    return _Kept(
        held, {name: _keep_hooks(each) if "_hooks" in name else _keep(each, seen) for name, each in held.items()}
    )


def _keep_hooks(hooks: Any) -> _Kept:
    return _Kept(hooks, {key: _Kept(hook) for key, hook in hooks.items()} if isinstance(hooks, dict) else None)


def _keep(value: Any, seen: set[int]) -> _Kept:
    if isinstance(value, Tensor):
        return _Kept(value, None if is_lazy(value) else value.detach().clone())
    if isinstance(value, np.ndarray):
        return _Kept(value, value.copy())
    if isinstance(value, GENERATORS):
        return _Kept(value, read_generator(value))
    held = _contents(value)
    if held is None or id(value) in seen:
        return _Kept(value)
    seen.add(id(value))  # a container may hold itself
    if isinstance(held, dict):
        return _Kept(value, {key: _keep(each, seen) for key, each in held.items()})
    if isinstance(held, set):
        return _Kept(value, set(held))
    return _Kept(value, [_keep(each, seen) for each in held])


def _contents(value: Any) -> Any:
    """Return the container that a value is, or that holds its attributes; None for what holds nothing.

    Of objects, those of the user's own kind (meters, namespaces) are looked into, and of modules those that the
    snapshot is of, by its own loop.
    """
    if isinstance(value, (dict, list, deque, set, tuple)):
        return value
    if isinstance(value, (nn.Module, type, ModuleType, FunctionType, MethodType)) or _is_foreign(type(value)):
        return None
    return getattr(value, "__dict__", None)


def _is_foreign(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _FOREIGN


def _differences(kept: _Kept, value: Any, name: str) -> Iterator[str]:
    """Yield the names of what differs; torch's own dicts of a module have no name of their own."""
    before = kept.value
    if value is not before:
        if not (type(value) is type(before) and isinstance(value, _BY_VALUE) and value == before):
            yield name
    elif kept.content is None:
        return
    elif isinstance(value, Tensor):
        if not bit_equal(value, kept.content):
            yield name
    elif isinstance(value, GENERATORS):
        if read_generator(value) != kept.content:
            yield name
    elif isinstance(value, np.ndarray):
        if not np.array_equal(value, kept.content, equal_nan=value.dtype.kind in "fc"):
            yield name
    elif isinstance(kept.content, dict):
        value = _contents(value)
        for key in {**kept.content, **value}:
            inner = name if name and not name.startswith("_") else str(key)
            if key not in kept.content or key not in value:
                yield inner
            else:
                yield from _differences(kept.content[key], value[key], inner)
    elif isinstance(value, (list, deque, tuple)):
        if len(value) != len(kept.content) or any(
            any(True for _ in _differences(*pair, name)) for pair in zip(kept.content, value, strict=True)
        ):
            yield name
    elif isinstance(value, set) and value != kept.content:
        yield name


def _put_back(kept: _Kept) -> None:
    value, content = kept.value, kept.content
    if content is None:
        return
    if isinstance(value, GENERATORS):
        write_generator(value, content)
    elif isinstance(value, Tensor):
        if bit_equal(value, content):
            return
        if value.shape == content.shape and value.dtype == content.dtype:
            value.data.copy_(content)  # into its storage, which others may share, behind the back of autograd
        else:
            value.data = content
    elif isinstance(value, np.ndarray):
        value[...] = content
    elif isinstance(content, dict):
        attributes = _contents(value)
        attributes.clear()
        attributes.update({key: held.value for key, held in content.items()})
        for held in content.values():
            _put_back(held)
    elif isinstance(value, tuple):
        for held in content:
            _put_back(held)
    elif isinstance(value, (list, deque)):
        value.clear()
        value.extend(held.value for held in content)
        for held in content:
            _put_back(held)
    elif isinstance(value, set):
        value.clear()
        value.update(content)
