import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from placenorm.errors import ModelError, TrialError
from placenorm.facts.trial import TrialKey
from placenorm.study.rate_search import end_early
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


def test_trial_that_is_behind_ends_there_as_the_whole_trial_was_until_then(tmp_path: Path) -> None:
    recipe = make_small_plan(tmp_path, epochs=8).recipe
    key = TrialKey("none", 0, 0.1)
    whole = Trainer(recipe).run(key)
    bar = tuple((record.step, 0.01) for record in whole.epochs)
    ended = Trainer(recipe).run(key, bar)
    assert (ended.pruned_at, ended.steps, ended.test_metric) == (8, 8, None)
    assert without_clock(ended) == without_clock(end_early(whole, bar, 8))
    kept_up = tuple((record.step, 100.0) for record in whole.epochs)
    assert without_clock(Trainer(recipe).run(key, kept_up)) == without_clock(whole)


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


class Noisy(Dataset[tuple[Tensor, int]]):
    """Data that NumPy's, Python's and torch's global generators augment."""

    def __init__(self) -> None:
        self.x = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
        self.targets = self.x[:, :3].argmax(1).tolist()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = np.random.normal(0, 0.3, 6).astype(np.float32) + random.gauss(0, 0.3)  # noqa: NPY002
        return torch.from_numpy(self.x[index] + noise) + 0.3 * torch.randn(6), self.targets[index]


def test_trainer_augmented_data_give_the_same_result_whatever_ran_before(tmp_path: Path) -> None:
    plan = make_small_plan(tmp_path, data=(Noisy(), None))
    key = TrialKey("after-activation", 1, 0.1)
    busy = Trainer(plan.recipe)
    first = busy.run(key)
    busy.run(TrialKey("none", 0, 0.1))
    assert without_clock(busy.run(key)) == without_clock(first)


def test_trainer_own_loop_that_draws_gives_the_same_result_whatever_ran_before(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: object) -> float:
        return random.random() + float(np.random.rand()) + float(torch.rand(()))  # noqa: NPY002

    trainer = Trainer(make_small_plan(tmp_path, train=train).recipe)
    first, other, again = (trainer.run(TrialKey("none", seed, None)).test_metric for seed in (1, 2, 1))
    assert first == again
    assert first != other


def test_build_model_same_seed_gives_the_same_weights_whoever_draws_them(tmp_path: Path) -> None:
    def make() -> nn.Module:
        net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
        net[0].weight.data.fill_(random.random() + float(np.random.rand()))  # noqa: NPY002
        return net

    plan = make_small_plan(tmp_path, model=make)
    first, other, again = (
        build_model(plan.recipe, TrialKey("none", seed, 0.1)).get_parameter("0.weight") for seed in (1, 2, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_build_model_with_norms_elsewhere_than_planned_is_refused(tmp_path: Path) -> None:
    made: list[nn.Module] = []

    def make() -> nn.Module:
        """Another network each time from the tenth on, as if a file beside it had changed meanwhile."""
        made.append(nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)))
        return made[-1] if len(made) < 10 else nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), *made[-1][1:])

    plan = make_small_plan(tmp_path, model=make, placements={"plain": {"0": "none"}, "mine": {"2": "none"}})
    assert len(made) < 10
    made.extend([nn.ReLU()] * 10)
    with pytest.raises(ModelError, match=r"Cannot build the model of plain\|seed=0.* as planned: the norm of 2 should"):
        build_model(plan.recipe, TrialKey("plain", 0, 0.1))


def test_trainer_own_loop_that_calls_exit_is_one_sentence(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: object) -> float:
        sys.exit(3)

    trainer = Trainer(make_small_plan(tmp_path, train=train).recipe)
    with pytest.raises(TrialError, match=r"failed in trial none\|seed=0\|lr=own: .*SystemExit: 3"):
        trainer.run(TrialKey("none", 0, None))


@pytest.mark.parametrize(
    ("step", "value"),
    [(10**30, 0.5), (-1, 0.5), (1.5, 0.5), ("1", 0.5), (1, "good"), (1, None), (1, torch.zeros(2))],
    ids=["huge", "negative", "fraction", "text", "no-number", "none", "two-numbers"],
)
def test_trainer_report_that_cannot_be_kept_is_one_sentence(tmp_path: Path, step: object, value: object) -> None:
    def train(model: nn.Module, seed: int, report: object) -> float:
        report(step, value)  # type: ignore[operator]
        return 0.5

    trainer = Trainer(make_small_plan(tmp_path, train=train).recipe)
    with pytest.raises(TrialError, match=r"train called report\(.*: the step must be a whole number from 0"):
        trainer.run(TrialKey("none", 0, None))
