"""The user's own training loop: what it is called with, and what becomes of what it reports."""

import inspect
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from operator import index
from typing import Any

import torch
from torch import nn

from placenorm.errors import PlacenormError, TrialError
from placenorm.facts.trial import EpochRecord, TrialKey, TrialResult
from placenorm.lookup import describe_failure
from placenorm.randomness import RandomStates
from placenorm.study.checkpoints import Checkpoint

MAX_STEP = 2**31 - 1
"""The largest step that a user's loop may report; the store's step numbers are no larger."""


class Reporter:
    """What a user's loop reports through, its third argument.

    ``report(step, value)`` draws the learning curve. A loop that takes long may keep its state at the end of an epoch
    with ``report.save(state)``, and ask ``report.load()`` for it when it starts: where its process was killed it goes
    on from there, with the random states and the curve of that moment.

    Args:
        loop: what the user calls the loop, for errors.
        checkpoint: where its state is kept.
        quiet: whether nothing is recorded, as in all but the first of the processes of a trial.
    """

    def __init__(self, loop: str, checkpoint: Checkpoint, *, quiet: bool = False) -> None:
        self._loop, self._checkpoint, self._quiet = loop, checkpoint, quiet
        self._started = time.perf_counter()
        self._tried = False
        self.records: list[EpochRecord] = []

    @property
    def seconds(self) -> float:
        """Seconds since the loop began, those before it was killed too."""
        return time.perf_counter() - self._started

    def __call__(self, step: int, value: float) -> None:
        """Record a value of the metric on validation data.

        Args:
            step: training steps so far.
            value: the metric.

        Raises:
            TrialError: if the step is no whole number from 0 up, or the value no number.
        """
        number = _check_report(step, value, self._loop)
        if not self._quiet:
            seen = number if math.isfinite(number) else None
            self.records.append(EpochRecord(int(step), self.seconds, None, None, None, seen))

    def load(self) -> Any:
        """Return the state that `save` kept before this trial was killed; None in a trial that begins."""
        kept = self._checkpoint.load()
        if kept is None:
            return None
        RandomStates.load(kept["random"]).write()
        if kept["gpu"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(kept["gpu"])
        if not self._quiet:
            self.records = [EpochRecord(**record) for record in kept["records"]]
        self._started = time.perf_counter() - kept["seconds"]
        return kept["state"]

    def save(self, state: Any) -> None:
        """Keep the state of the loop, where it is time to: always with --checkpoint, else once a minute at most.

        Args:
            state: whatever the loop needs to go on: tensors, numbers, text, and tuples, lists and dicts of them, such
                as state dicts of the model and the optimizer and the number of the next epoch.

        Raises:
            TrialError: if it holds anything else, which could not be read again.
        """
        if self._quiet or not self._checkpoint.due:
            return
        self._checkpoint.save(
            {
                "state": state,
                "random": RandomStates.read(gpus=False).dump(),
                "gpu": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
                "records": [asdict(record) for record in self.records],
                "seconds": self.seconds,
            }
        )
        if not self._tried and not self._checkpoint.holds():
            raise TrialError(
                f"The training loop {self._loop} saved a state that cannot be read again: let it be made of tensors, "
                "numbers, text, tuples, lists and dicts, such as model.state_dict(); then go on with --resume."
            )
        self._tried = True


OwnTrain = Callable[[nn.Module, int, Reporter], float]
"""The user's own loop: ``train(model, seed, report) -> final metric``, with ``report(step, value)``."""


def run_own(
    train: OwnTrain, name: str, model: nn.Module, key: TrialKey, checkpoint: Checkpoint, *, quiet: bool = False
) -> TrialResult:
    """Return what the user's own loop makes of a placed model.

    Args:
        train: the loop.
        name: what the user calls it.
        model: the model, placed.
        key: of the trial.
        checkpoint: where its state is kept.
        quiet: whether what it reports is recorded elsewhere.

    Raises:
        TrialError: if it fails.
    """
    report = Reporter(name, checkpoint, quiet=quiet)
    try:
        final = float(train(model, key.seed, report))
    except PlacenormError:
        raise
    except (Exception, SystemExit) as error:  # a loop that calls sys.exit ends its trial, not the comparison's process
        raise TrialError(
            f"The training loop {name} failed in trial {key}: {describe_failure(error, name)}; mend it, then go on "
            "with --resume."
        ) from error
    records = report.records
    steps = records[-1].step if records else 0
    finite = math.isfinite(final)
    return TrialResult(
        key=key,
        epochs=tuple(records),
        val_loss=None,
        val_metric=records[-1].val_metric if records else None,
        test_metric=final if finite else None,
        diverged_at=None if finite else steps,
        steps=steps,
        step_time_ms=1000 * report.seconds / steps if steps else 0.0,
        incidents=checkpoint.incidents,
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
