"""The verb `claims`: the article's claims, put to the test on data."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from placenorm.claims.registry import find_claims
from placenorm.claims.running import DataRequest, OnProgress, assemble, run_claims
from placenorm.claims.store import open_store, read_store
from placenorm.data import describe, load_data, split
from placenorm.errors import ComparisonInterrupted, DataError, UsageError
from placenorm.facts.claim import ClaimResult, ClaimSettings, ClaimsReport
from placenorm.study.planning import describe_environment

QUICK_SEEDS, FULL_SEEDS = 5, 10

QUICK_DATA, FULL_DATA = "digits", "fashion-mnist"

FULL_LIMIT = 6000
"""Samples of fashion-mnist that the long run takes: enough for 90 %, and a training stays at seconds."""

RESULTS = Path("placenorm-results")


@dataclass(frozen=True, slots=True)
class ClaimsResult:
    """A run of the claims.

    Attributes:
        facts: the claims with their verdicts.
        folder: where the observations lie.
    """

    facts: ClaimsReport
    folder: Path

    @property
    def claims(self) -> tuple[ClaimResult, ...]:
        """The claims in the article's order."""
        return self.facts.results


def claims(
    names: Sequence[str] = (),
    data: str | None = None,
    *,
    full: bool = False,
    seeds: int | None = None,
    limit: int | None = None,
    data_dir: Path | str | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    command: str | None = None,
) -> ClaimsResult:
    """Put the article's claims to the test and return what holds, with effect, interval and number of seeds.

    Args:
        names: numbers or slugs, such as ``A4`` or ``dead-units``; all of them for none.
        data: ``digits``, ``fashion-mnist``, ``folder:PATH``, ``npz:PATH`` or ``path/to/file.py:function``; classes.
        full: the long run, by default on fashion-mnist, with more seeds, depths and sizes.
        seeds: number of seeds; 5, or 10 in the long run.
        limit: at most so many training samples and so many test samples.
        data_dir: folder of the fashion-mnist files.
        device: where networks run.
        jobs: worker processes; by default one a core. The numbers do not depend on it.
        out: folder for the observations; by default ``placenorm-results/claims-<data>``.
        resume: go on with what the folder holds.
        on_progress: told after every trial how many are finished, and of how many.
        command: the command that repeats the run, for the report.

    Raises:
        UsageError: if there is no such claim, or an option cannot be used.
        DataError: if the data cannot be found or read, or are not classes.
        StoreError: if the folder cannot be used.
        TrialError: if a trial failed; what was observed is kept.
        ComparisonInterrupted: on Ctrl-C; what was observed is kept.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"Cannot test claims with --jobs {jobs}: trials need a process; give 1 or more.")
    if seeds is not None and seeds < 1:
        raise UsageError(f"Cannot test claims with --seeds {seeds}: one seed is the least that can be trained.")
    chosen = find_claims(names)
    name = data or (FULL_DATA if full else QUICK_DATA)
    if full and data is None and limit is None:
        limit = FULL_LIMIT
    source = load_data(name, data_dir=None if data_dir is None else Path(data_dir), limit=limit)
    if source.task != "classification":
        raise DataError(f"Cannot put the claims to {name}: its targets are values, and accuracy needs classes.")
    head = ClaimsReport(
        settings=ClaimSettings(
            data=name,
            full=full,
            seeds=seeds or (FULL_SEEDS if full else QUICK_SEEDS),
            claims=tuple(claim.number for claim in chosen),
            limit=limit,
        ),
        data=describe(source, split(source, 0)),
        environment=describe_environment(device, command or f"pn.claims(...) in {Path(sys.argv[0]).name or 'Python'}"),
        results=(),
        seconds=0.0,
    )
    folder = Path(out) if out is not None else RESULTS / f"claims-{name.split(':')[0]}"
    request = DataRequest(name, None if data_dir is None else Path(data_dir), limit, device)
    with open_store(folder, head, resume=resume) as store:
        try:
            facts = run_claims(
                store, request, jobs or len(os.sched_getaffinity(0)), on_progress or (lambda finished, total: None)
            )
        except KeyboardInterrupt as error:
            raise ComparisonInterrupted(
                f"Stopped: {len(store.observations)} finished trials are kept in {folder}; "
                "the same command with --resume goes on."
            ) from error
    return ClaimsResult(facts, folder)


def read_claims(folder: Path) -> ClaimsReport:
    """Return the claims in a folder, judged anew from what is stored.

    Raises:
        StoreError: if there are none, or they cannot be read.
    """
    return assemble(read_store(folder))
