"""A11's rule on made-up observations, and its experiment on small data."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import nn

from placenorm.article import a11_shape as a11
from placenorm.article.claim import Scale
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.scenes import NORMS
from placenorm.article.experiments.shapes import measure_shapes
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms

BEFORE, AFTER = NORMS
NORMAL, SKEWED, HEAVY = (0.4, 0.9), (0.6, 0.9), (0.4, 1.1)


def observe(
    shapes: Mapping[str, tuple[float, float]],
    *,
    cnn: tuple[float, float] | None = None,
    spread: float = 0.0,
    seeds: int = 3,
) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float | None]:
        skewness, kurtosis = shapes[str(question.factors["placement"])]
        if cnn is not None and question.factors["network"] == "cnn":
            skewness, kurtosis = cnn
        away = spread * (question.seed - 1)
        values: dict[str, float | None] = {"skewness_change": 1e-12, "kurtosis_change": 1e-12, "levels": 17.0}
        for site in a11.SITES:
            none = site == "pool"
            values |= {f"skewness_{site}": None if none else skewness + away}
            values |= {f"kurtosis_{site}": None if none else kurtosis, f"zeros_{site}": None if none else 0.5}
        return values

    def series(question: Question) -> Mapping[str, tuple[float, ...]]:
        names = ("skewness", "kurtosis", "zeros")
        return {f"{name}_{site}": () if site == "pool" else (0.5, 0.2) for name in names for site in a11.SITES}

    return make_up(a11.CLAIM, answer, series, Scale(seeds, full=False, images=True))


@pytest.mark.parametrize(
    ("observations", "outcome", "variant"),
    [
        (observe({BEFORE: NORMAL, AFTER: NORMAL}), "holds", ""),
        (observe({BEFORE: (0.5, 1.0), AFTER: (0.5, 1.0)}), "holds", ""),
        (observe({BEFORE: NORMAL, AFTER: SKEWED}), "holds-only-if", BEFORE),
        (observe({BEFORE: HEAVY, AFTER: NORMAL}), "holds-only-if", AFTER),
        (observe({BEFORE: HEAVY, AFTER: SKEWED}), "does-not-hold", ""),
        (observe({BEFORE: NORMAL, AFTER: NORMAL}, cnn=SKEWED), "does-not-hold", ""),
        (observe({BEFORE: NORMAL, AFTER: NORMAL}, spread=0.1), "undecided", ""),
        (observe({BEFORE: (0.5, 0.9), AFTER: (3.0, 0.9)}, spread=0.1), "undecided", "after-not"),
        (observe({BEFORE: NORMAL, AFTER: SKEWED}, seeds=2), "undecided", ""),
        (observe({BEFORE: NORMAL, AFTER: SKEWED}, seeds=1), "undecided", ""),
    ],
    ids=[
        "both-normal", "on-the-margin", "after-skewed", "before-heavy", "neither", "one-network-is-enough", "unsure",
        "before-unsure", "two-seeds", "one-seed",
    ],
)  # fmt: skip
def test_rule(observations: list[Observation], outcome: str, variant: str) -> None:
    ruling = a11.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a11.CLAIM, observations).values())


def test_shuffled_placements_do_not_hold() -> None:
    shuffled = shuffle_arms(observe({BEFORE: NORMAL, AFTER: (3.0, 9.0)}), "placement")
    assert a11.judge(shuffled).outcome == "undecided"


def test_every_network_is_asked_with_both_placements() -> None:
    assert all(arms == set(NORMS) for arms in arms_by_pair(a11.CLAIM, "placement").values())


def test_words_of_the_long_run_are_there() -> None:
    full = Scale(3, full=True, images=True)
    observations = observe({BEFORE: NORMAL, AFTER: SKEWED})
    long = make_up(a11.CLAIM, lambda question: observations[0].values, lambda question: observations[0].series, full)
    assert all(say_everything(a11.CLAIM, long).values())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a11.CLAIM, "en") == find_keys(a11.CLAIM, "fa")


def test_shapes_of_a_known_network() -> None:
    """Zeros become another value, a negative gamma turns the skewness round, a constant channel is left out."""
    x = torch.randn(5000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).clamp_min(-9)
    x[:, 2] = -1.0
    norm = nn.BatchNorm1d(3, dtype=torch.float64)
    nn.init.constant_(norm.weight, -2.0)
    norm.running_mean[:2] = 0.4
    found = measure_shapes(nn.Sequential(nn.ReLU(), norm).eval(), x)
    before, after = found.sites["norm-in"][0], found.sites["norm-out"][0]
    assert found.sites["activation"][0].zeros == pytest.approx(2 / 3, abs=0.02)
    assert (before.zeros, after.zeros) == (pytest.approx(2 / 3, abs=0.02), pytest.approx(1 / 3))
    torch.testing.assert_close(after.skewness, -before.skewness)
    assert found.skewness_change < 1e-10
    assert found.kurtosis_change < 1e-10
    assert found.constant == pytest.approx(1 / 3)
    assert before.skew == pytest.approx(1.65, abs=0.2)
    assert found.sites["input"][0].skew == pytest.approx(0.0, abs=0.1)


def test_experiment_sees_the_activation_and_not_the_norm_behind_it() -> None:
    lab = Laboratory(load_data("digits", limit=300))
    asked = next(
        question for question in a11.ask(Scale(1, full=False, images=True)) if question.factors["network"] == "cnn"
    )
    factors = asked.factors | {"depth": 2, "epochs": 1, "placement": AFTER}
    measured = a11.run(lab, replace(asked, factors=factors))
    assert measured.series["zeros_activation"] == measured.series["zeros_norm-in"]
    assert all(share and share > 0.1 for share in measured.series["zeros_activation"])
    assert len(measured.series["zeros_pool"]) == 2
    assert (measured.values["skewness_change"] or 0) < 1e-9
    assert a11.run(lab, replace(asked, factors=factors)) == measured
