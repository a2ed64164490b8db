"""A batch: what a model is called with, and what it should have said."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from placenorm.errors import DataError
from placenorm.graph.tracing import ExampleInputs, map_tensors

TARGET_KEYS = ("target", "targets", "label", "labels", "y")
"""What the targets are called in a batch that is a mapping; the first that is there counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """One batch.

    Attributes:
        args: what the model is called with, by place.
        named: what it is called with, by name.
        targets: class of each sample ``[N]``, or values ``[N]`` or ``[N, K]``.
    """

    args: tuple[Any, ...]
    named: dict[str, Any]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def inputs(self) -> ExampleInputs:
        """What the model is called with, in the form of an example input."""
        if self.named:
            return self.named
        return self.args[0] if len(self.args) == 1 and isinstance(self.args[0], Tensor) else self.args

    def run(self, model: Callable[..., Any] | nn.Module) -> Any:
        """Return what a model gives for it."""
        return model(*self.args, **self.named)

    def to(self, device: torch.device | str) -> "Batch":
        """Return it on a device."""
        return self._map(lambda tensor: tensor.to(device))

    def take(self, samples: slice) -> "Batch":
        """Return some of its samples; a tensor without as many samples as there are targets stays whole."""
        count = len(self)
        return self._map(lambda tensor: tensor[samples] if tensor.dim() and len(tensor) == count else tensor)

    def share(self, rank: int, size: int) -> "Batch":
        """Return what one of several processes gets of it: neighbours, as many as the others get or one more."""
        if size == 1:
            return self
        least, over = divmod(len(self), size)
        start = rank * least + min(rank, over)
        return self.take(slice(start, start + least + (rank < over)))

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return Batch(map_tensors(change, self.args), map_tensors(change, self.named), change(self.targets))


def read_batch(raw: Any, where: str) -> Batch:
    """Return what a loader gave as a batch.

    A tuple or list has its targets last, and the model is called with what comes before: with each of several values,
    or with the contents of a single tuple or mapping. A mapping has its targets under one of `TARGET_KEYS`, and the
    model is called with the other values by their names; with a single one, by place. Float64 becomes float32,
    whole-number targets int64.

    Args:
        raw: what the loader gave.
        where: which loader, for the error.

    Raises:
        DataError: if there are no inputs and targets in it, or if the targets are no numbers.
    """
    if isinstance(raw, Mapping):
        key = next((key for key in TARGET_KEYS if key in raw), None)
        inputs: Any = {name: value for name, value in raw.items() if name != key}
        if key is None or not inputs:
            raise DataError(
                f"Cannot use {where}: a batch of it is a mapping with {', '.join(map(str, raw)) or 'nothing'}; name "
                f"its targets {' or '.join(TARGET_KEYS)}, beside the inputs."
            )
        targets = raw[key]
        if len(inputs) == 1:
            (inputs,) = inputs.values()
    elif isinstance(raw, tuple | list) and len(raw) > 1:
        *before, targets = raw
        inputs = before[0] if len(before) == 1 else tuple(before)
    else:
        raise DataError(
            f"Cannot use {where}: a batch of it is a {type(raw).__name__}; let it be (inputs, targets), or a mapping "
            f"with its targets under {' or '.join(TARGET_KEYS)}."
        )
    if isinstance(inputs, Mapping):
        args, named = (), {str(name): value for name, value in inputs.items()}
    else:
        args, named = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,), {}
    return Batch(map_tensors(_narrow, args), map_tensors(_narrow, named), _read_targets(targets, where))


def _read_targets(targets: Any, where: str) -> Tensor:
    try:
        tensor = targets if isinstance(targets, Tensor) else torch.as_tensor(np.asarray(targets))
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"Cannot use {where}: the targets of a batch are a {type(targets).__name__} that makes no tensor; let them "
            "be numbers, one a sample or one row a sample."
        ) from error
    if tensor.dim() not in {1, 2} or tensor.is_complex():
        raise DataError(
            f"Cannot use {where}: the targets of a batch have the shape {list(tensor.shape)}; let them be class "
            "numbers [N], or values [N] or [N, K]."
        )
    if not tensor.is_floating_point():
        if tensor.dim() != 1:
            raise DataError(
                f"Cannot use {where}: the targets of a batch are whole numbers of shape {list(tensor.shape)}; let "
                "classes be numbers [N], or make values to predict floats."
            )
        return tensor.long()
    return _narrow(tensor)


def _narrow(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float64 else tensor
