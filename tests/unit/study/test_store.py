import json
import os
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from placenorm.errors import StoreError
from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import Failure, TrialKey, make_failed_trial
from placenorm.study.folders import HEAD, TRIALS
from placenorm.study.store import open_store, read_store
from placenorm.study.unsaved import RESERVE, RESERVE_BYTES, UNSAVED, UnsavedTrials
from support.comparisons import make_comparison
from support.results import make_trial


@pytest.fixture
def head() -> Comparison:
    return replace(make_comparison(), trials=(), chosen=(), grids=(), verdict=None)


def test_store_gives_back_what_was_added(tmp_path: Path, head: Comparison) -> None:
    trial = make_trial("none", 2, 0.03, dead={"relu": (4, 1)})
    with open_store(tmp_path / "out", head, resume=False) as store:
        store.add(trial)
    found = read_store(tmp_path / "out")
    assert found.results == {trial.key: trial}
    assert found.head == head


def test_store_trial_is_an_optuna_trial(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial("none", 2, 0.03, test=0.75))
    study = optuna.load_study(study_name="placenorm", storage=f"sqlite:///{tmp_path / TRIALS}")
    (trial,) = study.get_trials()
    assert trial.params == {"variant": "none", "seed": 2, "lr": 0.03}
    assert trial.value == 0.75
    assert trial.user_attrs["plan_key"] == "none|seed=2|lr=0.03"


def test_store_keeps_a_trial_without_a_metric(tmp_path: Path, head: Comparison) -> None:
    trial = make_trial("none", 0, 0.1, test=None, val_loss=None, curve=(None,), diverged_at=3)
    with open_store(tmp_path, head, resume=False) as store:
        store.add(trial)
    assert read_store(tmp_path).results == {trial.key: trial}


def test_store_refuses_a_trial_twice(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial())
        with pytest.raises(StoreError, match="a trial is kept once"):
            store.add(make_trial())


def test_store_same_comparison_without_resume_is_refused(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial())
    with pytest.raises(StoreError, match="with 1 finished trials: add --resume"):
        open_store(tmp_path, head, resume=False)
    assert len(read_store(tmp_path).results) == 1


def test_store_resume_goes_on(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial(seed=0))
    with open_store(tmp_path, head, resume=True) as store:
        store.add(make_trial(seed=1))
        assert sorted(key.seed for key in store.results) == [0, 1]


def test_store_resume_may_ask_for_more_seeds(tmp_path: Path, head: Comparison) -> None:
    open_store(tmp_path, head, resume=False).close()
    more = replace(head, settings=replace(head.settings, seeds=head.settings.seeds + 5))
    open_store(tmp_path, more, resume=True).close()
    assert read_store(tmp_path).head.settings.seeds == head.settings.seeds + 5
    open_store(tmp_path, head, resume=True).close()
    assert read_store(tmp_path).head.settings.seeds == head.settings.seeds + 5


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("epochs", 99, "epochs [0-9]+ there, 99 here"),
        ("model", "mlp:3", "model .* there, mlp:3 here"),
        ("learning_rates", (0.5,), r"learning rates .* there, 0\.5 here"),
        ("source_hash", "abc", "your source files, the weights or the example input have changed since"),
    ],
    ids=["epochs", "model", "rates", "source"],
)
def test_store_another_comparison_is_refused(
    tmp_path: Path, head: Comparison, field: str, value: object, words: str
) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial())
    other = replace(head, settings=replace(head.settings, **{field: value}))  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=f"holds another comparison \\({words}"):
        open_store(tmp_path, other, resume=True)
    assert read_store(tmp_path).head == head


def test_store_without_a_result_takes_the_users_mended_code(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_failed_trial(TrialKey("none", 0, 0.03), Failure("line 2 of loop.py raises ValueError: boom")))
    mended = replace(head, settings=replace(head.settings, source_hash="mended"))
    open_store(tmp_path, mended, resume=True).close()
    assert read_store(tmp_path).head.settings.source_hash == "mended"


def test_store_success_replaces_a_failure_and_not_the_other_way_round(tmp_path: Path, head: Comparison) -> None:
    trial = make_trial("none", 0, 0.03)
    failed = [make_failed_trial(trial.key, Failure(reason)) for reason in ("first", "second")]
    with open_store(tmp_path, head, resume=False) as store:
        for result in (*failed, trial):
            store.add(result)
        with pytest.raises(StoreError, match="a trial is kept once"):
            store.add(failed[0])
    assert read_store(tmp_path).results == {trial.key: trial}


def test_store_holds_a_trial_once_that_its_database_holds_twice(tmp_path: Path, head: Comparison) -> None:
    """As another writer could leave it that took over while this one's last transaction was still on its way."""
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial(test=0.5))
        store._results.clear()
        store.add(make_trial(test=0.7))
    assert [result.test_metric for result in read_store(tmp_path).results.values()] == [0.5]


def test_store_changed_data_are_refused(tmp_path: Path, head: Comparison) -> None:
    open_store(tmp_path, head, resume=False).close()
    assert head.data is not None
    with pytest.raises(StoreError, match=r"the data have changed since.*undo that change to go on with it\.$"):
        open_store(tmp_path, replace(head, data=replace(head.data, fingerprint="other")), resume=True)


def test_store_in_use_is_refused(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False), pytest.raises(StoreError, match="Another run of placenorm is"):
        open_store(tmp_path, head, resume=True)


def test_store_folder_that_is_a_file_is_one_sentence(tmp_path: Path, head: Comparison) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"Cannot write results to .*choose a folder"):
        open_store(tmp_path / "file", head, resume=False)


def test_store_folder_without_permission_is_one_sentence(tmp_path: Path, head: Comparison) -> None:
    """As a user who is not root: the store is opened in a process that has given root up."""
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from support.comparisons import make_comparison\n"
        "from placenorm.errors import StoreError\n"
        "from placenorm.study.store import open_store\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try:\n    open_store(Path(sys.argv[1]) / 'out', make_comparison(), resume=False)\n"
        "except StoreError as error:\n    print(error)\n"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code, str(locked)], check=True, capture_output=True, text=True, env=environment
    )
    assert "Cannot write results to" in run.stdout, run.stderr
    assert "Permission denied" in run.stdout


@pytest.mark.parametrize("name", [HEAD, TRIALS], ids=["head", "trials"])
def test_store_damaged_file_is_one_sentence(tmp_path: Path, head: Comparison, name: str) -> None:
    open_store(tmp_path, head, resume=False).close()
    (tmp_path / name).write_bytes(b"\x00 not what it should be" * 100)
    with pytest.raises(StoreError, match=rf"Cannot (read|open) .*{name}"):
        read_store(tmp_path)


def test_store_other_format_version_is_one_sentence(tmp_path: Path, head: Comparison) -> None:
    open_store(tmp_path, head, resume=False).close()
    plain = json.loads((tmp_path / HEAD).read_text())
    (tmp_path / HEAD).write_text(json.dumps({**plain, "format": 99}))
    with pytest.raises(StoreError, match="it is in format 99, this placenorm reads format 1"):
        read_store(tmp_path)


def test_store_empty_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no comparison in"):
        read_store(tmp_path)


def test_store_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial(seed=0))
        with sqlite3.connect(tmp_path / TRIALS) as connection:  # a trigger speaks as SQLite does when the disk is full
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON trials BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            )
        connection.close()
        with pytest.raises(
            StoreError, match=r"is full; the 1 trials before are safe, what finished since is in .*jsonl"
        ):
            store.add(make_trial(seed=1))
        store.add(make_trial(seed=2))  # as the driver does with what had finished besides
    assert [key.seed for key in read_store(tmp_path).results] == [0]
    with sqlite3.connect(tmp_path / TRIALS) as connection:
        connection.execute("DROP TRIGGER full")
    connection.close()
    with open_store(tmp_path, head, resume=True) as store:
        assert [key.seed for key in store.results] == [0, 1, 2]
    assert [key.seed for key in read_store(tmp_path).results] == [0, 1, 2]
    assert not (tmp_path / UNSAVED).exists()


def test_store_disk_that_is_really_full_is_one_sentence_and_loses_nothing(tmp_path: Path, head: Comparison) -> None:
    """In a process whose files may not grow beyond what the database has: SQLite cannot write, other files can."""
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial(seed=0))
    code = (
        "import resource, signal, sys\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from placenorm.errors import StoreError\n"
        "from placenorm.study.folders import TRIALS\n"
        "from placenorm.study.store import open_store\n"
        "from support.comparisons import make_comparison\n"
        "from support.results import make_trial\n"
        "folder = Path(sys.argv[1])\n"
        "head = replace(make_comparison(), trials=(), chosen=(), grids=(), verdict=None)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with open_store(folder, head, resume=True) as store:\n"
        "    most = (folder / TRIALS).stat().st_size\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))\n"
        "    for seed in range(1, 200):\n"
        "        try:\n            store.add(make_trial(seed=seed))\n"
        "        except StoreError as error:\n            print(seed, error)\n            break\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, env=environment
    )
    failed, _, sentence = run.stdout.partition(" ")
    assert f"the {failed} trials before are safe, what finished since is in" in sentence, run.stdout
    with open_store(tmp_path, head, resume=True) as store:
        assert [key.seed for key in store.results] == list(range(int(failed) + 1))


def test_store_keeps_unsaved_trials_of_another_place(tmp_path: Path, head: Comparison) -> None:
    other = UnsavedTrials(tmp_path, "elsewhere")
    assert other.append(make_trial(seed=5))
    assert UnsavedTrials(tmp_path, str(tmp_path)).append(make_trial(seed=1))
    with open_store(tmp_path, head, resume=False) as store:
        assert [key.seed for key in store.results] == [1]
    assert [result.key.seed for result in other.read()] == [5]


def test_store_reserve_is_there_while_it_is_open_and_no_longer(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False):
        assert (tmp_path / RESERVE).stat().st_size == RESERVE_BYTES
    assert not (tmp_path / RESERVE).exists()


@pytest.mark.parametrize("name", ["z?1", "a b%20c", "d#e", "{f}"], ids=["question", "percent", "hash", "braces"])
def test_store_folder_may_have_any_name(tmp_path: Path, head: Comparison, name: str) -> None:
    with open_store(tmp_path / name, head, resume=False) as store:
        store.add(make_trial())
    assert (tmp_path / name / TRIALS).is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(read_store(tmp_path / name).results) == 1


@pytest.mark.parametrize("left", [None, b""], ids=["no-database", "empty-database"])
def test_store_killed_while_it_was_made_goes_on(tmp_path: Path, head: Comparison, left: bytes | None) -> None:
    open_store(tmp_path, head, resume=False).close()
    (tmp_path / TRIALS).unlink()
    if left is not None:
        (tmp_path / TRIALS).write_bytes(left)
    with open_store(tmp_path, head, resume=False) as store:  # no trial has finished, so there is nothing to resume
        store.add(make_trial())
    assert len(read_store(tmp_path).results) == 1


def test_store_in_which_no_trial_has_finished_goes_on_by_itself(tmp_path: Path, head: Comparison) -> None:
    open_store(tmp_path, head, resume=False).close()
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial())
    with pytest.raises(StoreError, match="with 1 finished trials: add --resume"):
        open_store(tmp_path, head, resume=False)


def test_store_writes_its_head_before_its_database(
    tmp_path: Path, head: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optuna.storages, "RDBStorage", end)
        with pytest.raises(KeyboardInterrupt):
            open_store(tmp_path, head, resume=False)
    open_store(tmp_path, head, resume=True).close()
    assert read_store(tmp_path).head == head


@pytest.mark.parametrize("left", [None, b""], ids=["no-database", "empty-database"])
def test_read_store_without_a_trial_is_one_sentence_and_makes_nothing(
    tmp_path: Path, head: Comparison, left: bytes | None
) -> None:
    open_store(tmp_path, head, resume=False).close()
    (tmp_path / TRIALS).unlink()
    if left is not None:
        (tmp_path / TRIALS).write_bytes(left)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(StoreError, match=r"has no trial: trials\.db is missing or empty"):
        read_store(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert left is None or (tmp_path / TRIALS).read_bytes() == left


def test_read_store_changes_no_byte(tmp_path: Path, head: Comparison) -> None:
    with open_store(tmp_path, head, resume=False) as store:
        store.add(make_trial())
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    assert len(read_store(tmp_path).results) == 1
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_read_store_completes_no_database_that_another_process_is_making(tmp_path: Path, head: Comparison) -> None:
    open_store(tmp_path, head, resume=False).close()
    with sqlite3.connect(tmp_path / TRIALS) as connection:
        connection.execute("DELETE FROM version_info")
    connection.close()
    before = (tmp_path / TRIALS).read_bytes()
    with pytest.raises(StoreError, match="Cannot open"):
        read_store(tmp_path)
    assert (tmp_path / TRIALS).read_bytes() == before
    open_store(tmp_path, head, resume=True).close()


@pytest.mark.parametrize("field", ["torch", "python", "platform"])
def test_store_resume_in_another_environment_keeps_both(tmp_path: Path, head: Comparison, field: str) -> None:
    def under(value: str) -> Comparison:
        return replace(head, environment=replace(head.environment, **{field: value}))  # type: ignore[arg-type]

    open_store(tmp_path, under("2.9.0"), resume=False).close()
    for value in ("2.9.0", "2.10.0", "2.10.0"):
        open_store(tmp_path, under(value), resume=True).close()
    assert getattr(read_store(tmp_path).head.environment, field) == "2.9.0, then 2.10.0"


@pytest.mark.parametrize("rate", [1e-40, 1e36], ids=["tiny", "huge"])
def test_store_keeps_trials_at_any_rate_that_a_grid_grows_to(tmp_path: Path, head: Comparison, rate: float) -> None:
    trial = make_trial("none", 0, rate)
    with open_store(tmp_path, head, resume=False) as store:
        store.add(trial)
    assert read_store(tmp_path).results == {trial.key: trial}
