"""A comparison whose database server is killed while it runs: no trial is lost or doubled."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from placenorm.study.databases import DatabaseAddress
from placenorm.study.folders import TRIALS
from placenorm.study.store import TrialStore, read_database, read_store
from placenorm.study.unsaved import UNSAVED
from support.postgres import PASSWORD, PostgresServer
from support.trials import without_clock, write_data

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

PATIENCE_S = 600
STUDY = "killed"


def begin(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "placenorm", "compare", "mlp:3", "--data", write_data(folder), "--jobs", "2"]
    size = ["--seeds", "3", "--epochs", "15", "--batch-size", "8", "--out", str(folder / "out")]
    with (folder / "said").open("ab") as said:
        return subprocess.Popen([*command, *size, *options], stdout=said, stderr=said, cwd=folder)


def finish(folder: Path, run: subprocess.Popen[bytes]) -> None:
    assert run.wait(PATIENCE_S) == 0, (folder / "said").read_text()


def results_of(store: TrialStore) -> dict[Any, Any]:
    with store:
        return {key: without_clock(result) for key, result in store.results.items()}


def stored(server: PostgresServer, folder: Path) -> dict[Any, Any]:
    return results_of(read_database(DatabaseAddress(server.url, STUDY), folder))


def count_rows(server: PostgresServer) -> int:
    return int(server.query("SELECT count(*) FROM trials"))


def wait_for_trials(server: PostgresServer, folder: Path, run: subprocess.Popen[bytes], least: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        assert run.poll() is None, (folder / "said").read_text()
        assert time.monotonic() < deadline
        try:
            if count_rows(server) >= least:
                return
        except subprocess.CalledProcessError:
            pass  # the tables are being made just now
        time.sleep(0.1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, begin(folder))
    return results_of(read_store(folder / "out"))


def test_server_that_is_killed_twice_changes_nothing(
    tmp_path: Path, own_server: PostgresServer, undisturbed: dict[Any, Any]
) -> None:
    run = begin(tmp_path, "--storage", own_server.url, "--study", STUDY)
    for least in (3, 12):
        wait_for_trials(own_server, tmp_path, run, least)
        own_server.kill()
        time.sleep(1.0)  # the driver finds nobody for a while
        own_server.start()
    finish(tmp_path, run)
    assert stored(own_server, tmp_path) == undisturbed
    assert count_rows(own_server) == len(undisturbed)
    said = (tmp_path / "said").read_text()
    assert "does not answer" in said
    assert "is back" in said
    assert PASSWORD not in said
    assert not (tmp_path / "out" / UNSAVED).exists()
    assert not (tmp_path / "out" / TRIALS).exists()


def test_driver_and_server_that_are_killed_together_go_on_with_resume(
    tmp_path: Path, own_server: PostgresServer, undisturbed: dict[Any, Any]
) -> None:
    run = begin(tmp_path, "--storage", own_server.url, "--study", STUDY)
    wait_for_trials(own_server, tmp_path, run, 5)
    own_server.kill()
    run.kill()
    run.wait(PATIENCE_S)
    own_server.start()
    held = stored(own_server, tmp_path)
    assert 5 <= len(held) < len(undisturbed)
    finish(tmp_path, begin(tmp_path, "--storage", own_server.url, "--study", STUDY, "--resume"))
    assert stored(own_server, tmp_path) == undisturbed
    assert count_rows(own_server) == len(undisturbed)
