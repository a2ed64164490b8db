"""A7: after one nearly infinite gradient the units are dead; with the norm, training can resume."""

import pytest
import torch
from torch import Tensor, nn

from placenorm import layers

INPUTS, UNITS = 8, 16
EXPLODED = 1e4
"""The size of the step that one wild gradient takes."""


def _gradient_after_explosion(tail: nn.Module) -> float:
    """Return the largest gradient in the weights after a step that drove every unit far below zero."""
    source = torch.Generator().manual_seed(0)
    linear = nn.Linear(INPUTS, UNITS)
    with torch.no_grad():
        linear.weight.copy_(torch.randn(UNITS, INPUTS, generator=source))
        linear.bias.sub_(EXPLODED)
    x: Tensor = torch.randn(128, INPUTS, generator=source)
    tail(linear(x)).backward(torch.randn(128, UNITS, generator=source))
    return float(linear.weight.grad.abs().max())


def test_without_a_norm_no_gradient_is_left() -> None:
    assert _gradient_after_explosion(nn.ReLU()) == 0.0


def test_norm_before_relu_brings_the_gradient_back() -> None:
    assert _gradient_after_explosion(nn.Sequential(layers.BatchNorm1d(UNITS), nn.ReLU())) > 1.0


def test_norm_after_relu_does_not() -> None:
    assert _gradient_after_explosion(nn.Sequential(nn.ReLU(), layers.BatchNorm1d(UNITS))) == 0.0


@pytest.mark.parametrize("wild", [float("inf"), float("nan")], ids=["inf", "nan"])
def test_values_that_are_not_finite_stay_in_the_running_statistics(wild: float) -> None:
    """Training resumes on batch statistics; evaluation does not, until the buffers are reset."""
    norm = layers.BatchNorm1d(UNITS)
    x = torch.randn(32, UNITS, generator=torch.Generator().manual_seed(0))
    norm(x.index_fill(0, torch.tensor([3]), wild))
    assert bool(norm(x).isfinite().all())
    assert not bool(norm.eval()(x).isfinite().any())
    norm.reset_running_stats()
    assert bool(norm(x).isfinite().all())
