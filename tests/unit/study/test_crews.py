"""Several processes that train one trial: as one process on the whole batch, and never a hang."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from placenorm import layers
from placenorm.errors import ModelError, TrialError
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.checkpoints import file_name
from placenorm.study.crews import Crew, Post
from placenorm.study.ranks import check_norms, synchronise_norms
from placenorm.study.training import Trainer
from support.trials import make_small_plan, without_clock

KEY = TrialKey("after-activation", 1, 0.05)
PATIENCE_S = 10
ROUNDING = 1e-5
"""Sums over shares and over the whole batch are added in another order; without synchronised norms a tenth differs."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Convolving(nn.Module):
    """A network on maps, one of whose layers gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 8, 3)
        self.last = nn.Linear(8 * 4, 3)
        self.idle = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.conv(x.unsqueeze(1))).flatten(1))


def run_crew(recipe: Any, key: TrialKey) -> TrialResult:
    trainer = Trainer(recipe)
    try:
        return trainer.run(key)
    finally:
        trainer.close()


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 15, "norm": "torch"},
        pytest.param({"batch_size": 15, "norm": "placenorm", "model": Convolving}, marks=pytest.mark.slow),
        pytest.param({"batch_size": 16, "precision": "bfloat16"}, marks=pytest.mark.slow),
    ],
    ids=["uneven-shares", "maps", "bfloat16"],
)
def test_two_processes_are_one_on_the_whole_batch(tmp_path: Path, options: dict[str, object]) -> None:
    alone = Trainer(make_small_plan(tmp_path, epochs=4, **options).recipe).run(KEY)
    plan = make_small_plan(tmp_path, epochs=4, processes_per_trial=2, **options)
    assert plan.head.settings.processes == 2
    found = run_crew(plan.recipe, KEY)
    rel = 0.02 if "precision" in options else ROUNDING
    assert found.val_loss == pytest.approx(alone.val_loss, rel=rel)
    for mine, theirs in zip(found.epochs, alone.epochs, strict=True):
        assert mine.step == theirs.step
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=rel)
        assert mine.val_loss == pytest.approx(theirs.val_loss, rel=rel)
        assert mine.val_metric == pytest.approx(theirs.val_metric, abs=2 / 24 if "precision" in options else 1e-9)
    assert [share.activation for share in found.dead] == [share.activation for share in alone.dead]


@pytest.mark.slow
def test_last_batch_of_a_loader_may_be_smaller_than_the_crew(tmp_path: Path) -> None:
    """32 + 32 + 2 samples in three processes: one of them has none of the last batch."""
    x = torch.randn(66, 6, generator=torch.Generator().manual_seed(0))
    loader = DataLoader(TensorDataset(x, x[:, :3].argmax(1)), 32, shuffle=True)
    options: dict[str, Any] = {"data": (loader, loader, loader), "batch_size": 64, "epochs": 2}
    alone = Trainer(make_small_plan(tmp_path, **options).recipe).run(KEY)
    found = run_crew(make_small_plan(tmp_path, processes_per_trial=3, **options).recipe, KEY)
    assert found.steps == alone.steps == 6
    assert found.val_loss == pytest.approx(alone.val_loss, rel=ROUNDING)
    assert found.test_metric == alone.test_metric


class Killed(BaseException):
    """Stands in for SIGKILL."""


@pytest.mark.slow
def test_crew_that_was_killed_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    dropping = "mlp:2"
    plan = make_small_plan(tmp_path, epochs=4, processes_per_trial=2, model=dropping)
    recipe = replace(plan.recipe, checkpoints=tmp_path / "checkpoints", checkpoint_always=True)
    undisturbed = run_crew(replace(recipe, checkpoints=None), KEY)
    calls = tmp_path / "calls"

    def score(outputs: Tensor, targets: Tensor) -> float:
        """Kill the process that keeps records in its third epoch."""
        count = len(calls.read_text()) if calls.exists() else 0
        if count == 5:
            calls.write_text("." * 6)
            os.kill(os.getpid(), signal.SIGKILL)
        calls.write_text("." * (count + 1))
        return recipe.scorer.function(outputs, targets)

    killing = replace(recipe, scorer=replace(recipe.scorer, function=score))
    with pytest.raises(TrialError, match="was ended by SIGKILL"):
        run_crew(killing, KEY)
    assert (tmp_path / "checkpoints" / file_name(KEY)).exists()
    assert without_clock(run_crew(killing, KEY)) == without_clock(undisturbed)
    # Two epochs are left, each with training and validation; then the test data, with the model and with no model.
    assert len(calls.read_text()) == 6 + 2 * 2 + 2, "epochs that were kept were trained again"


# -- failures


def end_by_signal(post: Post[str]) -> str:
    if post.rank == 1 and post.key == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return _meet(post)


def end_by_exit(post: Post[str]) -> str:
    if post.rank == 0 and post.key == "bad":
        os._exit(3)
    return _meet(post)


def raise_error(post: Post[str]) -> str:
    if post.rank == 1 and post.key == "bad":
        raise ValueError("boom")
    return _meet(post)


def raise_ours(post: Post[str]) -> str:
    if post.rank == 1 and post.key == "bad":
        raise ModelError("As it was raised.")
    return _meet(post)


def _meet(post: Post[str]) -> str:
    """Wait for the others, who may never come."""
    dist.init_process_group("gloo", init_method=f"file://{post.meeting}", rank=post.rank, world_size=post.size)
    try:
        dist.barrier()
    finally:
        dist.destroy_process_group()
    return f"{post.key} of {post.size}"


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (
            end_by_signal,
            r"Process 2 of the 2 that train trial bad was ended by SIGKILL \(killed, or out of memory\); use",
        ),
        pytest.param(
            end_by_exit, "Process 1 of the 2 that train trial bad ended with exit code 3; use", marks=pytest.mark.slow
        ),
        (raise_error, "Trial bad failed in process 2 of 2: line [0-9]+ of test_crews.py raises ValueError: boom; mend"),
        pytest.param(raise_ours, "^As it was raised", marks=pytest.mark.slow),
    ],
    ids=["signal", "exit", "error", "own-error"],
)
def test_process_that_fails_ends_the_trial_and_not_the_next(work: Callable[[Post[str]], str], words: str) -> None:
    crew: Crew[str, str] = Crew(lambda: work, 2)
    try:
        with pytest.raises((TrialError, ModelError), match=words):
            crew.run("bad")
        assert crew.run("good") == "good of 2"
        assert crew.run("another") == "another of 2"
    finally:
        crew.close()


def wait_forever(post: Post[str]) -> str:
    if post.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        signal.pause()


def test_process_that_waits_for_a_dead_one_is_ended() -> None:
    crew: Crew[str, str] = Crew(lambda: wait_forever, 2)
    with pytest.raises(TrialError, match="Process 2 of the 2"):
        crew.run("bad")
    assert crew.processes == []


@pytest.mark.slow
def test_own_loop_gets_a_model_that_trains_as_one(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: Any) -> float:
        rank, size = dist.get_rank(), dist.get_world_size()
        x = torch.randn(33, 6, generator=torch.Generator().manual_seed(seed))
        y = x[:, :3].argmax(1)
        share = slice(0, 17) if rank == 0 else slice(17, 33)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(5):
            loss = nn.functional.cross_entropy(model(x[share]), y[share], reduction="sum") * size / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            report(step, rank)
        return sum(float(each.detach().square().sum()) for each in model.parameters())

    def train_alone(model: nn.Module, seed: int, report: Any) -> float:
        x = torch.randn(33, 6, generator=torch.Generator().manual_seed(seed))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            loss = nn.functional.cross_entropy(model(x), x[:, :3].argmax(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return sum(float(each.detach().square().sum()) for each in model.parameters())

    key = TrialKey("after-activation", 1, None)
    found = run_crew(make_small_plan(tmp_path, train=train, processes_per_trial=2).recipe, key)
    alone = Trainer(make_small_plan(tmp_path, train=train_alone).recipe).run(key)
    assert [record.val_metric for record in found.epochs] == [0.0] * 5
    assert found.test_metric == pytest.approx(alone.test_metric, rel=ROUNDING)


# -- norms


class Acting(nn.BatchNorm1d):
    """A norm that does more than a norm does."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


@pytest.mark.parametrize(
    "norm",
    [Acting(4), layers.BatchNorm1d(4, after="relu"), layers.BatchNorm1d(4, virtual_batch_size=2)],
    ids=["subclass", "with-activation", "virtual-batches"],
)
def test_norm_that_would_lose_something_is_refused(norm: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"Cannot train Sequential in several processes: its norm 1 is a"):
        check_norms(nn.Sequential(nn.Linear(6, 4), norm))


def test_every_norm_is_synchronised_with_its_parameters() -> None:
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Sequential(layers.BatchNorm1d(4)))
    parameters = [id(each) for each in model.parameters()]
    synchronise_norms(model, ours=True)
    assert [type(model[1]), type(model[2][0])] == [layers.SyncBatchNorm, layers.SyncBatchNorm]
    assert [id(each) for each in model.parameters()] == parameters


def test_plan_refuses_norms_that_cannot_be_synchronised(tmp_path: Path) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), Acting(8), nn.Linear(8, 3))

    with pytest.raises(ModelError, match="Cannot train Sequential in several processes"):
        make_small_plan(tmp_path, model=make, processes_per_trial=2, placements=["as-is"])


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    after = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    _, left = psutil.wait_procs([each for each in after if not is_tracker(each)], timeout=PATIENCE_S)
    assert left == []


def is_tracker(process: psutil.Process) -> bool:
    """Whether a process only keeps the books of shared resources, and stays as long as this one."""
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.slow
def test_crew_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Without being closed: at its end a process waits for those that it started."""
    code = (
        "from test_crews import raise_error\nfrom placenorm.study.crews import Crew\n"
        "crew = Crew(lambda: raise_error, 2)\nprint(crew.run('good'), flush=True)\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S * 6,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert (done.returncode, done.stdout) == (0, "good of 2\n"), done.stderr
