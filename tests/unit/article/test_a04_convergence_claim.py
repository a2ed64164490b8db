"""A4's rule on made-up observations, and what the shared training says of a network."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from placenorm.article import a04_convergence as a04
from placenorm.article.claim import Scale
from placenorm.article.experiments import training
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.scenes import PLACEMENTS
from placenorm.article.grid import DEPTHS, choose_cell, choose_fastest, count_at_edge, read_best
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from support.observations import find_keys, make_up, say_everything, shuffle_arms

BASE = 0.7
"""Area without a norm, at every depth, at its best rate."""

APART = 1e-4
"""By how much seeds differ in every arm: a spread of 0 is not believed, the smallest distance of two values is."""

Gain = Callable[[int, int], float]
"""Gain in area by depth and seed."""


def observe(gain: Gain, *, seeds: int = 3, end: float = 0.9) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float | None]:
        factors, seed = question.factors, question.seed
        best = 0.03 if factors["placement"] == "none" else 0.1
        area = BASE + APART * seed + (factors["placement"] != "none") * gain(int(factors["depth"]), seed)
        # A slower training at a lower rate that ends a little lower: best by its loss, not by its speed.
        area -= 0.2 * (factors["lr"] != best)
        loss = 0.1 if factors["lr"] == best else 0.09 if factors["lr"] == 0.01 else 0.5
        return {"area": area, "val_loss": loss, "step_time_ms": 1.0 + (factors["placement"] != "none")}

    def series(question: Question) -> Mapping[str, tuple[float | None, ...]]:
        usable = float(question.factors["lr"]) <= (0.1 if question.factors["placement"] == "none" else 0.3)
        return {"step": (10.0, 20.0), "val_accuracy": (0.5, end if usable else 0.1)}

    return make_up(a04.CLAIM, answer, series, Scale(seeds, full=False, images=True))


def by_depth(*gains: float) -> Gain:
    return lambda depth, seed: gains[DEPTHS.index(depth)]


@pytest.mark.parametrize(
    ("gain", "outcome", "variant"),
    [
        (by_depth(0.02, 0.02, 0.05, 0.1), "holds", ""),
        (by_depth(0.011, 0.011, 0.011, 0.011), "holds", ""),
        (by_depth(0.0, 0.009, 0.05, 0.1), "holds-only-if", "deep"),
        (by_depth(-0.05, 0.0, 0.0, 0.1), "holds-only-if", "deep"),
        (by_depth(0.05, 0.0, 0.05, 0.1), "holds-only-if", "some"),
        (by_depth(0.05, 0.05, 0.05, 0.0), "holds-only-if", "some"),
        (by_depth(0.009, 0.0, 0.0, -0.009), "does-not-hold", ""),
        (by_depth(-0.05, -0.05, -0.1, -0.1), "does-not-hold", ""),
        (lambda depth, seed: 0.0 if depth < 20 else 0.1 * (seed - 1), "undecided", ""),
        (lambda depth, seed: 0.02 + 0.1 * (seed - 1), "undecided", ""),
    ],
    ids=[
        "everywhere", "just-over-the-margin", "deep-only", "slower-when-shallow", "not-in-between", "shallow-only",
        "nowhere", "slower", "deepest-open", "all-open",
    ],
)  # fmt: skip
def test_rule(gain: Gain, outcome: str, variant: str) -> None:
    observations = observe(gain)
    ruling = a04.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a04.CLAIM, observations).values())


@pytest.mark.parametrize("seeds", [1, 2], ids=["one-seed", "two-seeds"])
def test_few_seeds_decide_nothing(seeds: int) -> None:
    observations = observe(by_depth(0.2, 0.2, 0.2, 0.2), seeds=seeds)
    assert a04.judge(observations).outcome == "undecided"
    assert all(say_everything(a04.CLAIM, observations).values())


def test_shuffled_placements_do_not_hold() -> None:
    assert a04.judge(shuffle_arms(observe(by_depth(0.1, 0.1, 0.1, 0.1)), "placement")).outcome == "undecided"


def test_speed_is_read_at_the_rate_that_is_fastest_and_accuracy_at_the_lowest_loss() -> None:
    cell = choose_cell(observe(by_depth(0.1, 0.1, 0.1, 0.1)), DEPTHS[0])
    assert {each.question.factors["lr"] for each in choose_fastest(cell, "none").values()} == {0.03}
    assert read_best(cell, "none", "area") == pytest.approx({seed: BASE + APART * seed for seed in range(3)})
    assert read_best(cell, "none", "val_loss") == dict.fromkeys(range(3), 0.09)


def test_no_seed_reports_the_area_that_its_rate_was_chosen_by() -> None:
    def lucky(each: Observation) -> Observation:
        seed, rate = each.question.seed, each.question.factors["lr"]
        return replace(each, values={**each.values, "area": 0.99}) if (seed, rate) == (1, 0.01) else each

    cell = [lucky(each) for each in choose_cell(observe(by_depth(0.1, 0.1, 0.1, 0.1)), DEPTHS[0])]
    chosen = {seed: each.question.factors["lr"] for seed, each in choose_fastest(cell, "none").items()}
    assert chosen[1] == 0.03
    alone = [each for each in cell if each.question.seed == 1]
    assert choose_fastest(alone, "none")[1].question.factors["lr"] == 0.01


def test_choices_at_the_edge_of_the_grid_are_counted() -> None:
    cell = choose_cell(observe(by_depth(0.1, 0.1, 0.1, 0.1)), DEPTHS[0])
    at_edge, choices = count_at_edge([cell], PLACEMENTS)
    # The lowest loss is at 0.01: the lowest rate with a norm, the second without.
    assert (at_edge, choices) == (6, 9)


def test_facts_tell_rates_steps_and_time() -> None:
    facts = a04.judge(observe(by_depth(0.0, 0.0, 0.05, 0.1))).facts
    assert (facts["usable_with"], facts["usable_without"], facts["rates"]) == (5.0, 4.0, 6)
    assert (facts["least_rate"], facts["most_rate"]) == (0.003, 1.0)
    assert facts["target"] == pytest.approx(85.5)
    assert facts["steps_with"] == facts["steps_without"] == 19
    assert facts["time_ratio"] == 2.0
    assert facts["first_layers"] == 9


def test_a_target_that_is_never_reached_has_no_steps() -> None:
    observations = [
        Observation(each.question, each.values, each.series | {"val_accuracy": (0.1, 0.1)})
        if each.question.factors["depth"] == a04.REACH_DEPTH
        else each
        for each in observe(by_depth(0.0, 0.0, 0.05, 0.1))
    ]
    facts = a04.judge(observations).facts
    assert facts["steps_with"] == facts["steps_without"] == 0
    assert "never reached" in " ".join(say_everything(a04.CLAIM, observations)["en"])


@pytest.mark.parametrize("full", [False, True], ids=["quick", "full"])
def test_every_arm_is_asked_of_every_network_and_seed(full: bool) -> None:
    asked = a04.ask(Scale(3, full=full, images=True))
    networks: dict[str, set[tuple[object, int]]] = {placement: set() for placement in PLACEMENTS}
    for question in asked:
        networks[str(question.factors["placement"])].add((question.factors["depth"], question.seed))
    assert networks["none"] == networks["before-activation"] == networks["after-activation"]


def test_words_of_the_long_run_are_there() -> None:
    one = observe(by_depth(0.1, 0.1, 0.1, 0.1))[0]
    full = Scale(3, full=True, images=True)
    long = make_up(a04.CLAIM, lambda question: one.values, lambda question: one.series, full)
    assert all(say_everything(a04.CLAIM, long).values())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a04.CLAIM, "en") == find_keys(a04.CLAIM, "fa")


def test_training_tells_what_it_measured() -> None:
    lab = Laboratory(load_data("digits", limit=300))
    question = training.ask(0, "before-activation", 0.1, depth=2, epochs=2)
    measured = training.run(lab, question)
    again = training.run(lab, question)
    assert measured.series == again.series
    assert len(measured.series["step"]) == len(measured.series["val_accuracy"]) == 2
    area, heights = measured.values["area"], measured.series["val_accuracy"]
    assert area == pytest.approx(sum(height or 0.0 for height in heights) / 2)
    assert measured.values["dead_train"] == 0.0


def test_a_training_that_diverges_goes_on_at_chance() -> None:
    lab = Laboratory(load_data("digits", limit=300))
    measured = training.run(lab, training.ask(0, "none", 1e6, depth=2, epochs=3))
    assert measured.values["diverged"] == 1.0
    assert measured.values["val_loss"] is None
    assert measured.values["test_accuracy"] == lab.chance
    assert measured.series["val_accuracy"][-2:] == (lab.chance, lab.chance)


def test_a_norm_without_affine_has_no_parameters() -> None:
    lab = Laboratory(load_data("digits", limit=300))
    bare, plain, full = (
        sum(parameter.numel() for parameter in training.build(lab, question).parameters())
        for question in (
            training.ask(0, "none", 0.1, depth=2),
            training.ask(0, "after-activation", 0.1, depth=2, affine=False),
            training.ask(0, "after-activation", 0.1, depth=2),
        )
    )
    assert bare == plain < full
