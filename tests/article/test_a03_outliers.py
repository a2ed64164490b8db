"""A3: after normalising, the distance from 0 says how likely a value is an outlier; 5 is probably a recording error."""

import math

import pytest
import torch

from placenorm import layers


def _largest_distance(values: int, recording_error: float) -> float:
    """Return the distance from 0 of one wild value among equal ones, after the norm: the largest there can be."""
    x = torch.zeros(values, 1, dtype=torch.float64)
    x[0] = recording_error
    return float(layers.BatchNorm1d(1, eps=1e-12, affine=False, dtype=torch.float64)(x)[0])


@pytest.mark.parametrize("values", [2, 5, 25, 26, 101], ids=str)
def test_distance_is_at_most_the_root_of_n_minus_1(values: int) -> None:
    assert _largest_distance(values, 1e6) == pytest.approx(math.sqrt(values - 1), rel=1e-9)


def test_distance_5_needs_26_values() -> None:
    below_5 = 4.9
    assert _largest_distance(25, 1e9) < below_5
    assert _largest_distance(26, 1e9) == pytest.approx(5.0)


def test_two_values_say_nothing_about_outliers() -> None:
    y = layers.BatchNorm1d(1)(torch.tensor([[3.0], [900.0]]))
    torch.testing.assert_close(y.flatten(), torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize(("distance", "share"), [(1.0, 0.317), (2.0, 0.046), (3.0, 0.0027)], ids=str)
def test_a_normal_variable_leaves_minus_1_to_1_often(distance: float, share: float) -> None:
    assert math.erfc(distance / math.sqrt(2.0)) == pytest.approx(share, rel=0.02)
    x = 4.0 + 3.0 * torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    measured = float((layers.BatchNorm1d(1)(x).abs() > distance).double().mean())
    four_standard_errors = 4.0 * math.sqrt(share * (1.0 - share) / x.shape[0])
    assert measured == pytest.approx(share, abs=four_standard_errors + 0.02 * share)


def test_rates_depend_on_the_distribution() -> None:
    """The share beyond 1 is not 31.7 % for what a ReLU leaves: rates must be measured."""
    x = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0)).relu()
    measured = float((layers.BatchNorm1d(1)(x).abs() > 1.0).double().mean())
    assert 0.1 < measured < 0.25
