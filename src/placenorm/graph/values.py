"""Tensors in nests of values, and how often they were written to."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

from torch import Tensor, nn


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a nest of tuples, lists, dicts and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for held in value.values():
            yield from tensors_in(held)
    elif isinstance(value, (tuple, list)):
        for held in value:
            yield from tensors_in(held)
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from tensors_in(getattr(value, each.name))


def count_writes(tensor: Tensor) -> int:
    """Return how often a tensor was written to in place; 0 where nobody counts."""
    try:
        return tensor._version
    except RuntimeError:  # made in inference mode
        return 0


def list_contents(module: nn.Module) -> Iterator[tuple[str, object]]:
    """Yield the attributes of a module, its parameters and buffers by their own names; torch's own are left out."""
    for name, value in module.__dict__.items():
        if name in ("_parameters", "_buffers"):
            yield from value.items()
        elif name not in _OWN_OF_TORCH:
            yield name, value


_OWN_OF_TORCH: Final = frozenset(vars(nn.Module()))
