"""A6's rule on made-up observations, and its scene on small data."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch

from placenorm.article import a06_dead_units as a6
from placenorm.article.claim import Scale
from placenorm.article.experiments import training, waking
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.scenes import NORMS, PLACEMENTS
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks on several threads wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


BEFORE, AFTER = NORMS
SAFE, SMALL, BROKEN = (0.0, 0.0, 0.01), (0.0, 0.0, 0.2), (0.9, 0.0, 0.01)
"""Asleep at the end; dead at the lower rates; dead at the largest rate."""

BARE = (0.5, 0.3, 0.8)


def observe(
    arms: Mapping[str, tuple[float, float, float]], *, active: float = 0.5, seeds: int = 3
) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float | None]:
        asleep, calm, dead = arms[str(question.factors["placement"])]
        if question.kind == waking.KIND:
            half = question.factors["asleep"] == a6.SLEEPING_SHARES[0]
            return {"asleep_end": asleep if half else 0.0, "wake_step": None if asleep else 0.0}
        if question.factors["placement"] == "none" and question.factors["depth"] == a6.DEPTHS[-1]:
            return dict.fromkeys(("dead_train", "dead_eval", "active_train"))  # diverged
        share = dead if question.factors["lr"] == a6.RATES[-1] else calm
        return {"dead_train": share, "dead_eval": share, "active_train": active}

    def series(question: Question) -> Mapping[str, tuple[float | None, ...]]:
        return {"step": (0.0, 1.0), "awake": (0.0, 0.5)} if question.kind == waking.KIND else {}

    return make_up(a6.CLAIM, answer, series, Scale(seeds, full=False, images=True))


def arms(
    none: tuple[float, float, float], before: tuple[float, float, float], after: tuple[float, float, float]
) -> dict[str, tuple[float, float, float]]:
    return dict(zip(PLACEMENTS, (none, before, after), strict=True))


@pytest.mark.parametrize(
    ("observations", "outcome", "variant"),
    [
        (observe(arms(BARE, SAFE, SAFE)), "holds", ""),
        (observe(arms(BARE, SAFE, SAFE), active=0.39), "holds-only-if", "share"),
        (observe(arms(BARE, SAFE, SAFE), active=0.61), "holds-only-if", "share"),
        (observe(arms(BARE, SMALL, SAFE)), "holds-only-if", "small-steps"),
        (observe(arms(BARE, SAFE, BROKEN)), "holds-only-if", "before"),
        (observe(arms(BARE, SMALL, BROKEN)), "holds-only-if", "before-small-steps"),
        (observe(arms(BARE, BROKEN, SAFE)), "holds-only-if", "after"),
        (observe(arms(BARE, BROKEN, SMALL)), "holds-only-if", "after-small-steps"),
        (observe(arms(SAFE, SAFE, SAFE)), "does-not-hold", "no-need"),
        (observe(arms(BARE, (0.0, 0.011, 0.011), BROKEN)), "does-not-hold", "dead"),
        (observe(arms(BARE, SAFE, SAFE), seeds=2), "undecided", ""),
    ],
    ids=[
        "safe",
        "less-than-half",
        "more-than-half",
        "small-steps",
        "before",
        "before-small-steps",
        "after",
        "after-small-steps",
        "no-need",
        "dead",
        "two-seeds",
    ],
)
def test_rule(observations: list[Observation], outcome: str, variant: str) -> None:
    ruling = a6.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a6.CLAIM, observations).values())


def test_what_is_kept_at_both_rates_is_kept_however_the_small_rate_varies() -> None:
    observations = [
        replace(each, values={**each.values, "dead_train": 0.009 if each.question.factors["lr"] == a6.LARGE else small})
        if each.question.kind == training.KIND and each.question.factors["placement"] != "none"
        else each
        for each in observe(arms(BARE, SAFE, SAFE))
        for small in [0.009 if each.question.seed == 0 else 0.0]
    ]
    assert a6.judge(observations).outcome == "holds"


def test_rule_reads_the_same_networks_in_the_long_run() -> None:
    short = observe(arms(BARE, SAFE, SAFE))
    asked = {each.question.key for each in short}
    worse = dict.fromkeys(("dead_train", "dead_eval", "active_train"), 0.9)
    more = [
        Observation(question, worse, {})
        for question in a6.ask(Scale(3, full=True, images=True))
        if question.key not in asked
    ]
    assert len(more) > 0
    assert a6.judge([*short, *more]).effects == a6.judge(short).effects


def test_advice_follows_the_outcome() -> None:
    assert "put the norm before" in say_everything(a6.CLAIM, observe(arms(BARE, SAFE, BROKEN)))["en"][6]
    assert "put the norm after" in say_everything(a6.CLAIM, observe(arms(BARE, BROKEN, SAFE)))["en"][6]
    assert "Do not choose" in say_everything(a6.CLAIM, observe(arms(BARE, SAFE, SAFE)))["en"][6]


def test_shuffled_arms_do_not_hold() -> None:
    for made in (arms(BARE, SAFE, SAFE), arms(BARE, SMALL, BROKEN)):
        assert a6.judge(shuffle_arms(observe(made), "placement")).outcome in ("undecided", "does-not-hold")


def test_every_scene_and_training_is_asked_in_all_arms() -> None:
    assert all(found == set(PLACEMENTS) for found in arms_by_pair(a6.CLAIM, "placement").values())


def test_trainings_are_those_of_the_standard_grid() -> None:
    asked = [question for question in a6.ask(Scale(1, full=False, images=True)) if question.kind == training.KIND]
    assert training.ask(0, BEFORE, 0.3, depth=8) in asked


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a6.CLAIM, "en") == find_keys(a6.CLAIM, "fa")


@pytest.mark.parametrize("share", a6.SLEEPING_SHARES, ids=["half", "all"])
def test_scene_starts_negative_everywhere_and_only_the_norm_before_wakes_it_at_once(share: float) -> None:
    lab = Laboratory(load_data("digits", limit=100))
    found = {arm: waking.run(lab, waking.ask(1, arm, share)) for arm in PLACEMENTS}
    assert [each.values["below_zero"] for each in found.values()] == [1.0, 1.0, 1.0]
    assert [each.values["asleep_start"] for each in found.values()] == [1.0, 0.0, 1.0]
    assert found[BEFORE].values["wake_step"] == 0
    assert waking.run(lab, waking.ask(1, AFTER, share)) == found[AFTER]
