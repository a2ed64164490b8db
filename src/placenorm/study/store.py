"""The finished trials of a comparison, kept one by one: in a folder, or in a database."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import IO

from placenorm.errors import StoreError, UsageError
from placenorm.facts.comparison import Comparison, Spending
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.databases import OUTAGE_S, DatabaseAddress, DatabaseHome, Tell, read_url, show_url, warn
from placenorm.study.folders import HEAD, TRIALS, FolderHome, LockedFolder, lock_folder
from placenorm.study.heads import CHANGED, find_difference, merge_heads
from placenorm.study.homes import Home
from placenorm.study.rows import TROUBLE, describe_cause, freeze
from placenorm.study.unsaved import UnsavedTrials


class TrialStore(LockedFolder):
    """The trials of one comparison.

    A trial is added once, when it is finished, in one transaction: a killed run loses at most the trials that were
    running. One process writes at a time. A trial that cannot be stored is written to a file in the folder, which the
    next run takes in.

    Args:
        home: where the trials are kept; closed with the store.
        head: the comparison without its trials.
        folder: where everything else of the comparison is put.
        lock: the open lock file of that folder; None for reading.
    """

    def __init__(self, home: Home, head: Comparison, folder: Path, lock: IO[str] | None) -> None:
        super().__init__(folder, lock)
        self.head, self._home = head, home
        self._unsaved = UnsavedTrials(folder, home.place)
        self._results = keep_last(home.read())
        self._broken = False
        if lock is not None:
            self._take_in()
            self._unsaved.reserve()

    @property
    def place(self) -> str:
        """Where it is, as people read it."""
        return self._home.place

    @property
    def results(self) -> Mapping[TrialKey, TrialResult]:
        """Every finished trial, also those that failed, by its key; not to be changed, and not a copy."""
        return MappingProxyType(self._results)

    def add(self, result: TrialResult) -> None:
        """Keep a finished trial. It replaces one that failed.

        Raises:
            StoreError: if it is there already, or if it cannot be stored: then it, and all that are added after it, are
                written to the file of unsaved trials.
        """
        held = self._results.get(result.key)
        if held is not None and held.failure is None:
            raise StoreError(f"Trial {result.key} is in {self.place} already; a trial is kept once.")
        if self._broken:
            self._unsaved.append(result)
        else:
            self._keep(result)
        self._results[result.key] = result

    def keep_spending(self, spending: Spending | None) -> None:
        """Keep what was spent when the budget ended a run, or that none did.

        Raises:
            StoreError: if it cannot be written.
        """
        if self.head.spending != spending:
            self.head = replace(self.head, spending=spending)
            self._home.write_head(self.head)

    def close(self) -> None:
        """Let other processes write."""
        self._home.close()
        if self._lock is not None:
            self._unsaved.release()
        super().close()

    def _keep(self, result: TrialResult) -> None:
        try:
            self._home.add(freeze(result, self.head))
        except TROUBLE as error:
            self._survive(result, error)

    def _survive(self, result: TrialResult, error: BaseException) -> None:
        """Keep a trial whose storage failed: in a file, and in the storage as soon as that is back."""
        safe = len(self._results)
        self._broken = True  # until it is stored: whatever ends the waiting, later trials go to the file at once
        written = self._unsaved.append(result)
        for _ in self._home.wait(error):
            try:
                # Whether the transaction that failed was carried out is not known: look before adding.
                if keep_last(self._home.read()).get(result.key) != result:
                    self._home.add(freeze(result, self.head))
            except (*TROUBLE, StoreError) as again:
                error = again
                continue
            self._unsaved.clear()
            self._unsaved.reserve()
            self._broken = False
            return
        then = (
            f"what finished since is in {self._unsaved.path}, so make it work again and go on with --resume"
            if written
            else "so make room and go on with --resume, which runs what finished since again"
        )
        raise StoreError(
            f"Cannot write to {self.place}: {describe_cause(error)}; the {safe} trials before are safe, {then}."
        ) from error

    def _take_in(self) -> None:
        """Store the trials that an earlier run could not."""
        waiting = self._unsaved.read()
        for result in waiting:
            held = self._results.get(result.key)
            if held is None or held.failure is not None:
                try:
                    self._home.add(freeze(result, self.head))
                except TROUBLE as error:
                    raise StoreError(
                        f"Cannot write to {self.place}: {describe_cause(error)}; {len(waiting)} finished trials wait "
                        f"for it in {self._unsaved.path}, so make it work again and go on with --resume."
                    ) from error
                self._results[result.key] = result
        if waiting:
            self._unsaved.clear()


def keep_last(results: Iterable[TrialResult]) -> dict[TrialKey, TrialResult]:
    """Return trials by their key, from the first that was kept to the last: a later one replaces one that failed."""
    kept: dict[TrialKey, TrialResult] = {}
    for result in results:
        held = kept.get(result.key)
        if held is None or held.failure is not None:
            kept[result.key] = result
    return kept


def open_store(
    folder: Path,
    head: Comparison,
    *,
    resume: bool,
    database: DatabaseAddress | None = None,
    outage_s: float = OUTAGE_S,
    tell: Tell = warn,
) -> TrialStore:
    """Return the store of a comparison, made anew or continued.

    Args:
        folder: where it lies, or where its report goes; made if it is not there.
        head: the comparison that is to be run, without trials.
        resume: go on with what is there.
        database: where the trials are kept; None for the folder.
        outage_s: how long to wait for a database that has gone, in seconds.
        tell: told in a sentence when that happens.

    Raises:
        UsageError: if the address of the database cannot be used.
        StoreError: if it cannot be reached or written, is in use, or holds another comparison or, without `resume`,
            this.
    """
    lock = lock_folder(folder)
    home: Home | None = None
    try:
        home = FolderHome(folder)
        if database is not None:
            home = DatabaseHome(database, write=True, outage_s=outage_s, tell=tell)
        held = home.read_head()
        if held is None:
            home.write_head(head)  # first, so that a run that is killed while it makes the database can go on
        else:
            _check_held(home, held, head, resume=resume)
            head = merge_heads(held, head)
        home.open(head, make=True)
        if held is not None and held != head:
            home.write_head(head)
        return TrialStore(home, head, folder, lock)
    except BaseException:
        if home is not None:
            home.close()
        lock.close()
        raise


def _check_held(home: Home, held: Comparison, asked: Comparison, *, resume: bool) -> None:
    """Raise an error unless a run may go on with what is there.

    The user's own code may have changed where no trial has a result by it: it was mended. Where no trial has finished,
    there is nothing to decide.
    """
    difference = find_difference(held, asked)
    if difference and resume and not find_difference(_trust_sources(held, asked), asked):
        home.open(held, make=True)
        if all(result.failure is not None for result in home.read()):
            difference = ""
    if difference:
        raise StoreError(
            f"Cannot use {home.place}: it holds another comparison ({difference}); {home.elsewhere}, or "
            + (
                "undo that change to go on with it."
                if difference.endswith(CHANGED)
                else "repeat the command that made it with --resume."
            )
        )
    if not resume and (count := home.count()):
        raise StoreError(
            f"{home.place} holds this comparison already, with {count} finished trials: "
            f"add --resume to go on with it, or {home.elsewhere} to run it afresh."
        )


def _trust_sources(held: Comparison, asked: Comparison) -> Comparison:
    return replace(held, settings=replace(held.settings, source_hash=asked.settings.source_hash))


def read_begun(folder: Path, database: DatabaseAddress | None = None) -> Comparison | None:
    """Return the head of the comparison that is kept somewhere, with trials or not yet; None where there is none.

    Args:
        folder: where it lies.
        database: where it is kept instead; its tables must be there.

    Raises:
        UsageError: if the address of the database cannot be used.
        StoreError: if it cannot be read.
    """
    home: Home = FolderHome(folder) if database is None else DatabaseHome(database, write=False)
    try:
        return home.read_head()
    finally:
        home.close()


def read_store(folder: Path) -> TrialStore:
    """Return the store in a folder, for reading: nothing is made and nothing written.

    Raises:
        StoreError: if there is none, if it has no trial yet, or if it cannot be read.
    """
    if not (folder / HEAD).is_file():
        raise StoreError(
            f"There is no comparison in {folder}: it has no {HEAD}; give a folder that placenorm compare or "
            "placenorm claims wrote."
        )
    home = FolderHome(folder)
    if not home.has_trials():
        raise StoreError(
            f"The comparison in {folder} has no trial: {TRIALS} is missing or empty; run the command that made it with "
            "--resume, or restore the file."
        )
    return _read(home, folder)


def read_database(address: DatabaseAddress, folder: Path) -> TrialStore:
    """Return the store of a study in a database, for reading, also while another machine writes to it.

    Args:
        address: where.
        folder: where everything else of the comparison is put.

    Raises:
        UsageError: if the address cannot be used.
        StoreError: if the database cannot be reached, or there is no such study.
    """
    return _read(DatabaseHome(address, write=False), folder)


def find_only_study(url: str) -> str:
    """Return the name of the study in a database that has only one.

    Raises:
        UsageError: if the address cannot be used, or there is another number of studies.
        StoreError: if the database cannot be reached.
    """
    home = DatabaseHome(DatabaseAddress(url, ""), write=False)
    try:
        names = home.list_studies()
    finally:
        home.close()
    searches = {f"{name}-search" for name in names}
    names = [name for name in names if name not in searches]
    if len(names) == 1:
        return names[0]
    where = show_url(read_url(url))
    if not names:
        raise UsageError(f"There is no study in {where}: run placenorm compare --storage first.")
    raise UsageError(f"There are {len(names)} studies in {where}: name one of {', '.join(names)} with --study.")


def _read(home: Home, folder: Path) -> TrialStore:
    try:
        head = home.read_head()
        if head is None:
            raise StoreError(f"There is no {home.place}; {home.elsewhere}.")
        home.open(head, make=False)
        return TrialStore(home, head, folder, None)
    except BaseException:
        home.close()
        raise
