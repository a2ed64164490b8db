"""Several processes to train one trial: started, given trials, and ended when one of them fails."""

import pickle
import tempfile
from collections.abc import Callable, Container
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import cloudpickle
from loky.backend.process import LokyProcess
from loky.backend.utils import kill_process_tree

from placenorm.errors import PlacenormError, TrialError
from placenorm.facts.trial import Failure
from placenorm.study.executors.children import WATCH_S, describe_exit, settle_down, start_child
from placenorm.study.executors.kits import Kit, describe_fault, pack_kit, unpack_kit

K = TypeVar("K")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Post(Generic[K]):
    """What one process of a crew is told to do.

    Attributes:
        key: which trial.
        rank: which of the processes it is.
        size: how many they are.
        meeting: the file through which they find each other.
    """

    key: K
    rank: int
    size: int
    meeting: Path


class Crew(Generic[K, R]):
    """Processes that train one trial at a time, all of them together, on one thread each.

    They are started with the first trial and stay for the next. Where one dies or fails, all are ended.

    Args:
        make_work: called once in each process; gives what does its part of a trial.
        size: how many processes.
        references: the user's own code by reference, loaded in each process first.
    """

    def __init__(
        self, make_work: Callable[[], Callable[[Post[K]], R]], size: int, references: tuple[str, ...] = ()
    ) -> None:
        self._kit = pack_kit(make_work, references)
        self._size = size
        self._members: list[tuple[LokyProcess, Connection]] = []
        # At its end a process waits for those that it started, unless they were ended before.
        Finalize(self, _end, (self._members,), exitpriority=0)

    def run(self, key: K) -> R:
        """Return the result of a trial, as the first of the processes has it.

        Raises:
            PlacenormError: as one of them raised it.
            TrialError: if one of them died, or raised something else.
        """
        if not self._members:
            self._members.extend(start_child(_serve, self._kit) for _ in range(self._size))
        try:
            with tempfile.TemporaryDirectory(prefix="placenorm-") as folder:
                for rank, (_, connection) in enumerate(self._members):
                    connection.send_bytes(cloudpickle.dumps(Post(key, rank, self._size, Path(folder) / "meeting")))
                return self._await(key)
        except BaseException:
            self.close()
            raise

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes that were started and not ended."""
        return [process.pid for process, _ in self._members]

    def close(self) -> None:
        """End the processes."""
        _end(self._members)

    def _await(self, key: K) -> R:
        """Return what the first process sends, once all have sent something."""
        results: dict[int, Any] = {}
        while len(results) < self._size:
            self._look_for_deaths(key, results)
            waiting = {self._members[rank][1]: rank for rank in range(self._size) if rank not in results}
            for connection in wait(list(waiting), WATCH_S):
                rank = waiting[connection]  # type: ignore[index]  # they are connections
                sent = self._receive(key, rank)
                if isinstance(sent, _Fault):
                    self._refuse_failure(key, rank, sent, results)
                results[rank] = sent
        result: R = results[0]
        return result

    def _receive(self, key: K, rank: int) -> Any:
        try:
            return pickle.loads(self._members[rank][1].recv_bytes())
        except (EOFError, OSError):
            self._refuse_death(key, rank)

    def _look_for_deaths(self, key: K, results: Container[int]) -> None:
        for rank, (process, connection) in enumerate(self._members):
            if rank not in results and process.exitcode is not None and not connection.poll():
                self._refuse_death(key, rank)

    def _refuse_failure(self, key: K, rank: int, fault: "_Fault", results: Container[int]) -> NoReturn:
        """Raise what a process raised, unless another one has died: then that is why."""
        others = [each for each in range(self._size) if each != rank and each not in results]
        wait([self._members[each][0].sentinel for each in others], WATCH_S)
        self._look_for_deaths(key, {rank})
        error = fault.error or TrialError(
            f"Trial {key} failed in process {rank + 1} of {self._size}: {fault.failure.reason}; mend the model or the "
            "data, then go on with --resume."
        )
        error.add_note(fault.failure.traceback)
        raise error

    def _refuse_death(self, key: K, rank: int) -> NoReturn:
        process = self._members[rank][0]
        process.join(WATCH_S)
        how, why = describe_exit(process.exitcode)
        raise TrialError(
            f"Process {rank + 1} of the {self._size} that train trial {key} {how}{f' ({why})' * bool(why)}; use a "
            "smaller --batch-size or fewer --jobs where memory is short, then go on with --resume."
        )


@dataclass(frozen=True, slots=True)
class _Fault:
    """What a process raised: an error of ours as it is, and any in words."""

    error: PlacenormError | None
    failure: Failure


def _end(members: list[tuple[LokyProcess, Connection]]) -> None:
    """End the processes of a crew, and what they started."""
    while members:
        process, connection = members.pop()
        connection.close()
        if process.exitcode is None:
            kill_process_tree(process)


def _serve(connection: Connection, kit: Kit, leader: int) -> None:
    """Do parts of trials until the leader has no more: what one process does."""
    settle_down(leader)
    work: Callable[[Any], Any] | None = None
    try:
        while True:
            post = pickle.loads(connection.recv_bytes())
            try:
                work = work or unpack_kit(kit)
                sent = work(post)
            except (Exception, SystemExit) as error:
                sent = _Fault(error if isinstance(error, PlacenormError) else None, describe_fault(error))
            connection.send_bytes(cloudpickle.dumps(sent))
    except (EOFError, OSError):
        return  # the leader has gone
