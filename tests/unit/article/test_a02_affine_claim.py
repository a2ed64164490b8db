"""A2's rule on made-up observations, and its experiments on small data."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from placenorm.article import a02_affine as a2
from placenorm.article.claim import Scale
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms

RIGHT = {"var_error": 9e-4, "mean_error": 0.0, "error": 9e-4}
WRONG = {"var_error": 1.1e-3, "mean_error": 0.0, "error": 9e-4}
MOVED = {"gamma_moved": 0.02, "beta_moved": 0.01}


def observe(
    ways: Mapping[str, Mapping[str, float]], trained: Mapping[str, float] = MOVED, *, seeds: int = 3
) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float]:
        return trained if question.kind == a2.TRAINED else ways[str(question.factors["gamma"])]

    def series(question: Question) -> Mapping[str, tuple[float, ...]]:
        if question.kind == a2.TRAINED:
            return {"gamma": (1.0, 0.9), "beta": (0.0, 0.1)}
        learned = question.factors["gamma"] == a2.LEARNED
        return {"wanted": (0.1, 4.0), "got": (0.01, 16.0), "error": (1.0, 0.0) if learned else ()}

    return make_up(a2.CLAIM, answer, series, Scale(seeds, full=False, images=True))


AS_WRITTEN = dict.fromkeys(a2.WAYS, RIGHT)
AS_KNOWN = AS_WRITTEN | {a2.VARIANCE: WRONG}


@pytest.mark.parametrize(
    ("observations", "outcome", "variant"),
    [
        (observe(AS_WRITTEN), "holds", ""),
        (observe(AS_KNOWN), "holds-only-if", "standard-deviation"),
        (observe(AS_KNOWN | {a2.DEVIATION: WRONG}), "does-not-hold", ""),
        (observe(AS_WRITTEN | {a2.LEARNED: RIGHT | {"error": 2e-3}}), "does-not-hold", ""),
        (observe(AS_WRITTEN, MOVED | {"beta_moved": 0.009}), "does-not-hold", ""),
        (observe(AS_WRITTEN, seeds=2), "undecided", ""),
    ],
    ids=["as-written", "as-known", "neither", "not-learned", "not-moved", "two-seeds"],
)
def test_rule(observations: list[Observation], outcome: str, variant: str) -> None:
    ruling = a2.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a2.CLAIM, observations).values())


def test_shuffled_ways_do_not_hold() -> None:
    assert a2.judge(shuffle_arms(observe(AS_KNOWN), "gamma")).outcome == "does-not-hold"


def test_every_target_is_asked_in_all_ways() -> None:
    assert all(ways == set(a2.WAYS) for ways in arms_by_pair(a2.CLAIM, "gamma").values())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a2.CLAIM, "en") == find_keys(a2.CLAIM, "fa")


def test_experiment_reaches_its_targets_and_repeats() -> None:
    lab = Laboratory(load_data("digits", limit=300))
    for target in a2.TARGETS:
        found = {way: a2.run(lab, Question(a2.KIND, {"target": target, "gamma": way}, 1)) for way in a2.WAYS}
        assert (found[a2.DEVIATION].values["error"] or 0) < a2.TOLERANCE
        assert found[a2.LEARNED].values["error"] == pytest.approx(0, abs=1e-6)
        # Gamma as the variance v gives a variance of v squared.
        wanted, got = (found[a2.VARIANCE].series[name] for name in ("wanted", "got"))
        assert [value**2 for value in wanted if value] == pytest.approx(got, rel=1e-3)
    assert a2.run(lab, Question(a2.KIND, {"target": target, "gamma": a2.LEARNED}, 1)) == found[a2.LEARNED]


def test_training_moves_gamma_and_beta() -> None:
    lab = Laboratory(load_data("digits", limit=200))
    question = a2.ask(Scale(1, full=False, images=True))[-1]
    short = replace(question, factors=question.factors | {"depth": 2, "epochs": 1})
    measured = a2.run_trained(lab, short)
    assert len(measured.series["gamma"]) == len(measured.series["beta"]) == 2
    assert (measured.values["gamma_moved"] or 0) > 0
    assert (measured.values["beta_moved"] or 0) > 0
