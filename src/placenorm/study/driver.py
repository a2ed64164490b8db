"""A planned comparison in, a finished one out: trials are handed to workers, kept as they finish, and judged."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from placenorm.errors import TrialError
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialKey, TrialResult, make_failed_trial
from placenorm.study.agenda import Agenda, make_agenda
from placenorm.study.alarm import FailureWatcher
from placenorm.study.assembly import assemble
from placenorm.study.checkpoints import FOLDER, remove_checkpoints, remove_folder
from placenorm.study.executors.executor import Executor, Outcome
from placenorm.study.executors.machines import Machines, open_executor
from placenorm.study.recipe import Recipe
from placenorm.study.store import TrialStore
from placenorm.study.training import Trainer

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


def run_study(plan: StudyPlan, store: TrialStore, machines: Machines, on_progress: OnProgress) -> Comparison:
    """Run every trial of a comparison that is wanted and not finished yet, and return it with its verdict.

    A result is kept as soon as it comes in; which trials are wanted next may follow from it. A trial that fails is kept
    with its traceback, and the others go on; trials that failed in an earlier run are tried again.

    Args:
        plan: the comparison.
        store: where finished trials are kept.
        machines: where trials run.
        on_progress: told after every trial.

    Raises:
        TrialError: if nearly all trials fail, or no worker can be made ready; finished trials are kept.
        StoreError: if a result cannot be kept.
    """
    known = {key: result for key, result in store.results.items() if result.failure is None}
    failed_before = store.results.keys() - known.keys()
    agenda = make_agenda(store.head, known)
    finished = len(known)
    on_progress(finished, finished + len(agenda))
    if not agenda:
        return assemble(store)
    checkpoints = store.folder.resolve() / FOLDER
    remove_checkpoints(checkpoints, known)
    make_work = partial(_make_trainer, replace(plan.recipe, checkpoints=checkpoints))
    watcher = FailureWatcher(finished)
    with open_executor(machines, make_work, plan.references) as executor:
        _feed(executor, agenda)
        try:
            for outcome in executor.finished():
                result = _keep(outcome, store)
                if result.failure is None:
                    remove_checkpoints(checkpoints, [result.key])
                agenda.note(result)
                finished += 1
                watcher.note(result, again=result.key in failed_before)
                _feed(executor, agenda)
                on_progress(finished, finished + len(agenda))
        except (KeyboardInterrupt, TrialError):
            for outcome in executor.take_finished():
                _keep(outcome, store)
            raise
    remove_folder(checkpoints)
    watcher.end()
    return assemble(store)


def _feed(executor: Executor[TrialKey, TrialResult], agenda: Agenda) -> None:
    """Hand out trials until every worker has as many at hand as it should, or none is wanted."""
    while agenda.running < agenda.ahead * executor.slots and (key := agenda.take()) is not None:
        executor.submit(key)


def _keep(outcome: Outcome[TrialKey, TrialResult], store: TrialStore) -> TrialResult:
    """Store what came of a trial, and return it."""
    result = outcome.result if outcome.failure is None else make_failed_trial(outcome.key, outcome.failure)
    assert result is not None
    store.add(result)
    return result


def _make_trainer(recipe: Recipe) -> Callable[[TrialKey], TrialResult]:
    return Trainer(recipe).run
