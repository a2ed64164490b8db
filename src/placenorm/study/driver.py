"""A planned comparison in, a finished one out: trials are handed to workers, kept as they finish, and judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.agenda import Agenda, make_agenda
from placenorm.study.assembly import assemble
from placenorm.study.checkpoints import FOLDER, remove_checkpoints, remove_folder
from placenorm.study.recipe import Recipe
from placenorm.study.store import TrialStore
from placenorm.study.training import Trainer
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
    """Run every trial of a comparison that is wanted and not finished yet, and return it with its verdict.

    A result is kept as soon as it comes in; which trials are wanted next may follow from it.

    Args:
        plan: the comparison.
        store: where finished trials are kept.
        jobs: number of worker processes.
        on_progress: told after every trial.

    Raises:
        TrialError: if a trial failed; finished trials are kept.
        StoreError: if a result cannot be kept.
    """
    agenda = make_agenda(store.head, store.results)
    finished = len(store.results)
    on_progress(finished, finished + len(agenda))
    if not agenda:
        return assemble(store)
    checkpoints = store.folder.resolve() / FOLDER
    remove_checkpoints(checkpoints, store.results)
    recipe = replace(plan.recipe, checkpoints=checkpoints)
    with WorkerPool(partial(_make_trainer, recipe), jobs, plan.references) as pool:
        _feed(pool, agenda, jobs)
        try:
            for result in pool.finished():
                store.add(result)
                remove_checkpoints(checkpoints, [result.key])
                agenda.note(result)
                finished += 1
                _feed(pool, agenda, jobs)
                on_progress(finished, finished + len(agenda))
        except KeyboardInterrupt:
            for result in pool.take_finished():
                store.add(result)
            raise
    remove_folder(checkpoints)
    return assemble(store)


def _feed(pool: WorkerPool[TrialKey, TrialResult], agenda: Agenda, jobs: int) -> None:
    """Hand out trials until every worker has as many at hand as it should, or none is wanted."""
    while agenda.running < agenda.ahead * jobs and (key := agenda.take()) is not None:
        pool.submit(key)


def _make_trainer(recipe: Recipe) -> Callable[[TrialKey], TrialResult]:
    return Trainer(recipe).run
