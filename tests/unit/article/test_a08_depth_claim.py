"""A8's rule on made-up observations, and the residual networks that it is put to."""

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import nn

from placenorm.article import a08_depth as a08
from placenorm.article.claim import Scale
from placenorm.article.experiments.networks import make_mlp
from placenorm.article.experiments.scenes import PLACEMENTS
from placenorm.facts.claim import Observation, Question
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms

APART = 1e-4
"""By how much seeds differ in every arm: a spread of 0 is not believed, the smallest distance of two values is."""

Gain = Callable[[int, bool, int], float]
"""Gain in accuracy by depth, whether residual, and seed."""


def observe(gain: Gain, *, seeds: int = 3) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float | None]:
        factors = question.factors
        more = gain(int(factors["depth"]), bool(factors["residual"]), question.seed)
        reached = 0.8 + APART * question.seed + (factors["placement"] != "none") * more
        return {"test_accuracy": reached, "area": reached - 0.1, "val_loss": float(factors["lr"])}

    return make_up(a08.CLAIM, answer, scale=Scale(seeds, full=False, images=True))


def by_part(shallow: float, deep: float, residual: float) -> Gain:
    return lambda depth, is_residual, seed: residual if is_residual else shallow if depth <= 4 else deep


def unsure(part: Gain, *, where: Callable[[int, bool], bool]) -> Gain:
    return lambda depth, residual, seed: part(depth, residual, seed) + where(depth, residual) * 0.1 * (seed - 1)


@pytest.mark.parametrize(
    ("gain", "outcome", "variant"),
    [
        (by_part(0.0, 0.05, 0.05), "holds", "residual"),
        (by_part(0.009, 0.011, 0.011), "holds", "residual"),
        (by_part(-0.05, 0.05, 0.05), "holds", "residual"),
        (unsure(by_part(0.0, 0.05, 0.02), where=lambda depth, residual: residual), "holds", ""),
        (by_part(0.0, 0.05, 0.0), "holds-only-if", "plain"),
        (by_part(0.0, 0.05, -0.05), "holds-only-if", "plain"),
        (by_part(0.011, 0.05, 0.05), "does-not-hold", "everywhere"),
        (by_part(0.0, 0.009, 0.05), "does-not-hold", "nowhere"),
        (by_part(0.0, -0.05, 0.05), "does-not-hold", "nowhere"),
        (unsure(by_part(0.0, 0.05, 0.05), where=lambda depth, residual: depth <= 4), "undecided", ""),
        (unsure(by_part(0.0, 0.05, 0.0), where=lambda depth, residual: depth > 6), "undecided", ""),
    ],
    ids=[
        "threshold", "on-the-margin", "shallow-lose", "residual-open", "residual-not", "residual-lose", "shallow-too",
        "deep-not", "deep-lose", "shallow-open", "deep-open",
    ],
)  # fmt: skip
def test_rule(gain: Gain, outcome: str, variant: str) -> None:
    observations = observe(gain)
    ruling = a08.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a08.CLAIM, observations).values())


@pytest.mark.parametrize("seeds", [1, 2], ids=["one-seed", "two-seeds"])
def test_few_seeds_decide_nothing(seeds: int) -> None:
    observations = observe(by_part(0.0, 0.2, 0.2), seeds=seeds)
    assert a08.judge(observations).outcome == "undecided"
    assert all(say_everything(a08.CLAIM, observations).values())


def test_shuffled_placements_do_not_hold() -> None:
    assert a08.judge(shuffle_arms(observe(by_part(0.0, 0.1, 0.1)), "placement")).outcome == "undecided"


@pytest.mark.parametrize(
    ("gains", "until", "since"),
    [
        ({2: 0.0, 5: 0.0, 9: 0.02, 21: 0.05}, 5, 9),
        ({2: 0.02, 5: 0.0, 9: 0.02, 21: 0.05}, 5, 9),
        ({2: 0.02, 5: 0.02}, 0, 2),
        ({2: 0.02, 5: 0.01}, 5, 0),
        ({}, 0, 0),
    ],
    ids=["between", "not-monotonic", "everywhere", "on-the-margin-at-last", "nothing"],
)
def test_threshold_is_where_the_gain_stays_above_a_point(gains: dict[int, float], until: int, since: int) -> None:
    assert a08.find_threshold(gains) == {"from_layers": since, "until_layers": until}


def test_six_layers_are_neither_shallow_nor_deep() -> None:
    full = Scale(3, full=True, images=True)
    parts = a08._list_parts(make_up(a08.CLAIM, lambda question: {}, scale=full))
    assert parts == {
        "shallow": ([1, 2, 3, 4], False),
        "deep": ([6, 8, 12, 20], False),
        "residual": ([8, 12, 20], True),
    }


def test_words_of_the_long_run_are_there() -> None:
    one = observe(by_part(0.0, 0.05, 0.05))[0]
    long = make_up(a08.CLAIM, lambda question: one.values, scale=Scale(3, full=True, images=True))
    assert all(say_everything(a08.CLAIM, long).values())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a08.CLAIM, "en") == find_keys(a08.CLAIM, "fa")


def test_residual_networks_are_asked_in_all_arms_at_every_rate() -> None:
    pairs = arms_by_pair(a08.CLAIM, "placement")
    residual = [arms for (_, _, rest), arms in pairs.items() if ("residual", True) in rest]  # type: ignore[operator]
    assert residual
    assert all(arms == set(PLACEMENTS) for arms in residual)


@pytest.mark.parametrize("depth", [2, 20], ids=["one-sum", "many-sums"])
@torch.no_grad()
def test_a_residual_network_keeps_the_size_of_its_signal(depth: int) -> None:
    torch.manual_seed(0)
    model = make_mlp((64,), 10, depth, residual=True)
    x = torch.randn(512, 64)
    first = float(nn.Sequential(*list(model)[1:3])(x).square().mean())
    last = float(nn.Sequential(*list(model)[1:-1])(x).square().mean())
    assert 1.0 < last / first < 8.0
