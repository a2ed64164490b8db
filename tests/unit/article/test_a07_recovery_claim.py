"""A7's rule on made-up observations, and its wild steps on small data."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
import torch

from placenorm.article import a07_recovery as a7
from placenorm.article.claim import Scale
from placenorm.article.experiments import explosions
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
LARGE = 1e6

Back = Callable[[str, float], float]
"""What comes back, by placement and size of the step; the singular losses are as large as the largest spike."""


def observe(back: Back, *, seeds: int = 3) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float]:
        times = float(question.factors.get("times", LARGE))
        share = back(str(question.factors["placement"]), times) if times > 1 else 1.0
        return {"back": share, "back_batch": share}

    return make_up(
        a7.CLAIM,
        answer,
        lambda question: {"step": (0.0, 1.0), "accuracy": (0.1, 0.9)},
        Scale(seeds, full=False, images=True),
    )


def only_norms(share: float, bare: float = 0.0) -> Back:
    return lambda arm, times: bare if arm == "none" else share


def up_to(limit: float, share: float) -> Back:
    return lambda arm, times: 0.0 if arm == "none" else share if times <= limit else 0.0


@pytest.mark.parametrize(
    ("observations", "outcome", "variant"),
    [
        (observe(only_norms(0.95)), "holds", ""),
        (observe(only_norms(0.95, bare=0.5)), "holds", ""),
        (observe(up_to(1e4, 0.95)), "holds-only-if", "size"),
        (observe(lambda arm, times: 0.95 if arm == BEFORE else 0.0), "holds-only-if", "size"),
        (observe(lambda arm, times: 0.5 if arm == AFTER else 0.0), "holds-only-if", "part"),
        (observe(only_norms(0.9)), "holds-only-if", "part"),
        (observe(up_to(1e3, 0.11)), "holds-only-if", "part"),
        (observe(only_norms(0.5, bare=0.5)), "undecided", ""),
        (observe(only_norms(0.95, bare=0.95)), "does-not-hold", "no-need"),
        (observe(only_norms(0.09)), "does-not-hold", "dead"),
        (observe(only_norms(0.95), seeds=2), "undecided", ""),
    ],
    ids=[
        "back",
        "bare-half",
        "small-steps",
        "before",
        "after-in-part",
        "part",
        "hardly",
        "all-half",
        "no-need",
        "dead",
        "two-seeds",
    ],
)
def test_rule(observations: list[Observation], outcome: str, variant: str) -> None:
    ruling = a7.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a7.CLAIM, observations).values())


def test_size_from_which_on_none_gets_back_is_told() -> None:
    assert a7.judge(observe(up_to(1e4, 0.95))).facts["lost_from"] == 100_000
    assert a7.judge(observe(only_norms(0.95))).facts["lost_from"] == "never"


def test_loss_between_two_recoveries_is_no_limit() -> None:
    facts = a7.judge(observe(lambda arm, times: 0.95 if arm != "none" and times != 1e4 else 0.0)).facts
    assert facts["lost_from"] == "never"
    assert (facts["saved_before"], facts["saved_after"], facts["events"]) == (5, 5, 6)


def test_norm_that_stays_dead_is_not_said_to_resume() -> None:
    observations = observe(lambda arm, times: 0.5 if arm == AFTER else 0.0)
    facts = a7.judge(observations).facts
    assert (facts["revived_before"], facts["revived_after"]) == (0, 6)
    assert (facts["killed_before"], facts["killed_after"]) == (6, 0)
    assert "0 after which a network with the norm before" in " ".join(say_everything(a7.CLAIM, observations)["en"])


def test_what_could_not_be_measured_did_not_come_back() -> None:
    missing = [
        replace(each, values={**each.values, "back": None}) if each.question.factors["placement"] == BEFORE else each
        for each in observe(only_norms(0.95))
    ]
    assert a7.judge(missing).facts["killed_before"] == 6
    assert a7.judge(missing).variant == "size"


def test_three_equal_shares_just_over_the_limit_are_no_proof() -> None:
    assert a7.judge(observe(only_norms(0.901))).variant == "part"
    assert a7.judge(observe(only_norms(0.91))).outcome == "holds"


def test_shuffled_arms_do_not_hold() -> None:
    for back in (only_norms(0.95), up_to(1e4, 0.95), only_norms(0.5)):
        assert a7.judge(shuffle_arms(observe(back), "placement")).outcome == "undecided"


def test_every_wild_step_is_asked_in_all_arms() -> None:
    assert all(found == set(PLACEMENTS) for found in arms_by_pair(a7.CLAIM, "placement").values())


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a7.CLAIM, "en") == find_keys(a7.CLAIM, "fa")


@pytest.fixture(scope="module")
def lab() -> Laboratory:
    return Laboratory(load_data("digits", limit=600))


def test_ordinary_step_does_no_harm_and_repeats(lab: Laboratory) -> None:
    question = explosions.ask_spike(0, "none", 1.0, epochs=2)
    measured = explosions.run(lab, question)
    assert (measured.values["back"] or 0) > explosions.BACK
    assert explosions.run(lab, question) == measured


def test_spike_has_the_size_that_was_asked_for(lab: Laboratory) -> None:
    ratios = [
        explosions.run(lab, explosions.ask_spike(0, BEFORE, times, epochs=1)).values["gradient_ratio"] or 0
        for times in (1.0, 1e4)
    ]
    assert ratios[1] == pytest.approx(1e4 * ratios[0], rel=1e-3)


@pytest.mark.parametrize("loss", [*a7.NEAR], ids=str)
@pytest.mark.parametrize("arm", PLACEMENTS, ids=str)
def test_losses_near_zero_give_large_numbers(lab: Laboratory, arm: str, loss: explosions.Loss) -> None:
    ratio = explosions.run(lab, explosions.ask_singular(0, arm, loss, epochs=1)).values["gradient_ratio"]
    assert ratio is not None
    assert ratio > 1e3


@pytest.mark.parametrize("loss", [*a7.NO_NUMBERS], ids=str)
@pytest.mark.parametrize("arm", PLACEMENTS, ids=str)
def test_gradients_that_are_no_numbers_kill_every_placement(lab: Laboratory, arm: str, loss: explosions.Loss) -> None:
    values = explosions.run(lab, explosions.ask_singular(0, arm, loss, epochs=1)).values
    assert (values["gradient_ratio"], values["finite"], values["back"]) == (None, 0.0, 0.0)


@pytest.mark.parametrize(("arm", "evaluates"), [("none", True), (BEFORE, False), (AFTER, False)], ids=PLACEMENTS)
def test_skipped_nan_step_leaves_weights_but_poisons_running_statistics(
    lab: Laboratory, arm: str, evaluates: bool
) -> None:
    values = explosions.run(lab, explosions.ask_singular(0, arm, a7.SKIPPED, epochs=1)).values
    assert values["finite"] == 1.0
    assert (values["back_batch"] or 0) > explosions.BACK
    assert ((values["back"] or 0) > explosions.BACK) is evaluates
