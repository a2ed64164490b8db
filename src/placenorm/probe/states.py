"""A model in, plain values out: what its norms, weight ops and dropouts hold, and what its norms read on data."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from placenorm.errors import DataError, UsageError, first_line
from placenorm.facts.state import LayerState, NetworkState, NormGap, NormState
from placenorm.graph.tracing import split_inputs, undisturbed
from placenorm.graph.vocabulary import WEIGHT_MODULES, kind_of_module
from placenorm.probe.measuring import ChannelMoments, check_batches, fit_inputs, read_batches

MEASURED = "_placenorm_measured"
"""Attribute of a norm: the count of batches at which its running statistics were measured as a plain average."""


def read_state(model: nn.Module, optimizer: Optimizer | None = None, data: object = None) -> NetworkState:
    """Return what a model's norms and their neighbours hold; the model stays as it is.

    Args:
        model: the model.
        optimizer: what trains it, for weight decay and for norms that it forgets.
        data: a tensor or an iterable of batches, for what the norms read; None for settings and statistics alone.

    Raises:
        UsageError: if the optimizer is none.
        DataError: if the data have no batch that the model takes.
    """
    decays = _read_decays(optimizer)
    norms = {
        path: _read_norm(path, module, decays)
        for path, module in model.named_modules()
        if isinstance(module, _BatchNorm)
    }
    gaps, batches = ({}, 0) if data is None else measure_gaps(model, data)
    return NetworkState(
        norms=norms,
        layers={path: state for path, module in model.named_modules() if (state := _read_layer(path, module))},
        gaps=gaps,
        batches=batches,
        training=model.training,
    )


def measure_gaps(model: nn.Module, data: object) -> tuple[dict[str, NormGap], int]:
    """Return what each norm reads on data, against its running statistics, and how many batches there were.

    The norms normalise by their batches meanwhile and everything else evaluates, so that a norm whose statistics are
    off does not put off those behind it.

    Args:
        model: the model; it is left as it was.
        data: a tensor, or an iterable of batches, the input first in each.

    Raises:
        DataError: if there is no batch, or the model does not run on one.
    """
    check_batches(data)
    norms = {path: module for path, module in model.named_modules() if isinstance(module, _BatchNorm)}
    readers = {path: _GapReader() for path in norms}
    handles = [norm.register_forward_pre_hook(readers[path], with_kwargs=True) for path, norm in norms.items()]
    samples = batches = 0
    try:
        with undisturbed(model):
            for norm in norms.values():
                norm.training = True
                norm.momentum = 0.0  # the running statistics stay; what is left of them is put back in the end
            for batches, inputs in enumerate(read_batches(data), start=1):
                fitted = fit_inputs(model, inputs)
                samples += _count_samples(fitted)
                for reader in readers.values():
                    reader.latest = 0
                args, kwargs = split_inputs(fitted)
                try:
                    model(*args, **kwargs)
                except Exception as error:  # the user's forward, anything can come out of it
                    if any(reader.latest == 1 for reader in readers.values()):
                        continue  # one value per channel: the norm's own error, and what `least` tells
                    raise DataError(
                        f"{type(model).__name__} does not run on batch {batches} of the data: {first_line(error)}; "
                        "give batches that the model takes, the input first in each."
                    ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not samples:
        raise DataError("There is no sample in the data to look at the norms with: give at least one batch.")
    gaps = {path: readers[path].close(path, norm) for path, norm in norms.items() if readers[path].moments.count}
    return gaps, batches


class _GapReader:
    """The moments of what one norm reads, and how few values it got at a time."""

    def __init__(self) -> None:
        self.moments = ChannelMoments()
        self.least = 0
        self.latest = 0
        self.places = 0
        self.samples = 0
        self.low: Tensor | None = None
        self.high: Tensor | None = None

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x: Tensor = (args[0] if args else next(iter(kwargs.values()))).detach()
        values = x.movedim(1, 0).flatten(1)
        if not values.numel():
            return
        self.moments.add(x)
        self.latest = values.shape[1]
        self.least = values.shape[1] if not self.least else min(self.least, values.shape[1])
        self.samples += len(x)
        self.places = values.shape[1] // len(x)
        low, high = values.amin(1), values.amax(1)
        self.low = low if self.low is None else torch.minimum(self.low, low)
        self.high = high if self.high is None else torch.maximum(self.high, high)

    def close(self, path: str, norm: nn.Module) -> NormGap:
        """Return the gap between what was read and the running statistics of a norm."""
        moments, tracked = self.moments, isinstance(norm, _BatchNorm) and norm.running_mean is not None
        finite = moments.is_finite()
        mean_gap, noise, var_ratio, var_spread = 0.0, 0.0, 1.0, 1.0
        if tracked and finite:
            assert isinstance(norm, _BatchNorm)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert moments.mean is not None
            running = norm.running_var.double() + norm.eps
            ratio = (moments.var_unbiased + norm.eps) / running
            mean_gap = float(((moments.mean - norm.running_mean.double()).square() / running).mean().sqrt())
            noise = _expected_gap(norm, self.samples, moments.batches)
            var_ratio = float(ratio.median())
            var_spread = float(ratio.log().abs().median().exp())
        constant = 0 if self.low is None or self.high is None else int((self.low == self.high).sum())
        return NormGap(
            path,
            moments.batches,
            self.least,
            self.places,
            finite,
            mean_gap,
            noise,
            var_ratio,
            var_spread,
            constant,
            samples=self.samples,
        )


def _expected_gap(norm: _BatchNorm, samples: int, batches: int) -> float:
    """Return how far means would be from the running means by chance, in standard deviations, at the most.

    The places of one sample may all hold one value, so samples count and not places. The running mean is an
    exponential average: its variance is ``m / (2 - m)`` of one batch's.
    """
    decay = norm.momentum
    share = 1 / max(int(norm.num_batches_tracked or 1), 1) if decay is None else decay / (2 - decay)
    return math.sqrt(1 / samples + share / (samples / batches))


def find_idle_dropouts(model: nn.Module) -> frozenset[str]:
    """Return the paths of the dropouts that drop nothing, since their probability is 0."""
    return frozenset(path for path, module in model.named_modules() if 0 in _drop_shares(module))


def _drop_shares(module: nn.Module) -> list[float]:
    """Return the shares that a module may drop, by the names that dropouts give them; a GeM pool has a p of its own."""
    if kind_of_module(module) != "dropout":
        return []
    held = (getattr(module, name, None) for name in ("p", "drop_prob"))
    return [float(value) for value in held if isinstance(value, (int, float))]


def _count_samples(inputs: object) -> int:
    tensors = inputs.values() if isinstance(inputs, dict) else inputs if isinstance(inputs, tuple) else (inputs,)
    return next((len(each) for each in tensors if isinstance(each, Tensor) and each.dim()), 0)


def _read_norm(path: str, norm: _BatchNorm, decays: dict[int, float] | None) -> NormState:
    own = [parameter for parameter in (norm.weight, norm.bias) if parameter is not None]
    held = [*own, *(buffer for buffer in (norm.running_mean, norm.running_var) if buffer is not None)]
    values = [tensor.detach() for tensor in held if not tensor.is_meta and tensor.numel()]
    var = norm.running_var if norm.running_var is not None and not norm.running_var.is_meta else None
    updates = norm.num_batches_tracked
    typed = next(iter(held), None)
    return NormState(
        path=path,
        layer=type(norm).__name__,
        channels=norm.num_features,
        eps=norm.eps,
        momentum=norm.momentum,
        affine=norm.affine,
        tracks=norm.running_mean is not None,
        training=norm.training,
        learns=any(parameter.requires_grad for parameter in own),
        dtype="" if typed is None else str(typed.dtype).removeprefix("torch."),
        updates=None if updates is None or updates.is_meta else int(updates),
        finite=all(bool(tensor.isfinite().all()) for tensor in values),
        negative_var=0 if var is None else int((var < 0).sum()),
        still=0 if var is None else int((var < norm.eps).sum()),
        median_var=None if var is None or not var.numel() else float(var.double().median()),
        fresh=_is_fresh(norm),
        measured=updates is not None and not updates.is_meta and norm.__dict__.get(MEASURED) == int(updates),
        zero_gammas=0 if norm.weight is None or norm.weight.is_meta else int((norm.weight == 0).sum()),
        decay=None if decays is None else max((decays.get(id(parameter), 0.0) for parameter in own), default=0.0),
        optimized=None if decays is None else all(id(parameter) in decays for parameter in own),
    )


def _is_fresh(norm: _BatchNorm) -> bool:
    """Whether running statistics are what a norm starts with: mean 0 and variance 1, or no batch on the meta device."""
    if norm.running_mean is None or norm.running_var is None:
        return False
    if norm.running_mean.is_meta:
        counted = norm.num_batches_tracked
        return counted is not None and not counted.is_meta and not int(counted)
    return bool((norm.running_mean == 0).all()) and bool((norm.running_var == 1).all())


def _read_layer(path: str, module: nn.Module) -> LayerState | None:
    if isinstance(module, WEIGHT_MODULES):
        return LayerState(path, type(module).__name__, bias=getattr(module, "bias", None) is not None)
    dropped = next(iter(_drop_shares(module)), 0.0)
    return LayerState(path, type(module).__name__, dropped=dropped) if dropped else None


def _read_decays(optimizer: Optimizer | None) -> dict[int, float] | None:
    """Return the weight decay of every parameter that an optimizer holds, by the parameter's id."""
    if optimizer is None:
        return None
    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"Cannot look into a {type(optimizer).__name__}: give the torch optimizer of the model.")
    groups: Iterable[dict[str, Any]] = optimizer.param_groups
    return {id(parameter): float(group.get("weight_decay", 0.0)) for group in groups for parameter in group["params"]}
