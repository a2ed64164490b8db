"""How fast a trial gets there: the area under its validation curve, and the way to a target."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import fmean, median

from placenorm.facts.comparison import Metric
from placenorm.facts.trial import TrialResult


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


def find_arrival(trial: TrialResult, metric: Metric, target: float) -> float | None:
    """Return the step at which a trial's validation metric first reached the target; None if it never did.

    Between two records the metric is taken as a straight line; before the first record nothing is known, so a trial
    cannot arrive earlier than there.
    """
    sign = 1.0 if metric.higher_is_better else -1.0
    return find_crossing(
        (record.step, None if record.val_metric is None else sign * (record.val_metric - target))
        for record in trial.epochs
    )


def find_crossing(curve: Iterable[tuple[float, float | None]]) -> float | None:
    """Return where a curve first reaches 0 from below, straight lines between its points; None if it never does.

    Args:
        curve: places with heights, in order; a height that is not known interrupts the line.
    """
    before = None
    for place, ahead in curve:
        if ahead is None:
            before = None
            continue
        if ahead >= 0:
            if before is None:
                return float(place)
            last, behind = before
            return last + behind / (behind - ahead) * (place - last)
        before = (place, ahead)
    return None


def measure_steps(trials: Sequence[TrialResult], base: str) -> dict[str, float]:
    """Return the wall time of one training step of every variant, in milliseconds.

    Machines are busy at one time and idle at another, so variants are compared where they ran side by side: the time of
    a variant is the base's median time multiplied by the median ratio of the two over the trials of the same seed and
    rate. A variant without such a partner has the median of its own trials.

    Args:
        trials: every finished trial.
        base: name of the variant that the others are set beside.
    """
    times: dict[str, dict[tuple[int, float | None], float]] = {}
    for trial in trials:
        if trial.step_time_ms > 0:
            times.setdefault(trial.key.variant, {})[trial.key.seed, trial.key.lr] = trial.step_time_ms
    beside = times.get(base, {})
    measured = {}
    for name, cells in times.items():
        ratios = [time / beside[cell] for cell, time in cells.items() if cell in beside]
        measured[name] = median(beside.values()) * median(ratios) if ratios else median(cells.values())
    return measured
