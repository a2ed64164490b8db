"""A trial that was killed goes on from its last epoch, and gives what it would have given."""

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from placenorm.errors import TrialError
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.checkpoints import (
    DAMAGED,
    EVERY_S,
    UNWRITTEN,
    Checkpoint,
    file_name,
    keep_checkpoints,
    remove_checkpoints,
)
from placenorm.study.model_states import dump_model, load_model
from placenorm.study.own_loops import Reporter
from placenorm.study.recipe import Recipe
from placenorm.study.training import Trainer
from support.trials import make_small_plan, without_clock

KEY = TrialKey("after-activation", 1, 0.05)
EPOCHS = 5


class Killed(BaseException):
    """Stands in for SIGKILL: no part of a trial catches it."""


class Drawing(nn.Module):
    """A network with dropout, a generator, a counter and a buffer of which no state dict knows."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 3)
        self.dropout = nn.Dropout(0.3)
        self.generator = torch.Generator().manual_seed(7)
        self.calls = 0
        self.register_buffer("shift", torch.zeros(16), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(torch.relu(self.first(x)))
        return self.last(y)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make_drawing() -> nn.Module:
    return Drawing()


def make_recipe(folder: Path, *, always: bool = True, **options: object) -> Recipe:
    chosen = {"model": make_drawing, "epochs": EPOCHS, "optimizer": "adamw", "schedule": "cosine", **options}
    plan = make_small_plan(folder, **chosen)
    return replace(plan.recipe, checkpoints=folder / "checkpoints", checkpoint_always=always)


def killed_at(recipe: Recipe, call: int) -> tuple[Recipe, list[int]]:
    """Return a recipe whose metric kills at a call, and what counts its calls: two an epoch, and two at the end."""
    calls: list[int] = []

    def score(outputs: Tensor, targets: Tensor) -> float:
        calls.append(len(calls) + 1)
        if len(calls) == call:
            raise Killed
        return recipe.scorer.function(outputs, targets)

    return replace(recipe, scorer=replace(recipe.scorer, function=score)), calls


def run_killed(recipe: Recipe, call: int) -> None:
    with pytest.raises(Killed):
        Trainer(killed_at(recipe, call)[0]).run(KEY)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"optimizer": "sgd", "schedule": "constant"},
        {"precision": "bfloat16"},
        {"precision": "float16"},
    ],
    ids=["adamw-cosine", "sgd", "bfloat16", "float16"],
)
@pytest.mark.parametrize("call", [3, 8, 11, 12], ids=["second-epoch", "fourth-epoch", "test-data", "one-answer"])
def test_killed_trial_gives_the_same_result(tmp_path: Path, options: dict[str, object], call: int) -> None:
    recipe = make_recipe(tmp_path, **options)
    undisturbed = Trainer(replace(recipe, checkpoints=None)).run(KEY)
    run_killed(recipe, call)
    counted, calls = killed_at(recipe, 1000)
    resumed = Trainer(counted).run(KEY)
    assert without_clock(resumed) == without_clock(undisturbed)
    assert len(calls) == 2 * (EPOCHS - (call - 1) // 2) + 2, "epochs that were kept were trained again"
    times = [record.time_s for record in resumed.epochs]
    assert times == sorted(times)
    assert resumed.step_time_ms > 0


def test_trial_killed_twice_gives_the_same_result(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    undisturbed = Trainer(replace(recipe, checkpoints=None)).run(KEY)
    run_killed(recipe, 4)
    run_killed(recipe, 4)
    assert without_clock(Trainer(recipe).run(KEY)) == without_clock(undisturbed)


def test_checkpoint_of_one_trial_is_not_another_ones(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    run_killed(recipe, 8)
    other = replace(KEY, seed=0)
    undisturbed = Trainer(replace(recipe, checkpoints=None)).run(other)
    assert without_clock(Trainer(recipe).run(other)) == without_clock(undisturbed)


def test_what_was_kept_of_other_work_counts_as_nothing(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "checkpoints", KEY, "code of yesterday", always=True).save({"epoch": 1})
    mended = Checkpoint(tmp_path / "checkpoints", KEY, "code of today", always=True)
    assert mended.load() is None
    assert mended.incidents == ()
    assert mended.holds()
    assert Checkpoint(tmp_path / "checkpoints", KEY, "code of yesterday").load() == {"epoch": 1}


def damage_bits(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def take_anothers(file: Path) -> None:
    other = Checkpoint(file.parent, replace(KEY, seed=9), always=True)
    other.save({"epoch": 4})
    os.replace(file.parent / file_name(replace(KEY, seed=9)), file)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_bits, cut, take_anothers, empty], ids=["bit", "cut", "anothers", "empty"])
def test_damaged_checkpoint_has_the_trial_begin_anew_and_says_so(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    recipe = make_recipe(tmp_path)
    undisturbed = Trainer(replace(recipe, checkpoints=None)).run(KEY)
    run_killed(recipe, 8)
    damage(tmp_path / "checkpoints" / file_name(KEY))
    found = Trainer(recipe).run(KEY)
    assert found.incidents == (DAMAGED,)
    assert without_clock(replace(found, incidents=())) == without_clock(undisturbed)


def test_checkpoint_that_cannot_be_written_does_no_harm_and_says_so(tmp_path: Path) -> None:
    recipe = make_recipe(tmp_path)
    undisturbed = Trainer(replace(recipe, checkpoints=None)).run(KEY)
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    found = Trainer(recipe).run(KEY)
    assert found.incidents == (UNWRITTEN,)
    assert without_clock(replace(found, incidents=())) == without_clock(undisturbed)


def test_quick_epochs_are_not_kept_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe(tmp_path, always=False)
    run_killed(recipe, 8)
    assert not (tmp_path / "checkpoints").exists()
    clock = iter(range(0, 10_000, int(EVERY_S)))
    monkeypatch.setattr("placenorm.study.checkpoints.time.monotonic", lambda: float(next(clock)))
    run_killed(recipe, 8)
    assert (tmp_path / "checkpoints" / file_name(KEY)).exists()


def test_nothing_is_kept_where_the_result_folder_is_not(tmp_path: Path) -> None:
    """As on another machine, which does not see it."""
    checkpoint = Checkpoint(tmp_path / "nowhere" / "checkpoints", KEY, always=True)
    assert not checkpoint.due
    assert checkpoint.load() is None


def test_write_that_is_cut_short_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoints", KEY, always=True)
    checkpoint.save({"epoch": 1})

    def end(*args: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", end)
        with pytest.raises(Killed):
            checkpoint.save({"epoch": 2})
    assert Checkpoint(tmp_path / "checkpoints", KEY).load() == {"epoch": 1}
    remove_checkpoints(tmp_path / "checkpoints", [KEY])
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_only_trials_that_may_go_on_keep_their_checkpoints(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    stopped, failed = replace(KEY, seed=7), replace(KEY, seed=8)
    for key in (stopped, failed):
        Checkpoint(folder, key, always=True).save({"epoch": 1})
    (folder / file_name(stopped)).with_suffix(".new").touch()
    keep_checkpoints(folder, [failed])
    assert [file.name for file in folder.iterdir()] == [file_name(failed)]
    keep_checkpoints(tmp_path / "nowhere", [failed])


def test_names_of_checkpoints_are_plain_and_differ() -> None:
    keys = [TrialKey(name, 0, lr) for name in ("a/b|c", "a_b_c", "ا", "x" * 300) for lr in (0.1, None)]
    names = [file_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    assert all("/" not in name and len(name) < 120 for name in names)


# -- models


def test_model_state_has_what_no_state_dict_has() -> None:
    model, other = Drawing(), Drawing()
    with torch.no_grad():
        model.shift.add_(3.0)
    model.calls = 5
    torch.rand(2, generator=model.generator)
    load_model(other, dump_model(model))
    assert (other.calls, other.shift[0].item()) == (5, 3.0)
    drawn = [torch.rand(2, generator=each.generator) for each in (model, other)]
    assert torch.equal(*drawn)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


# -- the user's own loop


def run_loop(folder: Path, kill_at: int | None) -> TrialResult:
    def train(model: nn.Module, seed: int, report: Reporter) -> float:
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        start, kept = 0, report.load()
        if kept is not None:
            model.load_state_dict(kept["model"])
            optimizer.load_state_dict(kept["optimizer"])
            generator.set_state(kept["generator"])
            start = kept["epoch"]
        for epoch in range(start, EPOCHS):
            x = torch.randn(32, 6, generator=generator) + 0.1 * torch.randn(32, 6) + float(np.random.rand())  # noqa: NPY002
            loss = nn.functional.cross_entropy(model(x), x[:, :3].argmax(1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            report(epoch, loss.item())
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            report.save({**state, "generator": generator.get_state(), "epoch": epoch + 1})
            if epoch == kill_at:
                raise Killed
        return loss.item()

    return Trainer(make_recipe(folder, train=train, optimizer="sgd")).run(TrialKey("after-activation", 1, None))


def test_own_loop_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    undisturbed = run_loop(tmp_path, None)
    (tmp_path / "checkpoints" / file_name(undisturbed.key)).unlink()
    with pytest.raises(Killed):
        run_loop(tmp_path, 2)
    assert without_clock(run_loop(tmp_path, None)) == without_clock(undisturbed)
    assert [record.step for record in undisturbed.epochs] == list(range(EPOCHS))


def test_own_loop_may_leave_its_checkpoints_alone(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: Callable[[int, float], None]) -> float:
        report(1, 0.5)
        return 0.5

    recipe = make_recipe(tmp_path, train=train, optimizer="sgd")
    assert Trainer(recipe).run(TrialKey("none", 0, None)).test_metric == 0.5
    assert not (tmp_path / "checkpoints").exists()


class Thing:
    """What cannot be read without running code."""


def test_own_loop_that_saves_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    def train(model: nn.Module, seed: int, report: Any) -> float:
        report.save({"thing": Thing()})
        return 0.5

    recipe = make_recipe(tmp_path, train=train, optimizer="sgd")
    with pytest.raises(TrialError, match=r"train saved a state that cannot be read again: let it be made of tensors"):
        Trainer(recipe).run(TrialKey("none", 0, None))


def test_loop_of_the_page_goes_on(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "heavy.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    trained: list[int] = []

    def train_one_epoch(model: nn.Module, optimizer: object, seed: int, epoch: int) -> float:
        trained.append(epoch)
        if trained == [0, 1, 2, 3]:
            raise Killed
        return epoch / 10

    scope: dict[str, Any] = {"train_one_epoch": train_one_epoch}
    exec(compile(block, "heavy.md", "exec"), scope)
    recipe = make_recipe(tmp_path, train=scope["train"], optimizer="sgd")
    with pytest.raises(Killed):
        Trainer(recipe).run(TrialKey("none", 0, None))
    result = Trainer(recipe).run(TrialKey("none", 0, None))
    assert trained == [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]
    assert [record.step for record in result.epochs] == list(range(100, 1001, 100))
