"""Processes of our own: started so that Ctrl-C is for the driver alone, and ended when whoever started them is gone."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe
from typing import Any

from loky.backend.process import LokyProcess
from tqdm import tqdm  # type: ignore[import-untyped]

from placenorm.study.executors.kits import ONE_THREAD

WATCH_S = 1.0
"""How often a process looks whether the one that started it is still there, and that one whether its own are."""


def start_child(serve: Callable[..., None], *given: Any) -> tuple[LokyProcess, Connection]:
    """Return a process that runs ``serve(connection, *given)`` on one thread, and our end of the pipe to it.

    It is spawned afresh (never forked). Unlike the processes of `multiprocessing`, it does not run the user's script
    again, and it takes what is defined there or in a notebook.

    Args:
        serve: a function of a module; it calls `settle_down` first.
        given: what it is called with behind its end of the pipe.
    """
    ours, theirs = Pipe()
    process = LokyProcess(target=serve, args=(theirs, *given, os.getpid()), env=ONE_THREAD)
    with _shield_from_interrupts():  # it inherits the mask: Ctrl-C is for the driver alone
        process.start()
    theirs.close()
    return process, ours


def settle_down(parent: int) -> None:
    """Make this process ready to serve: deaf to Ctrl-C, gone with its parent, and without traces when it is killed.

    Args:
        parent: number of the process that started it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever starts multiprocessing's tracker lifts the mask
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # torch.fx draws bars with tqdm; a killed process would leave its usual semaphore behind.
    tqdm.set_lock(threading.RLock())


def describe_exit(code: int | None) -> tuple[str, str]:
    """Return how a process ended and what that means: ``was ended by SIGKILL``, ``killed, or out of memory``; or ""."""
    if code is None or code >= 0:
        return f"ended with exit code {code}", ""
    return f"was ended by {_name_signal(-code)}", "killed, or out of memory" * (-code == signal.SIGKILL)


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextmanager
def _shield_from_interrupts() -> Iterator[None]:
    """Hold SIGINT back for a moment; it arrives afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, killed perhaps, so that no trial runs on for nobody."""
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)
