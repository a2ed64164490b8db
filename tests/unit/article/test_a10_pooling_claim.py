"""A10's rule on made-up observations, and its experiments on small data."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch

from placenorm.article import a10_pooling as a10
from placenorm.article.claim import Scale
from placenorm.article.experiments import pool_costs, pool_trainings
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.pool_networks import AFTER, POOLED, POSITIONS, SWAPPED
from placenorm.article.running import judge_claim
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from placenorm.report.claims_wording import say_verdict, show_number
from placenorm.report.language import Language
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks on several threads wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


JITTER = 1e-4
SAME = {"max": 0.0, "average": 0.0}


def observe(
    times: tuple[float, float] = (4.0, 4.0),
    gains: Mapping[str, float] = SAME,
    *,
    work: float = 4.0,
    seeds: int = 3,
) -> list[Observation]:
    by_side = dict(zip(a10.SIDES, times, strict=True))

    def answer(question: Question) -> Mapping[str, float | None]:
        jitter = JITTER * question.seed
        position = question.factors["position"]
        if question.kind == pool_costs.KIND:
            control = position == AFTER
            return {
                "elements_ratio": 1.0 if control else work,
                "time_ratio": 1.0 if control else by_side[int(question.factors["side"])] + jitter,
                "step_ratio": 1.0 if control else 1.2 + jitter,
                "norm_share": 0.2,
                "norm_parameters": 64.0,
            }
        gain = gains[str(question.factors["pool"])] if position == POOLED else 0.0
        return {"test_accuracy": 0.9 + gain + jitter * (position == POOLED), "val_loss": float(question.factors["lr"])}

    return make_up(a10.CLAIM, answer, scale=Scale(seeds, full=False, images=True))


@pytest.mark.parametrize(
    ("observations", "outcome", "variant"),
    [
        (observe(), "holds", ""),
        (observe(gains={"max": -0.009, "average": 0.05}), "holds", ""),
        (observe((1.5, 4.0)), "holds-only-if", "size"),
        (observe((2.9, 2.9)), "holds-only-if", "size"),
        (observe(gains={"max": -0.05, "average": 0.0}), "holds-only-if", "pool"),
        (observe((0.9, 4.0), {"max": -0.05, "average": 0.0}), "holds-only-if", "pool-size"),
        (observe(gains={"max": -0.01, "average": 0.0}), "holds-only-if", "pool"),
        (observe(work=3.0), "does-not-hold", "work"),
        (observe((0.9, 0.9)), "does-not-hold", "time"),
        (observe(gains={"max": -0.05, "average": -0.05}), "does-not-hold", "accuracy"),
        (observe((0.9, 4.0), {"max": -0.05, "average": -0.05}), "does-not-hold", "accuracy"),
        (observe(seeds=2), "undecided", ""),
    ],
    ids=[
        "as-said",
        "within-a-point",
        "small-maps",
        "nearly-three",
        "max-loses",
        "max-loses-small-maps",
        "about-a-point",
        "other-work",
        "no-faster",
        "both-lose",
        "both-lose-small-maps",
        "two-seeds",
    ],
)
def test_rule(observations: list[Observation], outcome: str, variant: str) -> None:
    ruling = a10.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a10.CLAIM, observations).values())


def scatter(ratios: tuple[float, ...], control: float = 1.0) -> list[Observation]:
    """Return observations whose times scatter over the seeds; the control's ratio is the same under each."""

    def move(each: Observation) -> Observation:
        if each.question.kind != pool_costs.KIND:
            return each
        ratio = control if each.question.factors["position"] == AFTER else ratios[each.question.seed]
        return replace(each, values={**each.values, "time_ratio": ratio, "step_ratio": ratio})

    return [move(each) for each in observe(seeds=len(ratios))]


def test_interval_of_a_ratio_lies_above_0_around_its_geometric_mean() -> None:
    effects = a10.judge(scatter((1.0, 2.0, 40.0), control=2.0)).effects
    times = [each for each in effects if each.unit == "ratio"]
    assert len(times) == len(a10.SIDES) + 1
    for each in times:
        assert each.low is not None
        assert each.high is not None
        assert 0 < each.low < each.estimate < each.high
        assert each.estimate == pytest.approx(80.0 ** (1 / 3) / 2)
        assert each.low * each.high == pytest.approx(each.estimate**2)
    panels = {point.panel for chart in a10.draw(scatter((1.0, 2.0, 40.0))) for point in chart.points if point.low}
    assert panels == {"norm", "step", ""}
    lows = [point.low for point in a10.draw(scatter((1.0, 2.0, 40.0)))[0].points]
    assert all(low is not None and low > 0 for low in lows)


@pytest.mark.parametrize("code", ["en", "fa"])
@pytest.mark.parametrize("times", [(1.496, 4.249), (4.249, 4.163), (1.0, 1.0)], ids=["rising", "falling", "equal"])
def test_sentence_says_the_numbers_of_the_table(times: tuple[float, float], code: str) -> None:
    result, language = judge_claim(a10.CLAIM, observe(times, seeds=2)), Language(code)
    shown = [show_number(each.estimate, language, each.unit) for each in result.ruling.effects if each.name == "time"]
    between = {"en": "{} to {} times less time", "fa": "{} تا {} برابر کمتر"}[code]
    assert between.format(*sorted(shown)) in say_verdict(result, language)


def test_shuffled_positions_do_not_hold() -> None:
    for made in (observe(), observe((1.5, 4.0))):
        assert a10.judge(shuffle_arms(made, "position")).outcome == "does-not-hold"


def test_every_place_is_asked_beside_the_one_after_the_activation() -> None:
    for (kind, _, rest), arms in arms_by_pair(a10.CLAIM, "position").items():
        if kind == pool_costs.KIND:
            assert arms == set(a10.TIMED)
        else:
            assert arms == set(POSITIONS) - ({SWAPPED} if ("pool", "average") in rest else set())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a10.CLAIM, "en") == find_keys(a10.CLAIM, "fa")


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    return Laboratory(load_data("digits", limit=200))


@pytest.mark.parametrize(("position", "work"), [(AFTER, 1.0), (POOLED, 4.0), (SWAPPED, 4.0)], ids=str)
def test_work_is_counted_and_parameters_stay(lab: Laboratory, position: str, work: float) -> None:
    values = pool_costs.run(lab, pool_costs.ask(0, position, 8)).values
    assert (values["elements_ratio"], values["norm_parameters"]) == (work, 64.0)
    assert (values["time_ratio"] or 0) > 0
    assert (values["norm_share"] or 0) > 0


@pytest.mark.parametrize("pool", ["max", "average"])
def test_network_trains_and_repeats(lab: Laboratory, pool: str) -> None:
    asked = pool_trainings.ask(0, POOLED, 0.1, pool)
    question = replace(asked, factors=asked.factors | {"epochs": 1})
    measured = pool_trainings.run(lab, question)
    assert measured.values["val_loss"] is not None
    assert pool_trainings.run(lab, question) == measured


def test_training_that_diverges_is_at_chance(lab: Laboratory) -> None:
    values = pool_trainings.run(lab, pool_trainings.ask(0, POOLED, 1e9)).values
    assert values == {"test_accuracy": lab.chance, "val_loss": None}
