"""The state of a trial that is running, in a file: a killed trial goes on from its last epoch."""

import hashlib
import io
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from placenorm.facts.trial import TrialKey

FOLDER = "checkpoints"
"""Inside the result folder."""

EVERY_S = 60.0
"""A trial is kept at the end of an epoch where so many seconds have passed since it began or was last kept: less is not
worth a file."""

DAMAGED = "checkpoint-damaged"
UNWRITTEN = "checkpoint-unwritten"

_FORMAT = 2
_DIGEST_BYTES = 32


class Checkpoint:
    """The checkpoint of one trial.

    It is written to a file beside it and then put in its place, so that a reader finds the old one, the new one or
    none. It holds tensors and plain values, and nothing in it is run when it is read.

    Args:
        folder: where it lies, made when the first one is written; None to keep nothing.
        key: of the trial.
        work: says what is trained, and by which code; what was kept of other work counts as nothing.
        always: keep whatever is handed over; else only after `EVERY_S` seconds.
    """

    def __init__(self, folder: Path | None, key: TrialKey, work: str = "", *, always: bool = False) -> None:
        self._file = None if folder is None or not folder.parent.is_dir() else folder / file_name(key)
        self._trial, self._work, self._always = str(key), work, always
        self._since = time.monotonic()
        self._incidents: list[str] = []

    @property
    def incidents(self) -> tuple[str, ...]:
        """What went wrong with it: `DAMAGED`, `UNWRITTEN`."""
        return tuple(dict.fromkeys(self._incidents))

    @property
    def due(self) -> bool:
        """Whether it is time to keep the trial."""
        return self._file is not None and (self._always or time.monotonic() - self._since >= EVERY_S)

    def load(self) -> Any:
        """Return what was kept of the trial; None where nothing was, or where it is damaged, which is noted."""
        if self._file is None or not self._file.exists():
            return None
        try:
            return self._read(self._file)
        except Exception:  # whatever it is, the trial can be run from its beginning
            self._incidents.append(DAMAGED)
            return None

    def holds(self) -> bool:
        """Return whether what was written can be read again, or could not be written."""
        try:
            if self._file is not None and self._file.exists():
                self._read(self._file)
            return True
        except Exception:
            return False

    def _read(self, file: Path) -> Any:
        content = file.read_bytes()
        if hashlib.sha256(content[_DIGEST_BYTES:]).digest() != content[:_DIGEST_BYTES]:
            raise ValueError("its checksum is another")
        kept = torch.load(io.BytesIO(content[_DIGEST_BYTES:]), map_location="cpu", weights_only=True)
        if (kept["format"], kept["trial"]) != (_FORMAT, self._trial):
            raise ValueError("it is of another trial or format")
        return kept["state"] if kept["work"] == self._work else None

    def save(self, state: Any) -> None:
        """Keep a trial. Where it cannot be written, the trial goes on and that is noted.

        Args:
            state: tensors, numbers, text, and tuples, lists and dicts of them.
        """
        assert self._file is not None
        buffer = io.BytesIO()
        torch.save({"format": _FORMAT, "trial": self._trial, "work": self._work, "state": state}, buffer)
        draft = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(exist_ok=True)
            with draft.open("wb") as file:
                file.write(hashlib.sha256(buffer.getbuffer()).digest())
                file.write(buffer.getbuffer())
            os.replace(draft, self._file)
        except OSError:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            self._incidents.append(UNWRITTEN)
        self._since = time.monotonic()


def file_name(key: TrialKey) -> str:
    """Return the name of the file of a trial: readable, and another one for every trial."""
    readable = re.sub(r"[^A-Za-z0-9.=-]+", "_", str(key))[:80]
    return f"{readable}_{hashlib.sha256(str(key).encode()).hexdigest()[:12]}.pt"


def remove_checkpoints(folder: Path, keys: Iterable[TrialKey]) -> None:
    """Remove the checkpoints of trials that are stored."""
    if folder.is_dir():
        for key in keys:
            for file in (folder / file_name(key), (folder / file_name(key)).with_suffix(".new")):
                file.unlink(missing_ok=True)


def keep_checkpoints(folder: Path, keys: Iterable[TrialKey]) -> None:
    """Remove all checkpoints but those of some trials, when none is running: what a stop ended is not wanted again."""
    kept = {file_name(key) for key in keys}
    for file in list(folder.glob("*.pt")) + list(folder.glob("*.new")):
        if file.with_suffix(".pt").name not in kept:
            file.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Remove the folder of checkpoints where none is left; no trial may be running."""
    with suppress(OSError):
        folder.rmdir()
