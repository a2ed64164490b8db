"""Work on ranges, shared among as many threads as torch uses.

In torch's own OpenMP team, where torch has one that is found here: its workers wait for work in a loop for a while, and
would keep other threads from their cores. Elsewhere, and after a fork, where that team is dead, in plain threads.

Not numba's own threads: its workqueue layer aborts when two threads enter it, and its OpenMP layer after a fork.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import torch


class Team(NamedTuple):
    """Threads that work on a loop; see `placenorm.kernels.cpu.team`.

    Attributes:
        start: address of a function with the signature of GOMP_parallel; 0 where the calling thread works alone.
        shares: into how many shares the work is parted.
    """

    start: int
    shares: int


ALONE: Final = Team(0, 1)


def find_team() -> Team:
    """Return as many threads as torch uses."""
    threads = torch.get_num_threads()
    return ALONE if threads == 1 else Team(find_torch_team() or _POOL_ADDRESS, threads)


@cache
def find_torch_team() -> int:
    """Return the address of GOMP_parallel in the library that torch's threads are of; 0 where there is none.

    It is looked for as the loader does for torch: among what all libraries see, then among those that torch's needs.
    """
    if not sys.platform.startswith("linux") or not torch.backends.openmp.is_available() or _FORKED:
        return 0
    for library in (None, str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so")):
        try:
            return ctypes.cast(ctypes.CDLL(library).GOMP_parallel, ctypes.c_void_p).value or 0
        except (OSError, AttributeError):
            continue
    return 0


_FORKED: Final[list[int]] = []
"""Processes since the first in which torch was imported: the threads of a parent are not there."""


def _leave_torch_team() -> None:
    _FORKED.append(os.getpid())
    find_torch_team.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_torch_team)


class _Door:
    """Where helpers come to a piece of work: it tells who is at it, and lets nobody in when it is closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._inside = 0

    def enter(self, work: Callable[[int], None], block: int) -> None:
        """Take part, where there is still something to do."""
        with self._changed:
            if self._closed:
                return
            self._inside += 1
        try:
            work(block)
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Return when nobody is there, and nobody will be."""
        with self._changed:
            self._closed = True
            while self._inside:
                self._changed.wait()


def _run_in_pool(work: int, block: int, threads: int, flags: int) -> None:
    """Do as GOMP_parallel, in plain threads.

    A compiled kernel calls this, and cannot be left by an error: whatever comes, the work is done when this returns,
    and no helper still reads the block, which ends then. What came is kept for `raise_caught`.
    """
    door, steps = _Door(), [_ask_helpers, _do_own_share, _wait_for_helpers]  # each may be done twice
    while steps:
        try:
            steps[0](door, work, block)
            del steps[0]
        except Exception as error:
            if steps[0] is not _ask_helpers:  # without helpers, the caller takes all shares
                _CAUGHT.error = error
            del steps[0]
        except BaseException as error:  # Ctrl-C
            _CAUGHT.error = error


def _ask_helpers(door: _Door, work: int, block: int) -> None:
    helpers = torch.get_num_threads() - 1
    pool = _find_pool(helpers)
    for _ in range(helpers):
        pool.submit(door.enter, _make_callable(work), block)


def _do_own_share(_: _Door, work: int, block: int) -> None:
    _make_callable(work)(block)  # returns when no share is left to begin, so that one that has not come need not


def _wait_for_helpers(door: _Door, work: int, block: int) -> None:
    door.close()


def _make_callable(work: int) -> Callable[[int], None]:
    made: Callable[[int], None] = _WORK(work)
    return made


class _Caught(threading.local):
    error: BaseException | None = None


_CAUGHT: Final = _Caught()


def raise_caught() -> None:
    """Raise what came while plain threads worked for the calling one, where something did.

    Raises:
        KeyboardInterrupt: or another exception that is no `Exception`.
    """
    error, _CAUGHT.error = _CAUGHT.error, None
    if error is not None:
        raise error


_WORK: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
"""The signature of what a thread does, given the block."""

_PARALLEL: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
"""The signature of GOMP_parallel: a function, its argument, the number of threads, and flags."""

_POOL: Final = _PARALLEL(_run_in_pool)
_POOL_ADDRESS: Final = ctypes.cast(_POOL, ctypes.c_void_p).value or 0


def _find_pool(helpers: int) -> ThreadPoolExecutor:
    key = (os.getpid(), helpers)
    if key not in _POOLS:
        _POOLS[key] = ThreadPoolExecutor(helpers, thread_name_prefix="placenorm")
    return _POOLS[key]


_POOLS: Final[dict[tuple[int, int], ThreadPoolExecutor]] = {}
"""By process and number of helpers: after a fork, threads of the parent are not there."""
