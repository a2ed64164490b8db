"""Trials in, results out, in worker processes of one thread each."""

import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import cloudpickle
import torch
from loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from placenorm.errors import PlacenormError, TrialError
from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.lookup import load_object
from placenorm.study.training import Recipe, Trainer

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Set before a worker imports torch: sums in another order of threads give other weights."""

IDLE_S = 20
"""A worker that has had nothing to do for so long ends, also when its driver was killed."""

_trainer: Trainer | None = None
"""The worker's own trainer; None in the driver."""


class WorkerPool:
    """Worker processes that run trials.

    Processes are spawned afresh (never forked), each with one thread, so that results do not depend on how many
    there are. The recipe is sent once to each.

    Args:
        recipe: what all trials share.
        jobs: number of processes.
        references: the user's own code by reference, loaded in each worker before the recipe.
    """

    def __init__(self, recipe: Recipe, jobs: int, references: Iterable[str] = ()) -> None:
        self._pool = ProcessPoolExecutor(
            max_workers=jobs,
            timeout=IDLE_S,
            initializer=_set_up,
            initargs=(cloudpickle.dumps(recipe), tuple(references)),
            env=ONE_THREAD,
        )
        self._pending: dict[Future[TrialResult], TrialKey] = {}

    def submit(self, key: TrialKey) -> None:
        """Queue a trial."""
        with _shield_from_interrupts():  # a worker inherits the mask: Ctrl-C is for the driver alone
            self._pending[self._pool.submit(_run, key)] = key

    def finished(self) -> Iterator[TrialResult]:
        """Yield results as they come in; trials may be submitted meanwhile. Ends when none is left.

        Raises:
            TrialError: if a trial failed, or its process died.
            PlacenormError: as the trial raised it.
        """
        while self._pending:
            done, _ = wait(self._pending, return_when=FIRST_COMPLETED)
            for future in done:
                key = self._pending.pop(future)
                try:
                    result = future.result()
                except PlacenormError:
                    raise
                except TerminatedWorkerError as error:
                    raise TrialError(
                        f"The process of a trial died while {key} was due: it was killed or out of memory; use fewer "
                        "--jobs or a smaller --batch-size and go on with --resume."
                    ) from error
                except Exception as error:
                    raise TrialError(
                        f"Trial {key} failed: {type(error).__name__}: {_last_words(error)}; "
                        "mend the model or the data, then go on with --resume."
                    ) from error
                yield result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=kind is None, kill_workers=kind is not None)


@contextmanager
def _shield_from_interrupts() -> Iterator[None]:
    """Hold SIGINT back for a moment; it arrives afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _last_words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no message"


def _set_up(recipe: bytes, references: tuple[str, ...]) -> None:
    """Make a worker ready: one thread, the user's code, the recipe."""
    global _trainer  # noqa: PLW0603 - a worker process has one trainer, and a pool hands over no other place for it
    torch.set_num_threads(1)
    for reference in references:
        load_object(reference)
    _trainer = Trainer(cloudpickle.loads(recipe))


def _run(key: TrialKey) -> TrialResult:
    assert _trainer is not None, "the worker was not set up"
    return _trainer.run(key)
