"""How fast a trial gets there: the area under its validation curve, and the way to a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from placenorm.facts.comparison import Metric
from placenorm.facts.trial import TrialResult


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a trial reached the target: training steps and seconds of training since its start."""

    steps: float
    seconds: float


def mean_height(trial: TrialResult, horizon: int) -> float | None:
    """Return the mean height of a trial's validation curve: the area under it over its width, in the metric's units.

    Trapezoids over steps, from the first record to the last; a single record counts with its height. A record
    without a height, as after divergence, counts with the validation metric at the end of the trial. A diverged trial
    keeps that metric to the horizon, so that it gains nothing by ending early.

    Args:
        trial: the trial.
        horizon: the step at which the longest trial of the comparison ends.

    Returns:
        The mean height; None where a height is missing and there is no metric at the end either.
    """
    points = [(record.step, record.val_metric) for record in trial.epochs]
    if not points or (trial.diverged_at is not None and points[-1][0] < horizon):
        points.append((horizon, trial.val_metric))
    curve = []
    for step, height in points:
        known = trial.val_metric if height is None else height
        if known is None:
            return None
        curve.append((step, known))
    width = curve[-1][0] - curve[0][0]
    if width == 0:
        return curve[-1][1]
    return sum((s1 - s0) * (h0 + h1) / 2 for (s0, h0), (s1, h1) in pairwise(curve)) / width


def choose_target(metric: Metric, trials: Mapping[str, Sequence[TrialResult]]) -> float | None:
    """Return the validation metric that steps and seconds are counted to, in the metric's units.

    It is what the worst surviving variant reaches: of all variants, the worst mean of the validation metric at the end
    over the trials that did not diverge. None where every trial of every variant diverged.

    Args:
        metric: the metric.
        trials: by variant, one trial a seed.
    """
    means = []
    for arm in trials.values():
        ends = [trial.val_metric for trial in arm if trial.diverged_at is None and trial.val_metric is not None]
        if ends:
            means.append(fmean(ends))
    if not means:
        return None
    return min(means) if metric.higher_is_better else max(means)


def find_arrival(trial: TrialResult, metric: Metric, target: float) -> Arrival | None:
    """Return when a trial's validation metric first reached the target; None if it never did.

    Between two records the metric, the steps and the seconds are taken as straight lines; before the first record
    nothing is known, so a trial cannot arrive earlier than there.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    before = None
    for record in trial.epochs:
        if record.val_metric is None:
            before = None
            continue
        ahead = sign * (record.val_metric - target)
        if ahead >= 0:
            if before is None:
                return Arrival(float(record.step), record.time_s)
            last, behind = before
            part = behind / (behind - ahead)
            return Arrival(
                last.step + part * (record.step - last.step), last.time_s + part * (record.time_s - last.time_s)
            )
        before = (record, ahead)
    return None
