"""A store in, a comparison out: its trials, the chosen rates and the verdict. Takes no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from placenorm.facts.comparison import Comparison, Course
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.plan import SeedPlan, plan_seed
from placenorm.study.remarks import find_run_remarks, remark_pair_seeds
from placenorm.study.stopping import advance, begin, course_of
from placenorm.study.store import TrialStore
from placenorm.study.verdict import judge


def assemble(store: TrialStore) -> Comparison:
    """Return the comparison in a store with its trials, and with its verdict on the seeds that are finished."""
    return assemble_results(store.head, store.results)


def assemble_results(head: Comparison, results: Mapping[TrialKey, TrialResult]) -> Comparison:
    """Return a comparison with its trials, and with its verdict on the seeds that are finished.

    Args:
        head: the comparison without its trials.
        results: the trials.
    """
    finished, course = _find_finished(head, results)
    chosen = tuple(result for seed_plan in finished for result in seed_plan.chosen.values())
    ordered = sorted(results.values(), key=lambda result: _order(head, result.key))
    comparison = replace(
        head,
        trials=tuple(result for result in ordered if result.failure is None),
        failed=tuple(result for result in ordered if result.failure is not None),
        chosen=tuple(sorted(chosen, key=lambda result: _order(head, result.key))),
        grids=tuple(seed_plan.grid for seed_plan in finished),
        course=course,
    )
    if not chosen:
        return comparison
    counted = head.data is not None and head.data.validation > 0
    quantum = 1.0 / head.data.validation if head.metric.quantum and head.data is not None and counted else 0.0
    verdict = judge(
        head.variants,
        comparison.chosen,
        head.metric,
        head.settings.margin,
        quantum,
        find_run_remarks(comparison, len(finished)),
        comparison.trials,
        head.settings.planned,
    )
    if comparison.failed:
        verdict = replace(
            verdict, remarks=(*verdict.remarks, *remark_pair_seeds(comparison, verdict.final, len(finished)))
        )
    return replace(comparison, verdict=verdict)


def _find_finished(
    head: Comparison, results: Mapping[TrialKey, TrialResult]
) -> tuple[Sequence[SeedPlan], Course | None]:
    """Return the seeds that are judged, and how far the comparison has come where it may stop early."""
    settings = head.settings
    if settings.stop == "never":
        names = [variant.name for variant in head.variants]
        plans = [plan_seed(seed, names, settings.learning_rates, results) for seed in range(settings.seeds)]
        return [seed_plan for seed_plan in plans if not seed_plan.missing], None
    standing = advance(begin(head), head, results)
    return standing.plans, course_of(standing, head, results)


def _order(head: Comparison, key: TrialKey) -> tuple[int, int, float]:
    return [variant.name for variant in head.variants].index(key.variant), key.seed, key.lr or 0.0
