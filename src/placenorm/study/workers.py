"""Trials in, results out, in worker processes of one thread each."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar

import cloudpickle
import torch
from loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError
from tqdm import tqdm  # type: ignore[import-untyped]

from placenorm.errors import PlacenormError, TrialError
from placenorm.lookup import describe_error, load_object

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Set before a worker imports torch: sums in another order of threads give other weights."""

WATCH_S = 1.0
"""How often a worker looks whether its driver is still there."""

_work: Callable[[Any], Any] | None = None
"""What the worker does with a key; None in the driver."""

K = TypeVar("K")
R = TypeVar("R")


class WorkerPool(Generic[K, R]):
    """Worker processes that run trials.

    Processes are spawned afresh (never forked), each with one thread, so that results do not depend on how many
    there are. What they need for all trials is sent once to each.

    Args:
        make_work: called once in each worker; gives what runs one trial, from its key to its result.
        jobs: number of processes.
        references: the user's own code by reference, loaded in each worker first.
    """

    def __init__(self, make_work: Callable[[], Callable[[K], R]], jobs: int, references: Iterable[str] = ()) -> None:
        self._pool = ProcessPoolExecutor(
            max_workers=jobs,
            initializer=_set_up,
            initargs=(cloudpickle.dumps(make_work), tuple(references), os.getpid()),
            env=ONE_THREAD,
        )
        self._pending: dict[Future[R], K] = {}

    def submit(self, key: K) -> None:
        """Queue a trial."""
        with _shield_from_interrupts():  # a worker inherits the mask: Ctrl-C is for the driver alone
            self._pending[self._pool.submit(_run, key)] = key

    def finished(self) -> Iterator[R]:
        """Yield results as they come in; trials may be submitted meanwhile. Ends when none is left.

        Raises:
            TrialError: if a trial failed, or its process died; what had finished by then was yielded before.
            PlacenormError: as the trial raised it.
        """
        while self._pending:
            done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
            yield from self.take_finished()
            for future in done & self._pending.keys():
                _raise_failure(self._pending.pop(future), future)

    def take_finished(self) -> Iterator[R]:
        """Yield the results that are there by now, without waiting; failed trials are left."""
        for future in [future for future in self._pending if future.done() and future.exception() is None]:
            del self._pending[future]
            yield future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(
            wait=True, kill_workers=kind is not None
        )  # waits too for those it killed: none is left over


@contextmanager
def _shield_from_interrupts() -> Iterator[None]:
    """Hold SIGINT back for a moment; it arrives afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise_failure(key: object, future: Future[Any]) -> NoReturn:
    """Raise what made a trial fail, in words."""
    error = future.exception()
    if isinstance(error, PlacenormError):
        raise error
    if isinstance(error, TerminatedWorkerError):
        raise TrialError(
            f"The process of a trial died while {key} was due: it was killed or out of memory; use fewer "
            "--jobs or a smaller --batch-size and go on with --resume."
        ) from error
    assert error is not None
    raise TrialError(
        f"Trial {key} failed: {describe_error(error)}; mend the model or the data, then go on with --resume."
    ) from error


def _set_up(make_work: bytes, references: tuple[str, ...], driver: int) -> None:
    """Make a worker ready: bound to its driver's life, one thread, the user's code, what it is for."""
    global _work  # noqa: PLW0603 - a worker process has one purpose, and a pool hands over no other place for it
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    torch.set_num_threads(1)
    tqdm.set_lock(
        threading.RLock()
    )  # torch.fx draws bars with it; a killed worker would leave its usual semaphore behind
    for reference in references:
        load_object(reference)
    _work = cloudpickle.loads(make_work)()


def _end_with(driver: int) -> None:
    """End this process when its driver is gone, killed perhaps, so that no trial runs on for nobody."""
    while os.getppid() == driver:
        time.sleep(WATCH_S)
    os._exit(1)


def _run(key: Any) -> Any:
    assert _work is not None, "the worker was not set up"
    return _work(key)
