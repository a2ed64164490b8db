"""The shape of the distributions in a trained network, site by site: skewness, excess kurtosis, exact zeros."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.article.experiments.networks import ACTIVATIONS
from placenorm.probe.moments import measure_shape, see_values

CONSTANT: Final = 1e-9
"""Standard deviation beside the root mean square at which a channel is constant: in float64 all else is rounding."""

NORMAL_KURTOSIS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Shape:
    """The distribution of each channel at one site.

    Attributes:
        skewness: ``[C]``, of channels that are not constant.
        kurtosis: their excess kurtosis, ``[C]``; a normal has 0.
        zeros: share of values of all channels that are exactly zero, 0 to 1.
    """

    skewness: Tensor
    kurtosis: Tensor
    zeros: float

    @property
    def skew(self) -> float | None:
        """Median size of the skewness; None where all channels are constant."""
        return float(self.skewness.abs().median()) if len(self.skewness) else None

    @property
    def excess(self) -> float | None:
        """Median size of the excess kurtosis; None where all channels are constant."""
        return float(self.kurtosis.abs().median()) if len(self.kurtosis) else None


@dataclass(frozen=True, slots=True)
class Shapes:
    """What was found in a network, each kind of site in the order they run.

    Attributes:
        sites: by kind: ``input``, ``norm-in``, ``norm-out``, ``activation`` and ``pool`` (what they return).
        skewness_change: largest change of a channel's skewness by a norm, as a share of 1 + its size; the sign of
            gamma is taken out.
        kurtosis_change: the same of the kurtosis.
        constant: share of the norms' channels that do not vary at all.
    """

    sites: dict[str, list[Shape]]
    skewness_change: float
    kurtosis_change: float
    constant: float


def measure_shapes(model: nn.Module, x: Tensor) -> Shapes:
    """Return the shapes that samples have in a network, in evaluation mode and float64.

    Args:
        model: the network, of float64; its mode is evaluation's.
        x: samples, ``[N, *]``, float64.
    """
    sites: dict[str, list[Shape]] = {"input": [_describe(x, _varies(x))]}
    changes: list[Tensor] = []
    varying: list[Tensor] = []

    def note_norm(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        assert isinstance(module, _BatchNorm)
        varies = _varies(args[0]) & (module.weight != 0)
        before, after = _describe(args[0], varies), _describe(output, varies)
        sites.setdefault("norm-in", []).append(before)
        sites.setdefault("norm-out", []).append(after)
        varying.append(varies)
        sign = module.weight.detach()[varies].sign()
        pairs = ((before.skewness, sign * after.skewness), (before.kurtosis, after.kurtosis))
        changes.append(torch.stack([(old - new).abs() / (1 + old.abs()) for old, new in pairs]))

    def note(kind: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            sites.setdefault(kind, []).append(_describe(output, _varies(output)))

        return hook

    handles = []
    # A norm may run as a hook of the module that it follows: what that module itself returns is seen before it.
    activations = tuple({type(make()) for make in ACTIVATIONS.values()})
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            handles.append(module.register_forward_hook(note_norm))
        elif isinstance(module, activations):
            handles.append(module.register_forward_hook(note("activation"), prepend=True))
        elif isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
            handles.append(module.register_forward_hook(note("pool"), prepend=True))
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    change = torch.cat(changes, 1)
    largest = change.amax(1) if change.shape[1] else change.new_zeros(2)
    constant = 1 - float(torch.cat(varying).double().mean())
    return Shapes(sites, float(largest[0]), float(largest[1]), constant)


def _varies(x: Tensor) -> Tensor:
    """Return which channels are not constant, ``[C]``."""
    flat = x.movedim(1, 0).flatten(1)
    return flat.std(1, correction=0) > CONSTANT * flat.square().mean(1).sqrt()


def _describe(x: Tensor, varies: Tensor) -> Shape:
    skewness, kurtosis, zeros = measure_shape(see_values(x))
    return Shape(skewness[varies], kurtosis[varies] - NORMAL_KURTOSIS, float(zeros.mean()))
