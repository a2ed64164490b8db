"""Activations in, moments per channel out, as tensors on the same device: nothing waits for the device here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

LEAST_SLOPE: Final = 0.01
"""Below this share of an activation's largest slope a value counts as saturated."""

_TANH_FLAT = 2.993  # 1 - tanh(x)^2 = 0.01
_SIGMOID_FLAT = 5.986  # 4 s(x) (1 - s(x)) = 0.01
_SOFTSIGN_FLAT = 9.0  # 1 / (1 + |x|)^2 = 0.01


def is_readable(x: object) -> bool:
    """Whether something is a plain tensor of real numbers, and not empty: what moments can be taken of."""
    return (
        isinstance(x, Tensor)
        and x.layout == torch.strided
        and x.is_floating_point()
        and x.dim() > 0
        and x.numel() > 0
        and not x.is_meta
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
    )


@dataclass(frozen=True, slots=True)
class Values:
    """Activations with their channels.

    Attributes:
        x: ``[N, C, *]``, or with the channels on another axis; no gradient, float32 or wider.
        axis: the axis of the channels.
    """

    x: Tensor
    axis: int

    @property
    def places(self) -> tuple[int, ...]:
        """The axes that are neither samples nor channels."""
        return tuple(axis for axis in range(1, self.x.dim()) if axis != self.axis)

    @property
    def channels(self) -> int:
        """C."""
        return self.x.shape[self.axis]

    @property
    def samples(self) -> int:
        """N."""
        return self.x.shape[0]

    @property
    def per_channel(self) -> int:
        """M, values per channel."""
        return self.x.numel() // self.channels

    def average(self, y: Tensor) -> Tensor:
        """Return the means per channel of something of the same shape, ``[C]``."""
        return y.mean(tuple(axis for axis in range(y.dim()) if axis != self.axis))


def see_values(x: Tensor, axis: int = 1) -> Values:
    """Return a tensor with its channel axis; one without a batch axis as one sample, a narrow one as float32.

    Args:
        x: a readable tensor.
        axis: axis of the channels, where there are two axes or more.
    """
    x = x.detach()
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    x = x.unsqueeze(0) if x.dim() == 1 else x
    return Values(x, axis % x.dim())


@dataclass(frozen=True, slots=True)
class SampleMoments:
    """What one side of a call is like, sample by sample.

    Attributes:
        centres: mean of each sample and channel over its places, ``[N, C]``.
        lengths: Euclidean length of the rest, ``[N, C]``; None where there is one place.
        places: values of one sample and channel.
    """

    centres: Tensor
    lengths: Tensor | None
    places: int


def measure_samples(values: Values) -> SampleMoments:
    """Return the moments of each sample and channel.

    The spread is taken around the mean, in two passes: a mean of 1e3 beside a deviation of 0.1 does no harm. Planes in
    float32 on the processor have a kernel of their own, three to six times as fast as the operators below.
    `torch.var_mean` gives the same and took 20 to 70 times as long on a CPU, torch 2.14: more than the convolutions.

    Args:
        values: the activations.
    """
    x, places = values.x, values.places
    if not places:
        return SampleMoments(x.clone(), None, 1)  # what comes next may work in place
    if x.device.type == "cpu" and values.axis == 1:
        from placenorm.kernels.cpu import planes  # it brings numba, which takes half a second

        if planes.covers(x):
            return SampleMoments(*planes.measure_planes(x), values.per_channel // values.samples)
    centres = x.mean(places, keepdim=True)
    lengths = torch.linalg.vector_norm(x - centres, 2, places)
    return SampleMoments(centres.view(lengths.shape), lengths, values.per_channel // values.samples)


def join_samples(sides: Sequence[SampleMoments]) -> Tensor:
    """Return the moments per channel of several sides at once: a dozen small ops for all instead of for each.

    Args:
        sides: sides with the same number of samples, on one device, of one type.

    Returns:
        ``[3, C]`` over the channels of all sides in order: mean; variance of the samples' means, 0 with one sample;
        mean over samples of the squared lengths, which over the places is the variance within samples.
    """
    centres = torch.cat([side.centres for side in sides], 1)
    lengths = [torch.zeros_like(side.centres) if side.lengths is None else side.lengths for side in sides]
    mean = centres.mean(0)
    return torch.stack([mean, (centres - mean).square_().mean(0), torch.cat(lengths, 1).square_().mean(0)])


def measure_shape(values: Values) -> Tensor:
    """Return the skewness, the kurtosis and the share of exact zeros of every channel, a row each.

    The kurtosis is not the excess: a normal has 3. Both are 0 for a constant.

    Args:
        values: the activations.

    Returns:
        ``[3, C]``.
    """
    x = values.x
    wide = [1] * x.dim()
    wide[values.axis] = values.channels
    rest = x - values.average(x).view(wide)
    squares = rest.square()
    var = values.average(squares)
    scale = torch.where(var > 0, var, 1.0).rsqrt()
    skewness = values.average(rest * squares) * scale**3
    return torch.stack([skewness, values.average(squares.square_()) * scale**4, values.average((x == 0).to(x.dtype))])


def measure_spread(x: Tensor) -> Tensor:
    """Return how much the samples of a batch differ: root mean square over places of the standard deviation over
    samples, as a share of the root mean square of the values; 0 for zeros, ``[1, 1]``.

    Args:
        x: ``[N, *]``.
    """  # noqa: D205 - one sentence
    x = x.detach()
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    size = torch.linalg.vector_norm(x)
    apart = torch.linalg.vector_norm(x - x.mean(0, keepdim=True))
    return torch.where(size == 0, size, apart / size).view(1, 1)


def _above(x: Tensor, threshold: float) -> Tensor:
    """Return 1 where x is above a threshold and 0 elsewhere, in x's type: far quicker on a CPU than a comparison."""
    return (x - threshold if threshold else x).sign().clamp_(min=0)


def _beyond(threshold: float) -> Callable[[Tensor], Tensor]:
    return lambda x: _above(x.abs(), threshold)


ACTIVE: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "ReLU": lambda x: _above(x, 0.0),
    "ReLU6": lambda x: _above(x, 0.0) * _above(-x, -6.0),
    "Hardswish": lambda x: _above(x, -3.0),
    "Hardsigmoid": lambda x: _above(-x.abs(), -3.0),
}
"""Where the slope of a ReLU-like activation is not zero, by its input: one entry for each in `RELU_LIKE`."""

SATURATED: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "ReLU6": lambda x: 1 - _above(-x, -6.0),
    "Hardsigmoid": lambda x: 1 - _above(-x.abs(), -3.0),
    "Tanh": _beyond(_TANH_FLAT),
    "Sigmoid": _beyond(_SIGMOID_FLAT),
    "Softsign": _beyond(_SOFTSIGN_FLAT),
}
"""Where an activation is flat, by its input, but for the off side of a ReLU."""


def measure_activity(values: Values, name: str) -> Tensor:
    """Return the shares of active and of saturated values of every unit, a row each.

    Args:
        values: the true input of an activation.
        name: the name of its module.

    Returns:
        ``[1, C]``, or ``[2, C]`` for one of `SATURATED`; 0 to 1. A share is 0 only where no value was active.
    """
    active = ACTIVE.get(name, ACTIVE["ReLU"])
    rows = [values.average(active(values.x))]
    if name in SATURATED:
        rows.append(values.average(SATURATED[name](values.x)))
    return torch.stack(rows)
