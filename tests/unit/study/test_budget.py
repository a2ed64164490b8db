"""Budgets: how they are read, what they count, and when they are spent."""

import math
from dataclasses import replace
from typing import Any

import pytest

from placenorm.errors import UsageError
from placenorm.study.budget import Budget, BudgetMeter, parse_budget
from support.results import make_trial

TRIALS = [replace(make_trial(seed=seed), wall_s=1800.0) for seed in range(4)]


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [
        ("30m", "time", 1800.0),
        ("2h", "time", 7200.0),
        ("1.5h", "time", 5400.0),
        ("90s", "time", 90.0),
        ("1d", "time", 86400.0),
        ("200-trials", "trials", 200.0),
        ("1-trial", "trials", 1.0),
        ("3-gpu-hours", "gpu-hours", 3.0),
        ("0.5-GPU-hour", "gpu-hours", 0.5),
    ],
)
def test_budget_is_read(text: str, kind: str, limit: float) -> None:
    assert parse_budget(text) == Budget(kind, limit, text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["", "30", "m", "-5m", "0m", "0-trials", "2.5-trials", "1e3m", "nan-trials", "30 m", "3-gpus", "٣h", "inf", 30],
)
def test_budget_that_is_none_is_refused_in_one_sentence(text: Any) -> None:
    with pytest.raises(UsageError, match=r"Cannot spend --budget .*: give a time such as 30m .*, and more than 0\.$"):
        parse_budget(text)


def test_without_a_budget_everything_is_allowed() -> None:
    meter = BudgetMeter(None, TRIALS)
    assert meter.allows(10**6)
    assert meter.read() is None


def test_trials_of_all_runs_count_and_those_that_run() -> None:
    meter = BudgetMeter(parse_budget("6-trials"), TRIALS)
    assert [meter.allows(running) for running in (0, 1, 2)] == [True, True, False]
    meter.note(TRIALS[0])
    meter.note(TRIALS[0])
    assert not meter.allows(0)


def test_time_is_that_of_this_run() -> None:
    now = [100.0]
    meter = BudgetMeter(parse_budget("30m"), TRIALS, clock=lambda: now[0])
    now[0] += 1799.0
    assert meter.allows(3)
    now[0] += 1.0
    assert not meter.allows(0)
    spending = meter.read()
    assert spending is not None
    assert (spending.time_s, spending.trials, spending.budget) == (1800.0, 4, "30m")


@pytest.mark.parametrize(("gpus", "allowed"), [(1.0, [True, True, False]), (0.5, [True] * 3)], ids=["whole", "shared"])
def test_gpu_hours_count_what_finished_and_what_runs_as_usual(gpus: float, allowed: list[bool]) -> None:
    meter = BudgetMeter(parse_budget("3-gpu-hours"), TRIALS, gpus)
    assert [meter.allows(running) for running in (0, 1, 2)] == allowed
    spending = meter.read()
    assert spending is not None
    assert spending.gpu_hours == pytest.approx(2.0 * gpus)


def test_first_trial_is_allowed_where_nothing_is_known() -> None:
    assert BudgetMeter(parse_budget("0.001-gpu-hours"), []).allows(0)
    assert math.isclose(parse_budget("0.001-gpu-hours").limit, 0.001)
