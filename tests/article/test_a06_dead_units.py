"""A6: with the norm each unit is on for about half of the batch, so that no unit can be dead."""

import pytest
import torch
from torch import Tensor, nn

from placenorm import layers

UNITS = 32
DEAD_BIAS = -20.0


def _pre_activations() -> Tensor:
    """Return what a layer gives whose every second unit starts far below zero."""
    x = torch.randn(512, UNITS, generator=torch.Generator().manual_seed(0))
    x[:, ::2] += DEAD_BIAS
    return x


def _dead(activations: Tensor) -> int:
    return int((activations == 0).all(0).sum())


def _shares_on(activations: Tensor) -> Tensor:
    return (activations > 0).double().mean(0)


def test_without_a_norm_units_that_start_negative_are_dead() -> None:
    assert _dead(_pre_activations().relu()) == UNITS // 2


def test_norm_before_relu_leaves_no_dead_unit_in_training() -> None:
    shares = _shares_on(layers.BatchNorm1d(UNITS)(_pre_activations()).relu())
    assert float((shares - 0.5).abs().max()) < 0.1


@pytest.mark.parametrize(("beta", "dead"), [(0.0, 0), (-1.0, 0), (-6.0, UNITS)], ids=["zero", "minus-1", "minus-6"])
def test_beta_decides_how_far_the_guarantee_goes(beta: float, dead: int) -> None:
    norm = layers.BatchNorm1d(UNITS)
    nn.init.constant_(norm.bias, beta)
    assert _dead(norm(_pre_activations()).relu()) == dead


def test_norm_before_relu_gives_no_guarantee_in_evaluation() -> None:
    norm = layers.BatchNorm1d(UNITS).eval()
    assert _dead(norm(_pre_activations()).relu()) == UNITS // 2


def test_channel_that_is_dead_before_the_norm_stays_dead_after_it() -> None:
    y = layers.BatchNorm1d(UNITS)(_pre_activations().relu()).detach()
    assert torch.equal(y[:, ::2], torch.zeros_like(y[:, ::2]))
    assert float(y[:, 1::2].std(0).min()) > 0.9


def test_gradient_wakes_a_unit_only_with_the_norm_before_relu() -> None:
    source = torch.Generator().manual_seed(1)
    x, upstream = torch.randn(64, 8, generator=source), torch.randn(64, UNITS, generator=source)
    gradients = {}
    for name, tail in {
        "before": nn.Sequential(layers.BatchNorm1d(UNITS), nn.ReLU()),
        "after": nn.Sequential(nn.ReLU(), layers.BatchNorm1d(UNITS)),
    }.items():
        linear = nn.Linear(8, UNITS)
        nn.init.constant_(linear.bias, DEAD_BIAS)
        tail(linear(x)).backward(upstream)
        gradients[name] = float(linear.weight.grad.abs().max())
    assert gradients["before"] > 1e-3
    assert gradients["after"] == 0.0
