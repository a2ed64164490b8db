"""Which GPU a process has: those of the machine are dealt round."""

import fcntl
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import IO

import torch

from placenorm.errors import UsageError

_seats: list[IO[str]] = []
"""The lock file that this process holds, for its life."""


def choose_device(device: str, processes: int = 1, rank: int = 0, seat: int | None = None) -> str:
    """Return where a process trains: ``cuda`` becomes one of the machine's GPUs, anything else stays.

    Args:
        device: as the user named it.
        processes: processes of one trial.
        rank: which of them this is.
        seat: the seat of the trial; taken by this process where it is left out.
    """
    kind = torch.device(device)
    if kind.type != "cuda" or kind.index is not None or torch.cuda.device_count() < 2:
        return device
    return deal_device(take_seat() if seat is None else seat, torch.cuda.device_count(), processes, rank)


def deal_device(seat: int, gpus: int, processes: int = 1, rank: int = 0) -> str:
    """Return the GPU of one process of a trial, from ``cuda:0`` on; the processes of a trial get neighbours.

    Args:
        seat: number of the trial's worker, counted from 0.
        gpus: GPUs of the machine.
        processes: processes of one trial.
        rank: which of them.
    """
    return f"cuda:{(seat * processes + rank) % gpus}"


def share_gpus(device: str, jobs: int, processes: int = 1) -> float:
    """Return how many GPUs a trial holds, a part of one where several trials share it; 0 where it needs none.

    Args:
        device: as the user named it.
        jobs: trials at a time.
        processes: processes of one trial.
    """
    kind = torch.device(device)
    if kind.type != "cuda":
        return 0.0
    found = torch.cuda.device_count() if kind.index is None else 1
    return min(float(processes), found / jobs)


def take_seat() -> int:
    """Return the lowest number that no process of this user has on this machine; it is this process's until it ends.

    So the GPUs go round whatever starts the processes, a process that takes a dead one's place takes its GPU too,
    and two comparisons at a time share the GPUs out.

    Raises:
        UsageError: if no lock can be written.
    """
    if _seats:
        return int(Path(_seats[0].name).name)
    folder = Path(tempfile.gettempdir()) / f"placenorm-seats-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in count():
            file = (folder / str(number)).open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            _seats.append(file)
            return number
    except OSError as error:
        raise UsageError(
            f"Cannot deal the GPUs out: no lock can be written to {folder} ({error.strerror}); name one GPU with "
            "--device cuda:0."
        ) from error
    raise AssertionError("numbers do not end")
