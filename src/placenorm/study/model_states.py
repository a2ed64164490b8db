"""All that training changes in a model, as tensors and plain values, and back."""

from typing import Any

import torch
from torch import nn

from placenorm.randomness import GENERATORS

_NUMBERS = (bool, int, float)


def dump_model(model: nn.Module) -> dict[str, Any]:
    """Return what training changes in a model.

    Parameters and buffers, those too that no state dict holds; generators, and numbers that modules count in plain
    attributes. What a module keeps in other attributes is not there.
    """
    state = model.state_dict()
    return {
        "state": dict(state),
        "buffers": {name: buffer for name, buffer in model.named_buffers() if name not in state},
        "numbers": _collect(model, lambda value: value if type(value) in _NUMBERS else None),
        "generators": _collect(model, _read_generator),
    }


def load_model(model: nn.Module, dumped: dict[str, Any]) -> None:
    """Bring a model, built as it was then, to what `dump_model` gave."""
    model.load_state_dict(dumped["state"])
    for name, kept in dumped["buffers"].items():
        owner, _, last = name.rpartition(".")
        module = model.get_submodule(owner)
        held = getattr(module, last)
        setattr(module, last, kept.to(held.device) if held is not None else kept)
    for path, values in dumped["numbers"].items():
        for name, value in values.items():
            setattr(model.get_submodule(path), name, value)
    for path, values in dumped["generators"].items():
        for name, value in values.items():
            _write_generator(getattr(model.get_submodule(path), name), value)


def _collect(model: nn.Module, read: Any) -> dict[str, dict[str, Any]]:
    """Return by module and attribute what a function reads of plain attributes; None is left out."""
    found: dict[str, dict[str, Any]] = {}
    for path, module in model.named_modules():
        values = {name: read(value) for name, value in vars(module).items()}
        kept = {name: value for name, value in values.items() if value is not None}
        if kept:
            found[path] = kept
    return found


def _read_generator(value: object) -> Any:
    if not isinstance(value, GENERATORS):
        return None
    if isinstance(value, torch.Generator):
        return value.get_state()
    return value.getstate() if hasattr(value, "getstate") else dict(value.bit_generator.state)


def _write_generator(generator: Any, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif hasattr(generator, "setstate"):
        generator.setstate(state)
    else:
        generator.bit_generator.state = state
