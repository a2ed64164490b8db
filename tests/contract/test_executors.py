"""What every executor keeps: each trial has one outcome, whatever it does to its worker."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from placenorm.errors import ModelError, TrialError
from placenorm.study.executors.clusters import AUTO, Cluster, RayExecutor
from placenorm.study.executors.executor import ATTEMPTS, Executor, Outcome, expect_result
from placenorm.study.executors.inline import InlineExecutor
from placenorm.study.executors.processes import ProcessPool
from support.ray_cluster import start_cluster
from support.stub_work import Obedient, Told, make_obedient, make_unfit, make_unfit_in_words

PATIENCE_S = 120
JOBS = 2

Make = Callable[..., Executor[Told, Any]]


def make_inline(make_work: Callable[[], Obedient] = make_obedient, references: Iterable[str] = ()) -> Any:
    return InlineExecutor(make_work, references)


def make_processes(make_work: Callable[[], Obedient] = make_obedient, references: Iterable[str] = ()) -> Any:
    return ProcessPool(make_work, JOBS, references)


def make_on_ray(make_work: Callable[[], Obedient] = make_obedient, references: Iterable[str] = ()) -> Any:
    return RayExecutor(make_work, Cluster(AUTO, jobs=JOBS), references)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray, connected to a cluster of two nodes: the executor uses a connection that is there."""
    import ray

    with start_cluster(nodes=JOBS) as cluster:
        ray.init(cluster.address, log_to_driver=False, configure_logging=False)
        yield ray
        ray.shutdown()


EVERY = {"inline": make_inline, "processes": make_processes, "ray": make_on_ray}
APART = {name: make for name, make in EVERY.items() if name != "inline"}
"""Those whose trials run in processes of their own."""


@pytest.fixture(params=EVERY.values(), ids=EVERY)
def make(request: pytest.FixtureRequest) -> Make:
    if request.param is make_on_ray:
        request.getfixturevalue("ray")
    chosen: Make = request.param
    return chosen


@pytest.fixture(params=APART.values(), ids=APART)
def make_apart(request: pytest.FixtureRequest) -> Make:
    if request.param is make_on_ray:
        request.getfixturevalue("ray")
    chosen: Make = request.param
    return chosen


def run(executor: Executor[Told, Any], *told: Told) -> dict[Told, Outcome[Told, Any]]:
    """Submit some trials and return their outcomes; none may come twice."""
    with executor:
        for key in told:
            executor.submit(key)
        outcomes = list(executor.finished())
    assert len(outcomes) == len({outcome.key for outcome in outcomes})
    return {outcome.key: outcome for outcome in outcomes}


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_trial_has_one_outcome(make: Make) -> None:
    told = [Told("give", number) for number in range(20)]
    outcomes = run(make(), *told)
    assert {key: outcome.result for key, outcome in outcomes.items()} == {key: key.need for key in told}
    assert all(outcome.failure is None for outcome in outcomes.values())


def test_trials_may_be_submitted_while_others_finish(make: Make) -> None:
    seen = []
    with make() as executor:
        executor.submit(Told("give", 0))
        for outcome in executor.finished():
            seen.append(outcome.result)
            if len(seen) < 5:
                executor.submit(Told("give", len(seen)))
        assert list(executor.finished()) == []
    assert seen == [0, 1, 2, 3, 4]


def test_nothing_submitted_ends_at_once(make: Make) -> None:
    assert run(make()) == {}


def test_take_finished_waits_for_nothing(make_apart: Make, tmp_path: Path) -> None:
    with make_apart() as executor:
        executor.submit(Told("wait_for", tmp_path / "mark"))
        assert list(executor.take_finished()) == []
        (tmp_path / "mark").touch()
        found: list[Outcome[Told, Any]] = []

        def take() -> bool:
            found.extend(executor.take_finished())
            return bool(found)

        wait_until(take)
    assert [outcome.result for outcome in found] == ["waited"]


def test_has_room_for_at_least_one_trial(make: Make) -> None:
    with make() as executor:
        assert executor.slots >= 1


def test_trial_that_raises_fails_alone(make: Make) -> None:
    outcomes = run(make(), Told("fail", "no data"), *(Told("give", number) for number in range(5)))
    failed = outcomes.pop(Told("fail", "no data"))
    assert failed.result is None
    assert failed.failure is not None
    assert "raises KeyError: 'deep down'" in failed.failure.reason
    assert "line " in failed.failure.reason
    assert "stub_work.py" in failed.failure.reason
    assert "ValueError: no data" in failed.failure.traceback
    assert "direct cause" in failed.failure.traceback
    assert sorted(outcome.result for outcome in outcomes.values()) == [0, 1, 2, 3, 4]
    assert all(outcome.wall_s > 0 for outcome in (failed, *outcomes.values())), "what a trial took is told"
    with pytest.raises(TrialError, match=r"Trial Told.* failed: .*KeyError.*; mend the model or the data"):
        expect_result(failed)


def test_our_own_sentence_is_the_reason(make: Make) -> None:
    (outcome,) = run(make(), Told("refuse", "Cannot build it: it is odd.")).values()
    assert outcome.failure is not None
    assert outcome.failure.reason == "Cannot build it: it is odd"


def test_trial_that_exits_fails_and_its_worker_goes_on(make: Make) -> None:
    outcomes = run(make(), Told("leave", 3), Told("give", 1))
    failed = outcomes[Told("leave", 3)].failure
    assert failed is not None
    assert "SystemExit: 3" in failed.reason
    assert outcomes[Told("give", 1)].result == 1


def test_passwords_of_addresses_are_not_in_a_failure(make: Make) -> None:
    (outcome,) = run(make(), Told("refuse", "Cannot read postgresql://me:secret@host/db.")).values()
    assert outcome.failure is not None
    assert "postgresql://me:***@host/db" in outcome.failure.reason
    assert "secret" not in outcome.failure.reason + outcome.failure.traceback


def test_work_is_made_once_for_all_trials_of_a_worker(make: Make) -> None:
    counts = [outcome.result for outcome in run(make(), *(Told("count", place) for place in range(12))).values()]
    workers = {pid for pid, _ in counts}
    assert 1 <= len(workers) <= JOBS
    assert sorted(counts) == sorted(
        (pid, number) for pid in workers for number in range(1, 1 + sum(each == pid for each, _ in counts))
    )


def test_trials_run_on_one_thread(make: Make) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (outcome,) = run(make(), Told("count_threads")).values()
        assert torch.get_num_threads() == 2, "the threads of this process were not given back"
    finally:
        torch.set_num_threads(before)
    assert outcome.result == 1


def test_users_own_file_is_loaded_in_the_worker(make: Make, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from beside import VALUE\nclass Thing:\n    value = VALUE\nTHING = Thing()\n")
    (tmp_path / "beside.py").write_text("VALUE = 7\n")
    reference = f"{tmp_path / 'mine.py'}:THING"
    from placenorm.lookup import load_object

    load_object(reference)  # as the driver does when it makes its plan
    (outcome,) = run(make(references=[reference]), Told("make", reference)).values()
    assert outcome.failure is None, outcome.failure
    assert outcome.result.value == 7


@pytest.mark.parametrize(
    ("make_work", "kind", "words"),
    [
        (make_unfit_in_words, ModelError, r"^Cannot build it: there is no layer; add one\.$"),
        (make_unfit, TrialError, r"A worker .*cannot be made ready: line \d+ of stub_work.py raises RuntimeError: no"),
    ],
    ids=["in-words", "foreign"],
)
def test_worker_that_cannot_be_made_ready_is_one_sentence(
    make_apart: Make, make_work: Callable[[], Obedient], kind: type[Exception], words: str
) -> None:
    with make_apart(make_work) as executor:
        executor.submit(Told("give", 1))
        with pytest.raises(kind, match=words):
            list(executor.finished())


def test_trial_whose_worker_dies_once_is_begun_again(make_apart: Make, tmp_path: Path) -> None:
    outcomes = run(make_apart(), Told("die_once", tmp_path / "mark"), *(Told("give", number) for number in range(8)))
    assert outcomes[Told("die_once", tmp_path / "mark")].result == "lived"
    assert len(outcomes) == 9
    assert all(outcome.failure is None for outcome in outcomes.values())


def test_trial_that_keeps_killing_its_worker_fails_alone(make_apart: Make) -> None:
    outcomes = run(make_apart(), Told("die"), *(Told("give", number) for number in range(8)))
    failed = outcomes.pop(Told("die")).failure
    assert failed is not None
    assert f"died {ATTEMPTS} times" in failed.reason
    assert sorted(outcome.result for outcome in outcomes.values()) == list(range(8))


def test_death_of_one_worker_leaves_the_others_at_their_work(make_apart: Make, tmp_path: Path) -> None:
    """A trial that waits goes on while another kills its worker as often as it can."""
    waiting = Told("wait_for", tmp_path / "mark")
    with make_apart() as executor:
        executor.submit(waiting)
        executor.submit(Told("die"))
        outcomes = executor.finished()
        assert next(outcomes).key == Told("die")
        (tmp_path / "mark").touch()
        assert next(outcomes).result == "waited"


def test_result_that_cannot_be_sent_is_a_failed_trial(make_apart: Make) -> None:
    (outcome,) = run(make_apart(), Told("give_what_cannot_be_sent")).values()
    assert outcome.failure is not None
    assert "cannot be sent" in outcome.failure.reason


def test_leaving_the_block_by_an_error_ends_what_runs(make_apart: Make, tmp_path: Path) -> None:
    mark = tmp_path / "pid"

    def has_begun() -> bool:
        assert list(executor.take_finished()) == []
        return mark.exists() and mark.read_text() != ""

    executor = make_apart()
    executor.__enter__()
    executor.submit(Told("never_end", mark))
    wait_until(has_begun)
    error = RuntimeError("stop")
    executor.__exit__(RuntimeError, error, None)
    pid = int(mark.read_text())
    assert pid != os.getpid()
    wait_until(lambda: not is_running(pid))


def test_worker_process_is_deaf_to_an_interrupt_even_where_somebody_lifts_the_mask() -> None:
    (outcome,) = run(make_processes(), Told("be_interrupted")).values()
    assert (outcome.result, outcome.failure) == ("lived", None)
