"""A study's folder: its head in JSON, its finished trials in an Optuna study in SQLite."""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import optuna
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from placenorm.errors import StoreError
from placenorm.facts.codec import dumps, loads
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialResult
from placenorm.study.rows import describe_cause, read_rows

HEAD = "comparison.json"
TRIALS = "trials.db"
LOCK = ".lock"
STUDY = "placenorm"

PATIENCE_S = 60.0
"""How long a process waits for another that has the database locked."""


class LockedFolder:
    """A folder that one process writes at a time, for the length of a block.

    Args:
        folder: where it lies.
        lock: the open lock file; None for reading.
    """

    def __init__(self, folder: Path, lock: IO[str] | None) -> None:
        self.folder = folder
        self._lock = lock

    def close(self) -> None:
        """Let other processes write."""
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lock_folder(folder: Path) -> IO[str]:
    """Return the open lock file of a folder, made if need be.

    Raises:
        StoreError: if the folder cannot be written, or another process writes to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise StoreError(
            f"Cannot write results to {folder}: {error.strerror or error}; choose a folder you may write to with --out."
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StoreError(
            f"Another run of placenorm is writing to {folder}; wait for it, or choose another --out."
        ) from error
    return lock


class FolderHome:
    """Keeps one study in a folder. Whoever writes has locked it.

    Args:
        folder: where it lies.
    """

    elsewhere = "choose another --out"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._trials = folder / TRIALS
        self._study: optuna.Study | None = None
        self._storage: optuna.storages.RDBStorage | None = None

    @property
    def place(self) -> str:
        """The folder."""
        return str(self._folder)

    def read_head(self) -> Comparison | None:
        """Return the comparison without its trials; None where there is none yet.

        Raises:
            StoreError: if it cannot be read, or trials lie there without it.
        """
        path = self._folder / HEAD
        if not path.exists():
            if self._trials.exists():
                raise StoreError(f"Cannot use {self._folder}: it has {TRIALS} but no {HEAD}; {self.elsewhere}.")
            return None
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"Cannot read {path}: {error}; restore the file, or {self.elsewhere}.") from error
        return loads(Comparison, text, str(path))

    def write_head(self, head: Comparison) -> None:
        """Write the head so that a reader sees the old one or the new one, never half of it.

        Raises:
            StoreError: if it cannot be written.
        """
        target, draft = self._folder / HEAD, self._folder / f"{HEAD}.new"
        try:
            draft.write_text(json.dumps(json.loads(dumps(head)), indent=1, ensure_ascii=False), encoding="utf-8")
            os.replace(draft, target)
        except OSError as error:
            raise StoreError(
                f"Cannot write {target}: {error.strerror or error}; make room or choose another --out, then go on."
            ) from error

    def open(self, head: Comparison, *, make: bool) -> None:
        """Make the trials ready to be read; `make` makes what is missing, else nothing is written.

        Raises:
            StoreError: if the database cannot be opened.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it greets every study it opens
        try:
            self._storage = _open_database(self._trials, make=make)
            if make:
                self._study = optuna.create_study(
                    study_name=STUDY,
                    storage=self._storage,
                    direction="maximize" if head.metric.higher_is_better else "minimize",
                    load_if_exists=True,
                )
            else:
                self._study = optuna.load_study(study_name=STUDY, storage=self._storage)
        except (SQLAlchemyError, optuna.exceptions.OptunaError, OSError, KeyError) as error:  # KeyError: no such study
            raise StoreError(
                f"Cannot open {self._trials}: {describe_cause(error)}; restore the file, or {self.elsewhere}."
            ) from error

    def count(self) -> int:
        """Return how many finished trials there are, before it is opened.

        Raises:
            StoreError: if they cannot be read.
        """
        if not self.has_trials():
            return 0
        self._storage = _open_database(self._trials, make=False)
        try:
            return len(self.read())
        finally:
            self.close()

    def has_trials(self) -> bool:
        """Whether there is a database with anything in it."""
        return self._trials.is_file() and self._trials.stat().st_size > 0

    def read(self) -> list[TrialResult]:
        """Return the trials, from the first that was kept to the last.

        Raises:
            StoreError: if they cannot be read.
        """
        assert self._storage is not None
        try:
            return list(read_rows(self._storage, STUDY, str(self._trials)))
        except SQLAlchemyError as error:
            raise StoreError(f"Cannot read {self._trials}: {describe_cause(error)}; restore the file.") from error

    def add(self, trial: FrozenTrial) -> None:
        """Add a finished trial in one transaction."""
        assert self._study is not None
        self._study.add_trial(trial)

    def wait(self, error: BaseException) -> Iterator[None]:
        """Yield nothing: a full or broken disk does not mend itself."""
        yield from ()

    def close(self) -> None:
        """Close the database."""
        if self._storage is not None:
            self._storage.engine.dispose()


def _open_database(file: Path, *, make: bool) -> optuna.storages.RDBStorage:
    """Return Optuna's storage in a file.

    The connection is made here and not from a URL, in which a ``?`` or a ``%`` of the folder's name would mean
    something else. For reading, ``rw`` makes no file, yet mends what a killed writer left half done, as ``ro`` cannot;
    ``query_only`` keeps Optuna from completing tables that another process is making.
    """
    address = f"{file.resolve().as_uri()}?mode={'rwc' if make else 'rw'}"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=PATIENCE_S)
        if not make:
            connection.execute("PRAGMA query_only = ON")
        return connection

    return optuna.storages.RDBStorage(
        "sqlite://",
        engine_kwargs={"creator": connect, "poolclass": QueuePool},
        skip_table_creation=not make,
    )
