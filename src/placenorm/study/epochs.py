"""Our own training loop: one trial, an epoch at a time, with all of its state as plain values between two epochs."""

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from placenorm.data import Batch, Feed
from placenorm.errors import TrialError
from placenorm.facts.comparison import Task
from placenorm.facts.trial import Curve, DeadShare, EpochRecord, TrialKey, TrialResult
from placenorm.probe.dead_units import DeadUnitProber
from placenorm.randomness import RandomStates
from placenorm.study.checkpoints import Checkpoint
from placenorm.study.metrics import learned_nothing
from placenorm.study.model_states import dump_model, load_model
from placenorm.study.ranks import Ranks
from placenorm.study.rate_search import cut_short, is_behind
from placenorm.study.recipe import Recipe
from placenorm.study.stepping import Stepper, widen

MOMENTUM = 0.9


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a trial learns.

    Attributes:
        feed: its batches.
        task: what is learned.
        outputs: how many outputs a network for it has.
    """

    feed: Feed
    task: Task
    outputs: int


def loss_of(outputs: Tensor, targets: Tensor, task: Task) -> Tensor:
    """Return the loss that trials minimise: cross-entropy, or the mean squared error."""
    return F.cross_entropy(outputs, targets) if task == "classification" else F.mse_loss(outputs, targets.float())


def shape_like(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return outputs ``[N, 1]`` as ``[N]`` where the targets are ``[N]`` floats."""
    if targets.is_floating_point() and targets.dim() == 1 and outputs.dim() == 2 and outputs.shape[1] == 1:
        return outputs.squeeze(1)
    return outputs


@dataclass(slots=True)
class _Clock:
    """Time spent in training steps, alone and summed."""

    steps_ms: list[float] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        return sum(self.steps_ms) / 1000

    @property
    def median_ms(self) -> float:
        return statistics.median(self.steps_ms) if self.steps_ms else 0.0


class EpochLoop:
    """One trial with our own loop.

    Args:
        recipe: what all trials share; its device is where this one runs.
        model: the model, placed, on that device.
        key: of the trial.
        lesson: what it learns.
        ranks: the processes that train it.
        checkpoint: where it is kept between epochs; read and written by the first process.
    """

    def __init__(
        self, recipe: Recipe, model: nn.Module, key: TrialKey, lesson: Lesson, ranks: Ranks, checkpoint: Checkpoint
    ) -> None:
        assert key.lr is not None
        self._recipe, self._model, self._key = recipe, model, key
        self._lesson, self._ranks, self._checkpoint = lesson, ranks, checkpoint
        self._clock = _Clock()
        self._records: list[EpochRecord] = []
        self._dead: tuple[DeadShare, ...] = ()
        self._epoch = 0
        self._diverged_at: int | None = None
        self._optimizer = _make_optimizer(recipe.optimizer, model, key.lr)
        self._stepper = Stepper(recipe.precision, recipe.device, self._optimizer)
        batches = lesson.feed.batches
        # A loader that does not say how long an epoch is has its rate lowered between epochs.
        self._by_epoch = batches is None
        self._schedule = _make_schedule(recipe.schedule, self._optimizer, recipe.epochs * (batches or 1))
        kept = ranks.agree(checkpoint.load() if ranks.rank == 0 else None)
        if kept is not None:
            self._load(kept)
        self._trained = ranks.wrap(model, recipe.example_inputs)  # behind the checkpoint: it makes the processes alike
        self._evaluated = model
        if recipe.compiled:
            self._trained = _compile(self._trained)
            self._evaluated = self._trained if ranks.size == 1 else _compile(model)

    def run(self, bar: Curve = ()) -> TrialResult:
        """Train to the end, from where the checkpoint stands, and return the result.

        Args:
            bar: validation losses that the trial has to keep up with, or it ends early.
        """
        while self._epoch < self._recipe.epochs and self._diverged_at is None:
            self._diverged_at = self._run_epoch(self._epoch)
            self._epoch += 1
            if self._diverged_at is None and is_behind(self._records, bar, self._recipe.epochs):
                ended = cut_short(self._key, self._records, self._clock.median_ms)
                return replace(ended, incidents=self._checkpoint.incidents)
            if self._ranks.agree(self._checkpoint.due):
                self._keep()
        return self._finish(self._diverged_at)

    def _run_epoch(self, epoch: int) -> int | None:
        """Train one epoch and record it; return the step at which the loss stopped being finite, if it did."""
        self._model.train()
        self._trained.train()
        losses: list[float] = []
        seen: list[tuple[Tensor, Tensor]] = []
        for batch in self._lesson.feed.read_training(epoch):
            share = batch.share(self._ranks.rank, self._ranks.size)
            started = time.perf_counter()
            out, loss = self._step(share.to(self._recipe.device), len(batch))
            self._clock.steps_ms.append(1000 * (time.perf_counter() - started))
            losses.append(loss)
            seen.append((out, share.targets))
            if not math.isfinite(loss):
                self._record(None, None, None, None)
                return len(self._clock.steps_ms)
        if not losses:
            raise TrialError(
                f"Trial {self._key} has nothing to train on: epoch {epoch + 1} has no batch of two samples or more; "
                "give a loader that starts anew each time it is gone through."
            )
        if self._by_epoch:
            self._schedule.step()
        train_metric = self._score_training(seen)
        val_loss, val_metric = self._validate(last=epoch == self._recipe.epochs - 1)
        self._record(statistics.fmean(losses), train_metric, val_loss, val_metric)
        return None if val_loss is not None else len(self._clock.steps_ms)

    def _step(self, share: Batch, samples: int) -> tuple[Tensor, float]:
        """Take a step on this process's share of a batch of so many samples; return outputs and the batch's loss."""
        with self._stepper.autocast():
            outputs = share.run(self._trained)
        outputs = widen(shape_like(outputs, share.targets))
        # With fewer samples than processes some have none: they go along, and add nothing.
        loss = loss_of(outputs, share.targets, self._lesson.task) if len(share) else 0.0 * outputs.sum()
        whole = loss
        if self._ranks.size > 1:  # gradients are averaged over processes, and shares need not be of one size
            whole = loss * (len(share) * self._ranks.size / samples)
        taken = self._stepper.step(whole)
        if taken and not self._by_epoch:
            self._schedule.step()
        if self._ranks.size == 1:
            return outputs.detach().cpu(), loss.item()
        return outputs.detach().cpu(), self._ranks.total(loss.item() * len(share)) / samples

    def _record(
        self, train_loss: float | None, train_metric: float | None, val_loss: float | None, val_metric: float | None
    ) -> None:
        steps, seconds = len(self._clock.steps_ms), self._clock.total_s
        self._records.append(EpochRecord(steps, seconds, train_loss, train_metric, val_loss, val_metric))

    def _score_training(self, seen: list[tuple[Tensor, Tensor]]) -> float | None:
        """Return the metric of an epoch's outputs."""
        found = self._ranks.gather(seen)
        score = None
        if found:
            parts = [part for batch in zip(*found, strict=True) for part in batch]  # a batch's shares, batch by batch
            outputs, targets = (torch.cat(each) for each in zip(*parts, strict=True))
            score = self._recipe.scorer.score(outputs, targets)
        return self._ranks.agree(score)

    def _validate(self, *, last: bool) -> tuple[float | None, float | None]:
        """Return loss and metric on the validation data; the last time, note the dead units on the way."""
        batches = self._lesson.feed.read_validation()
        if not last:
            return self._evaluate(batches, self._evaluated)
        measured = None
        if self._ranks.rank == 0:  # a unit is dead if all data leave it so: one process must see them all
            with DeadUnitProber(self._model) as prober:
                measured = self._measure(*self._predict(batches, self._model))
            self._dead = prober.shares()
        return self._ranks.agree(measured)

    def _evaluate(self, batches: Iterator[Batch], model: nn.Module) -> tuple[float | None, float | None]:
        """Return loss and metric on batches, in evaluation mode; None where they are not finite."""
        found = self._gather(batches, model)
        return self._ranks.agree(None if found is None else self._measure(*found))

    def _test(self) -> tuple[float | None, float | None]:
        """Return the metric on the test data, and that of the best answer that is the same for every sample."""
        found = self._gather(self._lesson.feed.read_test(), self._evaluated)
        measured = None
        if found is not None:
            measured = self._measure(*found)[1], self._score_idle(found[1])
        return self._ranks.agree(measured)

    def _score_idle(self, targets: Tensor) -> float | None:
        """Return the metric of the best answer that is the same for every sample; None for the user's own metric."""
        if self._recipe.scorer.reference:
            return None
        answer = learned_nothing(targets, self._lesson.task, len(targets), self._lesson.outputs)
        return self._recipe.scorer.score(answer, targets)

    def _gather(self, batches: Iterator[Batch], model: nn.Module) -> tuple[Tensor, Tensor] | None:
        """Return outputs and targets of all batches, in their order, to the first process; None to the others."""
        mine = self._predict_shares(batches, model)
        found = [each for shares in self._ranks.gather(mine) for each in shares]
        if self._ranks.rank > 0:
            return None
        found.sort(key=lambda each: each[0])
        return torch.cat([out for _, out, _ in found]), torch.cat([y for *_, y in found])

    def _measure(self, outputs: Tensor, targets: Tensor) -> tuple[float | None, float | None]:
        loss = loss_of(outputs, targets, self._lesson.task).item()
        return (loss, self._recipe.scorer.score(outputs, targets)) if math.isfinite(loss) else (None, None)

    def _predict(self, batches: Iterator[Batch], model: nn.Module) -> tuple[Tensor, Tensor]:
        """Return outputs and targets of all batches."""
        found = list(self._run_batches(enumerate(batches), model))
        return torch.cat([out for _, out, _ in found]), torch.cat([y for *_, y in found])

    def _predict_shares(self, batches: Iterator[Batch], model: nn.Module) -> list[tuple[int, Tensor, Tensor]]:
        """Return place, outputs and targets of the batches that fall to this process."""
        shares = islice(enumerate(batches), self._ranks.rank, None, self._ranks.size)
        return list(self._run_batches(shares, model))

    def _run_batches(
        self, batches: Iterator[tuple[int, Batch]], model: nn.Module
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        self._model.eval()
        model.eval()
        for place, batch in batches:
            with torch.no_grad(), self._stepper.autocast():
                outputs = batch.to(self._recipe.device).run(model)
            yield place, widen(shape_like(outputs, batch.targets)).cpu(), batch.targets

    def _finish(self, diverged_at: int | None) -> TrialResult:
        if diverged_at is None:
            val_loss, val_metric, dead = self._records[-1].val_loss, self._records[-1].val_metric, self._dead
            test_metric, idle_metric = self._test()
        else:
            val_loss, dead = None, ()
            val_metric, test_metric = self._score_nothing()
            idle_metric = self._score_idle(self._lesson.feed.read_targets()[2])
        return TrialResult(
            key=self._key,
            epochs=tuple(self._records),
            val_loss=val_loss,
            val_metric=val_metric,
            test_metric=test_metric,
            diverged_at=diverged_at,
            steps=len(self._clock.steps_ms),
            step_time_ms=self._clock.median_ms,
            dead=dead,
            incidents=self._checkpoint.incidents,
            idle_metric=idle_metric,
        )

    def _score_nothing(self) -> tuple[float | None, float | None]:
        """Return the metric of a model that learned nothing, on validation and test data.

        None where the user's metric cannot take such outputs.
        """
        seen, *others = self._lesson.feed.read_targets()

        def score(targets: Tensor) -> float | None:
            nothing = learned_nothing(seen, self._lesson.task, len(targets), self._lesson.outputs)
            try:
                return self._recipe.scorer.score(nothing, targets)
            except TrialError:
                return None

        validation, test = map(score, others)
        return validation, test

    # -- the state between two epochs

    def _keep(self) -> None:
        """Keep the trial as it is now."""
        random = self._ranks.gather({"states": RandomStates.read(gpus=False).dump(), "gpu": self._read_gpu()})
        if self._ranks.rank == 0:
            self._checkpoint.save(self._dump(random))

    def _dump(self, random: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "diverged_at": self._diverged_at,
            "model": dump_model(self._model),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "stepper": self._stepper.dump(),
            "random": random,
            "records": [asdict(record) for record in self._records],
            "steps_ms": torch.tensor(self._clock.steps_ms, dtype=torch.float64),
            "dead": [asdict(share) for share in self._dead],
        }

    def _load(self, kept: dict[str, Any]) -> None:
        self._epoch, self._diverged_at = kept["epoch"], kept["diverged_at"]
        load_model(self._model, kept["model"])
        self._optimizer.load_state_dict(kept["optimizer"])
        self._schedule.load_state_dict(kept["schedule"])
        self._stepper.load(kept["stepper"])
        random = kept["random"][self._ranks.rank]
        RandomStates.load(random["states"]).write()
        if random["gpu"] is not None:
            torch.cuda.set_rng_state(random["gpu"], self._recipe.device)
        self._records = [EpochRecord(**record) for record in kept["records"]]
        self._clock.steps_ms = kept["steps_ms"].tolist()
        self._dead = tuple(DeadShare(**share) for share in kept["dead"])

    def _read_gpu(self) -> Tensor | None:
        on_gpu = torch.device(self._recipe.device).type == "cuda"
        return torch.cuda.get_rng_state(self._recipe.device) if on_gpu else None


def _compile(model: nn.Module) -> nn.Module:
    compiled: nn.Module = torch.compile(model)  # type: ignore[assignment]  # it wraps a module into a module
    return compiled


def _make_optimizer(name: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)


def _make_schedule(name: str, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if name == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
