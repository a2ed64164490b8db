"""Activations in, moments per channel out, as tensors on the same device: nothing waits for the device here."""

from collections.abc import Callable
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


def measure_moments(values: Values, *, shape: bool) -> Tensor:
    """Return the moments of every channel, a row each.

    Mean, biased variance, and the variance of the samples' means (0 with one sample); with `shape` also skewness,
    kurtosis (not the excess, 0 for a constant) and the share of exact zeros. The variance is taken around the mean, in
    two passes: a mean of 1e3 beside a deviation of 0.1 does no harm. `torch.var_mean` gives the same and took 20 to 70
    times as long on a CPU, torch 2.14, so that it would have cost more than the convolutions.

    Args:
        values: the activations.
        shape: whether to measure the shape too.

    Returns:
        ``[3, C]`` or ``[6, C]``.
    """
    x, places = values.x, values.places
    means = x.mean(places) if places else x  # [N, C]
    mean = means.mean(0)
    between = (means - mean).square_().mean(0)
    var = between
    if places:
        size = values.per_channel // values.samples
        within = torch.linalg.vector_norm(x - x.mean(places, keepdim=True), 2, places).square_().mean(0) / size
        var = within + between
    rows = [mean, var, between]
    if shape:
        wide = [1] * x.dim()
        wide[values.axis] = values.channels
        z = (x - mean.view(wide)) * torch.where(var > 0, var, 1.0).rsqrt().view(wide)
        squares = z.square()
        rows += [values.average(z * squares), values.average(squares.square_()), values.average((x == 0).to(x.dtype))]
    return torch.stack(rows)


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
