"""A planned comparison in, a finished one out: trials are handed to workers, kept as they finish, and judged."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count

from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.assembly import assemble, plan_of
from placenorm.study.store import TrialStore
from placenorm.study.training import Recipe, Trainer
from placenorm.study.workers import WorkerPool

AHEAD = 2
"""Trials a worker has at hand: the one it runs, and the next."""

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
    queue = _Queue(store)
    finished = len(store.results)
    on_progress(finished, finished + len(queue))
    if not queue:
        return assemble(store)
    with WorkerPool(partial(_make_trainer, plan.recipe), jobs, plan.references) as pool:
        queue.feed(pool, AHEAD * jobs)
        try:
            for result in pool.finished():
                store.add(result)
                finished += 1
                queue.note(result.key)
                queue.feed(pool, AHEAD * jobs)
                on_progress(finished, finished + len(queue))
        except KeyboardInterrupt:
            for result in pool.take_finished():
                store.add(result)
            raise
    return assemble(store)


def _make_trainer(recipe: Recipe) -> Callable[[TrialKey], TrialResult]:
    return Trainer(recipe).run


class _Queue:
    """The trials that are still to come, seed by seed, so that a run that is stopped has whole seeds to judge."""

    def __init__(self, store: TrialStore) -> None:
        self._store = store
        self._waiting: list[tuple[int, int, TrialKey]] = []
        self._running = 0
        self._open: Counter[int] = Counter()
        self._count = count()
        for seed in range(store.head.settings.seeds):
            self._add(seed)

    def __len__(self) -> int:
        return len(self._waiting) + self._running

    def feed(self, pool: WorkerPool[TrialKey, TrialResult], most: int) -> None:
        """Hand trials to the workers until so many are with them."""
        while self._waiting and self._running < most:
            *_, key = heappop(self._waiting)
            pool.submit(key)
            self._running += 1

    def note(self, key: TrialKey) -> None:
        """Take note that a trial is stored; when it was the last of its seed's grid, the grid may grow."""
        self._running -= 1
        self._open[key.seed] -= 1
        if not self._open[key.seed]:
            self._add(key.seed)

    def _add(self, seed: int) -> None:
        for key in plan_of(self._store, seed).missing:
            heappush(self._waiting, (seed, next(self._count), key))
            self._open[seed] += 1
