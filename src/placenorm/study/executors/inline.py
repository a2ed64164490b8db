"""Trials in this very process, one after the other: for a debugger, and to hold the others against."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self

from placenorm.study.executors.executor import K, Outcome, R
from placenorm.study.executors.kits import hold_to_one_thread, run_trial


class InlineExecutor(Generic[K, R]):
    """Runs each trial when its outcome is asked for.

    Args:
        make_work: called once; gives what runs one trial, from its key to its result.
        references: the user's own code by reference; it is loaded here already.
    """

    def __init__(self, make_work: Callable[[], Callable[[K], R]], references: Iterable[str] = ()) -> None:
        self._make_work = make_work
        self._work: Callable[[K], R] | None = None
        self._waiting: deque[K] = deque()
        self._threads: int | None = None

    @property
    def slots(self) -> int:
        """One."""
        return 1

    def submit(self, key: K) -> None:
        """Queue a trial."""
        self._waiting.append(key)

    def finished(self) -> Iterator[Outcome[K, R]]:
        """Run and yield trial after trial; trials may be submitted meanwhile. Ends when none is left."""
        while self._waiting:
            if self._work is None:
                self._work = self._make_work()
                hold_to_one_thread()
            yield run_trial(self._work, self._waiting.popleft())

    def take_finished(self) -> Iterator[Outcome[K, R]]:
        """Yield nothing: a trial that is finished has been yielded."""
        yield from ()

    def __enter__(self) -> Self:
        self._threads = _count_threads()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _give_threads_back(self._threads)


def _count_threads() -> int:
    import torch

    return torch.get_num_threads()


def _give_threads_back(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
