"""A5: with the norm, the next layer always sees the same distribution, whatever changes below."""

import torch
from torch import Tensor

from placenorm import layers

UNITS = 6


def _draw() -> Tensor:
    return torch.randn(256, UNITS, generator=torch.Generator().manual_seed(0))


def _skewness(x: Tensor) -> Tensor:
    z = (x - x.mean(0)) / x.std(0, correction=0)
    return z.pow(3).mean(0)


def test_a_change_of_scale_and_mean_below_does_not_reach_the_next_layer() -> None:
    x = _draw()
    moved = 40.0 * x + torch.linspace(-300.0, 300.0, UNITS)
    norm = layers.BatchNorm1d(UNITS)
    torch.testing.assert_close(norm(moved), norm(x), rtol=1e-3, atol=1e-3)


def test_only_two_moments_are_held() -> None:
    """The same mean and variance, another distribution: "always the same" is too strong."""
    x = _draw()
    norm = layers.BatchNorm1d(UNITS)
    before, after = norm(x).detach(), norm(x.exp()).detach()
    torch.testing.assert_close(after.mean(0), before.mean(0), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(after.var(0), before.var(0), rtol=1e-3, atol=0.0)
    assert float((_skewness(after) - _skewness(before)).min()) > 1.0


def test_gamma_and_beta_move_the_two_moments_again() -> None:
    norm = layers.BatchNorm1d(UNITS)
    optimizer = torch.optim.SGD(norm.parameters(), lr=1.0)
    norm(_draw()).relu().sum(1).mean().backward()
    optimizer.step()
    assert float(norm(_draw()).detach().mean().abs()) > 0.1


def test_in_evaluation_a_shift_below_goes_through() -> None:
    norm = layers.BatchNorm1d(UNITS, momentum=1.0)
    norm(_draw())
    norm.eval()
    difference = norm(_draw() + 5.0) - norm(_draw())
    assert float(difference.detach().min()) > 4.0
