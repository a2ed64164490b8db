"""New norms by choice: torch's, ours, or what the user's own function builds."""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from placenorm.errors import UsageError, first_line
from placenorm.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from placenorm.randomness import fix_seed

NormFactory = Callable[[int, int], nn.Module]
"""Builds a norm from the number of channels and the rank of the tensor it will see (2 for [N, D])."""

NormChoice = Literal["torch", "placenorm"] | NormFactory

_KINDS: dict[str, dict[int, type[nn.Module]]] = {
    "torch": {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d},
    "placenorm": {2: BatchNorm1d, 3: BatchNorm1d, 4: BatchNorm2d, 5: BatchNorm3d},
}


def check_norm(norm: NormChoice) -> None:
    """Raise an error unless a choice of norms is a known name or a function.

    Raises:
        UsageError: naming the words there are.
    """
    if isinstance(norm, type):
        raise UsageError(
            f"Cannot build norms from the class {norm.__name__} itself: give a function of (channels, rank of the "
            f"tensor), such as lambda channels, rank: {norm.__name__}(channels)."
        )
    if not callable(norm) and norm not in _KINDS:
        raise UsageError(
            f"Unknown norm {norm!r}: use one of {', '.join(_KINDS)}, or a function of (channels, rank of the tensor)."
        )


def build_norm(norm: NormChoice, channels: int, rank: int) -> nn.Module:
    """Return a new norm for a tensor of a rank from 2 to 5.

    Raises:
        UsageError: if the user's function does not build one.
    """
    if not callable(norm):
        return _KINDS[norm][rank](channels)
    try:
        module = norm(channels, rank)
    except Exception as error:  # the user's own function, anything can come out of it
        raise UsageError(
            f"The function given as norm fails for {channels} channels and a tensor of rank {rank}: "
            f"{first_line(error)}; let it take (channels, rank) and return an nn.Module."
        ) from error
    if not isinstance(module, nn.Module):
        raise UsageError(
            f"The function given as norm returned a {type(module).__name__} for {channels} channels and a tensor of "
            f"rank {rank}: return an nn.Module."
        )
    return module


def try_norms(norm: NormChoice, shapes: Iterable[tuple[int, ...]]) -> None:
    """Raise an error unless the user's function builds norms that take tensors of these shapes and keep them.

    Raises:
        UsageError: naming the shape that its norm does not take.
    """
    if not callable(norm):
        return
    for shape in dict.fromkeys(shapes):
        with fix_seed(), torch.no_grad():
            module = build_norm(norm, shape[1], len(shape)).eval()
            like = next((parameter for parameter in module.parameters()), torch.zeros(()))
            try:
                output = module(torch.zeros(shape, device=like.device, dtype=like.dtype))
            except Exception as error:  # the user's own module
                raise UsageError(
                    f"The {type(module).__name__} that the function given as norm built does not take a tensor of "
                    f"shape {list(shape)}: {first_line(error)}; build another for rank {len(shape)}, or leave such "
                    "blocks out with filter."
                ) from error
        if not isinstance(output, Tensor) or output.shape != shape:
            raise UsageError(
                f"The {type(module).__name__} that the function given as norm built turns a tensor of shape "
                f"{list(shape)} into {list(output.shape) if isinstance(output, Tensor) else type(output).__name__}: "
                "a norm keeps the shape."
            )


def replace_module(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put a module in another's place under every parent that holds it: a list and a Sequential can share one.

    Args:
        model: the model that holds the old one.
        old: the module that goes; the new one may hold it.
        new: the module that comes.
    """
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)
