from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from placenorm.errors import TrialError
from placenorm.facts.trial import TrialKey
from placenorm.study.training import Trainer, build_model
from support.trials import make_small_plan, without_clock, write_data

ARMS = ("none", "before-activation", "after-activation")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_trainer_same_key_gives_the_same_result_whatever_ran_before(tmp_path: Path) -> None:
    plan = make_small_plan(tmp_path)
    key = TrialKey("after-activation", 1, 0.1)
    alone = Trainer(plan.recipe).run(key)
    busy = Trainer(plan.recipe)
    busy.run(TrialKey("none", 0, 0.1))
    torch.rand(3)
    assert without_clock(busy.run(key)) == without_clock(alone)


def test_trainer_learns_and_records_every_epoch(tmp_path: Path) -> None:
    result = Trainer(make_small_plan(tmp_path, epochs=30).recipe).run(TrialKey("before-activation", 0, 0.1))
    assert result.test_metric is not None
    assert result.test_metric > 0.6
    assert [record.step for record in result.epochs] == [4 * epoch for epoch in range(1, 31)]
    assert result.steps == 120
    assert result.val_metric == result.epochs[-1].val_metric
    first, last = result.epochs[0].train_loss, result.epochs[-1].train_loss
    assert first is not None
    assert last is not None
    assert last < first
    assert result.step_time_ms > 0


def test_build_model_variants_of_a_seed_share_their_weights(tmp_path: Path) -> None:
    plan = make_small_plan(tmp_path)
    states = [build_model(plan.recipe, TrialKey(arm, 5, 0.1)).state_dict() for arm in ARMS]
    weights = [key for key in states[0] if key.endswith("weight")]
    assert len(weights) == 3
    for state in states[1:]:
        for key in weights:
            assert torch.equal(state[key], states[0][key])


def test_build_model_seeds_differ(tmp_path: Path) -> None:
    plan = make_small_plan(tmp_path)
    first, second = (build_model(plan.recipe, TrialKey("none", seed, 0.1)).state_dict() for seed in (0, 1))
    assert not any(torch.equal(first[key], second[key]) for key in first if key.endswith("weight"))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_trainer_optimizers_and_schedules_differ(tmp_path: Path, optimizer: str, schedule: str) -> None:
    usual = Trainer(make_small_plan(tmp_path).recipe).run(TrialKey("none", 0, 0.02))
    plan = make_small_plan(tmp_path, optimizer=optimizer, schedule=schedule)
    other = Trainer(plan.recipe).run(TrialKey("none", 0, 0.02))
    same = without_clock(other) == without_clock(usual)
    assert same is ((optimizer, schedule) == ("sgd", "constant"))


def test_trainer_divergence_is_a_result(tmp_path: Path) -> None:
    plan = make_small_plan(tmp_path, data=write_data(tmp_path, regression=True), metric="rmse", epochs=5)
    result = Trainer(plan.recipe).run(TrialKey("none", 0, 1e4))
    assert result.diverged_at is not None
    assert result.val_loss is None
    assert result.epochs[-1].val_metric is None
    assert result.test_metric is not None  # what a model has that always answers the training mean
    assert 0 < result.test_metric < 100
    assert result.steps == result.diverged_at


def test_trainer_own_loop_gets_model_seed_and_report(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    def train(model: nn.Module, seed: int, report: object) -> float:
        seen.append((type(model).__name__, seed))
        report(10, 0.5)  # type: ignore[operator]
        report(20, torch.tensor(0.75))  # type: ignore[operator]
        return 0.8

    plan = make_small_plan(tmp_path, train=train)
    result = Trainer(plan.recipe).run(TrialKey("after-activation", 3, None))
    assert seen == [("PlainMlp", 3)]
    assert [(record.step, record.val_metric) for record in result.epochs] == [(10, 0.5), (20, 0.75)]
    assert (result.test_metric, result.steps) == (0.8, 20)


def test_trainer_own_loop_that_diverges_is_a_result(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: object) -> float:
        report(10, float("nan"))  # type: ignore[operator]
        return float("nan")

    result = Trainer(make_small_plan(tmp_path, train=train).recipe).run(TrialKey("none", 0, None))
    assert (result.test_metric, result.diverged_at) == (None, 10)


def test_trainer_own_loop_that_fails_names_itself_and_the_trial(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: object) -> float:
        raise IndexError("no such batch")

    trainer = Trainer(make_small_plan(tmp_path, train=train).recipe)
    with pytest.raises(TrialError, match=r"failed in trial none\|seed=0\|lr=own: .*IndexError: no such batch"):
        trainer.run(TrialKey("none", 0, None))


def test_trainer_own_metric_is_taken(tmp_path: Path) -> None:
    def top_logit(outputs: Tensor, targets: Tensor) -> float:
        return float(outputs.max())

    plan = make_small_plan(tmp_path, metric=top_logit)
    result = Trainer(plan.recipe).run(TrialKey("none", 0, 0.1))
    assert plan.head.metric.name == "top_logit"
    assert result.test_metric is not None
    assert result.test_metric != round(result.test_metric, 3)


def test_trainer_placenorm_norms_learn_the_same_function_as_torchs(tmp_path: Path) -> None:
    """Whose layers are placed does not change what is learned, beyond rounding."""
    torch_norms, our_norms = (
        Trainer(make_small_plan(tmp_path, norm=norm, epochs=5).recipe).run(TrialKey("after-activation", 0, 0.05))
        for norm in ("torch", "placenorm")
    )
    assert our_norms.val_loss == pytest.approx(torch_norms.val_loss, rel=1e-3)
