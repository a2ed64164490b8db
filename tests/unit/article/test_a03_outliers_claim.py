"""A3's rule on made-up observations, and its experiments on small data."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from placenorm.article import a03_outliers as a3
from placenorm.article.claim import Scale
from placenorm.article.experiments import corruption
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.scenes import NORMS
from placenorm.article.experiments.tails import measure_tails
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms

BEFORE, AFTER = NORMS


def observe(
    *,
    area: float = 0.9,
    spread: float = 0.0,
    hit: float = 0.9,
    alarm: float = 0.001,
    counted_hit: float = 0.9,
    counted_alarm: float = 0.01,
    ratio: Mapping[str, float] | None = None,
    seeds: int = 3,
) -> list[Observation]:
    ratio = ratio or {BEFORE: 1.0, AFTER: 1.0}

    def answer(question: Question) -> Mapping[str, float]:
        if question.kind == a3.LIMIT:
            return {"bound_error": 1e-12}
        share = ratio[str(question.factors["placement"])] * a3.NORMAL_TABLE[3]
        values = {f"beyond_{far}_{site}": share for far in a3.NORMAL_TABLE for site in ("input", "norms")}
        rates = {
            "norms": (hit, alarm),
            "input": (hit, alarm),
            "values": (hit, alarm),
            "counted": (counted_hit, counted_alarm),
        }
        for way, (found, false) in rates.items():
            values[f"alarm_{way}"] = false
            values |= {f"hit_{way}_{kind}": found for kind in corruption.CORRUPTIONS}
            values |= {f"area_{way}_{kind}": area + spread * (question.seed - 1) for kind in corruption.CORRUPTIONS}
        return values

    def series(question: Question) -> Mapping[str, tuple[float, ...]]:
        return {"size": (2.0, 26.0), "largest": (1.0, 5.0)} if question.kind == a3.LIMIT else {}

    return make_up(a3.CLAIM, answer, series, Scale(seeds, full=False, images=True))


@pytest.mark.parametrize(
    ("observations", "outcome"),
    [
        (observe(), "holds"),
        (observe(ratio={BEFORE: 1.9, AFTER: 0.51}), "holds"),
        (observe(ratio={BEFORE: 1.0, AFTER: 2.1}), "holds-only-if"),
        (observe(ratio={BEFORE: 0.4, AFTER: 1.0}), "holds-only-if"),
        (observe(alarm=0.02), "holds-only-if"),
        (observe(alarm=0.02, counted_hit=0.1, counted_alarm=0.01), "does-not-hold"),
        (observe(area=0.54), "does-not-hold"),
        (observe(area=0.6, spread=0.06), "undecided"),
        (observe(hit=0.0, alarm=0.0), "undecided"),
        (observe(seeds=2), "undecided"),
        (observe(seeds=1), "undecided"),
    ],
    ids=[
        "as-written", "table-just-fits", "after-does-not-fit", "too-few-far", "five-is-common", "counting-fails-too",
        "no-better-than-chance", "area-is-unsure", "nothing-is-flagged", "two-seeds", "one-seed",
    ],
)  # fmt: skip
def test_rule(observations: list[Observation], outcome: str) -> None:
    ruling = a3.judge(observations)
    assert ruling.outcome == outcome
    assert ruling.variant == ("counted" if outcome == "holds-only-if" else "")
    assert all(say_everything(a3.CLAIM, observations).values())


def test_what_is_decided_is_said_where_counting_is_open() -> None:
    observations = [
        replace(each, values={**each.values, "alarm_counted": 0.01 + 0.009 * (each.question.seed - 1)})
        if each.question.kind != a3.LIMIT
        else each
        for each in observe(alarm=0.02)
    ]
    ruling = a3.judge(observations)
    assert (ruling.outcome, ruling.variant) == ("undecided", "unlike")
    assert all(say_everything(a3.CLAIM, observations).values())


def test_precision_is_that_of_two_percent_corrupted() -> None:
    effects = a3.judge(observe(hit=0.5, alarm=0.01)).effects
    found = next(each for each in effects if each.name == "precision" and each.factors["way"] == "norms")
    assert found.estimate == pytest.approx(100 * 0.02 * 0.5 / (0.02 * 0.5 + 0.98 * 0.01))


def test_shuffled_placements_do_not_hold() -> None:
    shuffled = shuffle_arms(observe(ratio={BEFORE: 1.0, AFTER: 6.0}), "placement")
    assert a3.judge(shuffled).outcome == "undecided"


def test_every_network_is_asked_with_both_placements() -> None:
    assert all(arms == set(NORMS) for arms in arms_by_pair(a3.CLAIM, "placement").values())


def test_conv_networks_need_images() -> None:
    asked = a3.ask(Scale(1, full=False, images=False))
    assert {question.factors.get("network") for question in asked} == {"mlp", None}


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a3.CLAIM, "en") == find_keys(a3.CLAIM, "fa")


@pytest.mark.parametrize("far", [1, 2, 3, 5], ids=str)
def test_normal_table(far: int) -> None:
    share = a3.NORMAL_TABLE[far]
    assert share == pytest.approx(math.erfc(far / math.sqrt(2)), rel=1e-4)


def test_largest_distance_meets_its_bound() -> None:
    measured = a3.run_limit(Laboratory(load_data("digits", limit=200)), Question(a3.LIMIT, {}, 0))
    assert measured.values["bound_error"] == pytest.approx(0, abs=1e-6)
    largest = dict(zip(measured.series["size"], measured.series["largest"], strict=True))
    assert (largest[25] or 0) < a3.FAR - 0.05
    assert largest[26] == pytest.approx(a3.FAR)


def test_tails_of_a_normal_are_the_tables() -> None:
    generator = torch.Generator().manual_seed(0)
    x = 3 + 2 * torch.randn(4000, 10, generator=generator)
    model = nn.Sequential(nn.BatchNorm1d(10)).eval()
    model[0].running_mean.fill_(3)
    model[0].running_var.fill_(4)
    tails = measure_tails(model, x, x, (1, 2, 3), batch_size=1500)
    for far in (1, 2, 3):
        at_input, at_norms = tails[far]
        assert at_input == pytest.approx(a3.NORMAL_TABLE[far], rel=0.2)
        assert at_norms == pytest.approx([a3.NORMAL_TABLE[far]], rel=0.2)
    assert not model[0]._forward_pre_hooks


def test_area_is_that_of_scikit_learn() -> None:
    good, bad = torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([0.4, 0.9, 0.3])
    labels = [0] * len(good) + [1] * len(bad)
    assert corruption.measure_area(good, bad) == pytest.approx(roc_auc_score(labels, torch.cat([good, bad])))


@pytest.mark.parametrize(
    ("kind", "share"),
    [("one-value", 1 / 16), ("salt", 0.05), ("bright", 1.0), ("dark", 1.0)],
    ids=corruption.CORRUPTIONS,
)
def test_corruption_changes_what_it_should(kind: str, share: float) -> None:
    x = torch.rand(500, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    spoilt = corruption.corrupt(kind, x, 0.0, 1.0)
    assert float((spoilt != x).float().mean()) == pytest.approx(share, rel=0.2)
    assert spoilt.shape == x.shape


def test_experiment_finds_what_is_too_bright_and_repeats() -> None:
    lab = Laboratory(load_data("digits", limit=400))
    asked = a3.ask(Scale(1, full=False, images=True))[0]
    question = replace(asked, factors=asked.factors | {"depth": 2, "epochs": 2})
    measured = a3.run(lab, question)
    assert len(measured.series["beyond_3"]) == 2
    for way in corruption.WAYS:
        assert (measured.values[f"area_{way}_bright"] or 0) > 0.95
    for far, nearer in ((2, 1), (3, 2), (5, 3)):
        assert (measured.values[f"beyond_{far}_norms"] or 0) <= (measured.values[f"beyond_{nearer}_norms"] or 0)
    assert a3.run(lab, question) == measured
