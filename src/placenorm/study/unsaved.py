"""Finished trials that a storage would not take, in a file beside it, until the run goes on."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from placenorm.errors import StoreError
from placenorm.facts.codec import decode, encode
from placenorm.facts.trial import TrialResult

UNSAVED = "unsaved.jsonl"

RESERVE = ".reserve"
RESERVE_BYTES = 256 * 1024
"""Kept free for those trials, since the disk may be what is full: about a hundred trials of 2 kB."""


class UnsavedTrials:
    """The file, with a reserve that is given up when it is needed.

    Args:
        folder: where it lies.
        place: what the trials belong to; those of another place stay in the file.
    """

    def __init__(self, folder: Path, place: str) -> None:
        self.path = folder / UNSAVED
        self._reserve = folder / RESERVE
        self._place = place

    def reserve(self) -> None:
        """Keep some room on the disk; without it, the file is written where there is room all the same."""
        with suppress(OSError):
            self._reserve.write_bytes(bytes(RESERVE_BYTES))

    def release(self) -> None:
        """Give the room back."""
        with suppress(OSError):
            self._reserve.unlink()

    def append(self, result: TrialResult) -> bool:
        """Write a trial down; return whether that could be done."""
        self.release()
        line = json.dumps({"place": self._place, "trial": encode(result)}, allow_nan=False)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        return True

    def read(self) -> list[TrialResult]:
        """Return the trials of this place; a last line that is half written is none.

        Raises:
            StoreError: if the file cannot be read.
        """
        return [
            decode(TrialResult, each["trial"], str(self.path))
            for each in self._read_lines()
            if each["place"] == self._place
        ]

    def clear(self) -> None:
        """Forget the trials of this place, since they are stored; those of others stay."""
        rest = [each for each in self._read_lines() if each["place"] != self._place]
        if not rest:
            self.path.unlink(missing_ok=True)
            return
        draft = self.path.with_suffix(".new")
        draft.write_text(_join(rest), encoding="utf-8")
        os.replace(draft, self.path)

    def _read_lines(self) -> list[dict[str, Any]]:
        try:
            return [json.loads(line) for line in self.path.read_text(encoding="utf-8").split("\n")[:-1]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise StoreError(
                f"Cannot read {self.path}, which holds trials that were not stored: {error}; restore it, or remove it "
                "to have these trials run again."
            ) from error


def _join(lines: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)
