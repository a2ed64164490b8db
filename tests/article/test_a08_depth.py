"""A8: shallow networks hardly gain from the norm; deep ones need it."""

import pytest
import torch
from torch import nn

from placenorm import layers

WIDTH = 64
SHALLOW, DEEP = 2, 12


def _signal(depth: int, *, normed: bool, he: bool) -> float:
    """Return how much the last layer's outputs still differ from sample to sample, beside their size."""
    torch.manual_seed(0)
    blocks = []
    for _ in range(depth):
        linear = nn.Linear(WIDTH, WIDTH)
        if he:
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
        blocks += [linear, *([layers.BatchNorm1d(WIDTH)] if normed else []), nn.ReLU()]
    x = torch.randn(256, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        y = nn.Sequential(*blocks)(x)
    return float(y.std(0).mean())


def test_default_initialisation_loses_the_signal_with_depth() -> None:
    assert _signal(SHALLOW, normed=False, he=False) > 0.1
    assert _signal(DEEP, normed=False, he=False) < 1e-3


@pytest.mark.parametrize("depth", [SHALLOW, DEEP], ids=str)
@pytest.mark.parametrize("he", [False, True], ids=["default", "he"])
def test_norm_keeps_the_signal_at_any_depth(depth: int, he: bool) -> None:
    assert 0.4 < _signal(depth, normed=True, he=he) < 0.8


def test_he_initialisation_keeps_most_of_it_without_a_norm() -> None:
    """So a comparison with a plain network must not use torch's default initialisation: it would be unfair."""
    assert _signal(DEEP, normed=False, he=True) > 0.1
