"""The verdict errs as rarely as it says, on simulated comparisons that go through the real procedure."""

import pytest
from scipy.stats import binom

from placenorm.study.calibration import World, choose_once, measure_false_rates, reachable_rates, simulate
from placenorm.study.rates import MAX_STEPS, default_rates

START = 7
NOMINAL = 0.05
FEW = 1000
ALLOWANCE = binom.ppf(0.999, FEW, NOMINAL) / FEW
"""A procedure that errs in exactly 5 % stays below this in 999 of 1000 such tests: 7.3 %."""

PLAIN = World("plain")
LARGE = World("10,000 test samples", test=10_000, validation=5000, accuracy=0.9, run_sd=0.003)
TAILS = World("heavy tails", tails=3)
COARSE = World("differences of one sample", accuracy=0.99, run_sd=0.004, seed_sd=0.003)
EDGE = World("best rate beyond the grid", best_rate=3.0)
WORLDS = [pytest.param(world, id=world.name.replace(" ", "-")) for world in (PLAIN, LARGE, TAILS, COARSE, EDGE)]


@pytest.mark.parametrize("world", [WORLDS[1], WORLDS[2]])
def test_better_is_rarely_said_of_equal_arms(world):
    assert measure_false_rates(world, 10, FEW, START).anywhere <= ALLOWANCE


def test_better_is_often_said_of_equal_arms_when_rates_are_chosen_once():
    assert measure_false_rates(LARGE, 10, FEW, START, choose_once).anywhere > ALLOWANCE


def test_better_is_rarely_said_where_it_is_not_true_though_one_arm_is_worse():
    world = World("one worse", worse=0.08)
    rates = measure_false_rates(world, 10, 300, START)
    assert rates.anywhere <= binom.ppf(0.999, 300, NOMINAL) / 300


def test_grid_grows_in_the_world_whose_best_rate_lies_beyond_it():
    chosen = next(simulate(EDGE, 10, 1, START))
    assert {trial.key.lr for trial in chosen} - set(default_rates("sgd"))


def test_reachable_rates_are_all_that_the_grid_can_grow_to():
    rates = reachable_rates()
    assert len(rates) == len(default_rates("sgd")) + 2 * MAX_STEPS
    assert rates == tuple(sorted(rates))


def test_simulation_repeats_itself():
    assert list(simulate(PLAIN, 3, 2, START)) == list(simulate(PLAIN, 3, 2, START))


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_better_is_said_of_equal_arms_in_at_most_five_percent(world):
    assert measure_false_rates(world, 10, 10_000, START).anywhere <= NOMINAL
