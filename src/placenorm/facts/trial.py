"""One training run of one variant: what was asked for and what came out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class TrialKey:
    """Which trial of the plan this is.

    Attributes:
        variant: name of the variant.
        seed: the seed of weights, batch order and dropout.
        lr: learning rate; None where the user's own training loop sets it.
    """

    variant: str
    seed: int
    lr: float | None

    def __str__(self) -> str:
        return f"{self.variant}|seed={self.seed}|lr={'own' if self.lr is None else format(self.lr, '.6g')}"


Curve = tuple[tuple[int, float], ...]
"""Validation losses by training step."""


@dataclass(frozen=True, slots=True)
class TrialOrder:
    """A trial that is to be run.

    Attributes:
        key: which trial.
        bar: validation losses that it has to keep up with, or it ends early; empty where it runs to its end.
    """

    key: TrialKey
    bar: Curve = ()

    def __str__(self) -> str:
        return str(self.key)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial has no result.

    Attributes:
        reason: the essence, as part of a sentence: ``line 3 of loop.py raises ValueError: no data``.
        traceback: as Python prints it; "" where a worker died without a word.
    """

    reason: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What was measured at the end of one epoch (or at one `report` of a user's own loop).

    Attributes:
        step: training steps so far.
        time_s: seconds spent in training steps so far.
        train_loss: mean loss over the epoch's batches, in training mode.
        train_metric: the metric over the epoch's outputs, in training mode.
        val_loss: loss on the validation data, in evaluation mode.
        val_metric: the metric on the validation data, in evaluation mode.

    A value that is not finite or was not measured is None.
    """

    step: int
    time_s: float
    train_loss: float | None
    train_metric: float | None
    val_loss: float | None
    val_metric: float | None


@dataclass(frozen=True, slots=True)
class DeadShare:
    """How much of one activation was on for the validation data: where its gradient is not zero.

    Attributes:
        activation: key of the activation.
        units: number of units: channels of a map, or features.
        dead: units whose activation had a zero gradient for every value of the validation data.
        active: share of all its values that were on (0 to 1); None in trials of placenorm 0.1.0 and before.
    """

    activation: str
    units: int
    dead: int
    active: float | None = None


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What one trial gave.

    Attributes:
        key: which trial it was.
        epochs: records in order of steps.
        val_loss: validation loss at the end; None where the trial diverged.
        val_metric: metric on the validation data at the end.
        test_metric: metric on the test data at the end; after divergence that of a model that learned nothing.
        diverged_at: step at which the loss stopped being finite; None if it never did.
        steps: training steps done.
        step_time_ms: median wall time of one training step.
        dead: dead units and active values per activation, at the end.
        incidents: what went wrong without harm to the result: ``checkpoint-damaged`` (so it began anew) or
            ``checkpoint-unwritten``.
        failure: why there is no result; None where there is one, a diverged one included.
        pruned_at: step at which it ended, as it was behind another rate of its variant and seed; it has no test metric
            then. None where it ran to its end.
        wall_s: seconds that its worker spent on it, measuring included; 0 where that is not known.
        idle_metric: test metric of the best answer that is the same for every sample: the commonest class of the test
            data, or their mean. None where that is not known, as for a metric of the user's own.
    """

    key: TrialKey
    epochs: tuple[EpochRecord, ...]
    val_loss: float | None
    val_metric: float | None
    test_metric: float | None
    diverged_at: int | None
    steps: int
    step_time_ms: float
    dead: tuple[DeadShare, ...] = ()
    incidents: tuple[str, ...] = ()
    failure: Failure | None = None
    pruned_at: int | None = None
    wall_s: float = 0.0
    idle_metric: float | None = None


def make_failed_trial(key: TrialKey, failure: Failure) -> TrialResult:
    """Return a trial that failed: it has nothing but its reason, and a later one with the same key replaces it."""
    return TrialResult(key, (), None, None, None, None, 0, 0.0, failure=failure)
