"""A11: data are not Gaussian, yet we treat them so, and the normal's properties then hold."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from placenorm import layers

SAMPLES = 20_000
DATA: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda z: z,
    "after-relu": torch.relu,
    "exponential": lambda z: -torch.special.log_ndtr(z),
    "discrete": lambda z: z.mul(2.0).round(),
    "two-valued": lambda z: (z > 1.0).double(),
}


def _draw() -> Tensor:
    return torch.randn(SAMPLES, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def _moments(x: Tensor) -> tuple[float, float]:
    """Return skewness and kurtosis."""
    x = x.detach()
    centred = x - x.mean()
    std = centred.square().mean().sqrt()
    return float((centred / std).pow(3).mean()), float((centred / std).pow(4).mean())


@pytest.mark.parametrize("shape", DATA.values(), ids=DATA.keys())
def test_standardising_leaves_skewness_and_kurtosis(shape: Callable[[Tensor], Tensor]) -> None:
    x = shape(_draw())
    y = layers.BatchNorm1d(1, dtype=torch.float64)(x)
    assert _moments(y) == pytest.approx(_moments(x), rel=1e-6)


def test_what_is_not_normal_does_not_become_normal() -> None:
    normal, after_relu = _draw(), _draw().relu()
    norm = layers.BatchNorm1d(1, dtype=torch.float64)
    assert _moments(norm(normal)) == pytest.approx((0.0, 3.0), abs=0.15)
    skewness, kurtosis = _moments(norm(after_relu))
    assert skewness > 1.5
    assert kurtosis > 4.5


def test_zeros_of_a_relu_stay_one_value() -> None:
    """Half of the values sit on one point before the norm and still do after it, only not at zero."""
    x = _draw().relu()
    y = layers.BatchNorm1d(1, dtype=torch.float64)(x)
    off = x == 0
    assert float(off.double().mean()) == pytest.approx(0.5, abs=0.02)
    assert y[off].unique().numel() == 1
    assert int((y == 0).sum()) == 0
