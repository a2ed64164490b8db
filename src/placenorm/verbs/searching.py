"""The search before a comparison: placements are tried block by block, and what is found is handed on to be judged."""

from dataclasses import dataclass, replace
from pathlib import Path

from placenorm.errors import StoreError, TrialError
from placenorm.facts.comparison import Comparison
from placenorm.facts.search import Search
from placenorm.study.budget import SECONDS, Budget, BudgetMeter
from placenorm.study.databases import DatabaseAddress, Tell
from placenorm.study.driver import OnProgress, StudyPlan, run_agenda
from placenorm.study.executors.machines import Machines
from placenorm.study.request import Request
from placenorm.study.search_planning import plan_search
from placenorm.study.searching import SearchAgenda, conclude_search
from placenorm.study.store import TrialStore, open_store, read_begun
from placenorm.verbs.results import told_when_stopped

FOLDER = "search"
"""Inside the result folder: the trials of the search."""

SHARE = 0.5
"""Share of a budget that a search may take; the rest is for the verdict on what it found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where a comparison is kept, and the search before it.

    Attributes:
        folder: of the comparison; the search has a folder in it.
        database: where trials are kept instead; the search has a study of its own there.
        resume: whether to go on with what is there.
        tell: told in a sentence when a database has gone.
    """

    folder: Path
    database: DatabaseAddress | None
    resume: bool
    tell: Tell

    def open_search(self, head: Comparison) -> TrialStore:
        """Return the store of the search."""
        database = self.database
        if database is not None:
            database = replace(database, study=f"{database.study}-{FOLDER}")
        return open_store(self.folder / FOLDER, head, resume=self.resume, database=database, tell=self.tell)

    def find_earlier(self) -> Search | None:
        """Return what an earlier run found and began to judge; None where none did.

        Raises:
            StoreError: if there is a comparison without a search.
        """
        begun = read_begun(self.folder, self.database)
        if begun is not None and begun.search is None:
            place = self.folder if self.database is None else f"study {self.database.study}"
            raise StoreError(
                f"Cannot use {place}: it holds another comparison, without a search; choose another "
                f"{'--out' if self.database is None else '--study'}."
            )
        return None if begun is None else begun.search


def run_search(
    request: Request,
    named: StudyPlan,
    kept: Kept,
    machines: Machines,
    on_progress: OnProgress,
    *,
    budget: Budget | None,
    gpus: float,
) -> tuple[Search, Budget | None]:
    """Return what a search found, and what is left of the budget.

    A search whose find is being judged already is over: more seeds or a larger budget do not change it.

    Args:
        request: what was asked for.
        named: the comparison of its named placements.
        kept: where it is kept.
        machines: where trials run.
        on_progress: told after every trial.
        budget: for the search and the verdict together.
        gpus: GPUs that a trial holds.

    Raises:
        UsageError: if no block of the network has a choice.
        StoreError: if the folder cannot be used.
        TrialError: if nearly all trials fail, or the budget ended the search before there was anything to find.
        ComparisonInterrupted: on Ctrl-C.
    """
    earlier = None if kept.database is not None else kept.find_earlier()  # before anything is written beside it
    if earlier is not None and kept.resume:
        return earlier, _left(budget, earlier, 0.0, gpus)
    study, plan = plan_search(request, named, count_afforded(budget))
    with kept.open_search(study.head) as store, told_when_stopped(lambda: len(store.results), store.place):
        if kept.database is not None:  # now its tables are there
            earlier = kept.find_earlier()
            if earlier is not None:
                return earlier, _left(budget, earlier, 0.0, gpus)
        share = None if budget is None else replace(budget, limit=SHARE * budget.limit)
        meter = BudgetMeter(share, store.results.values(), gpus)
        known = {key: result for key, result in store.results.items() if result.failure is None}
        run_agenda(SearchAgenda(plan, known), study, known, store, machines, on_progress, meter)
        found = conclude_search(plan, store.results)
        spent = meter.read()
        place = store.place
    if found is None:
        raise TrialError(
            f"The search in {place} has found nothing: its {len(store.results)} trials do not hold one whole set of "
            "the named placements without a failed one (a loop of your own has to report a value on validation data); "
            f"go on with --resume{'' if budget is None else ' and a larger --budget'}."
        )
    return found, _left(budget, found, 0.0 if spent is None else spent.time_s, gpus)


def count_afforded(budget: Budget | None) -> float | None:
    """Return how many trials a search may take of a budget in trials; None for another budget, or none."""
    return SHARE * budget.limit if budget is not None and budget.kind == "trials" else None


def _left(budget: Budget | None, search: Search, seconds: float, gpus: float) -> Budget | None:
    """Return what is left of a budget after a search that took so many seconds of this run."""
    if budget is None:
        return None
    spent = {"trials": float(search.trials), "time": seconds, "gpu-hours": search.wall_s * gpus / SECONDS["h"]}
    return replace(budget, limit=max(budget.limit - spent[budget.kind], 0.0))
