"""A9's rule on made-up observations, and the scene of the unit that should be on for a tenth of the inputs."""

from collections.abc import Callable, Mapping

import pytest

from placenorm.article import a09_before_after as a09
from placenorm.article.claim import Scale
from placenorm.article.experiments import rare_feature
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.scenes import NORMS
from placenorm.data import load_data
from placenorm.facts.claim import Observation, Question
from support.observations import arms_by_pair, find_keys, make_up, say_everything, shuffle_arms

BEFORE, AFTER = NORMS

APART = 1e-4
"""By how much seeds differ in every arm: a spread of 0 is not believed, the smallest distance of two values is."""

Lead = Callable[[str, int], float]
"""Accuracy after minus before, by condition and seed."""


def name_condition(question: Question) -> str:
    factors = question.factors
    if not factors["affine"]:
        return "no-affine"
    if factors["activation"] != "relu":
        return str(factors["activation"])
    if factors["residual"]:
        return "residual"
    return "shallow" if int(factors["depth"]) <= 4 else "deep"


def observe(
    lead: Lead, *, learned: float = 0.0, forced: float = 0.2, seeds: int = 3, scale: Scale | None = None
) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float | None]:
        factors = question.factors
        if question.kind == rare_feature.KIND:
            more = 0.0 if factors["placement"] != BEFORE else learned if factors["affine"] else forced
            return {"on": 0.2 + APART * question.seed + more}
        ahead = (factors["placement"] == AFTER) * lead(name_condition(question), question.seed)
        return {"test_accuracy": 0.8 + APART * question.seed + ahead, "area": 0.7, "val_loss": float(factors["lr"])}

    return make_up(a09.CLAIM, answer, scale=scale or Scale(seeds, full=False, images=True))


def everywhere(ahead: float, **others: float) -> Lead:
    named = {name.replace("_", "-"): value for name, value in others.items()}
    return lambda condition, seed: named.get(condition, ahead)


@pytest.mark.parametrize(
    ("lead", "outcome", "variant"),
    [
        (everywhere(0.03), "holds", ""),
        (everywhere(0.011), "holds", ""),
        (lambda condition, seed: 0.03 + (condition == "tanh") * 0.1 * (seed - 1), "holds-only-if", "some"),
        (lambda condition, seed: 0.03 + (condition == "tanh") * 0.02 * (seed - 1), "holds", ""),
        (everywhere(0.03, tanh=-0.02), "holds-only-if", "except"),
        (everywhere(0.0, tanh=0.03), "holds-only-if", "some"),
        (everywhere(-0.03, no_affine=0.03), "holds-only-if", "some"),
        (everywhere(0.009), "does-not-hold", "same"),
        (everywhere(0.0, tanh=-0.03), "does-not-hold", "same"),
        (everywhere(-0.03), "does-not-hold", "before"),
        (lambda condition, seed: 0.03 * (seed - 1), "undecided", ""),
    ],
    ids=[
        "after", "just-over-the-margin", "one-too-wild", "one-open", "except-tanh", "tanh-only", "without-affine-only",
        "within-the-margin", "tanh-lost", "before", "open",
    ],
)  # fmt: skip
def test_rule(lead: Lead, outcome: str, variant: str) -> None:
    observations = observe(lead)
    ruling = a09.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a09.CLAIM, observations).values())


@pytest.mark.parametrize(
    ("learned", "forced", "reason"),
    [
        (0.0, 0.2, "both"),
        (0.049, 0.051, "both"),
        (0.0, 0.0, "learned"),
        (0.2, 0.2, "forced"),
        (0.2, 0.0, "open"),
        (-0.2, 0.2, "open"),
    ],
    ids=["both", "on-the-margin", "never-forced", "forced", "strange", "less-than-without"],
)
def test_reason_is_told_beside_the_verdict(learned: float, forced: float, reason: str) -> None:
    observations = observe(everywhere(0.0), learned=learned, forced=forced)
    ruling = a09.judge(observations)
    assert (ruling.outcome, ruling.facts["reason"]) == ("does-not-hold", reason)
    assert all(say_everything(a09.CLAIM, observations).values())


@pytest.mark.parametrize("seeds", [1, 2], ids=["one-seed", "two-seeds"])
def test_few_seeds_decide_nothing(seeds: int) -> None:
    observations = observe(everywhere(0.1), seeds=seeds)
    ruling = a09.judge(observations)
    assert (ruling.outcome, ruling.facts["reason"]) == ("undecided", "open")
    assert all(say_everything(a09.CLAIM, observations).values())


def test_shuffled_placements_do_not_hold() -> None:
    shuffled = shuffle_arms(
        [each for each in observe(everywhere(0.1)) if each.question.kind == "training"], "placement"
    )
    scenes = [each for each in observe(everywhere(0.1)) if each.question.kind == rare_feature.KIND]
    assert a09.judge(shuffled + scenes).outcome == "undecided"


def test_every_network_is_asked_before_and_after() -> None:
    pairs = arms_by_pair(a09.CLAIM, "placement")
    assert all(arms == set(NORMS) for (kind, *_), arms in pairs.items() if kind == "training")


def test_words_of_the_long_run_are_there() -> None:
    long = observe(everywhere(0.0), scale=Scale(3, full=True, images=True))
    assert all(say_everything(a09.CLAIM, long).values())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a09.CLAIM, "en") == find_keys(a09.CLAIM, "fa")


def test_scene_finds_the_feature_and_is_the_same_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rare_feature, "STEPS", 150)
    lab = Laboratory(load_data("digits", limit=300))
    found = {
        arm: rare_feature.run(lab, rare_feature.ask(0, "noisy", placement, affine=affine)).values
        for arm, (placement, affine) in a09.ARMS.items()
    }
    assert all((values["unexplained"] or 1.0) < 0.6 for values in found.values())
    for values in found.values():
        on, present, absent = (values[name] or 0.0 for name in ("on", "on_present", "on_absent"))
        assert present > 0.9
        assert on == pytest.approx(rare_feature.SHARE * present + (1 - rare_feature.SHARE) * absent, abs=0.01)
    again = rare_feature.run(lab, rare_feature.ask(0, "noisy", BEFORE, affine=False)).values
    assert again == found["before-plain"]
