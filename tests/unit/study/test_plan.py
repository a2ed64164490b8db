import random

import pytest

from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.plan import plan_seed
from support.results import make_trial

ARMS = ("none", "after-activation")
START = (0.01, 0.03, 0.09)


def results(losses: dict[tuple[str, float], float | None], seed: int = 0) -> dict[TrialKey, TrialResult]:
    trials = (
        make_trial(arm, seed, rate, val_loss=loss, diverged_at=5 if loss is None else None)
        for (arm, rate), loss in losses.items()
    )
    return {trial.key: trial for trial in trials}


def test_plan_seed_starts_with_the_whole_grid() -> None:
    plan = plan_seed(3, ARMS, START, {})
    assert set(plan.missing) == {TrialKey(arm, 3, rate) for arm in ARMS for rate in START}
    assert plan.chosen == {}


def test_plan_seed_is_done_when_every_choice_lies_inside() -> None:
    finished = results({(arm, rate): abs(rate - 0.03) for arm in ARMS for rate in START})
    plan = plan_seed(0, ARMS, START, finished)
    assert plan.missing == ()
    assert {arm: trial.key.lr for arm, trial in plan.chosen.items()} == dict.fromkeys(ARMS, 0.03)


def test_plan_seed_choice_at_an_end_sends_every_variant_further() -> None:
    finished = results({(arm, rate): abs(rate - (0.01 if arm == "none" else 0.03)) for arm in ARMS for rate in START})
    plan = plan_seed(0, ARMS, START, finished)
    assert {key.variant for key in plan.missing} == set(ARMS)
    (rate,) = {key.lr for key in plan.missing}
    assert rate == pytest.approx(0.01 / 3, rel=1e-5)


def test_plan_seed_ignores_other_seeds() -> None:
    finished = results({(arm, rate): 1.0 for arm in ARMS for rate in START}, seed=1)
    assert len(plan_seed(0, ARMS, START, finished).missing) == 6


def test_plan_seed_all_diverged_goes_down_and_ends() -> None:
    finished: dict[TrialKey, TrialResult] = {}
    for _ in range(20):
        plan = plan_seed(0, ARMS, START, finished)
        if not plan.missing:
            break
        finished |= results({(key.variant, key.lr): None for key in plan.missing if key.lr is not None})
    assert plan.missing == ()
    assert min(rate for rate in plan.grid if rate is not None) < 0.01
    assert max(rate for rate in plan.grid if rate is not None) == 0.09


@pytest.mark.parametrize("start", [(0.05,), (None,)], ids=["one-rate", "own-loop"])
def test_plan_seed_single_rate_does_not_grow(start: tuple[float | None, ...]) -> None:
    finished = {key: make_trial(key.variant, 0, key.lr) for key in plan_seed(0, ARMS, start, {}).missing}
    assert plan_seed(0, ARMS, start, finished).missing == ()


@pytest.mark.parametrize("order", range(5), ids=lambda order: f"order-{order}")
def test_plan_seed_does_not_depend_on_the_order_in_which_trials_finish(order: int) -> None:
    losses = {(arm, rate): random.Random(f"{arm}{rate}").random() for arm in ARMS for rate in (*START, 0.27, 0.81)}
    finished = list(results({key: loss for key, loss in losses.items() if key[1] <= 0.09}).items())
    random.Random(order).shuffle(finished)
    assert plan_seed(0, ARMS, START, dict(finished)) == plan_seed(0, ARMS, START, dict(sorted(finished)))
