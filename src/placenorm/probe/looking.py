"""One forward pass that is looked at: tensors are gathered on their device, and moved to the host once."""

import weakref
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from placenorm.facts.graph import OpKind
from placenorm.facts.reading import Level, Mode
from placenorm.graph.values import count_writes, tensors_in
from placenorm.graph.vocabulary import activation_name
from placenorm.probe.calls import Call
from placenorm.probe.moments import (
    SampleMoments,
    is_readable,
    join_samples,
    measure_activity,
    measure_samples,
    measure_shape,
    measure_spread,
    see_values,
)

Array = NDArray[Any]

MAX_SITES: Final = 2000
"""Calls of one forward pass that are read; a network that unrolls thousands of steps is not read to its end."""

_TORCH_BATCH_NORM = 9
"""Arguments of `torch.batch_norm`, all of them needed; `F.batch_norm` has fewer, in another order."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a call.

    Attributes:
        index: its place among the sides of the look.
        shape: index of the row of its shape; None where it was not read.
        samples: N.
        per_channel: M.
    """

    index: int
    shape: int | None
    samples: int
    per_channel: int


@dataclass(frozen=True, slots=True)
class NormSettings:
    """What a norm is about to normalise with.

    Attributes:
        running: index of the row of running mean and variance; None without.
        updates: index of the row of their number of batches; None where nobody counts.
        affine: index of the row of gamma and beta; None without, or where it was not read.
        eps: what is added to the variance.
        momentum: share of the newest batch; None for a plain average.
        uses_batch: whether it normalises by its batch.
    """

    running: int | None
    updates: int | None
    affine: int | None
    eps: float
    momentum: float | None
    uses_batch: bool


@dataclass(slots=True)
class Seen:
    """One call of the look, so far."""

    key: str
    kind: OpKind
    name: str
    path: str
    axis: int = 1
    before: Side | None = None
    after: Side | None = None
    activity: int | None = None
    norm: NormSettings | None = None
    gradient: Tensor | None = None

    def note_gradient(self, gradient: Tensor) -> None:
        """Note the norm of the gradient for the output; autograd calls it, and the gradient stays as it is."""
        x = gradient.detach()
        narrow = x.dtype in (torch.float16, torch.bfloat16)
        self.gradient = torch.linalg.vector_norm(x, dtype=torch.float32 if narrow else None)


class OpenLook:
    """Gathers what is read in one forward pass, and in the backward pass behind it.

    Args:
        step: training forwards before this one.
        mode: the mode of the network.
        level: how much is read.
    """

    def __init__(self, step: int, mode: Mode, level: Level) -> None:
        self.step = step
        self.mode = mode
        self.seen: list[Seen] = []
        self.samples = 0
        self.input_spread: int | None = None
        self.output_spread: int | None = None
        self.gradient: Tensor | None = None
        self.weights: weakref.ref[nn.Parameter] | None = None
        self.unread = 0
        self._level = level
        self._rows: list[Tensor] = []
        self._sides: list[SampleMoments] = []
        self._joined: list[tuple[list[int], int]] = []  # sides that were joined, and the row that they were joined into
        self._latest: tuple[weakref.ref[Tensor], int, int, Side] | None = None

    # -- what the listener hears

    def begin(self, call: Call) -> Seen | None:
        """Read the true input of a call."""
        x = next(tensors_in((call.args, call.kwargs)))
        if (self._level == "light" and call.kind != "norm") or not is_readable(x):
            return None
        if len(self.seen) >= MAX_SITES:
            self.unread += 1
            return None
        last = call.kind == "activation" and x.dim() > 2 and x.shape[-1] == call.features
        seen = Seen(call.key, call.kind, call.name, call.path, axis=-1 if last else 1)
        self.seen.append(seen)
        seen.before = self._read(x, seen.axis)
        if call.kind == "norm":
            seen.norm = self._read_norm(call)
        if call.kind == "activation":
            seen.activity = self._keep(measure_activity(see_values(x, seen.axis), activation_name(call.name)))
        return seen

    def end(self, begun: object, output: Tensor) -> None:
        """Read the true output of a call, and ask for its gradient."""
        assert isinstance(begun, Seen)
        if self._level == "light" or not is_readable(output):
            return
        begun.after = self._read(output, begun.axis)
        if output.requires_grad:
            output.register_hook(begun.note_gradient)

    def meet_weight(self, weight: object) -> None:
        """Note the first parameter that a weight op uses: its gradient comes last."""
        if self.weights is None and isinstance(weight, nn.Parameter) and weight.requires_grad:
            self.weights = weakref.ref(weight)

    # -- what the network itself is given and returns

    def read_input(self, name: str, value: object) -> None:
        """Read the first input of the network."""
        x = _first_readable(value)
        if x is None:
            return
        if x.shape[0] > 1:
            self.input_spread = self._keep(measure_spread(x))
        if self._level != "light":
            self.seen.append(Seen(f"input:{name}", "input", "input", "", after=self._read(x, 1)))

    def read_output(self, value: object) -> None:
        """Read what the network returned."""
        found = [x for x in tensors_in(value) if is_readable(x)]
        if not found:
            return
        x = found[0]
        self.samples = x.shape[0]
        spreads = [measure_spread(each) for each in found if each.shape[0] == self.samples and each.device == x.device]
        if x.shape[0] > 1:  # anchors and the like are the same for every sample; one output that listens is enough
            self.output_spread = self._keep(torch.stack([spread.double() for spread in spreads]).amax(0))
        seen = Seen("output", "output", "output", "", after=self._read(x, 1))
        self.seen.append(seen)
        if self._level != "light" and x.requires_grad:
            x.register_hook(seen.note_gradient)

    # -- reading

    def _keep(self, row: Tensor) -> int:
        self._rows.append(row)
        return len(self._rows) - 1

    def _read(self, x: Tensor, axis: int) -> Side:
        """Return the moments of a tensor; what one call returned is often what the next one reads."""
        if self._latest is not None:
            tensor, writes, old_axis, side = self._latest
            if tensor() is x and writes == count_writes(x) and old_axis == axis and not x.is_inference():
                return side
        values = see_values(x, axis)
        shape = self._keep(measure_shape(values)) if self._level == "full" else None
        side = Side(len(self._sides), shape, values.samples, values.per_channel)
        self._sides.append(measure_samples(values))
        self._latest = weakref.ref(x), count_writes(x), axis, side
        return side

    def _read_norm(self, call: Call) -> NormSettings:
        mean, var, gamma, beta, updates, eps, momentum, uses_batch = _look_up_norm(call)
        affine = None
        if gamma is not None and self._level != "light":
            affine = self._keep(torch.stack([gamma.detach(), torch.zeros_like(gamma) if beta is None else beta]))
        return NormSettings(
            running=None if mean is None or var is None else self._keep(torch.stack([mean, var])),
            updates=None if updates is None else self._keep(updates.to(torch.float32, copy=True).view(1, 1)),
            affine=affine,
            eps=eps,
            momentum=momentum,
            uses_batch=uses_batch,
        )

    # -- the end

    def end_forward(self) -> None:
        """Let go of what was read sample by sample: the forward is over."""
        groups: defaultdict[object, list[int]] = defaultdict(list)
        for index, side in enumerate(self._sides):
            groups[side.centres.device, side.centres.dtype, len(side.centres)].append(index)
        for group in groups.values():
            self._joined.append((group, self._keep(join_samples([self._sides[index] for index in group]))))
        self._latest = None

    def fetch(self) -> "FetchedLook":
        """Return everything on the host."""
        gradients = {seen.key: seen.gradient for seen in self.seen if seen.gradient is not None}
        whole = [] if self.gradient is None else [self.gradient]
        arrays = fetch_tensors([*self._rows, *gradients.values(), *whole])
        rows, norms = arrays[: len(self._rows)], [float(array.item()) for array in arrays[len(self._rows) :]]
        sides: dict[int, Array] = {}
        for group, row in self._joined:
            members = [self._sides[index] for index in group]
            sizes = [side.centres.shape[1] for side in members]
            mean, between, squares = rows[row]
            var = squares / np.repeat([side.places for side in members], sizes) + between
            moments = np.stack([mean, var, between])
            end = 0
            for index, size in zip(group, sizes, strict=True):
                start, end = end, end + size
                sides[index] = moments[:, start:end]
        return FetchedLook(rows, sides, dict(zip(gradients, norms, strict=False)), norms[-1] if whole else None)


@dataclass(frozen=True, slots=True)
class FetchedLook:
    """What a look gathered, on the host.

    Attributes:
        rows: rows of shapes, activities, settings of norms and spreads.
        sides: mean, biased variance, and variance of the samples' means of each channel of a side, ``[3, C]``.
        gradients: norm of the gradient for the output of a call, by its key.
        gradient: norm of the gradient of all parameters; None without.
    """

    rows: list[Array]
    sides: dict[int, Array]
    gradients: dict[str, float]
    gradient: float | None


def fetch_tensors(tensors: Iterable[Tensor]) -> list[Array]:
    """Return tensors as arrays on the host, moved in one piece from each device."""
    found: dict[int, Array] = {}
    groups: defaultdict[torch.device, list[tuple[int, Tensor]]] = defaultdict(list)
    for index, tensor in enumerate(tensors):
        groups[tensor.device].append((index, tensor))
    with torch.no_grad(), torch._C.DisableTorchFunction():
        for group in groups.values():
            flat = torch.cat([tensor.reshape(-1) for _, tensor in group]).cpu().numpy()
            start = 0
            for index, tensor in group:
                found[index] = flat[start : start + tensor.numel()].reshape(tensor.shape).astype(np.float64)
                start += tensor.numel()
    return [found[index] for index in range(len(found))]


def measure_length(tensor: Tensor) -> Tensor:
    """Return the Euclidean norm of a tensor as a tensor, float32 or wider."""
    with torch.no_grad(), torch._C.DisableTorchFunction():
        x = tensor.detach()
        x = x.coalesce().values() if x.is_sparse else x
        wide = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else None
        length: Tensor = torch.linalg.vector_norm(x, dtype=wide)
        return length


def _first_readable(value: object) -> Tensor | None:
    return next((x for x in tensors_in(value) if is_readable(x)), None)


def _look_up_norm(
    call: Call,
) -> tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None, float, float | None, bool]:
    """Return running mean and variance, gamma, beta, updates, eps, momentum, and whether the batch is used."""
    module: Any = call.module
    if module is not None:
        mean, var = module.running_mean, module.running_var
        uses_batch = module.training or mean is None
        counted = module.num_batches_tracked
        return mean, var, module.weight, module.bias, counted, module.eps, module.momentum, uses_batch
    own = len(call.args) == _TORCH_BATCH_NORM
    names = (
        ("weight", "bias", "running_mean", "running_var") if own else ("running_mean", "running_var", "weight", "bias")
    )
    given = {
        "training": False,
        "momentum": 0.1,
        "eps": 1e-5,
        **dict(zip(("input", *names, "training", "momentum", "eps"), call.args, strict=False)),
        **call.kwargs,
    }
    mean, var = given.get("running_mean"), given.get("running_var")
    uses_batch = bool(given["training"]) or mean is None
    return mean, var, given.get("weight"), given.get("bias"), None, given["eps"], given["momentum"], uses_batch
