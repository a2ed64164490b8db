"""A9: before a ReLU every unit is off for about half the data, though a rare feature wants to be off for 90 %."""

import pytest
import torch
from torch import Tensor, nn

from placenorm import layers

SAMPLES = 50_000
RARE = 0.1
THRESHOLD_OF_10_PCT = -1.2816
"""The normal quantile: with this beta, one value in ten lies above zero."""


def _rare_feature(noise: float) -> Tensor:
    """Return pre-activations of a feature that is present in 10 % of the samples."""
    source = torch.Generator().manual_seed(0)
    present = (torch.rand(SAMPLES, 1, generator=source) < RARE).float()
    return present + noise * torch.randn(SAMPLES, 1, generator=source)


def _share_on(x: Tensor, beta: float = 0.0) -> float:
    norm = layers.BatchNorm1d(1)
    nn.init.constant_(norm.bias, beta)
    return float((norm(x).relu() > 0).double().mean())


def test_symmetric_pre_activations_are_on_for_half_of_the_data() -> None:
    x = -3.0 + 2.0 * torch.randn(SAMPLES, 1, generator=torch.Generator().manual_seed(1))
    assert _share_on(x) == pytest.approx(0.5, abs=0.01)


def test_beta_can_learn_the_threshold() -> None:
    x = -3.0 + 2.0 * torch.randn(SAMPLES, 1, generator=torch.Generator().manual_seed(1))
    assert _share_on(x, THRESHOLD_OF_10_PCT) == pytest.approx(RARE, abs=0.01)


@pytest.mark.parametrize(
    ("noise", "low", "high"), [(0.02, 0.09, 0.11), (1.0, 0.4, 0.5)], ids=["clean-feature", "noisy-feature"]
)
def test_half_needs_symmetry(noise: float, low: float, high: float) -> None:
    """A clean rare feature is off for 90 % with beta at 0 already; in noise it drowns to about half."""
    assert low < _share_on(_rare_feature(noise)) < high


def test_after_the_activation_the_share_of_the_data_is_left_alone() -> None:
    activations = (_rare_feature(0.02) - 0.5).relu()
    on = activations > 0
    y = layers.BatchNorm1d(1)(activations).detach()
    assert float(on.double().mean()) == pytest.approx(RARE, abs=0.01)
    assert float(y[on].min()) > float(y[~on].max())
