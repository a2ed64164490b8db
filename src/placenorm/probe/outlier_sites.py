"""A batch through a model in, what describes each of its samples out: at every norm, and at the network's input."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from placenorm.errors import DataError, first_line
from placenorm.graph.tracing import ExampleInputs, map_tensors, split_inputs, undisturbed
from placenorm.graph.vocabulary import kind_of_call
from placenorm.probe.measuring import fit_inputs

SPREAD_FLOOR = 1e-3
"""Added to the spread of a channel over its places before the logarithm: a channel without any has one, too."""


JOINT_FEATURES = 1024
"""Most features whose correlations are kept: 8 MB a site, and 512 channels."""


@dataclass(frozen=True, slots=True)
class SiteBatch:
    """A batch at one site.

    Attributes:
        layer: class of the norm; "input" for the network's input.
        features: what describes each sample, ``[N, D]``, float64.
        joint: whether correlations between the features count.
        peaks: the largest ``|z|`` of each sample, ``[N]``; None at the input, where the clean samples' moments give it.
        values: number of values per channel that z was taken by, itself among them; None for running statistics.
    """

    layer: str
    features: Tensor
    joint: bool
    peaks: Tensor | None = None
    values: int | None = None


class OutlierReader:
    """Reads what describes each sample of a batch: at every norm that runs, and at the network's input.

    A norm describes a sample by two numbers a channel: the mean and the logarithm of the spread over places of
    ``z = (x - mean) / sqrt(var + eps)``, before gamma and beta. Of z with no places, and at the network's input, all
    values are features; the input has a second site, described as a norm is.

    Args:
        model: the model; hooks are on it while `attached`, and gone after, also after an exception.

    Attributes:
        samples: number of samples in the batch that was read last.
        skipped: sites where samples cannot be told apart or compared, and why.
    """

    def __init__(self, model: nn.Module) -> None:
        self.skipped: dict[str, str] = {}
        self._model = model
        self._calls: Counter[str] = Counter()
        self._seen: dict[str, SiteBatch] = {}
        self._inside = 0  # norms that are running
        self.samples = 0

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Run a block with the hooks on the model, in evaluation mode; all is as it was after."""
        handles: list[RemovableHandle] = []
        with undisturbed(self._model), _FunctionalNorms(self._note_functional):
            try:
                for path, module in self._model.named_modules():
                    if isinstance(module, _BatchNorm):
                        handles.append(module.register_forward_pre_hook(self._note(path), with_kwargs=True))
                        handles.append(module.register_forward_hook(self._leave, always_call=True))
                yield
            finally:
                for handle in handles:
                    handle.remove()

    def read(self, inputs: ExampleInputs, number: int, what: str) -> dict[str, SiteBatch]:
        """Return what a batch is like at every site, in the order they run.

        A sample whose input is not finite is infinitely far there. It does not run: another stands in for it, so
        that norms that take the statistics of the batch do not spread it over the others.

        Args:
            inputs: what to call the model with.
            number: of the batch, from 1, for the message.
            what: "data" or "clean data", for the message.

        Raises:
            DataError: if the model does not run on it, or it has no batch axis.
        """
        fitted = fit_inputs(self._model, inputs)
        tensors = list_inputs(fitted)
        sizes = {len(x) for x in tensors.values()}
        if len(sizes) != 1:
            raise DataError(
                f"Cannot tell the samples of batch {number} of the {what} apart: its inputs have "
                f"{' and '.join(map(str, sorted(sizes))) or 'no'} rows; give tensors with the samples on axis 0."
            )
        self.samples = sizes.pop()
        self._seen, self._calls, self._inside = {}, Counter(), 0
        if not self.samples:
            return {}
        finite = torch.ones(self.samples, dtype=torch.bool)
        for key, x in tensors.items():
            if x.is_floating_point():
                self._note_input(key, x.detach())
                finite &= x.detach().flatten(1).isfinite().all(1).cpu() if x.dim() > 1 else x.isfinite().cpu()
        self._run(_stand_in(fitted, finite, self.samples), number, what)
        return {key: _spoil(seen, finite) for key, seen in self._seen.items()}

    def _run(self, inputs: ExampleInputs, number: int, what: str) -> None:
        args, kwargs = split_inputs(map_tensors(lambda x: x.detach().clone(), inputs))  # it may work in place
        try:
            self._model(*args, **kwargs)
        except Exception as error:  # the user's forward, anything can come out of it
            raise DataError(
                f"{type(self._model).__name__} does not run on batch {number} of the {what}: {first_line(error)}; give "
                "batches that the model takes, the input first in each."
            ) from error

    def _note_input(self, key: str, x: Tensor) -> None:
        values = x.double()
        if key not in self.skipped:
            self._seen[key] = SiteBatch("input", values.reshape(len(x), -1), joint=False)
        if x.dim() > 1:
            self._seen[f"{key}:channels"] = self._make_batch("input", describe_channels(values))

    def _note(self, path: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
        def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            assert isinstance(module, _BatchNorm)
            self._inside += 1
            self._calls[path] += 1
            key = path if self._calls[path] == 1 else f"{path}#{self._calls[path]}"
            x: Tensor = args[0] if args else next(iter(kwargs.values()))
            if len(x) != self.samples:
                self.skipped[key] = f"it reads {len(x)} rows for {self.samples} samples"
                return
            z, values = normalise(x.detach(), module)
            self._seen[key] = self._make_batch(
                type(module).__name__, describe_channels(z), find_largest(z.flatten(1)), values
            )

        return note

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._inside -= 1

    def _note_functional(self) -> None:
        if not self._inside:
            self.skipped["F.batch_norm"] = "it is called outside a norm, and no path says where"

    def _make_batch(
        self, layer: str, features: Tensor, peaks: Tensor | None = None, values: int | None = None
    ) -> SiteBatch:
        return SiteBatch(layer, features, features.shape[1] <= JOINT_FEATURES, peaks, values)


class _FunctionalNorms(TorchFunctionMode):
    """Says that a batch norm is called, as a module or not."""

    def __init__(self, note: Callable[[], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if kind_of_call(func) == "norm":
            self._note()
        return func(*args, **(kwargs or {}))


def list_inputs(inputs: ExampleInputs) -> dict[str, Tensor]:
    """Return the tensors that a model is called with, ``input`` where there is one, ``input:NAME`` where several."""
    args, kwargs = split_inputs(inputs)
    named = {str(place): value for place, value in enumerate(args)} | kwargs
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor) and value.dim()}
    return {"input" if len(tensors) == 1 else f"input:{name}": value for name, value in tensors.items()}


def normalise(x: Tensor, norm: _BatchNorm) -> tuple[Tensor, int | None]:
    """Return what a norm makes of its input in evaluation, before gamma and beta.

    Args:
        x: ``[N, C, *]``.
        norm: the norm.

    Returns:
        ``(x - mean) / sqrt(var + eps)``, float64, by the running statistics; and None. Where the norm keeps none: by
        the batch's, and the number of values per channel in it.
    """
    values = x.double()
    if norm.running_mean is not None and norm.running_var is not None:
        mean, var, count = norm.running_mean.double(), norm.running_var.double(), None
    else:
        flat = values.movedim(1, 0).flatten(1)
        mean, var, count = flat.mean(1), flat.var(1, correction=0), flat.shape[1]
    shape = (1, -1, *[1] * (x.dim() - 2))
    return (values - mean.view(shape)) / (var + norm.eps).sqrt().view(shape), count


def describe_channels(z: Tensor) -> Tensor:
    """Return the mean and the logarithm of the spread over places of every channel of every sample.

    Args:
        z: ``[N, C, *]``, float64.

    Returns:
        ``[N, 2C]``; ``[N, C]``, the values themselves, where there is one place or no axis of places.
    """
    flat = z.reshape(len(z), z.shape[1], -1)
    if flat.shape[2] == 1:
        return flat[..., 0]
    spread = flat.std(2, correction=0)
    return torch.cat([flat.mean(2), (spread + SPREAD_FLOOR).log()], dim=1)


def find_largest(z: Tensor) -> Tensor:
    """Return the largest size in each row, infinite where one is not finite."""
    return z.abs().nan_to_num(nan=math.inf, posinf=math.inf).flatten(1).amax(1)


def _spoil(seen: SiteBatch, finite: Tensor) -> SiteBatch:
    """Return a batch with the samples infinitely far whose input is not finite."""
    if bool(finite.all()):
        return seen
    keep = finite.to(seen.features.device)
    features = seen.features.masked_fill(~keep[:, None], math.nan)
    peaks = None if seen.peaks is None else seen.peaks.masked_fill(~keep, math.inf)
    return replace(seen, features=features, peaks=peaks)


def _stand_in(inputs: ExampleInputs, finite: Tensor, samples: int) -> ExampleInputs:
    """Return inputs in which a finite sample, or 0 where there is none, stands for each that is not finite."""
    if bool(finite.all()):
        return inputs

    def mend(x: Any) -> Any:
        if not isinstance(x, Tensor) or not x.dim() or len(x) != samples:
            return x
        if not bool(finite.any()):
            return torch.zeros_like(x)
        order = torch.where(finite, torch.arange(samples), int(finite.nonzero()[0]))
        return x[order.to(x.device)]

    if isinstance(inputs, dict):
        return {name: mend(value) for name, value in inputs.items()}
    return tuple(mend(value) for value in inputs) if isinstance(inputs, tuple) else mend(inputs)
