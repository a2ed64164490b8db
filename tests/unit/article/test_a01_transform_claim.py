"""A1's rule on made-up observations, and its experiment on small data."""

from collections.abc import Mapping

import pytest
import torch

from placenorm.article import a01_transform as a1
from placenorm.article.claim import Scale
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms

RIGHT = {"mean_error": 1e-12, "var_error": 9e-4}
WRONG = {"mean_error": 1e-12, "var_error": 1.1e-3}


def observe(
    ways: Mapping[str, Mapping[str, float]], *, others: float = 0.0, means: float = 100.0, seeds: int = 3
) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float]:
        rest = {
            "means": means,
            "variances": 100.0,
            "others": others,
            "var_least": 0.5,
            "var_most": 2.0,
            "from_norm": 0.1,
        }
        return rest | ways[str(question.factors["divisor"])]

    return make_up(
        a1.CLAIM,
        answer,
        lambda question: {"var_before": (0.5, 2.0), "var_after": (1.0, 1.0)},
        Scale(seeds, full=False, images=True),
    )


AS_WRITTEN = {a1.VARIANCE: RIGHT, a1.DEVIATION: RIGHT, a1.NORM: RIGHT}
AS_KNOWN = {a1.VARIANCE: WRONG, a1.DEVIATION: RIGHT, a1.NORM: RIGHT}


@pytest.mark.parametrize(
    ("observations", "outcome", "variant"),
    [
        (observe(AS_WRITTEN), "holds", ""),
        (observe(AS_KNOWN), "holds-only-if", "standard-deviation"),
        (observe(AS_KNOWN | {a1.DEVIATION: WRONG}), "does-not-hold", ""),
        (observe(AS_WRITTEN | {a1.NORM: WRONG}), "does-not-hold", ""),
        (observe(AS_WRITTEN | {a1.NORM: RIGHT | {"mean_error": 2e-3}}), "does-not-hold", ""),
        (observe(AS_WRITTEN, others=1e-9), "does-not-hold", ""),
        (observe(AS_WRITTEN, means=1.0), "does-not-hold", ""),
        (observe(AS_WRITTEN, seeds=2), "undecided", ""),
        (observe(AS_WRITTEN | {a1.NORM: RIGHT | {"var_error": float("nan")}}), "does-not-hold", ""),
    ],
    ids=[
        "as-written", "as-known", "neither", "norm-is-off", "mean-is-off", "others-matter", "one-mean", "two-seeds",
        "no-number",
    ],
)  # fmt: skip
def test_rule(observations: list[Observation], outcome: str, variant: str) -> None:
    ruling = a1.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    said = say_everything(a1.CLAIM, observations)
    assert all(said.values())


def test_one_bad_seed_is_enough() -> None:
    observations = observe(AS_WRITTEN)
    observations[-1].values["var_error"] = 0.01
    assert a1.judge(observations).outcome == "does-not-hold"


def test_shuffled_ways_do_not_hold() -> None:
    assert a1.judge(shuffle_arms(observe(AS_KNOWN), "divisor")).outcome == "does-not-hold"


def test_every_seed_is_asked_all_three_ways() -> None:
    assert all(ways == set(a1.DIVISORS) for ways in arms_by_pair(a1.CLAIM, "divisor").values())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a1.CLAIM, "en") == find_keys(a1.CLAIM, "fa")


def test_experiment_measures_what_the_article_says_and_repeats() -> None:
    lab = Laboratory(load_data("digits", limit=300))
    questions = a1.ask(Scale(1, full=False, images=True))
    variance, deviation, norm = (a1.run(lab, question) for question in questions)
    assert norm.values["means"] == norm.values["variances"] == 100
    assert norm.values["others"] == 0
    assert norm.values["var_error"] == pytest.approx(deviation.values["var_error"])
    assert deviation.values["from_norm"] == pytest.approx(0, abs=1e-9)
    # Divided by its variance, a column keeps the inverse of it.
    inverse = torch.tensor(variance.series["var_before"], dtype=torch.float64).reciprocal()
    torch.testing.assert_close(torch.tensor(variance.series["var_after"], dtype=torch.float64), inverse)
    assert a1.run(lab, questions[0]) == variance
