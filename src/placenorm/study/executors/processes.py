"""Trials in worker processes of one thread each, on this machine."""

import pickle
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Generic, Self

import cloudpickle
from loky.backend.utils import kill_process_tree

from placenorm.facts.trial import Failure
from placenorm.lookup import describe_error
from placenorm.study.executors.children import WATCH_S, describe_exit, settle_down, start_child
from placenorm.study.executors.collecting import Collector
from placenorm.study.executors.executor import ATTEMPTS, K, Outcome, R
from placenorm.study.executors.kits import Kit, Unfit, make_ready, pack_kit, refuse_worker, run_trial

LEAVE_S = 5.0
"""How long an idle worker may take to end by itself."""


@dataclass(slots=True)
class _Task(Generic[K]):
    """A trial that is due, and how many workers have died under it."""

    key: K
    deaths: int = 0


class _Worker(Generic[K]):
    """One worker process and the pipe to it."""

    def __init__(self, kit: Kit) -> None:
        self.task: _Task[K] | None = None
        self.process, self.connection = start_child(_serve, kit)

    def begin(self, task: _Task[K]) -> None:
        self.connection.send_bytes(cloudpickle.dumps(task.key))
        self.task = task

    def ask_to_leave(self) -> None:
        with suppress(OSError):  # it has gone already
            self.connection.send_bytes(cloudpickle.dumps(None))

    def end(self, patience_s: float = 0.0) -> int | None:
        """End the process and what it started; return its exit code."""
        if patience_s:
            self.process.join(patience_s)
        if self.process.exitcode is None:
            kill_process_tree(self.process)
        self.connection.close()
        code: int | None = self.process.exitcode
        return code


class ProcessPool(Collector[K, R]):
    """Worker processes that run trials, one at a time each.

    What all trials need is sent once to each worker. Where a worker dies, the others go on, a new one takes its place
    and its trial is begun again, `ATTEMPTS` times in all.

    Args:
        make_work: called once in each worker; gives what runs one trial, from its key to its result.
        jobs: number of processes.
        references: the user's own code by reference, loaded in each worker first.
    """

    def __init__(self, make_work: Callable[[], Callable[[K], R]], jobs: int, references: Iterable[str] = ()) -> None:
        super().__init__()
        self._kit = pack_kit(make_work, references)
        self._jobs = jobs
        self._waiting: deque[_Task[K]] = deque()
        self._workers: list[_Worker[K]] = []

    @property
    def slots(self) -> int:
        """How many trials run at a time: one a process."""
        return self._jobs

    def submit(self, key: K) -> None:
        """Queue a trial."""
        self._waiting.append(_Task(key))
        self._hand_out()

    @property
    def _is_busy(self) -> bool:
        return bool(self._waiting) or bool(self._busy())

    def _busy(self) -> list[_Worker[K]]:
        return [worker for worker in self._workers if worker.task is not None]

    def _hand_out(self) -> None:
        """Give every idle worker a trial, and start workers while there are too few for those that wait."""
        while self._waiting:
            worker = next((worker for worker in self._workers if worker.task is None), None)
            if worker is None:
                if len(self._workers) >= self._jobs:
                    return
                worker = _Worker(self._kit)
                self._workers.append(worker)
            task = self._waiting.popleft()
            try:
                worker.begin(task)
            except OSError:  # it died while it was idle, or at once
                worker.task = task
                self._bury(worker)

    def _listen(self, patience_s: float) -> None:
        """Take in what workers have sent, and replace those that have died."""
        by_connection: dict[Any, _Worker[K]] = {worker.connection: worker for worker in self._busy()}
        for connection in wait(list(by_connection), patience_s):
            self._receive(by_connection[connection])
        for worker in self._busy():  # what a dead worker started can keep its end of the pipe open
            if worker.process.exitcode is not None and not worker.connection.poll():
                self._bury(worker)
        self._hand_out()

    def _receive(self, worker: _Worker[K]) -> None:
        try:
            message: Outcome[K, R] | Unfit = pickle.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._bury(worker)
            return
        if isinstance(message, Unfit):
            refuse_worker(message)
        worker.task = None
        self._outcomes.append(message)
        self._hand_out()  # at once: a worker should not wait until the driver has stored what it did

    def _bury(self, worker: _Worker[K]) -> None:
        """Take leave of a worker that died, and have its trial begun again, unless it has killed too many."""
        self._workers.remove(worker)
        code = worker.end(WATCH_S)
        task = worker.task
        assert task is not None
        task.deaths += 1
        if task.deaths < ATTEMPTS:
            self._waiting.appendleft(task)
        else:
            how = ": ".join(filter(None, describe_exit(code)))
            reason = f"its worker process died {task.deaths} times, the last time it {how}"
            self._outcomes.append(Outcome(task.key, None, Failure(reason)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        idle = [worker for worker in self._workers if worker.task is None]
        for worker in idle:
            worker.ask_to_leave()
        for worker in self._workers:
            worker.end(LEAVE_S if worker in idle else 0.0)
        self._workers.clear()


def _serve(connection: Connection, kit: Kit, driver: int) -> None:
    """Run trials until the driver has no more: what a worker process does."""
    settle_down(driver)
    work = make_ready(kit)
    if isinstance(work, Unfit):
        connection.send_bytes(cloudpickle.dumps(work))
        return
    try:
        while (key := pickle.loads(connection.recv_bytes())) is not None:
            connection.send_bytes(_pack_outcome(run_trial(work, key)))
    except (EOFError, OSError):
        return  # the driver has gone


def _pack_outcome(outcome: Outcome[Any, Any]) -> bytes:
    """Return an outcome to be sent; one that cannot be pickled is a failed trial."""
    try:
        packed: bytes = cloudpickle.dumps(outcome)
    except Exception as error:
        packed = cloudpickle.dumps(
            Outcome(outcome.key, None, Failure(f"its result cannot be sent: {describe_error(error)}"))
        )
    return packed
