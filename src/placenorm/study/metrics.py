"""How good a model is, in one number: metrics by name, and the user's own."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from placenorm.errors import TrialError, UsageError
from placenorm.facts.comparison import Metric, Task
from placenorm.lookup import describe_failure, load_object

MetricFunction = Callable[[Tensor, Tensor], float]
"""Takes outputs ``[N, K]`` and targets ``[N]`` or ``[N, K]`` of all samples, gives one number."""


def _accuracy(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.argmax(1) == targets).double().mean())


def _rmse(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.double() - targets.double()).square().mean().sqrt())


def _mae(outputs: Tensor, targets: Tensor) -> float:
    return float((outputs.double() - targets.double()).abs().mean())


def _r2(outputs: Tensor, targets: Tensor) -> float:
    residual = (targets.double() - outputs.double()).square().sum()
    total = (targets.double() - targets.double().mean(0)).square().sum()
    return float(1 - residual / total)


@dataclass(frozen=True, slots=True)
class _Known:
    function: MetricFunction
    task: Task
    higher_is_better: bool
    quantised: bool = False


_METRICS = {
    "accuracy": _Known(_accuracy, "classification", True, quantised=True),
    "r2": _Known(_r2, "regression", True),
    "rmse": _Known(_rmse, "regression", False),
    "mae": _Known(_mae, "regression", False),
}

DEFAULT_METRICS: dict[Task, str] = {"classification": "accuracy", "regression": "r2"}

DEFAULT_MARGIN = 0.01
"""One point of accuracy or of explained variance: the difference that one would not rebuild a network for."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """A metric that can be taken.

    Attributes:
        metric: its name and direction.
        function: takes outputs and targets of all samples, gives one number.
        reference: where the user's own function lies; "" for a known metric.
    """

    metric: Metric
    function: MetricFunction
    reference: str = ""

    def score(self, outputs: Tensor, targets: Tensor) -> float | None:
        """Return the metric; None where it is not finite.

        Raises:
            TrialError: if the user's function fails or gives no number.
        """
        try:
            value = float(self.function(outputs, targets))
        except Exception as error:
            if not self.reference:
                raise
            raise TrialError(
                f"The metric {self.reference} cannot be taken: {describe_failure(error, self.reference)}; it is called "
                f"with outputs {list(outputs.shape)} and targets {list(targets.shape)} and must return a number."
            ) from error
        return value if math.isfinite(value) else None


def find_scorer(name: str | MetricFunction | None, task: Task, test_samples: int) -> Scorer:
    """Return the metric of a name.

    Args:
        name: a known metric, ``file.py:function``, a function, or None for the task's usual metric. Of a user's
            function the higher value is better, unless it has the attribute ``higher_is_better = False``.
        task: what the model learns.
        test_samples: size of the test set: one sample is the smallest step of an accuracy; 0 where it is not known.

    Raises:
        UsageError: if there is no such metric, or it does not fit the task.
    """
    chosen = name or DEFAULT_METRICS[task]
    if callable(chosen):
        label = getattr(chosen, "__name__", type(chosen).__name__)
        return Scorer(Metric(label, getattr(chosen, "higher_is_better", True)), chosen, label)
    if chosen in _METRICS:
        known = _METRICS[chosen]
        if known.task != task:
            fitting = ", ".join(key for key, other in _METRICS.items() if other.task == task)
            raise UsageError(f"The metric {chosen} is for {known.task}, these data are for {task}: use {fitting}.")
        quantum = 1.0 / test_samples if known.quantised and test_samples else 0.0
        return Scorer(Metric(chosen, known.higher_is_better, quantum, as_percent=known.quantised), known.function)
    if ":" not in chosen:
        raise UsageError(f"Unknown metric {chosen!r}: use {', '.join(_METRICS)}, or file.py:function.")
    function = load_object(chosen, "metric")
    if not callable(function):
        raise UsageError(f"Cannot use the metric {chosen}: it is a {type(function).__name__}, not a function.")
    return Scorer(Metric(chosen.rpartition(":")[2], getattr(function, "higher_is_better", True)), function, chosen)


def learned_nothing(targets: Tensor, task: Task, samples: int, outputs: int) -> Tensor:
    """Return what a model gives that learned nothing but the mean of its targets, or their commonest class.

    Args:
        targets: the targets that it saw, ``[N]`` or ``[N, K]``.
        task: what the model learns.
        samples: how many outputs to return.
        outputs: classes of a classification.

    Returns:
        Outputs of the same form as the model's, ``[samples, outputs]`` or the shape of as many targets.
    """
    if task == "classification":
        commonest = int(torch.bincount(targets, minlength=outputs).argmax())
        row = torch.zeros(outputs)
        row[commonest] = 1.0
        return row.expand(samples, outputs)
    mean = targets.float().mean(0)
    return mean.expand(samples, *mean.shape)
