"""A planned comparison in, a finished one out: trials are handed to workers, kept as they finish, and judged."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from placenorm.facts.comparison import Comparison
from placenorm.study.assembly import assemble, plan_of
from placenorm.study.store import TrialStore
from placenorm.study.training import Recipe
from placenorm.study.workers import WorkerPool

OnProgress = Callable[[int, int], None]
"""Told after every trial: how many are finished, and how many there are as far as is known."""


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """A comparison that can be run.

    Attributes:
        head: what is compared and how, without trials.
        recipe: what all trials share.
        references: the user's own code by reference, for the workers to load.
    """

    head: Comparison
    recipe: Recipe
    references: tuple[str, ...] = ()


def run_study(plan: StudyPlan, store: TrialStore, jobs: int, on_progress: OnProgress) -> Comparison:
    """Run every trial of a comparison that is not finished yet, and return it with its verdict.

    A result is kept as soon as it comes in. When all variants of a seed have tried its learning rates, the grid of
    that seed grows if it must, and the new trials follow.

    Args:
        plan: the comparison.
        store: where finished trials are kept.
        jobs: number of worker processes.
        on_progress: told after every trial.

    Raises:
        TrialError: if a trial failed; finished trials are kept.
        StoreError: if a result cannot be kept.
    """
    plans = {seed: plan_of(store, seed) for seed in range(store.head.settings.seeds)}
    total = len(store.results) + sum(len(seed_plan.missing) for seed_plan in plans.values())
    on_progress(len(store.results), total)
    if not any(seed_plan.missing for seed_plan in plans.values()):
        return assemble(store)
    with WorkerPool(plan.recipe, jobs, plan.references) as pool:
        for seed_plan in plans.values():
            for key in seed_plan.missing:
                pool.submit(key)
        awaited = Counter(key.seed for seed_plan in plans.values() for key in seed_plan.missing)
        for result in pool.finished():
            store.add(result)
            awaited[result.key.seed] -= 1
            if not awaited[result.key.seed]:
                grown = plan_of(store, result.key.seed).missing
                awaited[result.key.seed] = len(grown)
                total += len(grown)
                for key in grown:
                    pool.submit(key)
            on_progress(len(store.results), total)
    return assemble(store)
