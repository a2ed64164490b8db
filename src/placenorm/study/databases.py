"""A study in a PostgreSQL database: several studies in one, each with one writer, and other machines may go on."""

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial
from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    IntegrityError,
    NoSuchModuleError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.pool import NullPool

from placenorm.errors import PlacenormWarning, StoreError, UsageError
from placenorm.facts.codec import dumps, loads
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import TrialResult
from placenorm.study.rows import TROUBLE, describe_cause, read_rows

OUTAGE_S = 300.0
"""How long a run waits for a database that has gone, before it puts its results into a file and ends."""

PAUSES_S = (0.5, 15.0)
"""Between two tries to reach it: the first pause, doubled each time, and the longest."""

CONNECT_S = 10
"""How long one try to connect may take."""

TAKEN_S = 5.0
"""How long the writer before may take to be noticed as gone."""

KEEPALIVES = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
"""Seconds and tries after which the server takes a driver for dead whose machine has gone, and unlocks its study."""

FORM = "postgresql://USER@HOST:PORT/DATABASE"

_HEAD = "placenorm"
"""Key of the head among the attributes of Optuna's study."""

_STUDIES = "studies"
"""Optuna's table of studies."""

_TABLES = "the tables"
"""What is locked while tables are made; no study is called so, as a lock's name of a study begins with its length."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where a study is, in a database.

    Attributes:
        url: as the user gave it, perhaps with a password.
        study: the name of the study.
    """

    url: str
    study: str


class TakenError(StoreError):
    """Another process writes to a study."""


class ConnectionLostError(OSError):
    """A connection that has broken is not made anew behind our back."""


def warn(sentence: str) -> None:
    """Say a sentence as a warning."""
    warnings.warn(sentence, PlacenormWarning, stacklevel=2)


class DatabaseHome:
    """Keeps one study in a database.

    A trial is added in one transaction, while a lock on the study is held by a connection of its own. Where a
    connection breaks, it is not known whether the last transaction was carried out. So nothing is tried again on a new
    connection, not by Optuna either, until the lock is back and it has been looked what is there.

    Args:
        address: where.
        write: whether to lock the study, and to make what is missing.
        outage_s: how long to wait for a database that has gone, in seconds.
        tell: told in a sentence when that happens, and when it is back.

    Raises:
        UsageError: if the address is none, or its driver is not installed.
        StoreError: if the database cannot be reached, or another process writes to the study.
    """

    elsewhere = "choose another --study"

    def __init__(self, address: DatabaseAddress, *, write: bool, outage_s: float = OUTAGE_S, tell: Tell = warn) -> None:
        self._url = read_url(address.url)
        self._name = address.study
        self._write, self._outage_s, self._tell = write, outage_s, tell
        self._lock: _StudyLock | None = None
        self._storage: optuna.storages.RDBStorage | None = None
        self._study: optuna.Study | None = None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with _in_words(self._url):
            self._connect()

    @property
    def place(self) -> str:
        """The address and the name of the study, without a password."""
        return f"study {self._name} of {show_url(self._url)}"

    def list_studies(self) -> list[str]:
        """Return the names of the studies of placenorm in the database."""
        assert self._storage is not None
        with _in_words(self._url):
            found = optuna.get_all_study_summaries(self._storage, include_best_trial=False)
        return sorted(each.study_name for each in found if _HEAD in each.user_attrs)

    def read_head(self) -> Comparison | None:
        """Return the comparison without its trials; None where there is none yet.

        Raises:
            StoreError: if it cannot be read.
        """
        assert self._storage is not None
        with _in_words(self._url):
            if self._name not in optuna.get_all_study_names(self._storage):
                return None
            study = optuna.load_study(study_name=self._name, storage=self._storage)
            found = study.user_attrs.get(_HEAD)
        return None if found is None else loads(Comparison, found, self.place)

    def write_head(self, head: Comparison) -> None:
        """Write the head in one transaction.

        Raises:
            StoreError: if it cannot be written.
        """
        with _in_words(self._url):
            self._make_study(head).set_user_attr(_HEAD, dumps(head))

    def open(self, head: Comparison, *, make: bool) -> None:
        """Make the trials ready to be read and, with `make`, added.

        Raises:
            StoreError: if that cannot be done.
        """
        assert self._storage is not None
        with _in_words(self._url):
            if make:
                self._study = self._make_study(head)
            else:
                self._study = optuna.load_study(study_name=self._name, storage=self._storage)

    def count(self) -> int:
        """Return how many finished trials there are.

        Raises:
            StoreError: if they cannot be read.
        """
        return len(self.read())

    def read(self) -> list[TrialResult]:
        """Return the trials, from the first that was kept to the last.

        Raises:
            StoreError: if they cannot be read.
        """
        with _in_words(self._url):
            return self._read()

    def add(self, trial: FrozenTrial) -> None:
        """Add a finished trial in one transaction."""
        assert self._lock is not None
        assert self._study is not None
        self._lock.check()
        self._study.add_trial(trial)

    def wait(self, error: BaseException) -> Iterator[None]:
        """Yield whenever the database is back and the study locked again, for as long as there is patience.

        Args:
            error: what went wrong. Where it says that the data are at fault, nothing is yielded.
        """
        if _blames_data(error):
            return
        self._tell(
            f"{self.place} does not answer ({describe_cause(error)}): waiting up to {self._outage_s:.0f} s for it; the "
            "trials go on."
        )
        deadline = time.monotonic() + self._outage_s
        pause, longest = PAUSES_S
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            pause = min(2 * pause, longest)
            try:
                self._connect()
                assert self._storage is not None
                self._study = optuna.load_study(study_name=self._name, storage=self._storage)
            except (*TROUBLE, TakenError):
                continue
            self._tell(f"{self.place} is back.")
            yield

    def close(self) -> None:
        """Let other processes write."""
        if self._storage is not None:
            with suppress(*TROUBLE):
                self._storage.remove_session()
                self._storage.engine.dispose()
            self._storage = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _read(self) -> list[TrialResult]:
        assert self._storage is not None
        return list(read_rows(self._storage, self._name, self.place))

    def _connect(self) -> None:
        """Lock the study, and open the tables."""
        self.close()
        if self._write:
            self._lock = _StudyLock(self._url, self._name)
            self._lock.take(self.place)
            with self._lock.hold_tables():
                self._storage = self._open_storage()
        else:
            self._check_tables()
            self._storage = self._open_storage()

    def _check_tables(self) -> None:
        """Raise an error where there is nothing to read."""
        if not sqlalchemy.inspect(_make_engine(self._url)).has_table(_STUDIES):
            raise StoreError(
                f"There is no study in {show_url(self._url)}: it has no table {_STUDIES!r}; name the database that "
                "placenorm compare --storage wrote to."
            )

    def _open_storage(self) -> optuna.storages.RDBStorage:
        storage = optuna.storages.RDBStorage(
            self._url.render_as_string(hide_password=False),
            engine_kwargs={"pool_size": 1, "connect_args": _connect_arguments(self._url)},
            skip_table_creation=not self._write,
        )
        lost = False

        @event.listens_for(storage.engine, "handle_error")
        def note(context: Any) -> None:
            nonlocal lost
            lost = lost or context.is_disconnect

        @event.listens_for(storage.engine, "do_connect")
        def refuse(*arguments: Any) -> None:
            if lost:
                raise ConnectionLostError("the connection broke")

        return storage

    def _make_study(self, head: Comparison) -> optuna.Study:
        assert self._storage is not None
        return optuna.create_study(
            study_name=self._name,
            storage=self._storage,
            direction="maximize" if head.metric.higher_is_better else "minimize",
            load_if_exists=True,
        )


class _StudyLock:
    """A lock on a study that the server holds for a connection, and lets go as soon as that ends, however it ends."""

    def __init__(self, url: URL, study: str) -> None:
        self._study = study
        self._engine = _make_engine(url)
        self._connection = self._engine.connect()
        for name, value in KEEPALIVES.items():
            self._connection.execute(text(f"SET {name} = {value}"))

    def take(self, place: str) -> None:
        """Lock the study.

        Raises:
            TakenError: if another process has it.
        """
        key = _lock_key(f"{len(self._study)} {self._study}")
        deadline = time.monotonic() + TAKEN_S
        while not self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar():
            if time.monotonic() > deadline:
                self.close()
                raise TakenError(
                    f"Another run of placenorm is writing to the {place}; wait for it, or name another with --study."
                )
            time.sleep(PAUSES_S[0])

    @contextmanager
    def hold_tables(self) -> Iterator[None]:
        """Let no other process make tables during the body."""
        key = {"key": _lock_key(_TABLES)}
        self._connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        yield  # where the body fails, the connection is closed, and the lock with it
        self._connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)

    def check(self) -> None:
        """Raise an error unless the connection lives, and the lock with it."""
        self._connection.execute(text("SELECT 1"))

    def close(self) -> None:
        with suppress(*TROUBLE):
            self._connection.close()
        with suppress(*TROUBLE):
            self._engine.dispose()


@contextmanager
def _in_words(url: URL) -> Iterator[None]:
    """Put into words what goes wrong with a database in the body."""
    try:
        yield
    except (ImportError, NoSuchModuleError) as error:
        raise UsageError(
            f"Cannot use the storage {show_url(url)}: its driver is not installed ({error}); "
            "pip install 'placenorm[postgresql]'."
        ) from error
    except TROUBLE as error:
        raise StoreError(
            f"Cannot use the storage {show_url(url)}: {describe_cause(error)}; check the address, and that "
            "the server runs and lets you in, then try again."
        ) from error


def check_database(address: str) -> None:
    """Raise an error unless a database can be reached.

    Raises:
        UsageError: if the address is none, or its driver is not installed.
        StoreError: if the database cannot be reached.
    """
    url = read_url(address)
    with _in_words(url):
        _make_engine(url).connect().close()


def _make_engine(url: URL) -> sqlalchemy.Engine:
    """Return an engine whose connections end when they are closed, and whose statements stand each for itself."""
    return sqlalchemy.create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=_connect_arguments(url)
    )


def read_url(address: str) -> URL:
    """Return a PostgreSQL address, read.

    Raises:
        UsageError: if it is none.
    """
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise UsageError(f"Cannot read the address of the storage: write {FORM}.") from error
    backend, _, driver = url.drivername.partition("+")
    if backend not in {"postgresql", "postgres"} or not url.database:
        raise UsageError(
            f"Cannot use the storage {show_url(url)}: it names no PostgreSQL database; write {FORM}, or leave "
            "--storage out to keep the trials in the folder."
        )
    return url.set(drivername=f"postgresql+{driver or 'psycopg'}")


def show_url(url: URL) -> str:
    """Return an address as people may read it: without a password, and without options, which can hold one."""
    return url.set(drivername=url.drivername.partition("+")[0], query={}).render_as_string(hide_password=True)


def _connect_arguments(url: URL) -> dict[str, Any]:
    """Return what a connection is made with, unless the address says otherwise."""
    ours = {
        "connect_timeout": CONNECT_S,
        "application_name": "placenorm",
        **{name.removeprefix("tcp_"): value for name, value in KEEPALIVES.items()},
    }
    return {name: value for name, value in ours.items() if name not in url.query}


def _lock_key(name: str) -> int:
    """Return the number that PostgreSQL knows a lock by: 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(f"placenorm {name}".encode()).digest()[:8], signed=True)


def _blames_data(error: BaseException) -> bool:
    """Whether an error would come again however often it is tried."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, DataError | IntegrityError | NotSupportedError | ProgrammingError):
            return True
        found = found.__cause__
    return False
