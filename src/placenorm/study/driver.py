"""A planned comparison in, a finished one out: trials are handed to workers, kept as they finish, and judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from placenorm.errors import StoreError, TrialError
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialKey, TrialOrder, TrialResult, make_failed_trial
from placenorm.study.agenda import Agenda, make_agenda
from placenorm.study.alarm import FailureWatcher
from placenorm.study.assembly import assemble
from placenorm.study.budget import BudgetMeter
from placenorm.study.checkpoints import FOLDER, keep_checkpoints, remove_checkpoints, remove_folder
from placenorm.study.executors.executor import Executor, Outcome
from placenorm.study.executors.machines import Machines, open_executor
from placenorm.study.heads import identify_work
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


def run_study(
    plan: StudyPlan,
    store: TrialStore,
    machines: Machines,
    on_progress: OnProgress,
    meter: BudgetMeter | None = None,
) -> Comparison:
    """Run every trial of a comparison that is wanted and not finished yet, and return it with its verdict.

    A result is kept as soon as it comes in; which trials are wanted next may follow from it. A trial that fails is kept
    with its traceback, and the others go on; trials that failed in an earlier run are tried again.

    Args:
        plan: the comparison.
        store: where finished trials are kept.
        machines: where trials run.
        on_progress: told after every trial.
        meter: says whether the budget allows another trial; None where there is no budget.

    Raises:
        TrialError: if nearly all trials fail, or no worker can be made ready; finished trials are kept.
        StoreError: if a result cannot be kept.
    """
    known = {key: result for key, result in store.results.items() if result.failure is None}
    run_agenda(make_agenda(store.head, known), plan, known, store, machines, on_progress, meter)
    return assemble(store)


def run_agenda(
    agenda: Agenda,
    plan: StudyPlan,
    known: Mapping[TrialKey, TrialResult],
    store: TrialStore,
    machines: Machines,
    on_progress: OnProgress,
    meter: BudgetMeter | None = None,
) -> None:
    """Run every trial that an agenda wants, and keep what comes of it; what was spent is kept where a budget ended it.

    Args:
        agenda: says which trial is next.
        plan: what the trials share.
        known: the trials that count as finished.
        store: where they are kept.
        machines: as in `run_study`.
        on_progress: as in `run_study`.
        meter: as in `run_study`.

    Raises:
        TrialError: as `run_study`.
        StoreError: as `run_study`.
    """
    failed_before = store.results.keys() - known.keys()
    finished = len(known)
    meter = meter or BudgetMeter(None, ())
    on_progress(finished, finished + len(agenda))
    if not agenda or not meter.allows(0):
        store.keep_spending(meter.read() if agenda else None)
        return
    checkpoints = store.folder.resolve() / FOLDER
    remove_checkpoints(checkpoints, known)
    recipe = replace(plan.recipe, checkpoints=checkpoints, work=identify_work(store.head))
    make_work = partial(_make_trainer, recipe)
    watcher = FailureWatcher(finished)
    files = () if plan.recipe.weights is None else (plan.recipe.weights,)
    with open_executor(machines, make_work, plan.references, files) as executor:
        _feed(executor, agenda, meter)
        try:
            for outcome in executor.finished():
                result = _keep(outcome, store)
                if result.failure is None:
                    remove_checkpoints(checkpoints, [result.key])
                agenda.note(result)
                meter.note(result)
                finished += 1
                watcher.note(result, again=result.key in failed_before)
                _feed(executor, agenda, meter)
                on_progress(finished, finished + len(agenda))
                if not agenda:
                    break  # what still runs is not wanted any more, and ends with the executor
        except (KeyboardInterrupt, TrialError, StoreError):
            for outcome in executor.take_finished():
                _keep(outcome, store)
            raise
    if not agenda:
        keep_checkpoints(checkpoints, [key for key, result in store.results.items() if result.failure is not None])
    remove_folder(checkpoints)
    watcher.end()
    store.keep_spending(meter.read() if agenda else None)  # trials are left: the budget ended it


def _feed(executor: Executor[TrialOrder, TrialResult], agenda: Agenda, meter: BudgetMeter) -> None:
    """Hand out trials until every worker has as many at hand as it should, or no further one is wanted or allowed."""
    ahead = 1 if meter.limited else agenda.ahead  # a trial in the queue would begin beyond the budget
    while agenda.running < ahead * executor.slots and meter.allows(agenda.running):
        order = agenda.take()
        if order is None:
            return
        executor.submit(order)


def _keep(outcome: Outcome[TrialOrder, TrialResult], store: TrialStore) -> TrialResult:
    """Store what came of a trial, and return it."""
    result = outcome.result if outcome.failure is None else make_failed_trial(outcome.key.key, outcome.failure)
    assert result is not None
    result = replace(result, wall_s=outcome.wall_s)
    store.add(result)
    return result


def _make_trainer(recipe: Recipe) -> Callable[[TrialOrder], TrialResult]:
    trainer = Trainer(recipe)
    return lambda order: trainer.run(order.key, order.bar)
