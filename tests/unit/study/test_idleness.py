"""Placements that are not shown to have learned anything are named, and where that is all, nothing is advised."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from placenorm.data import open_feed
from placenorm.facts.comparison import Metric, Verdict
from placenorm.facts.trial import TrialKey
from placenorm.report.language import LANGUAGES, Language
from placenorm.report.verdict_wording import word_verdict
from placenorm.study.metrics import learned_nothing
from placenorm.study.training import Trainer
from placenorm.study.verdict import judge
from support.results import ACCURACY, AFTER, HIGH, NONE, RMSE, SPREAD, make_arms
from support.trials import make_small_plan, write_data

IDLE = 0.1
CHANCE = [IDLE + gap for gap in SPREAD]


def judge_arms(arms: dict[str, list[float]], idle: float | None = IDLE, metric: Metric = ACCURACY) -> Verdict:
    trials = [replace(trial, idle_metric=idle) for trial in make_arms(arms)]
    return judge((NONE, AFTER), trials, metric, 0.01, 0.0)


def say(verdict: Verdict, code: str = "en") -> Verdict:
    return word_verdict((NONE, AFTER), ACCURACY, verdict, Language(code))


def test_placement_at_chance_is_named_beside_one_that_learned() -> None:
    verdict = judge_arms({"none": CHANCE, "after-activation": HIGH})
    assert verdict.idle == ("none",)
    assert verdict.idle_metric == pytest.approx(IDLE)
    spoken = say(verdict)
    assert spoken.notes[0] == (
        "By intervals that hold for all placements together, not shown to do better in test accuracy than one and the "
        "same answer to every sample, which reaches 10.0 %: no norm."
    )
    assert spoken.advice.startswith("Put the norm after-activation")


@pytest.mark.parametrize("code", LANGUAGES)
def test_nothing_is_advised_where_nothing_has_learned(code: str) -> None:
    spoken = say(judge_arms({"none": CHANCE, "after-activation": [value + 0.001 for value in CHANCE]}), code)
    assert spoken.advice == Language(code).say(
        "compare-idle-all", measure=spoken.final.measure, level=Language(code).say("compare-percent", value=_ten(code))
    )
    assert not any("10.0" in note for note in spoken.notes)


def _ten(code: str) -> str:
    return Language(code).figures("10.0")


def test_all_that_learned_are_none_of_them() -> None:
    verdict = judge_arms({"none": [0.3 + gap for gap in SPREAD], "after-activation": HIGH})
    assert verdict.idle == ()
    assert say(verdict).advice.startswith("Put the norm after-activation")


def test_worse_than_chance_is_not_learned() -> None:
    assert judge_arms({"none": [0.0] * 10, "after-activation": HIGH}).idle == ("none",)


def test_error_is_learned_by_going_down() -> None:
    verdict = judge_arms({"none": [0.5 + gap for gap in SPREAD], "after-activation": HIGH}, idle=0.95, metric=RMSE)
    assert verdict.idle == ("after-activation",)


@pytest.mark.parametrize(("value", "idle"), [(0.3, ()), (IDLE, ("none", "after-activation"))], ids=["above", "at"])
def test_few_seeds_prove_nothing_and_only_a_mean_that_is_no_better_counts(value: float, idle: tuple[str, ...]) -> None:
    assert judge_arms({"none": [value], "after-activation": [value]}).idle == idle


def test_where_the_answer_is_not_known_nothing_is_said() -> None:
    verdict = judge_arms({"none": CHANCE, "after-activation": HIGH}, idle=None)
    assert (verdict.idle, verdict.idle_metric) == ((), None)


@pytest.mark.parametrize("regression", [False, True], ids=["classes", "values"])
def test_trials_take_the_answer_on_their_own_test_data(tmp_path: Path, regression: bool) -> None:
    recipe = make_small_plan(tmp_path, data=write_data(tmp_path, regression=regression)).recipe
    targets = open_feed(recipe.open_data(), 1, 16).read_targets()[2]  # type: ignore[misc]
    share = 0.0 if regression else targets.bincount().max().item() / len(targets)
    assert Trainer(recipe).run(TrialKey("none", 1, 0.1)).idle_metric == pytest.approx(share, abs=1e-6)


def test_metric_of_the_users_own_is_not_asked(tmp_path: Path) -> None:
    recipe = make_small_plan(tmp_path, metric=distance).recipe
    assert Trainer(recipe).run(TrialKey("none", 1, 0.1)).idle_metric is None


def distance(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    return float(outputs.std())


def test_answer_is_the_commonest_class_or_the_mean() -> None:
    classes = learned_nothing(torch.tensor([2, 1, 2]), "classification", 2, 3)
    assert classes.argmax(1).tolist() == [2, 2]
    assert learned_nothing(torch.tensor([1.0, 3.0]), "regression", 2, 1).tolist() == [2.0, 2.0]
