"""What a reader must know to judge a verdict: how rates were chosen, what diverged, what an interval covers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from placenorm.facts.comparison import MIN_SEEDS, Answer, Comparison, Metric, Remark
from placenorm.facts.trial import TrialResult
from placenorm.study.heads import THEN
from placenorm.study.pairing import FAMILY_ERROR, FUTILE_CHANCE
from placenorm.study.rates import MAX_STEPS

SHOWN_TRIALS = 3
"""Trials that a remark names, of those that something happened to."""

_INCIDENTS = {"checkpoint-damaged": "note-checkpoint-damaged", "checkpoint-unwritten": "note-checkpoint-unwritten"}
"""What is remarked where something went wrong with a trial without harm to its result."""

SECOND_LOOK_PCT = 8
"""Chance of a false 'better' at 10 seeds or, with ten more, at 20: bench/calibration.py measures it."""


def find_remarks(
    trials: Mapping[str, Mapping[int, TrialResult]],
    answers: Sequence[Answer],
    values: Sequence[Mapping[str, Mapping[int, float | None]]],
    metric: Metric,
    planned: int | None = None,
) -> list[Remark]:
    """Return what is to be said of the answers: the confidence, what diverged, what was left out.

    Args:
        trials: by variant and seed, the chosen trial.
        answers: the answers to the questions.
        values: for each answer, by variant and seed, what the differences are taken of.
        metric: the metric.
        planned: as in `judge`.
    """
    found = []
    pairs = [pair for answer in answers for pair in answer.pairs]
    if pairs:
        planned_pairs = len(answers) * math.comb(len(trials), 2)
        joint, each = f"{100 * (1 - FAMILY_ERROR):.0f}", f"{100 * (1 - FAMILY_ERROR / planned_pairs):.2f}"
        found.append(Remark("note-together", {"intervals": len(pairs), "joint": joint, "each": each}))
    if any(pair.seeds < MIN_SEEDS for pair in pairs):
        found.append(Remark("note-few-seeds", {"least": MIN_SEEDS}))
    if pairs and planned is not None:
        found.append(Remark("note-every-look", {"planned": planned}))
    elif any(pair.more_seeds is not None for pair in pairs):
        found.append(Remark("note-second-look", {"second": SECOND_LOOK_PCT, "first": f"{100 * FAMILY_ERROR:.0f}"}))
    for name, arm in trials.items():
        lost = [trial for trial in arm.values() if trial.diverged_at is not None]
        if lost:
            parts: tuple[dict[str, str | int], ...] = tuple(
                {"seed": str(trial.key.seed), "step": str(trial.diverged_at)} for trial in lost
            )
            facts: dict[str, str | int] = {"name": name, "lost": len(lost), "seeds": len(arm), "metric": metric.name}
            found.append(Remark("note-lost", facts, parts))
    for answer, reached in zip(answers, values, strict=True):
        for name, seeds in reached.items():
            empty = [str(seed) for seed, value in seeds.items() if value is None]
            if empty:
                facts = {"name": name, "measure": answer.question, "metric": metric.name, "number": len(empty)}
                found.append(Remark("note-empty", {**facts, "seeds": ", ".join(empty)}))
    return found


def find_run_remarks(comparison: Comparison, finished: int) -> tuple[Remark, ...]:
    """Return what is to be said of how a comparison was run.

    Args:
        comparison: the comparison.
        finished: how many of its seeds are finished.
    """
    settings = comparison.settings
    found = _remark_course(comparison)
    if finished < settings.seeds and (comparison.course is None or comparison.course.ending is None):
        found.append(Remark("note-unfinished", {"finished": finished, "seeds": settings.seeds}))
    paired = comparison.data is not None and comparison.data.paired
    found.append(Remark("note-same-start-and-batches" if paired else "note-same-start"))
    if comparison.data is not None and not paired:
        found.append(Remark("note-unpaired"))
    if settings.train is None:
        found.append(_remark_rates(comparison))
    if comparison.data is not None:
        found.append(Remark("note-fixed-test" if comparison.data.fixed_test else "note-split-anew"))
        found.extend(Remark("note-data", {"text": text}) for text in comparison.data.notes)
        if comparison.metric.quantum > settings.margin > 0:
            found.append(Remark("note-coarse", {"test": str(comparison.data.test)}))
    if settings.precision != "float32":
        found.append(Remark("note-precision", {"name": settings.precision}))
    if settings.compiled:
        found.append(Remark("note-compiled"))
    if settings.processes > 1:
        found.append(Remark("note-processes", {"number": settings.processes}))
    for incident, key in _INCIDENTS.items():
        hit = [str(result.key) for result in comparison.trials if incident in result.incidents]
        if hit:
            found.append(Remark(key, {"number": len(hit), "name": "; ".join(hit[:SHOWN_TRIALS])}))
    if THEN in comparison.environment.torch:
        found.append(Remark("note-torch", {"torch": comparison.environment.torch}))
    for variant in comparison.variants:
        found.extend(
            Remark("note-skipped", {"label": variant.label, "site": skip.site, "reason": skip.reason})
            for skip in variant.skipped
        )
    found.extend(_remark_failed(comparison))
    diverged = Counter(result.key.variant for result in comparison.trials if result.diverged_at is not None)
    trials = Counter(result.key.variant for result in comparison.trials)
    found.extend(
        Remark("note-diverged", {"name": name, "diverged": count, "trials": trials[name]})
        for name, count in diverged.items()
    )
    return tuple(found)


def _remark_course(comparison: Comparison) -> list[Remark]:
    """Return why a comparison that may stop early stopped, which arms stopped before it, and what it took."""
    course, settings = comparison.course, comparison.settings
    if course is None:
        return []
    found = []
    asked: dict[str, str | int] = {"asked": settings.seeds}
    ended = asked | {"seeds": course.seeds, "measure": "final", "metric": comparison.metric.name}
    if course.ending == "decided":
        found.append(Remark("note-stopped-decided", ended))
    elif course.ending == "futile":
        found.append(Remark("note-stopped-futile", ended | {"chance": f"{100 * FUTILE_CHANCE:.0f}"}))
    parts: tuple[dict[str, str | int], ...] = tuple(
        {"name": name, "seeds": seeds} for name, seeds in course.stopped.items() if seeds < course.seeds
    )
    if parts:
        found.append(Remark("note-arms-stopped", asked, parts))
    if course.whole_steps:
        share = asked | {"share": f"{100 * course.steps / course.whole_steps:.0f}", "arms": len(comparison.variants)}
        found.append(Remark("note-share-own" if settings.train else "note-share", share))
        if comparison.search is not None:
            found.append(Remark("note-share-search", {"trials": comparison.search.trials}))
    return found


def _remark_failed(comparison: Comparison) -> list[Remark]:
    """Return, for each variant, which of its trials failed, and the last reason."""
    found = []
    for variant in comparison.variants:
        failed = [trial for trial in comparison.failed if trial.key.variant == variant.name]
        reasons = [trial.failure.reason for trial in failed if trial.failure is not None]
        if not reasons:
            continue
        seeds = sorted({trial.key.seed for trial in failed})
        finished = sum(trial.key.variant == variant.name for trial in comparison.trials)
        facts: dict[str, str | int] = {"name": variant.name, "failed": len(failed), "trials": finished + len(failed)}
        facts |= {"number": len(seeds), "seeds": ", ".join(map(str, seeds)), "reason": reasons[-1]}
        found.append(Remark("note-failed" if finished else "note-failed-all", facts))
    return found


def remark_pair_seeds(comparison: Comparison, final: Answer, finished: int) -> list[Remark]:
    """Return on how many seeds each pair stands that has fewer than are finished, because of trials that failed.

    Args:
        comparison: the comparison.
        final: the answer about the final metric.
        finished: how many seeds are finished.
    """
    failed = {trial.key.variant for trial in comparison.failed}
    parts: tuple[dict[str, str | int], ...] = tuple(
        {"first_name": pair.first, "second_name": pair.second, "seeds": str(pair.seeds)}
        for pair in final.pairs
        if pair.seeds < finished and failed & {pair.first, pair.second}
    )
    return [Remark("note-pair-seeds", {"finished": finished}, parts)] if parts else []


def _remark_rates(comparison: Comparison) -> Remark:
    """Return how learning rates were chosen, and what came of it."""
    start = [rate for rate in comparison.settings.learning_rates if rate is not None]
    facts: dict[str, str | int] = {"rates": ", ".join(f"{rate:g}" for rate in start)}
    if len(start) < 2:
        return Remark("note-rate-given", facts)
    if comparison.course is not None:
        tried = [trial.key.lr for trial in comparison.trials if trial.key.lr is not None]
        facts |= {"least": f"{min(tried, default=0.0):.3g}", "most": f"{max(tried, default=0.0):.3g}"}
        facts |= {"ended": sum(trial.pruned_at is not None for trial in comparison.trials), "trials": len(tried)}
        return Remark("note-rates-searched", facts)
    grown = [grid for grid in comparison.grids if len(grid) > len(start)]
    if not grown:
        return Remark("note-rates", facts)
    far = sum(len(grid) - len(start) >= MAX_STEPS for grid in grown)
    tried = [rate for grid in grown for rate in grid if rate is not None]
    facts |= {"grown": len(grown), "seeds": len(comparison.grids)}
    facts |= {"least": f"{min(tried):.3g}", "most": f"{max(tried):.3g}"}
    return Remark("note-rates-grown-far", {**facts, "far": far}) if far else Remark("note-rates-grown", facts)
