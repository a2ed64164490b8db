"""Critical values of many looks: their error by a slow twin and by simulation, and the laws that they obey."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import stdtr

from placenorm.facts.comparison import MIN_SEEDS
from placenorm.study.pairing import critical_t
from placenorm.study.sequential import Schedule, critical_repeated

BINS = 500
"""Of the twin's grid: enough for one percent."""

planned_seeds = st.sampled_from([3, 5, 10, 20])
errors = st.sampled_from([0.2, 0.05, 0.05 / 12, 0.05 / 56])

# The twin. Forwards in time, as one would write it first: the chance of every cosine among those still inside, on a
# plain grid; given the cosine r of n differences, the next difference in units of their length is t_n / sqrt(n).


def exceed(z: NDArray[np.float64], r: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """P(next cosine > z), for every z [J] and every cosine r [I] now: ``[I, J]``.

    (r sqrt(n) + w) / sqrt((n + 1)(1 + w^2)) > z is a quadratic in w.
    """
    turned = np.where(z < 0, -1.0, 1.0)
    a = turned * math.sqrt(n) * r[:, None]
    k = (n + 1) * z**2
    root = np.sqrt(np.maximum(k * (1 + a**2 - k), 0.0))

    def below(w: NDArray[np.float64]) -> NDArray[np.float64]:
        return stdtr(n, math.sqrt(n) * w)

    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.where((a > 0) & (1 + a**2 > k), below((a + root) / (k - 1)) - below((a - root) / (k - 1)), 0.0)
        above = 1.0 - below((root - a) / (1 - k))
    upper = np.where(k > 1, between, above)
    return np.where(z < 0, 1.0 - upper, upper)


def find_errors(criticals: dict[int, float]) -> dict[int, float]:
    """The chance to be above a critical value for the first time at each number of seeds, from three on."""
    first = min(criticals)
    edges = {n: math.atan2(c, math.sqrt(n - 1)) for n, c in criticals.items()}  # as angles
    grid = np.sin(np.linspace(-edges[first], edges[first], BINS + 1))
    mass = np.diff(grid) / 2  # the cosine of three Gaussian differences is uniform
    found = {first: 1.0 - float(mass.sum())}
    for n in sorted(criticals)[1:]:
        middles = (grid[1:] + grid[:-1]) / 2
        grid = np.sin(np.linspace(-edges[n], edges[n], BINS + 1))
        chances = exceed(grid, middles, n - 1)
        found[n] = float(mass @ (chances[:, -1] + 1.0 - chances[:, 0]))
        mass = mass @ -np.diff(chances, axis=1)
    return found


@pytest.mark.parametrize(("error", "planned"), [(0.2, 6), (0.05, 10)], ids=["large-error", "usual"])
def test_every_look_errs_as_the_slow_twin_says(error: float, planned: int) -> None:
    found = find_errors({n: critical_repeated(n, error, planned) for n in range(MIN_SEEDS, 13)})
    spent = {n: error * (Schedule(planned).spent(n) - Schedule(planned).spent(n - 1)) for n in found}
    assert found == pytest.approx(spent, rel=1.5e-2)


def test_errors_of_all_looks_together_are_those_of_simulated_seeds() -> None:
    error, planned, seeds, count = 0.2, 8, 24, 40_000
    draws = np.random.default_rng(3).standard_normal((count, seeds))
    numbers = np.arange(1, seeds + 1)
    means = draws.cumsum(axis=1) / numbers
    squares = (draws**2).cumsum(axis=1) - numbers * means**2
    t = np.abs(means[:, 2:]) * np.sqrt(numbers[2:] * (numbers[2:] - 1) / squares[:, 2:])
    above = t > [critical_repeated(n, error, planned) for n in range(3, seeds + 1)]
    for n in (3, 5, 8, 24):
        share = error * Schedule(planned).spent(n)
        # Four standard errors of 40,000 draws.
        assert np.mean(above[:, : n - 2].any(axis=1)) == pytest.approx(share, abs=4 * math.sqrt(share / count))


def test_critical_value_is_infinite_where_nothing_may_be_decided() -> None:
    assert [critical_repeated(n, 0.05, 10) for n in (0, 1, 2)] == [math.inf] * 3
    assert math.isinf(critical_repeated(3, 0.05 / 56, 2000))
    assert math.isfinite(critical_repeated(3, 0.05, 3))


@given(errors, planned_seeds, st.integers(3, 40))
def test_critical_value_is_above_that_of_one_look(error: float, planned: int, seeds: int) -> None:
    assert critical_repeated(seeds, error, planned) > critical_t(seeds, error)


@given(planned_seeds, st.integers(3, 40))
def test_a_smaller_error_asks_for_a_larger_difference(planned: int, seeds: int) -> None:
    assert critical_repeated(seeds, 0.05 / 12, planned) > critical_repeated(seeds, 0.05, planned)


@given(planned_seeds, st.integers(1, 5000))
def test_error_is_spent_bit_by_bit_and_never_all_of_it(planned: int, seeds: int) -> None:
    assert 0.0 <= Schedule(planned).spent(seeds) <= Schedule(planned).spent(seeds + 1) < 1.0
    assert (Schedule(planned).spent(seeds) == 0.0) == (seeds < MIN_SEEDS)


@pytest.mark.parametrize("planned", [3, 10, 300], ids=str)
def test_a_thousand_seeds_have_critical_values(planned: int) -> None:
    values = [critical_repeated(n, 0.05 / 12, planned) for n in range(max(planned, 60), 1000)]
    assert all(2.9 < value < 6.5 for value in values)
