"""Studies on a real Ray cluster of several nodes, a part of which is killed: no trial is lost or doubled."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from placenorm.facts.trial import TrialResult
from placenorm.study.store import read_store
from support.ray_cluster import start_cluster

pytestmark = pytest.mark.slow

PATIENCE_S = 240
SEEDS = 6
TRAIN = """
import hashlib, os, signal, time
from pathlib import Path

def train(model, seed, report):
    norms = [name for name, _ in model.named_modules() if "norm" in name]
    number = int(hashlib.sha256(f"{seed} {norms}".encode()).hexdigest(), 16) % 1000 / 1000
    for step in range(1, 6):
        time.sleep(0.1)
        report(step, number * step / 5)
    mark = Path(__file__).parent / "kill-a-worker"
    if seed == 1 and mark.exists():
        mark.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return number
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with start_cluster(nodes=2) as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    """What a run in one process gives, by trial."""
    folder = tmp_path_factory.mktemp("undisturbed")
    finish(folder, begin(folder, "--jobs", "0"))
    return read(folder)


def begin(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Begin a comparison with a training loop of its own in a process of its own."""
    (folder / "own.py").write_text(TRAIN)
    command = [sys.executable, "-m", "placenorm", "compare", "mlp:2", "--train", "own.py:train"]
    with (folder / "said").open("a") as said:
        return subprocess.Popen(
            [*command, "--seeds", str(SEEDS), "--out", "results", *options], cwd=folder, stdout=said, stderr=said
        )


def finish(folder: Path, run: subprocess.Popen[bytes]) -> None:
    assert run.wait(PATIENCE_S) == 0, (folder / "said").read_text()


def on(cluster: Any) -> tuple[str, ...]:
    return "--ray", cluster.address


def count(folder: Path) -> int:
    """How many trials are stored by now."""
    try:
        return len(read_store(folder / "results").results)
    except Exception:  # the driver is making the files just now
        return 0


def wait_for_trials(folder: Path, run: subprocess.Popen[bytes], least: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while count(folder) < least:
        assert run.poll() is None, (folder / "said").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.2)


def read(folder: Path) -> dict[Any, Any]:
    """What every trial gave, by trial; each is stored once."""
    results: list[TrialResult] = list(read_store(folder / "results").results.values())
    assert len({result.key for result in results}) == len(results)
    return {
        result.key: (result.test_metric, result.failure, [record.val_metric for record in result.epochs])
        for result in results
    }


def test_a_killed_worker_changes_nothing(cluster: Any, tmp_path: Path, undisturbed: dict[Any, Any]) -> None:
    (tmp_path / "kill-a-worker").touch()
    run = begin(tmp_path, *on(cluster))
    finish(tmp_path, run)
    assert not (tmp_path / "kill-a-worker").exists(), "nothing was killed"
    assert read(tmp_path) == undisturbed


def test_a_lost_node_changes_nothing(cluster: Any, tmp_path: Path, undisturbed: dict[Any, Any]) -> None:
    run = begin(tmp_path, *on(cluster))
    wait_for_trials(tmp_path, run, 3)
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    wait_for_trials(tmp_path, run, 5)
    cluster.add_node(num_cpus=1)
    finish(tmp_path, run)
    assert read(tmp_path) == undisturbed


def test_a_killed_driver_goes_on_where_it_was(cluster: Any, tmp_path: Path, undisturbed: dict[Any, Any]) -> None:
    run = begin(tmp_path, *on(cluster))
    wait_for_trials(tmp_path, run, 4)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(PATIENCE_S)
    held = read(tmp_path)
    assert 4 <= len(held) < len(undisturbed)
    run = begin(tmp_path, *on(cluster), "--resume")
    finish(tmp_path, run)
    assert read(tmp_path) == undisturbed


def test_nobody_at_the_address_is_one_sentence(tmp_path: Path) -> None:
    assert begin(tmp_path, "--ray", "127.0.0.1:9").wait(PATIENCE_S) == 2
    said = (tmp_path / "said").read_text()
    assert "Cannot reach a Ray cluster at 127.0.0.1:9" in said
    assert "ray start --head" in said
