"""Labels of the values of tensors, and where tensors lie in memory."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from placenorm.graph.channel_rules import Labels
from placenorm.graph.values import list_contents, tensors_in


def find_shared_memory(modules: Mapping[str, nn.Module]) -> dict[str, str]:
    """Return the modules whose parameters lie in the memory of other tensors that modules hold, with the reason."""
    places: dict[int, dict[int, str]] = {}
    for path, module in modules.items():
        for _, value in list_contents(module):
            for tensor in tensors_in(value):
                if tensor.numel():
                    places.setdefault(memory_of(tensor), {}).setdefault(id(tensor), path)
    return {
        path: "a parameter in the memory of another"
        for held in places.values()
        if len(held) > 1
        for path in held.values()
    }


def memory_of(tensor: Tensor) -> int:
    """Return where a tensor's memory begins; its own number where it has none of the usual kind."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return -id(tensor)


def starts_alike(one: Tensor, two: Tensor) -> bool:
    """Whether two tensors begin at the same place in memory."""
    return memory_of(one) == memory_of(two) and int(one.storage_offset()) == int(two.storage_offset())


_CLOSED: Final = (Tensor, bool, int, float, complex, str, bytes, torch.Size, torch.dtype, torch.device, torch.layout)


def is_open(value: Any) -> bool:
    """Whether every tensor of a nest can be seen: it has no objects of unknown kinds."""
    if isinstance(value, dict):
        return all(is_open(held) for held in value.values())
    if isinstance(value, (tuple, list)):
        return all(is_open(held) for held in value)
    if is_dataclass(value) and not isinstance(value, type):
        return all(is_open(getattr(value, each.name)) for each in fields(value))
    return value is None or isinstance(value, _CLOSED)


def thin(labels: Tensor) -> Tensor:
    """Return labels with one place along each axis along which they are stored once."""
    for axis in range(labels.dim()):
        if labels.stride(axis) == 0 and labels.shape[axis] > 1:
            labels = labels.narrow(axis, 0, 1)
    return labels


def list_labels(labels: Tensor) -> list[int]:
    """Return the labels that a tensor has, each once."""
    found: list[int] = torch.unique(thin(labels)).tolist()
    return found


def read_channels(labels: Tensor, axis: int) -> Labels | None:
    """Return the label of every channel along an axis; None where one channel has several."""
    if labels.dim() == 0 or 0 in labels.shape:
        return None
    held = thin(labels)
    line = held
    for other in range(labels.dim()):
        if other != axis:
            line = line.narrow(other, 0, 1)
    if held.shape != line.shape and not bool((held == line).all()):
        return None
    return line.reshape(-1).expand(labels.shape[axis]).contiguous().numpy()
