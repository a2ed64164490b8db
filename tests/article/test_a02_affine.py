"""A2: gamma and beta, learned by back-propagation, let the network leave the normal form where it must."""

import pytest
import torch

from placenorm import layers

FEATURES = 4


def _draw() -> torch.Tensor:
    return 2.0 + 3.0 * torch.randn(512, FEATURES, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 3.0, -3.0], ids=str)
def test_gamma_sets_the_standard_deviation_and_beta_the_mean(gamma: float) -> None:
    norm = layers.BatchNorm1d(FEATURES)
    torch.nn.init.constant_(norm.weight, gamma)
    torch.nn.init.constant_(norm.bias, -2.0)
    y = norm(_draw())
    torch.testing.assert_close(y.std(0, correction=0), torch.full((FEATURES,), abs(gamma)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(y.mean(0), torch.full((FEATURES,), -2.0), rtol=0.0, atol=1e-5)


def test_right_gamma_and_beta_undo_the_norm() -> None:
    x, norm = _draw(), layers.BatchNorm1d(FEATURES)
    with torch.no_grad():
        norm.weight.copy_((x.var(0, correction=0) + norm.eps).sqrt())
        norm.bias.copy_(x.mean(0))
    torch.testing.assert_close(norm(x), x, rtol=1e-5, atol=1e-5)


def test_back_propagation_learns_gamma_and_beta() -> None:
    x, norm = _draw(), layers.BatchNorm1d(FEATURES)
    optimizer = torch.optim.SGD(norm.parameters(), lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        (norm(x) - x).square().mean(0).sum().backward()
        optimizer.step()
    torch.testing.assert_close(norm.weight, x.std(0, correction=0), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(norm.bias, x.mean(0), rtol=1e-3, atol=1e-3)
