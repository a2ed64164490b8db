"""A trial in, its result out: one variant is built, trained and measured."""

import inspect
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import index
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from placenorm.data import (
    DataSource,
    Split,
    count_batches,
    count_samples,
    epoch_batches,
    eval_batches,
    fetch,
    split,
)
from placenorm.errors import ModelError, PlacenormError, TrialError
from placenorm.facts.comparison import Task
from placenorm.facts.placement import Position
from placenorm.facts.trial import DeadShare, EpochRecord, TrialKey, TrialResult
from placenorm.graph.tracing import ExampleInputs
from placenorm.lookup import describe_failure
from placenorm.probe.dead_units import DeadUnitProber
from placenorm.randomness import fix_seed
from placenorm.rewrite.norms import NormChoice
from placenorm.rewrite.placing import place_model
from placenorm.study.metrics import Scorer, learned_nothing
from placenorm.zoo import load_weights

MOMENTUM = 0.9
EVAL_BATCH = 512
"""Samples per evaluation batch: large enough to be quick, small enough for any memory."""

TRAINING_SEED = 0x5EED
"""Added to a trial's seed before training, so that dropout does not repeat the numbers that drew the weights."""

MAX_STEP = 2**31 - 1
"""The largest step that a user's loop may report; the store's step numbers are no larger."""

OwnTrain = Callable[[nn.Module, int, Callable[[int, float], None]], float]
"""The user's own loop: ``train(model, seed, report) -> final metric``, with ``report(step, value)``."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all trials of a comparison share. It can be pickled.

    Attributes:
        make_model: builds the user's model; called under the trial's seed.
        placements: where the norm of every block stands, by the variant's name; every trial is held against it.
        example_inputs: what the model is traced with.
        norm: whose norms are placed.
        weights: checkpoint that every trial starts from.
        open_data: gives the data; None with the user's own loop.
        scorer: the metric.
        epochs: passes over the training data.
        batch_size: samples a step.
        optimizer: ``sgd`` or ``adamw``.
        schedule: ``constant`` or ``cosine``.
        device: where the trials run.
        own_train: gives the user's own loop; None for ours.
        own_train_name: what the user calls it.
    """

    make_model: Callable[[], nn.Module]
    placements: dict[str, dict[str, Position]]
    example_inputs: ExampleInputs
    norm: NormChoice
    weights: str | None
    open_data: Callable[[], DataSource] | None
    scorer: Scorer
    epochs: int
    batch_size: int
    optimizer: str
    schedule: str
    device: str
    own_train: Callable[[], OwnTrain] | None = None
    own_train_name: str = ""


class Trainer:
    """Runs the trials of a recipe, one after the other, and keeps the data between them.

    Args:
        recipe: what all trials share.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._source = recipe.open_data() if recipe.open_data is not None else None
        self._own_train = recipe.own_train() if recipe.own_train is not None else None
        self._split: tuple[int, Split] | None = None

    def run(self, key: TrialKey) -> TrialResult:
        """Return the result of one trial. The same key gives the same result, whatever ran before.

        Raises:
            ModelError: if the model cannot be built or placed as planned.
            TrialError: if the user's own loop or metric fails.
        """
        model = build_model(self._recipe, key)
        if self._source is not None and (self._split is None or self._split[0] != key.seed):
            self._split = (key.seed, split(self._source, key.seed))
        with fix_seed(TRAINING_SEED + key.seed):
            if self._own_train is not None:
                return _run_own(self._recipe, self._own_train, model, key)
            assert self._source is not None
            assert self._split is not None
            return _Run(self._recipe, model, key, self._split[1], self._source).train()


def build_model(recipe: Recipe, key: TrialKey) -> nn.Module:
    """Return the model of a trial: built under its seed, then placed; the same seed gives all variants equal weights.

    Raises:
        ModelError: if it cannot be built, loaded or placed, or if its norms do not stand where they were planned.
    """
    with fix_seed(key.seed):
        model = recipe.make_model()
        if recipe.weights is not None:
            load_weights(model, recipe.weights)
        planned = recipe.placements[key.variant]
        # Making the plan proved this placement; no trial need do it again.
        placed = place_model(model, recipe.example_inputs, planned, recipe.norm, prove=False)
        _check_placement(placed.placement, planned, key)
        return placed.model.train().to(recipe.device)


def _check_placement(found: dict[str, Position], planned: dict[str, Position], key: TrialKey) -> None:
    """Raise an error where a trial would train another network than the plan says."""
    if found == planned:
        return
    block = next(name for name in (*planned, *found) if found.get(name) != planned.get(name))
    raise ModelError(
        f"Cannot build the model of {key} as planned: the norm of {block} should stand at "
        f"{planned.get(block, 'no such block')}, and here it is {found.get(block, 'no such block')}; let the model "
        "have the same layers every time it is made and called."
    )


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


class _Run:
    """One trial with our own loop."""

    def __init__(self, recipe: Recipe, model: nn.Module, key: TrialKey, parts: Split, source: DataSource) -> None:
        assert key.lr is not None
        self._recipe, self._model, self._key, self._parts, self._source = recipe, model, key, parts, source
        self._clock = _Clock()
        self._records: list[EpochRecord] = []
        self._dead: tuple[DeadShare, ...] = ()
        steps = recipe.epochs * count_batches(count_samples(parts.train), recipe.batch_size)
        self._optimizer = _make_optimizer(recipe.optimizer, model, key.lr)
        self._schedule = _make_schedule(recipe.schedule, self._optimizer, steps)

    def train(self) -> TrialResult:
        diverged_at: int | None = None
        for epoch in range(self._recipe.epochs):
            diverged_at = self._run_epoch(epoch)
            if diverged_at is not None:
                break
        return self._finish(diverged_at)

    def _run_epoch(self, epoch: int) -> int | None:
        """Train one epoch and record it; return the step at which the loss stopped being finite, if it did."""
        self._model.train()
        losses: list[float] = []
        outputs: list[Tensor] = []
        targets: list[Tensor] = []
        for x, y in epoch_batches(self._parts.train, self._recipe.batch_size, self._key.seed, epoch):
            started = time.perf_counter()
            out, loss = self._step(x.to(self._recipe.device), y.to(self._recipe.device))
            self._clock.steps_ms.append(1000 * (time.perf_counter() - started))
            losses.append(loss)
            outputs.append(out)
            targets.append(y)
            if not math.isfinite(loss):
                self._record(None, None, None, None)
                return len(self._clock.steps_ms)
        train_metric = self._recipe.scorer.score(torch.cat(outputs), torch.cat(targets))
        val_loss, val_metric = self._validate(last=epoch == self._recipe.epochs - 1)
        self._record(statistics.fmean(losses), train_metric, val_loss, val_metric)
        return None if val_loss is not None else len(self._clock.steps_ms)

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, float]:
        outputs = shape_like(self._model(x), y)
        loss = loss_of(outputs, y, self._source.task)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        return outputs.detach().cpu(), loss.item()

    def _record(
        self, train_loss: float | None, train_metric: float | None, val_loss: float | None, val_metric: float | None
    ) -> None:
        steps, seconds = len(self._clock.steps_ms), self._clock.total_s
        self._records.append(EpochRecord(steps, seconds, train_loss, train_metric, val_loss, val_metric))

    def _validate(self, *, last: bool) -> tuple[float | None, float | None]:
        """Return loss and metric on the validation data; the last time, note the dead units on the way."""
        if not last:
            return self._evaluate(self._parts.validation)
        with DeadUnitProber(self._model) as prober:
            measured = self._evaluate(self._parts.validation)
        self._dead = prober.shares()
        return measured

    def _evaluate(self, dataset: Any) -> tuple[float | None, float | None]:
        """Return loss and metric on a dataset, in evaluation mode; None where they are not finite."""
        outputs, targets = self._predict(dataset)
        loss = loss_of(outputs, targets, self._source.task).item()
        return (loss, self._recipe.scorer.score(outputs, targets)) if math.isfinite(loss) else (None, None)

    def _predict(self, dataset: Any) -> tuple[Tensor, Tensor]:
        self._model.eval()
        outputs: list[Tensor] = []
        targets: list[Tensor] = []
        with torch.no_grad():
            for x, y in eval_batches(dataset, EVAL_BATCH):
                outputs.append(shape_like(self._model(x.to(self._recipe.device)), y).cpu())
                targets.append(y)
        return torch.cat(outputs), torch.cat(targets)

    def _finish(self, diverged_at: int | None) -> TrialResult:
        if diverged_at is None:
            val_loss, val_metric, dead = self._records[-1].val_loss, self._records[-1].val_metric, self._dead
            _, test_metric = self._evaluate(self._parts.test)
        else:
            val_loss, dead = None, ()
            val_metric, test_metric = self._score_nothing(self._parts.validation), self._score_nothing(self._parts.test)
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
        )

    def _score_nothing(self, dataset: Any) -> float | None:
        """Return the metric of a model that learned nothing; None where the user's metric cannot take such outputs."""
        _, seen = fetch(self._parts.train, range(count_samples(self._parts.train)))
        _, targets = fetch(dataset, range(count_samples(dataset)))
        nothing = learned_nothing(seen, self._source.task, len(targets), self._source.outputs)
        try:
            return self._recipe.scorer.score(nothing, targets)
        except TrialError:
            return None


def _make_optimizer(name: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    if name == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=lr)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM)


def _make_schedule(name: str, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    if name == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)


def _run_own(recipe: Recipe, train: OwnTrain, model: nn.Module, key: TrialKey) -> TrialResult:
    """Run the user's own loop on a placed model."""
    records: list[EpochRecord] = []
    started = time.perf_counter()

    def report(step: int, value: float) -> None:
        number = _check_report(step, value, recipe.own_train_name)
        seen = number if math.isfinite(number) else None
        records.append(EpochRecord(int(step), time.perf_counter() - started, None, None, None, seen))

    try:
        final = float(train(model, key.seed, report))
    except PlacenormError:
        raise
    except (Exception, SystemExit) as error:  # a loop that calls sys.exit ends its trial, not the comparison's process
        raise TrialError(
            f"The training loop {recipe.own_train_name} failed in trial {key}: "
            f"{describe_failure(error, recipe.own_train_name)}; mend it, then go on with --resume."
        ) from error
    steps = records[-1].step if records else 0
    elapsed = time.perf_counter() - started
    finite = math.isfinite(final)
    return TrialResult(
        key=key,
        epochs=tuple(records),
        val_loss=None,
        val_metric=records[-1].val_metric if records else None,
        test_metric=final if finite else None,
        diverged_at=None if finite else steps,
        steps=steps,
        step_time_ms=1000 * elapsed / steps if steps else 0.0,
    )


def _check_report(step: object, value: Any, loop: str) -> float:
    """Return the value as a number, or raise an error that names the loop."""
    try:
        fits = 0 <= index(step) <= MAX_STEP  # type: ignore[arg-type]  # it refuses whatever is no whole number
        if fits:
            return float(value)
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a tensor of several numbers
        pass
    raise TrialError(
        f"The training loop {loop} called report({step!r}, {value!r}): the step must be a whole number from 0 to "
        f"{MAX_STEP} and the value a number; correct the call, then go on with --resume."
    )


def check_own_train(function: object, name: str) -> None:
    """Raise an error unless a function can be called as ``train(model, seed, report)``.

    Raises:
        TrialError: if it cannot.
    """
    try:
        if not callable(function):
            raise TypeError(f"it is a {type(function).__name__}")
        inspect.signature(function).bind(None, 0, print)
    except TypeError as error:
        raise TrialError(
            f"Cannot train with {name}: {error}; it must be a function train(model, seed, report) that calls "
            "report(step, value) as it goes and returns the final metric."
        ) from error
