"""A study in a real PostgreSQL database."""

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from sqlalchemy import event

from placenorm.errors import StoreError, UsageError
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import Failure, TrialKey, make_failed_trial
from placenorm.study import databases
from placenorm.study.databases import DatabaseAddress, DatabaseHome
from placenorm.study.store import TrialStore, open_store, read_database
from placenorm.study.unsaved import UNSAVED
from support.comparisons import make_comparison
from support.postgres import PASSWORD, PostgresServer
from support.results import make_trial
from support.trials import write_data

pytestmark = pytest.mark.postgres

SEEDS = range(6)


@pytest.fixture
def head() -> Comparison:
    return replace(make_comparison(), trials=(), chosen=(), grids=(), verdict=None)


def open_in(
    folder: Path, url: str, head: Comparison, study: str = "one", *, resume: bool = False, outage_s: float = 60.0
) -> TrialStore:
    return open_store(
        folder,
        head,
        resume=resume,
        database=DatabaseAddress(url, study),
        outage_s=outage_s,
        tell=lambda sentence: None,
    )


def seeds_in(url: str, folder: Path, study: str = "one") -> list[int]:
    with read_database(DatabaseAddress(url, study), folder) as store:
        return [key.seed for key in store.results]


def count_rows(url: str) -> int:
    storage = optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        return len(optuna.load_study(study_name="one", storage=storage).get_trials())
    finally:
        storage.engine.dispose()


def test_study_gives_back_what_was_added_on_another_machine(tmp_path: Path, url: str, head: Comparison) -> None:
    """Another machine: another folder, where nothing of the study lies."""
    failed = make_failed_trial(TrialKey("none", 1, 0.03), Failure("it broke", "Traceback \x00 \\u0000 'ü' %s %(a)s"))
    kept = [make_trial("none", 0, 0.03, dead={"relu": (4, 1)}), failed]
    with open_in(tmp_path / "a", url, head) as store:
        for result in kept:
            store.add(result)
    with read_database(DatabaseAddress(url, "one"), tmp_path / "b") as store:
        assert list(store.results.values()) == kept
        assert store.head == head
    with open_in(tmp_path / "b", url, head, resume=True) as store:
        store.add(make_trial("none", 1, 0.03))
    assert seeds_in(url, tmp_path / "c") == [0, 1]
    assert not (tmp_path / "b" / "trials.db").exists()


def test_study_is_refused_without_resume_or_where_it_is_another(tmp_path: Path, url: str, head: Comparison) -> None:
    with open_in(tmp_path, url, head) as store:
        store.add(make_trial())
    with pytest.raises(StoreError, match=r"with 1 finished trials: add --resume .* choose another --study") as caught:
        open_in(tmp_path, url, head)
    assert PASSWORD not in str(caught.value)
    other = replace(head, settings=replace(head.settings, epochs=99))
    with pytest.raises(StoreError, match="holds another comparison"):
        open_in(tmp_path, url, other, resume=True)


def test_several_studies_are_written_into_one_database_at_once(tmp_path: Path, url: str, head: Comparison) -> None:
    """Also into one that has no tables yet: each of them would make them."""
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            with open_in(tmp_path / name, url, head, name) as store:
                for seed in SEEDS:
                    store.add(make_trial(seed=seed))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(f"study {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number in range(4):
        assert seeds_in(url, tmp_path, f"study {number}") == list(SEEDS)


def test_second_writer_of_a_study_is_refused_in_one_sentence(
    tmp_path: Path, url: str, head: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "TAKEN_S", 0.0)
    with open_in(tmp_path / "a", url, head) as store:
        store.add(make_trial(seed=0))
        with pytest.raises(StoreError, match="Another run of placenorm is writing to the study one of") as caught:
            open_in(tmp_path / "b", url, head, resume=True)
        assert PASSWORD not in str(caught.value)
        assert seeds_in(url, tmp_path) == [0], "a reader is not kept out"
        store.add(make_trial(seed=1))
    with open_in(tmp_path / "b", url, head, resume=True) as store:
        assert [key.seed for key in store.results] == [0, 1]


@pytest.mark.parametrize(
    ("address", "kind", "words"),
    [
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/studies", StoreError, "Cannot use the storage .*refused"),
        (f"postgresql://me:{PASSWORD}@no.such.host.invalid/studies", StoreError, "Cannot use the storage"),
        (f"mysql://me:{PASSWORD}@127.0.0.1/studies", UsageError, "names no PostgreSQL database; write postgresql://"),
        (f"postgresql://me:{PASSWORD}@127.0.0.1", UsageError, "names no PostgreSQL database"),
        (f"not//me:{PASSWORD}@127.0.0.1", UsageError, "Cannot read the address of the storage: write"),
        (f"postgresql+nodriver://me:{PASSWORD}@127.0.0.1/studies", UsageError, "Can"),
    ],
    ids=["no-server", "no-host", "mysql", "no-database", "no-address", "no-driver"],
)
def test_unreachable_storage_is_one_sentence(
    tmp_path: Path, head: Comparison, address: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as caught:
        open_in(tmp_path, address, head)
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["password", "database"])
def test_server_that_lets_nobody_in_is_one_sentence(tmp_path: Path, url: str, head: Comparison, change: str) -> None:
    wrong = url.replace(PASSWORD, "wr0ng") if change == "password" else url + "x"
    with pytest.raises(StoreError, match=r"Cannot use the storage postgresql://placenorm:\*\*\*@") as caught:
        open_in(tmp_path, wrong, head)
    assert "wr0ng" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_reading_what_is_not_there_is_one_sentence_and_makes_nothing(
    tmp_path: Path, url: str, head: Comparison, server: PostgresServer
) -> None:
    with pytest.raises(StoreError, match="There is no study in postgresql"):
        read_database(DatabaseAddress(url, "one"), tmp_path)
    assert server.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", url.rpartition("/")[2]) == "0"
    open_in(tmp_path, url, head).close()
    with pytest.raises(StoreError, match="There is no study two of postgresql"):
        read_database(DatabaseAddress(url, "two"), tmp_path)
    with DatabaseHomes(url) as home:
        assert home.list_studies() == ["one"]


class DatabaseHomes:
    """A home for reading, closed at the end."""

    def __init__(self, url: str) -> None:
        self._home = DatabaseHome(DatabaseAddress(url, ""), write=False)

    def __enter__(self) -> DatabaseHome:
        return self._home

    def __exit__(self, *_: object) -> None:
        self._home.close()


def test_server_that_is_killed_and_comes_back_costs_no_trial(
    tmp_path: Path, own_server: PostgresServer, head: Comparison
) -> None:
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        if "does not answer" in sentence:
            threading.Timer(1.0, own_server.start).start()

    database = DatabaseAddress(own_server.url, "one")
    with open_store(tmp_path, head, resume=False, database=database, outage_s=60, tell=tell) as store:
        for seed in SEEDS:
            if seed in (2, 4):
                own_server.kill()
            store.add(make_trial(seed=seed))
    assert seeds_in(own_server.url, tmp_path) == list(SEEDS)
    assert count_rows(own_server.url) == len(SEEDS)
    assert not (tmp_path / UNSAVED).exists()
    assert sum("does not answer" in sentence for sentence in told) == 2
    assert sum("is back" in sentence for sentence in told) == 2
    assert PASSWORD not in "".join(told)


def test_server_that_stays_away_leaves_the_results_in_a_file_that_resume_takes_in(
    tmp_path: Path, own_server: PostgresServer, head: Comparison
) -> None:
    with open_in(tmp_path, own_server.url, head, outage_s=1.0) as store:
        store.add(make_trial(seed=0))
        own_server.kill()
        with pytest.raises(
            StoreError, match=r"Cannot write to study one of .*the 1 trials before are safe, what"
        ) as caught:
            store.add(make_trial(seed=1))
        assert PASSWORD not in str(caught.value)
        store.add(make_trial(seed=2))  # as the driver does with what had finished besides: at once
    assert (tmp_path / UNSAVED).exists()
    assert PASSWORD not in (tmp_path / UNSAVED).read_text()
    own_server.start()
    assert seeds_in(own_server.url, tmp_path) == [0]
    with open_in(tmp_path, own_server.url, head, resume=True) as store:
        assert [key.seed for key in store.results] == [0, 1, 2]
    assert seeds_in(own_server.url, tmp_path) == [0, 1, 2]
    assert count_rows(own_server.url) == 3
    assert not (tmp_path / UNSAVED).exists()


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried-out", "not-carried-out"])
def test_transaction_of_unknown_fate_is_looked_for_before_it_is_repeated(
    tmp_path: Path, url: str, server: PostgresServer, head: Comparison, carried_out: bool
) -> None:
    """The connection breaks at the commit, once before and once after the server carried it out."""
    with open_in(tmp_path, url, head) as store:
        store.add(make_trial(seed=0))
        engine = store._home._storage.engine  # type: ignore[attr-defined]  # a line cut at a moment of our choosing
        kill = "SELECT pg_terminate_backend(%(pid)s)"

        @event.listens_for(engine, "commit", once=True)
        def cut(connection: object) -> None:
            raw = connection.connection.driver_connection  # type: ignore[attr-defined]
            if carried_out:
                raw.commit()
            server.query(kill % {"pid": raw.info.backend_pid})

        store.add(make_trial(seed=1))
        store.add(make_trial(seed=2))
    assert seeds_in(url, tmp_path) == [0, 1, 2]
    assert count_rows(url) == 3


def test_run_whose_study_was_taken_over_ends_in_one_sentence_and_loses_nothing(
    tmp_path: Path, url: str, server: PostgresServer, head: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run's connections are cut, and another run is quicker than it to come back."""
    monkeypatch.setattr(databases, "TAKEN_S", 0.0)
    with open_in(tmp_path / "a", url, head, outage_s=3.0) as first:
        first.add(make_trial(seed=0))
        server.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'placenorm' "
            f"AND datname = '{url.rpartition('/')[2]}'"
        )
        with open_in(tmp_path / "b", url, head, resume=True) as second:
            with pytest.raises(StoreError, match="Cannot write to study one"):
                first.add(make_trial(seed=1))
            second.add(make_trial(seed=1))
    with open_in(tmp_path / "a", url, head, resume=True) as first:
        assert [key.seed for key in first.results] == [0, 1]
    assert count_rows(url) == 2


def test_row_that_the_database_will_never_take_is_not_waited_for(
    tmp_path: Path, url: str, server: PostgresServer, head: Comparison
) -> None:
    with open_in(tmp_path, url, head, outage_s=3600.0) as store:
        store.add(make_trial(seed=0))
        server.query("ALTER TABLE trial_user_attributes ADD CHECK (false) NOT VALID", url.rpartition("/")[2])
        with pytest.raises(StoreError, match="violates check constraint"):
            store.add(make_trial(seed=1))


def test_compare_and_report_through_the_command_line_never_show_the_password(
    tmp_path: Path, url: str, server: PostgresServer
) -> None:
    """The report is written on "another machine": in a folder where nothing of the comparison lies."""
    options = ["mlp:2", "--data", write_data(tmp_path), "--seeds", "1", "--epochs", "1", "--lr", "0.1", "--jobs", "1"]
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    runs = [
        run_placenorm(here, "compare", *options, "--storage", url),
        run_placenorm(there, "report", "--storage", url),
        run_placenorm(here, "compare", *options, "--storage", url),
        run_placenorm(here, "compare", *options, "--storage", url.replace("127.0.0.1", "127.0.0.9")),
    ]
    assert [run.returncode for run in runs] == [0, 0, 2, 2], [run.stderr for run in runs]
    assert "add --resume to go on" in runs[2].stderr
    assert "Cannot use the storage postgresql://placenorm:***@127.0.0.9" in runs[3].stderr
    assert list(there.glob("placenorm-results/*/report.html"))
    table = "trial_user_attributes", "study_user_attributes"
    stored = [server.query(f"SELECT * FROM {name}", url.rpartition("/")[2]) for name in table]
    written = [path.read_text() for path in tmp_path.rglob("*.html")]
    assert "placenorm:***@127.0.0.1" in stored[1], "the command is not in the head"
    assert len(written) == 2
    for text in (*stored, *written, *(run.stdout + run.stderr for run in runs)):
        assert PASSWORD not in text


def run_placenorm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "placenorm", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, timeout=300)
