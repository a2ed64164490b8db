"""Weights from a file into a model."""

import pickle
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from placenorm.errors import ModelError
from placenorm.lookup import find_file

_SHOWN_KEYS = 3
"""So many keys of a kind are named in an error; a wrong checkpoint has hundreds."""

_COUNTER = "num_batches_tracked"
"""Norms from before torch 0.4.1 were saved without it; torch fills it in, and so do we."""


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Load the weights of a checkpoint into a model, in place and on the CPU.

    Args:
        model: the model; left as it was if anything does not fit.
        path: a ``.safetensors`` file (needs the package safetensors), or a state dict that ``torch.save`` wrote.
            It is read with ``weights_only=True``: a file cannot run code.

    Raises:
        ModelError: if the file is missing, damaged or no state dict, or if a key or a shape does not fit the model.
    """
    file = find_file(path)
    if not file.is_file():
        raise ModelError(f"Cannot load the weights {file}: there is no such file; check the path.")
    state = _read_safetensors(file) if file.suffix == ".safetensors" else _read_state_dict(file)
    complaints = _compare_keys(model.state_dict(), state)
    if complaints:
        raise ModelError(
            f"The weights {file} do not fit the model: {'; '.join(complaints)}; give the checkpoint of this very model."
        )
    model.load_state_dict(state, strict=False)  # compared above, all but the counters of old norms


def _read_safetensors(file: Path) -> Mapping[str, Tensor]:
    try:
        safetensors = import_module("safetensors.torch")  # optional, so by name: type checks pass without it
    except ImportError as error:
        raise ModelError(
            f"Cannot load the weights {file}: reading it needs the package safetensors; run pip install safetensors, "
            "or save a state dict with torch.save."
        ) from error
    try:
        state: dict[str, Tensor] = safetensors.load_file(file)
    except Exception as error:  # its own SafetensorError derives from Exception alone
        raise ModelError(
            f"Cannot load the weights {file}: it is damaged, not readable or no safetensors file "
            f"({type(error).__name__}); write it again."
        ) from error
    return state


def _read_state_dict(file: Path) -> Mapping[str, Tensor]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        whole = isinstance(error, pickle.UnpicklingError) and "Unsupported" in str(error)
        why = (
            "it holds more than tensors"
            if whole
            else f"it is damaged, not readable or not written by torch.save ({type(error).__name__})"
        )
        raise ModelError(
            f"Cannot load the weights {file}: {why}; save the weights alone with torch.save(model.state_dict(), path)."
        ) from error
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        holds = f"entries such as {_name_some(map(str, state))}" if isinstance(state, Mapping) else type(state).__name__
        raise ModelError(
            f"Cannot load the weights {file}: it holds {holds}, not a state dict; "
            "save the weights alone with torch.save(model.state_dict(), path)."
        )
    return state


def _compare_keys(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    missing = [key for key in own if key not in given and not key.endswith(_COUNTER)]
    unknown = [key for key in given if key not in own]
    reshaped = [
        f"{key} (model {list(own[key].shape)}, file {list(given[key].shape)})"
        for key in own
        if key in given and own[key].shape != given[key].shape
    ]
    complaints = []
    if missing:
        complaints.append(f"the file lacks {_name_some(missing)}")
    if unknown:
        complaints.append(f"the model lacks {_name_some(unknown)}")
    if reshaped:
        complaints.append(f"shapes differ at {_name_some(reshaped)}")
    return complaints


def _name_some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _SHOWN_KEYS
    return ", ".join(listed[:_SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")
