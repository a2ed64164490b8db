from dataclasses import replace

import pytest

from placenorm.study.speed import choose_target, find_arrival, mean_height, measure_steps
from support.results import ACCURACY, RMSE, make_trial

HORIZON = 30
"""Three epochs of ten steps."""


@pytest.mark.parametrize(
    ("curve", "height"),
    [
        pytest.param([0.4, 0.8, 0.8], 0.7, id="trapezoids"),
        pytest.param([0.6], 0.6, id="one-record"),
        pytest.param([0.6, 0.6, 0.6], 0.6, id="flat"),
    ],
)
def test_mean_height_is_area_over_width(curve, height):
    assert mean_height(make_trial(curve=curve), HORIZON) == pytest.approx(height)


def test_mean_height_weighs_by_steps():
    trial = make_trial(curve=[0.0, 1.0, 1.0])
    late = replace(trial.epochs[2], step=50)
    assert mean_height(replace(trial, epochs=(*trial.epochs[:2], late)), 50) == pytest.approx((5 + 30) / 40)


def test_mean_height_after_divergence_is_that_of_a_model_that_learned_nothing():
    trial = make_trial(curve=[0.5, None, None], val_metric=0.1, diverged_at=15)
    assert mean_height(trial, HORIZON) == pytest.approx((0.3 + 0.1) / 2)


def test_mean_height_of_a_trial_that_ended_when_it_diverged_is_the_same():
    whole = make_trial(curve=[0.5, None, None], val_metric=0.1, diverged_at=15)
    short = replace(whole, epochs=whole.epochs[:2])
    assert mean_height(short, HORIZON) == pytest.approx(mean_height(whole, HORIZON))


def test_mean_height_of_a_trial_that_diverged_before_any_record_is_its_last_metric():
    assert mean_height(make_trial(curve=[], val_metric=0.1, diverged_at=2), HORIZON) == 0.1


@pytest.mark.parametrize("curve", [[], [0.5, None]], ids=["no-record", "a-gap"])
def test_mean_height_is_none_where_nothing_says_it(curve):
    assert mean_height(make_trial(curve=curve), HORIZON) is None


def test_target_is_what_the_worst_surviving_variant_reaches():
    trials = {
        "good": [make_trial(curve=[0.9]), make_trial(curve=[0.8])],
        "bad": [make_trial(curve=[0.6]), make_trial(curve=[0.1], diverged_at=3)],
        "lost": [make_trial(curve=[0.1], diverged_at=3)],
    }
    assert choose_target(ACCURACY, trials) == 0.6
    assert choose_target(RMSE, trials) == pytest.approx(0.85)


def test_target_is_none_where_nothing_survived():
    assert choose_target(ACCURACY, {"lost": [make_trial(curve=[0.1], diverged_at=3)], "empty": []}) is None


@pytest.mark.parametrize(
    ("metric", "curve", "target", "steps"),
    [
        pytest.param(ACCURACY, [0.4, 0.8, 0.9], 0.7, 17.5, id="between-two-records"),
        pytest.param(ACCURACY, [0.4, 0.8, 0.9], 0.8, 20.0, id="on-a-record"),
        pytest.param(ACCURACY, [0.4, 0.8, 0.9], 0.3, 10.0, id="not-before-the-first-record"),
        pytest.param(ACCURACY, [0.4, 0.8, 0.5], 0.6, 15.0, id="the-first-time-counts"),
        pytest.param(ACCURACY, [0.4, None, 0.8], 0.6, 30.0, id="no-line-over-a-gap"),
        pytest.param(RMSE, [0.4, 0.2, 0.1], 0.3, 15.0, id="lower-is-better"),
    ],
)
def test_arrival_is_interpolated(metric, curve, target, steps):
    assert find_arrival(make_trial(curve=curve), metric, target) == pytest.approx(steps)


def test_arrival_is_none_for_a_trial_that_never_gets_there():
    assert find_arrival(make_trial(curve=[0.4, None, 0.5]), ACCURACY, 0.6) is None


def test_step_times_are_compared_where_trials_ran_side_by_side():
    """The second seed ran on a busy machine: a median of each variant alone would see no difference."""
    trials = [
        make_trial("none", 0, step_time_ms=10.0),
        make_trial("after", 0, step_time_ms=13.0),
        make_trial("none", 1, step_time_ms=40.0),
        make_trial("after", 1, step_time_ms=52.0),
        make_trial("none", 2, step_time_ms=12.0),
        make_trial("after", 3, step_time_ms=11.0),
    ]
    assert measure_steps(trials, "none") == pytest.approx({"none": 12.0, "after": 12.0 * 1.3})


def test_step_time_without_a_partner_is_its_own_median():
    trials = [make_trial("after", seed, step_time_ms=time) for seed, time in enumerate([3.0, 9.0, 5.0])]
    assert measure_steps(trials, "none") == {"after": 5.0}
