"""Trials in low precision, compiled, and on loaders of the user's own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from placenorm.errors import ModelError, TrialError, UsageError
from placenorm.facts.trial import TrialKey
from placenorm.study.planning import make_plan
from placenorm.study.request import Request
from placenorm.study.stepping import Stepper
from placenorm.study.training import Trainer
from support.trials import make_small_plan, without_clock

KEY = TrialKey("after-activation", 0, 0.05)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# -- precision


SEEN: set[tuple[bool, torch.dtype, torch.dtype]] = set()


class Noting(nn.Linear):
    """Notes the types that it computes in."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        y = super().forward(input)
        SEEN.add((self.training, y.dtype, self.weight.dtype))
        return y


class Looking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = Noting(6, 16), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_precision_computes_in_it_and_keeps_parameters(tmp_path: Path, precision: str) -> None:
    plan = make_small_plan(tmp_path, model=Looking, precision=precision)
    usual = Trainer(make_small_plan(tmp_path, model=Looking).recipe).run(KEY)
    SEEN.clear()
    found = Trainer(plan.recipe).run(KEY)
    dtype = getattr(torch, precision)
    assert {(training, dtype, torch.float32) for training in (True, False)} <= SEEN
    assert found.val_loss != usual.val_loss
    assert found.val_loss == pytest.approx(usual.val_loss, rel=0.05)
    assert plan.head.settings.precision == precision


def test_float16_leaves_out_steps_whose_gradients_overflow() -> None:
    parameter = nn.Parameter(torch.ones(()))
    stepper = Stepper("float16", "cpu", torch.optim.SGD([parameter], lr=0.1))
    assert not stepper.step(parameter * 1e36)  # times the scale it is infinite
    assert parameter.item() == 1.0
    assert stepper.step(parameter * 2.0)
    assert parameter.item() == pytest.approx(0.8)
    other = Stepper("float16", "cpu", torch.optim.SGD([parameter], lr=0.1))
    other.load(stepper.dump())
    assert other.dump() == stepper.dump()


def test_default_is_no_autocast() -> None:
    parameter = nn.Parameter(torch.ones(4, 4))
    stepper = Stepper("float32", "cpu", torch.optim.SGD([parameter], lr=0.1))
    with stepper.autocast():
        assert (parameter @ parameter).dtype == torch.float32
    assert stepper.dump() is None


@pytest.mark.slow
def test_compiled_trials_are_those_of_the_plain_network(tmp_path: Path) -> None:
    """More of them than torch keeps compilations of one forward."""
    plain, compiled = (make_small_plan(tmp_path, compile=compiled) for compiled in (False, True))
    assert compiled.head.settings.compiled
    trainer = Trainer(compiled.recipe)
    for seed in range(10):
        key = replace(KEY, seed=seed)
        found, wanted = trainer.run(key), Trainer(plain.recipe).run(key)
        assert found.val_loss == pytest.approx(wanted.val_loss, rel=1e-4)
        counts = torch._dynamo.utils.counters
        assert sum(counts["graph_break"].values()) == 0
        assert counts["stats"]["unique_graphs"] > 0, "nothing was compiled"


# -- what cannot be


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "int8"}, "Unknown precision 'int8': use float32 or bfloat16 or float16"),
        ({"processes_per_trial": 0}, "Cannot compare with --processes-per-trial 0"),
        ({"processes_per_trial": 8, "batch_size": 4}, "Cannot share batches of 4 out to 8 processes"),
        ({"train": "mine.py:train", "precision": "bfloat16"}, "Cannot use --precision or --compile with --train"),
    ],
    ids=["precision", "no-process", "small-batch", "own-loop"],
)
def test_request_that_cannot_be_is_one_sentence(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Request(**options)  # type: ignore[arg-type]


def test_trial_in_more_processes_than_gpus_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("placenorm.study.request.check_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UsageError, match="in 4 processes on 2 GPU"):
        Request(device="cuda", processes_per_trial=4)
    with pytest.raises(UsageError, match="in 2 processes on 1 GPU"):
        Request(device="cuda:1", processes_per_trial=2)
    Request(device="cuda", processes_per_trial=2)


# -- loaders


def make_data(count: int = 120) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    return x, x[:, :3].argmax(1)


class Named(nn.Module):
    """Takes its inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Linear(3, 8), nn.Linear(3, 8), nn.Linear(8, 3)

    def forward(self, *, left: Tensor, right: Tensor) -> Tensor:
        return self.last(torch.relu(self.left(left)) + torch.relu(self.right(right)))


class Parts:
    """A loader that says nothing of its length, and whose batches are mappings."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        x, y = make_data()
        for order in torch.randperm(120).split(self.size):
            yield {"left": x[order, :3], "right": x[order, 3:], "target": y[order]}


def macro(outputs: Tensor, targets: Tensor) -> float:
    """The user's own metric."""
    return float((outputs.argmax(1) == targets).float().mean())


@pytest.mark.parametrize("metric", [None, macro], ids=["accuracy", "own-metric"])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_loaders_without_a_length_and_with_named_inputs_train(metric: object, schedule: str) -> None:
    request = Request(
        model=Named,
        data=(Parts(16), Parts(20)),
        epochs=6,
        schedule=schedule,
        metric=metric,  # type: ignore[arg-type]
    )
    plan = make_plan(request, "a test")
    assert plan.head.metric.quantum == 0.0
    assert plan.head.settings.batch_size == 16
    trainer = Trainer(plan.recipe)
    key = TrialKey("before-activation", 3, 0.1)
    result = trainer.run(key)
    assert result.steps == 6 * 8
    assert result.test_metric is not None
    assert result.test_metric > 0.6
    trainer.run(replace(key, seed=1))
    assert without_clock(trainer.run(key)) == without_clock(result)


def test_cosine_over_a_loader_with_a_length_ends_at_nothing(tmp_path: Path) -> None:
    x, y = make_data()
    loader = DataLoader(TensorDataset(x, y), 16, shuffle=True)
    rates = []

    class Noting(torch.optim.SGD):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            rates.append(self.param_groups[0]["lr"])
            super().step(closure)

    plan = make_small_plan(tmp_path, data=(loader, loader), batch_size=64, schedule="cosine", epochs=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "SGD", Noting)
        Trainer(plan.recipe).run(KEY)
    assert len(rates) == 24
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.01 * rates[0]


def test_loaders_of_a_diverged_trial_score_what_learned_nothing(tmp_path: Path) -> None:
    x, _ = make_data()
    loader = DataLoader(TensorDataset(x, x[:, 0]), 16)
    plan = make_small_plan(tmp_path, data=(loader, loader), batch_size=64, metric="rmse", epochs=5)
    result = Trainer(plan.recipe).run(TrialKey("none", 0, 1e4))
    assert result.diverged_at is not None
    assert result.test_metric == pytest.approx(1.0, abs=0.2)


class Once:
    """A loader that gives nothing the second time."""

    def __init__(self) -> None:
        self.left = 10

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = make_data()
        self.left -= 1
        return iter([(x, y)] if self.left > 0 else [])


def test_loader_that_runs_dry_is_one_sentence(tmp_path: Path) -> None:
    x, y = make_data()
    plan = make_small_plan(tmp_path, data=(Once(), DataLoader(TensorDataset(x, y), 16)), batch_size=64, epochs=20)
    with pytest.raises(TrialError, match="has no batch of two samples or more; give a loader that starts anew"):
        Trainer(plan.recipe).run(KEY)


def test_batch_size_beside_loaders_is_refused(tmp_path: Path) -> None:
    x, y = make_data()
    loader = DataLoader(TensorDataset(x, y), 16)
    with pytest.raises(UsageError, match="Cannot use --batch-size 16 with loaders"):
        make_small_plan(tmp_path, data=(loader, loader), batch_size=16)


def test_loaders_that_cannot_be_sent_are_one_sentence(tmp_path: Path) -> None:
    class Held:
        def __init__(self) -> None:
            self.batches = (each for each in ())

        def __iter__(self) -> Iterator[object]:
            return iter(())

    with pytest.raises(UsageError, match="Cannot send the data to the worker processes"):
        make_small_plan(tmp_path, data=(Held(), Held()), batch_size=64)


def test_model_that_fails_on_named_inputs_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Looking cannot be called with left="):
        make_small_plan(tmp_path, data=(Parts(16), Parts(20)), batch_size=64, model=Looking)
