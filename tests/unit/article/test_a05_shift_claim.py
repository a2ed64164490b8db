"""A5's rule on made-up observations, and its experiments on small data."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
import torch
from torch import nn

from placenorm.article import a05_shift as a5
from placenorm.article.claim import Scale
from placenorm.article.experiments import changes, drifting
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
QUIET, LOUD = 0.05, 0.5
JITTER = 1e-4
"""Seeds differ a little, or the smallest believable deviation would be the whole difference."""

Moves = Mapping[str, tuple[float, float, float]]
ALL_LOUD: Moves = dict.fromkeys(PLACEMENTS, (LOUD, LOUD, LOUD))
ALL_SAVED: Moves = {**ALL_LOUD, BEFORE: (QUIET, QUIET, QUIET), AFTER: (QUIET, QUIET, QUIET)}
MOMENTS: Moves = {**ALL_LOUD, BEFORE: (QUIET, QUIET, LOUD), AFTER: (QUIET, LOUD, LOUD)}


def observe(
    moves: Moves,
    *,
    drift: float = 0.01,
    area: float = 0.95,
    noisy_area: float = 0.93,
    noise: float = 0.6,
    steps: float = 9.0,
    seeds: int = 3,
) -> list[Observation]:
    def answer(question: Question) -> Mapping[str, float | None]:
        arm, jitter = str(question.factors["placement"]), JITTER * question.seed
        if question.kind == changes.KIND:
            moved = {f"moved_{name}": size + jitter for name, size in zip(a5.CHANGES, moves[arm], strict=True)}
            return moved | {"steps_mix": steps, "moved_eval_rescale": LOUD, "accuracy": 0.9}
        if arm == "none":
            return {"drift": 0.2 + jitter, "area": 0.88 + jitter**2}
        noisy = bool(question.factors["noise"])
        return {"drift": (noise if noisy else drift) + 2 * jitter, "area": (noisy_area if noisy else area) + jitter}

    def series(question: Question) -> Mapping[str, tuple[float | None, ...]]:
        if question.kind == changes.KIND:
            return {"size": (0.1, 1.0), **{f"moved_{name}": (0.1, None) for name in a5.CHANGES}}
        return {"drift_by_layer": (0.1, 0.2), "val_accuracy": (0.5, 0.9), "step": (1.0, 2.0)}

    return make_up(a5.CLAIM, answer, series, Scale(seeds, full=False, images=True))


@pytest.mark.parametrize(
    ("observations", "outcome", "variant"),
    [
        (observe(ALL_SAVED), "holds", ""),
        (observe(ALL_SAVED, drift=0.2), "holds-only-if", "some"),
        (observe(ALL_SAVED | {AFTER: (QUIET, QUIET, 0.101)}), "holds-only-if", "some"),
        (observe(MOMENTS), "holds-only-if", "moments"),
        (observe(MOMENTS | {BEFORE: (QUIET, LOUD, LOUD)}), "holds-only-if", "some"),
        (observe(dict.fromkeys(PLACEMENTS, (QUIET, QUIET, QUIET))), "does-not-hold", "no-need"),
        (observe(ALL_LOUD), "does-not-hold", "disturbed"),
        (observe(ALL_LOUD | {AFTER: (LOUD, LOUD, 0.1)}), "undecided", ""),
        (observe(ALL_SAVED, seeds=2), "undecided", ""),
    ],
    ids=["saved", "drift-as-large", "one-loud", "moments", "one-quiet", "no-need", "loud", "on-the-limit", "two-seeds"],
)
def test_rule(observations: list[Observation], outcome: str, variant: str) -> None:
    ruling = a5.judge(observations)
    assert (ruling.outcome, ruling.variant) == (outcome, variant)
    assert all(say_everything(a5.CLAIM, observations).values())


@pytest.mark.parametrize(
    ("observations", "cause"),
    [
        (observe(MOMENTS), "other"),
        (observe(MOMENTS, noisy_area=0.88), "drift"),
        (observe(MOMENTS, noisy_area=0.7), "drift"),
        (observe(MOMENTS, noise=0.1), "open"),
        (observe(MOMENTS, area=0.88), "open"),
    ],
    ids=["gain-stays", "gain-gone", "loss", "too-little-noise", "no-gain"],
)
def test_cause_is_told_beside_the_verdict(observations: list[Observation], cause: str) -> None:
    assert a5.judge(observations).facts["cause"] == cause
    assert all(say_everything(a5.CLAIM, observations).values())


def replace_values(
    observations: list[Observation], kind: str, arm: str, depth: int, seed: int, **values: float | None
) -> list[Observation]:
    def is_meant(question: Question) -> bool:
        factors = question.factors
        return (question.kind, factors["placement"], factors["depth"], question.seed) == (kind, arm, depth, seed)

    return [
        replace(each, values={**each.values, **values}) if is_meant(each.question) else each for each in observations
    ]


def test_depth_at_which_an_arm_learned_nothing_is_left_out_under_that_seed() -> None:
    deep = a5.SCENE_DEPTHS[-1]
    observations = observe(MOMENTS)
    for seed in range(3):
        idle = {"accuracy": 0.44, "moved_rescale": 0.0}
        observations = replace_values(observations, changes.KIND, "none", deep, seed, **idle)
        observations = replace_values(observations, changes.KIND, BEFORE, deep, seed, moved_rescale=LOUD)
    assert a5.judge(observations).variant == "moments"
    taken = [
        replace(each, values={**each.values, "accuracy": 0.9}) if each.question.kind == changes.KIND else each
        for each in observations
    ]
    assert a5.judge(taken).variant == "some"


def test_drift_is_compared_at_the_depths_that_all_arms_have() -> None:
    deep = a5.DRIFT_DEPTHS[-1]
    observations = observe(ALL_SAVED)
    for arm in NORMS:
        observations = replace_values(observations, drifting.KIND, arm, deep, 0, drift=9.0)
    assert a5.judge(observations).outcome == "holds-only-if"
    assert a5.judge(replace_values(observations, drifting.KIND, "none", deep, 0, drift=None)).outcome == "holds"


def test_steps_until_n_is_back_are_told_or_that_it_never_was() -> None:
    assert a5.judge(observe(MOMENTS)).facts["steps_none"] == 9
    late = observe(MOMENTS, steps=changes.MOST_STEPS)
    assert a5.judge(late).facts["steps_none"] == "never"
    assert "more than 200 with the norm before" in " ".join(say_everything(a5.CLAIM, late)["en"])


def test_shuffled_arms_do_not_hold() -> None:
    for observations in (observe(ALL_SAVED), observe(MOMENTS)):
        assert a5.judge(shuffle_arms(observations, "placement")).outcome == "undecided"


def test_every_network_is_asked_in_all_arms() -> None:
    for (_, _, rest), arms in arms_by_pair(a5.CLAIM, "placement").items():
        assert arms == set(NORMS if ("noise", True) in rest else PLACEMENTS)


def test_both_catalogues_have_the_same_keys() -> None:
    assert find_keys(a5.CLAIM, "en") == find_keys(a5.CLAIM, "fa")


def test_scene_is_undisturbed_by_two_moments_with_the_norm_before() -> None:
    lab = Laboratory(load_data("digits", limit=200))
    found = {}
    for arm in PLACEMENTS:
        question = changes.ask(0, arm, 1)
        found[arm] = changes.run(lab, replace(question, factors=question.factors | {"epochs": 1}))
    norm, plain = found[BEFORE].values, found["none"].values
    assert max(norm["moved_rescale"] or 0, norm["moved_shift"] or 0) < 1e-2
    assert min(plain["moved_rescale"] or 0, plain["moved_shift"] or 0, norm["moved_mix"] or 0) > 0.1
    assert norm["steps_rescale"] == 0
    assert changes.run(lab, replace(question, factors=question.factors | {"epochs": 1})) == found[AFTER]


def test_changes_keep_what_they_should() -> None:
    a, b = torch.randn(2, 100, 3, generator=torch.Generator().manual_seed(0))
    for change in changes.CHANGES.values():
        for one, other in zip(change(a, b, 0.0), (a, b), strict=True):
            torch.testing.assert_close(one, other)
    mixed = changes.mix(a, b, 1.0)
    torch.testing.assert_close(mixed[0].square() + mixed[1].square(), a.square() + b.square())


@pytest.mark.parametrize("noise", [False, True], ids=["alone", "put-back"])
def test_drift_is_measured_and_put_back(noise: bool) -> None:
    lab = Laboratory(load_data("digits", limit=400))
    question = drifting.ask(0, AFTER, 2, noise=noise)
    short = replace(question, factors=question.factors | {"epochs": 2})
    measured = drifting.run(lab, short)
    assert len(measured.series["drift_by_layer"]) == 2
    assert ((measured.values["drift"] or 0) > 0.3) is noise
    assert drifting.run(lab, short) == measured


def test_noise_is_there_in_training_only() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    drifting.put_back(model)
    x = torch.randn(8, 4)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
