"""A store in, a comparison out: its trials, the chosen rates and the verdict. Takes no torch."""

from dataclasses import replace

from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialKey
from placenorm.study.plan import SeedPlan, plan_seed
from placenorm.study.remarks import find_run_remarks
from placenorm.study.store import TrialStore
from placenorm.study.verdict import judge


def plan_of(store: TrialStore, seed: int) -> SeedPlan:
    """Return where one seed of a stored comparison stands."""
    head = store.head
    return plan_seed(seed, [variant.name for variant in head.variants], head.settings.learning_rates, store.results)


def assemble(store: TrialStore) -> Comparison:
    """Return the comparison in a store with its trials, and with its verdict on the seeds that are finished."""
    head = store.head
    plans = [plan_of(store, seed) for seed in range(head.settings.seeds)]
    finished = [seed_plan for seed_plan in plans if not seed_plan.missing]
    chosen = tuple(result for seed_plan in finished for result in seed_plan.chosen.values())
    comparison = replace(
        head,
        trials=tuple(sorted(store.results.values(), key=lambda result: _order(head, result.key))),
        chosen=tuple(sorted(chosen, key=lambda result: _order(head, result.key))),
        grids=tuple(seed_plan.grid for seed_plan in finished),
    )
    if not chosen:
        return comparison
    quantum = 1.0 / head.data.validation if head.metric.quantum and head.data is not None else 0.0
    verdict = judge(
        head.variants,
        comparison.chosen,
        head.metric,
        head.settings.margin,
        quantum,
        find_run_remarks(comparison, len(finished)),
        comparison.trials,
    )
    return replace(comparison, verdict=verdict)


def _order(head: Comparison, key: TrialKey) -> tuple[int, int, float]:
    return [variant.name for variant in head.variants].index(key.variant), key.seed, key.lr or 0.0
