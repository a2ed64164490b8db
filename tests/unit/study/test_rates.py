from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from placenorm.errors import UsageError
from placenorm.study.rates import MAX_STEPS, STEP, best_trial, default_rates, grow_grid
from support.results import make_trial

GRID = (0.01, 0.03, 0.09)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"], ids=str)
def test_default_rates_are_one_geometric_step_apart(optimizer):
    rates = default_rates(optimizer)
    assert [high / low for low, high in pairwise(rates)] == pytest.approx([STEP] * 2)


def test_default_rates_of_an_unknown_optimizer_name_the_known_ones():
    with pytest.raises(UsageError, match=r"'lion'.*sgd, adamw.*--lr"):
        default_rates("lion")


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        pytest.param({0.01: 0.5, 0.03: 0.4, 0.09: 0.6}, 0.03, id="lowest-loss"),
        pytest.param({0.01: 0.9, 0.03: None, 0.09: None}, 0.01, id="diverged-come-last"),
        pytest.param({0.09: 0.4, 0.03: 0.4, 0.01: 0.5}, 0.03, id="tie-goes-to-the-lower-rate"),
        pytest.param({0.09: None, 0.01: None, 0.03: None}, 0.01, id="all-diverged-gives-the-lowest-rate"),
        pytest.param({0.03: -1.0, 0.01: 0.0, 0.09: None}, 0.03, id="losses-below-zero"),
        pytest.param({None: 0.4}, None, id="rate-of-the-users-own-loop"),
    ],
)
def test_best_trial_has(losses, best):
    trials = [make_trial(lr=lr, val_loss=loss, diverged_at=5 if loss is None else None) for lr, loss in losses.items()]
    assert best_trial(trials).key.lr == best


def test_best_trial_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one trial"):
        best_trial([])


@given(st.permutations([(0.01, 0.4), (0.03, 0.4), (0.09, None), (0.27, 0.7)]))
def test_best_trial_does_not_depend_on_the_order(order):
    trials = [make_trial(lr=lr, val_loss=loss, diverged_at=5 if loss is None else None) for lr, loss in order]
    assert best_trial(trials).key.lr == 0.01


@pytest.mark.parametrize(
    ("rates", "grown"),
    [
        pytest.param([0.03, 0.03], (), id="all-inside"),
        pytest.param([0.03, 0.09], (0.27,), id="one-at-the-upper-end"),
        pytest.param([0.01, 0.03], (0.00333333,), id="one-at-the-lower-end"),
        pytest.param([0.01, 0.09], (0.00333333, 0.27), id="one-at-either-end"),
    ],
)
def test_grid_grows_where_a_choice_lies_at_its_end(rates, grown):
    chosen = {f"arm{index}": make_trial(lr=rate) for index, rate in enumerate(rates)}
    assert grow_grid(GRID, chosen, GRID) == grown


def test_grid_of_an_arm_that_diverged_everywhere_grows_downwards():
    trials = [make_trial(lr=rate, diverged_at=3) for rate in GRID]
    assert grow_grid(GRID, {"none": best_trial(trials)}, GRID) == (0.00333333,)


@pytest.mark.parametrize("start", [(0.1,), (0.1, 0.1), (None,)], ids=["one", "one-twice", "own-loop"])
def test_grid_of_a_single_rate_does_not_grow(start):
    assert grow_grid(start, {"none": make_trial(lr=start[0])}, start) == ()


def test_grid_of_the_user_grows_by_the_ratio_at_that_end():
    start = (0.1, 0.2, 1.0)
    assert grow_grid(start, {"a": make_trial(lr=0.1), "b": make_trial(lr=1.0)}, start) == (0.05, 5.0)


def test_grid_in_any_order_grows_at_its_ends():
    start = (0.09, 0.01, 0.03)
    assert grow_grid(start, {"a": make_trial(lr=0.03)}, start) == ()
    assert grow_grid(start, {"a": make_trial(lr=0.09)}, start) == (0.27,)


@pytest.mark.parametrize("end", [min, max], ids=["down", "up"])
def test_grid_stops_growing_after_the_largest_number_of_steps(end):
    grid = GRID
    for _ in range(MAX_STEPS):
        new = grow_grid(grid, {"a": make_trial(lr=end(grid))}, GRID)
        assert len(new) == 1
        grid = tuple(sorted((*grid, *new)))
    assert grow_grid(grid, {"a": make_trial(lr=end(grid))}, GRID) == ()
    assert end(grid) == pytest.approx(end(GRID) * STEP ** (MAX_STEPS if end is max else -MAX_STEPS), rel=1e-5)


@given(st.lists(st.sampled_from(GRID), min_size=4, max_size=4), st.permutations(range(4)))
def test_grid_does_not_care_which_arm_chose_which_rate(rates, order):
    plain = {f"arm{index}": make_trial(lr=rate) for index, rate in enumerate(rates)}
    swapped = {f"arm{index}": make_trial(lr=rates[other]) for index, other in enumerate(order)}
    assert grow_grid(GRID, plain, GRID) == grow_grid(GRID, swapped, GRID)


@pytest.mark.parametrize("rate", [0.27, 0.00333333, 0.1234567], ids=str)
def test_grown_rate_is_what_its_printed_form_says(rate):
    start = (rate / 3, rate)
    for new in grow_grid(start, {"a": make_trial(lr=rate), "b": make_trial(lr=start[0])}, start):
        assert float(format(new, ".6g")) == new
