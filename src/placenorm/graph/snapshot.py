"""What a module holds, by value: whether a forward changed it, and the way back."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from placenorm.randomness import GENERATORS, read_generator, write_generator

_BY_VALUE = (type(None), bool, int, float, complex, str, bytes)


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
        self._kept = [(path, each, _keep(each.__dict__, seen), type(each)) for path, each in module.named_modules()]

    def changes(self) -> tuple[str, ...]:
        """Return the paths of what is no longer as it was; the mode (``training``) does not count."""
        return tuple(
            f"{path}.{name}" if path else name
            for path, module, kept, _ in self._kept
            for name in _differences(kept, module.__dict__, "")
            if name != "training"
        )

    def restore(self) -> None:
        """Put everything back, in the objects that held it.

        A lazy module that has found its shape meanwhile stays as it is: it cannot go back.
        """
        for _, module, kept, kind in self._kept:
            if type(module) is kind:
                _put_back(kept)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A value and what it held: a tensor's values, the content of a container, the state of a generator.

    The content is None where there is none to keep: a plain value, a lazy tensor, a container met before.
    """

    value: Any
    content: Any = None


def _keep(value: Any, seen: set[int]) -> _Kept:
    if isinstance(value, Tensor):
        return _Kept(value, None if is_lazy(value) else value.detach().clone())
    if isinstance(value, GENERATORS):
        return _Kept(value, read_generator(value))
    if not isinstance(value, (dict, list, deque, set)) or id(value) in seen:
        return _Kept(value)
    seen.add(id(value))  # a container may hold itself
    if isinstance(value, dict):
        return _Kept(value, {key: _keep(held, seen) for key, held in value.items()})
    if isinstance(value, set):
        return _Kept(value, set(value))
    return _Kept(value, [_keep(held, seen) for held in value])


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
    elif isinstance(value, dict):
        for key in {**kept.content, **value}:
            inner = name if name and not name.startswith("_") else str(key)
            if key not in kept.content or key not in value:
                yield inner
            else:
                yield from _differences(kept.content[key], value[key], inner)
    elif isinstance(value, (list, deque)):
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
    elif isinstance(value, dict):
        value.clear()
        value.update({key: held.value for key, held in content.items()})
        for held in content.values():
            _put_back(held)
    elif isinstance(value, (list, deque)):
        value.clear()
        value.extend(held.value for held in content)
        for held in content:
            _put_back(held)
    elif isinstance(value, set):
        value.clear()
        value.update(content)
