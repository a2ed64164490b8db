import os
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from placenorm.errors import UsageError
from placenorm.lookup import load_object
from placenorm.study.executors.clusters import Cluster, check_versions, count_slots, read_versions
from placenorm.study.executors.sources import collect_sources
from placenorm.study.request import Request


@pytest.mark.parametrize(
    ("nodes", "cluster", "slots"),
    [
        ([{"CPU": 4.0}, {"CPU": 3.0}], Cluster("auto"), 7),
        ([{"CPU": 4.0}, {"CPU": 3.0}], Cluster("auto", cpus=2.0), 3),
        ([{"CPU": 1.0}] * 8, Cluster("auto", cpus=2.0), 0),
        ([{"CPU": 1.0}], Cluster("auto", cpus=0.1), 10),
        ([{"CPU": 8.0}, {"CPU": 8.0, "GPU": 2.0}], Cluster("auto", gpus=0.5), 4),
        ([{"CPU": 8.0}], Cluster("auto", gpus=1.0), 0),
        ([{"CPU": 64.0}], Cluster("auto", jobs=5), 5),
        ([], Cluster("auto"), 0),
    ],
    ids=["cores", "no-halves", "none-large-enough", "tenths", "gpus", "no-gpu", "jobs", "no-node"],
)
def test_count_slots_lets_no_trial_span_nodes(nodes: list[dict[str, float]], cluster: Cluster, slots: int) -> None:
    assert count_slots(nodes, cluster) == slots


@pytest.mark.parametrize("what", ["Python", "placenorm", "torch"])
def test_check_versions_refuses_a_node_that_differs(what: str) -> None:
    assert check_versions(read_versions()) is None
    unfit = check_versions({**read_versions(), what: "0.0"})
    assert unfit is not None
    assert isinstance(unfit.args[0], UsageError)
    assert f"it has {what} {read_versions()[what]}, and the driver 0.0" in str(unfit.args[0])


def test_files_are_found_where_the_driver_does_not_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own with another working directory, after the files are gone: as on another machine."""
    project = tmp_path / "project"
    (project / "parts").mkdir(parents=True)
    (project / "net.py").write_text("from parts.inner import Inner\nclass Net(Inner):\n    pass\nNET = Net()\n")
    (project / "parts" / "inner.py").write_text("class Inner:\n    value = 7\n")
    (project / "weights.bin").write_bytes(b"\x00some weights")
    monkeypatch.chdir(project)
    net = load_object("net.py:NET")
    parcel = cloudpickle.dumps((collect_sources(["net.py:NET"], ["weights.bin"]), cloudpickle.dumps(net)))
    for file in sorted(project.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not any(file.iterdir()) else file.unlink()
    code = (
        "import pickle, sys\n"
        "from placenorm.lookup import find_file, load_object, source_file\n"
        "from placenorm.study.executors.sources import receive_sources\n"
        "sources, net = pickle.load(sys.stdin.buffer)\n"
        "receive_sources(sources)\n"
        "assert load_object('net.py:NET').value == 7\n"
        "assert type(pickle.loads(net)) is type(load_object('net.py:NET'))\n"
        "assert find_file('weights.bin').read_bytes() == b'\\x00some weights'\n"
        "assert source_file('net.py:NET').name == 'net.py'\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], input=parcel, capture_output=True, cwd=elsewhere, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_device_of_a_cluster_need_not_be_on_the_drivers_machine() -> None:
    with pytest.raises(UsageError, match="Cannot use the device"):
        Request(device="cuda:77")
    assert Request(device="cuda:77", elsewhere=True).device == "cuda:77"
