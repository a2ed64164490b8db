"""The verdict: what the chosen trials of a comparison say about the two questions, and what they do not.

The rule, the reasons for it and its calibration: docs/decisions/0003-the-verdict.md.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from statistics import fmean, median

from placenorm.facts.comparison import Answer, Metric, Pair, Question, Remark, Summary, Variant, Verdict
from placenorm.facts.trial import TrialResult
from placenorm.study.idleness import find_idle
from placenorm.study.pairing import FAMILY_ERROR, Critical, critical_t, floor_of, judge_pair, spread
from placenorm.study.remarks import find_remarks
from placenorm.study.sequential import critical_repeated
from placenorm.study.speed import choose_target, find_arrival, mean_height, measure_steps

QUESTIONS = 2
"""The final metric and the speed share one error."""


def judge(
    variants: Sequence[Variant],
    chosen: Sequence[TrialResult],
    metric: Metric,
    margin: float,
    validation_quantum: float,
    remarks: Sequence[Remark] = (),
    timed: Sequence[TrialResult] = (),
    planned: int | None = None,
) -> Verdict:
    """Return what a comparison concludes, in numbers.

    Every pair of variants is judged on both questions by a paired-t interval over the seeds that both have; a variant
    without a trial, as where all of them failed, stands in no pair and is not advised, but has its share of the error.
    All these
    intervals share one error of 5 % (Bonferroni), so that in at most one of twenty comparisons a placement is called
    better though it is not. Nothing is decided from fewer than three seeds.

    Args:
        variants: the arms, in the order of the plan.
        chosen: at most one trial for a variant and seed: the one at its own best learning rate.
        metric: the metric, with its quantum on the test data.
        margin: differences up to this size have no practical meaning, in the metric's own units.
        validation_quantum: smallest step of the metric on the validation data; 0 where it is continuous or not known.
        remarks: what the reader must know already; they come first.
        timed: every finished trial, for the time of a step; the chosen ones if left out.
        planned: seeds that were planned for a comparison that is looked at after each of them, so that its intervals
            hold at every look; None for one look.

    Raises:
        ValueError: if there is no variant, a trial of an unknown variant, or two trials of one variant and seed.

    Source:
        Student's paired t with Bonferroni's correction; derived and calibrated in docs/decisions/0003-the-verdict.md,
        and for several looks in docs/decisions/0014-stopping-early.md.
    """
    trials = _by_variant(variants, chosen)
    horizon = max((trial.epochs[-1].step for trial in chosen if trial.epochs), default=0)
    areas = {name: {seed: mean_height(trial, horizon) for seed, trial in arm.items()} for name, arm in trials.items()}
    target = choose_target(metric, {name: list(arm.values()) for name, arm in trials.items()})

    judged = _leave_out_failed(trials)
    finals = _finals(judged)
    final = _answer("final", finals, metric, margin, metric.quantum, planned, arms=len(variants))
    areas_judged = {name: areas[name] for name in judged}
    speed = _answer("speed", areas_judged, metric, margin, validation_quantum, planned, arms=len(variants))
    bare = next((variant for variant in variants if not variant.cost.norms), variants[0])
    times = measure_steps(timed or chosen, bare.name)
    summaries = tuple(
        _summarize(name, arm, areas[name], metric, target, times.get(name)) for name, arm in trials.items()
    )
    unbeaten = [variant for variant in variants if variant.name in final.unbeaten]
    rows = {row.variant: row for row in summaries}
    pick = min(
        unbeaten,
        key=lambda variant: (
            not rows[variant.name].seeds,
            rows[variant.name].diverged > 0,
            variant.cost.norm_train_bytes,
        ),
    )
    idle, idle_metric = find_idle(judged, metric, critical_of(planned))
    return Verdict(
        final=final,
        speed=speed,
        target=target,
        summaries=summaries,
        pick=pick.name,
        remarks=(*remarks, *find_remarks(trials, (final, speed), (finals, areas_judged), metric, planned)),
        idle=idle,
        idle_metric=idle_metric,
    )


def judge_final(
    variants: Sequence[Variant],
    chosen: Sequence[TrialResult],
    metric: Metric,
    margin: float,
    planned: int | None = None,
) -> Answer:
    """Return the answer about the final metric alone, as `judge` gives it; arguments as there."""
    finals = _finals(_leave_out_failed(_by_variant(variants, chosen)))
    return _answer("final", finals, metric, margin, metric.quantum, planned, arms=len(variants))


def critical_of(planned: int | None) -> Critical:
    """Return the critical values of one look, or of a comparison that was planned with so many seeds and many looks."""
    return critical_t if planned is None else partial(critical_repeated, planned=planned)


def error_of_each(pairs: int) -> float:
    """Return the chance that one interval of a comparison with so many pairs of variants may miss (0 to 1)."""
    return FAMILY_ERROR / (QUESTIONS * pairs)


def _leave_out_failed(trials: dict[str, dict[int, TrialResult]]) -> dict[str, dict[int, TrialResult]]:
    """Return the arms that have a trial: of the others, whose trials all failed, nothing can be said beside that."""
    return {name: arm for name, arm in trials.items() if arm} or trials


def _finals(trials: Mapping[str, Mapping[int, TrialResult]]) -> dict[str, dict[int, float | None]]:
    return {name: {seed: trial.test_metric for seed, trial in arm.items()} for name, arm in trials.items()}


def _by_variant(variants: Sequence[Variant], chosen: Sequence[TrialResult]) -> dict[str, dict[int, TrialResult]]:
    """The chosen trials by variant, in the order of the plan, and by seed, ascending."""
    if not variants:
        raise ValueError("judge needs at least one variant; got none.")
    trials: dict[str, dict[int, TrialResult]] = {variant.name: {} for variant in variants}
    for trial in sorted(chosen, key=lambda trial: trial.key.seed):
        if trial.key.variant not in trials:
            raise ValueError(f"Trial {trial.key} is of no variant of the comparison ({', '.join(trials)}).")
        if trial.key.seed in trials[trial.key.variant]:
            raise ValueError(f"Trial {trial.key} is the second of its variant and seed; choose one with best_trial.")
        trials[trial.key.variant][trial.key.seed] = trial
    return trials


def _answer(
    question: Question,
    reached: Mapping[str, Mapping[int, float | None]],
    metric: Metric,
    margin: float,
    quantum: float,
    planned: int | None,
    *,
    arms: int,
) -> Answer:
    """Return the answer to a question; the error is shared among the pairs of all arms, those without trials too."""
    values = {name: {seed: value for seed, value in arm.items() if value is not None} for name, arm in reached.items()}
    floor = floor_of((value for arm in values.values() for value in arm.values()), quantum)
    names, planned_pairs = tuple(combinations(values, 2)), math.comb(arms, 2)
    pairs = tuple(
        judge_pair(
            (first, second),
            (values[first], values[second]),
            higher_is_better=metric.higher_is_better,
            floor=floor,
            margin=margin,
            error=error_of_each(planned_pairs),
            critical=critical_of(planned),
        )
        for first, second in names
    )
    return Answer(question, margin, 1.0 - FAMILY_ERROR, pairs, _unbeaten(tuple(values), pairs))


def _unbeaten(names: tuple[str, ...], pairs: Sequence[Pair]) -> tuple[str, ...]:
    beaten = {name for pair in pairs if pair.winner for name in (pair.first, pair.second) if name != pair.winner}
    # Where seeds are missing, pairs stand on different seeds and could beat each other in a circle: then none is best.
    return tuple(name for name in names if name not in beaten) or names


def _summarize(
    name: str,
    arm: Mapping[int, TrialResult],
    areas: Mapping[int, float | None],
    metric: Metric,
    target: float | None,
    step_time_ms: float | None,
) -> Summary:
    finals = [trial.test_metric for trial in arm.values() if trial.test_metric is not None]
    low = high = None
    if len(finals) >= 2:
        mean, sd = spread(finals, floor_of(finals, metric.quantum))
        half = critical_t(len(finals), FAMILY_ERROR) * sd / math.sqrt(len(finals))
        low, high = mean - half, mean + half
    heights = [area for area in areas.values() if area is not None]
    arrivals = [] if target is None else [find_arrival(trial, metric, target) for trial in arm.values()]
    reached = [arrival for arrival in arrivals if arrival is not None]
    late = [math.inf] * (len(arm) - len(reached))
    steps = _median_or_none([*reached, *late])
    shares = [100.0 * fmean(entry.dead / entry.units for entry in trial.dead) for trial in arm.values() if trial.dead]
    return Summary(
        variant=name,
        seeds=len(arm),
        metric=fmean(finals) if finals else None,
        metric_low=low,
        metric_high=high,
        area=fmean(heights) if heights else None,
        steps_to_target=steps,
        seconds_to_target=None if steps is None or step_time_ms is None else steps * step_time_ms / 1000,
        reached=len(reached),
        dead_share_pct=fmean(shares) if shares else None,
        step_time_ms=step_time_ms,
        learning_rates=tuple(trial.key.lr for trial in arm.values()),
        diverged=sum(trial.diverged_at is not None for trial in arm.values()),
    )


def _median_or_none(values: Sequence[float]) -> float | None:
    """The median; None where it is not finite, or of nothing."""
    middle = median(values) if values else math.inf
    return middle if math.isfinite(middle) else None
