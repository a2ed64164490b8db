"""Looks as JSON Lines, written while the training goes on."""

import contextlib
import warnings
from pathlib import Path
from typing import Final, TextIO

from placenorm.errors import PlacenormWarning, StoreError
from placenorm.facts.codec import dumps
from placenorm.facts.reading import Look

MAX_BYTES: Final = 256 * 2**20
"""Size at which a log ends: a file that fills a disk would end the training it watches."""


class LooksLog:
    """Writes a line for each look: ``{"format": 1, "fact": Look}``; each is on the disk before the next step.

    A log that can no longer be written ends with a warning, and the training goes on.

    Args:
        path: the file; an older one is replaced.
        limit_bytes: size at which it ends.

    Raises:
        StoreError: if it cannot be begun.
    """

    def __init__(self, path: Path, limit_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._left_bytes = limit_bytes
        self._file: TextIO | None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"Cannot write {path}: {error.strerror or error}; name another place for the log."
            ) from error

    def add(self, look: Look) -> None:
        """Write a look."""
        if self._file is None:
            return
        line = dumps(look) + "\n"
        self._left_bytes -= len(line.encode())
        if self._left_bytes < 0:
            self._give_up("it has reached its limit; look less often, or at level light")
            return
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _give_up(self, why: str) -> None:
        with contextlib.suppress(OSError):
            self.close()
        warnings.warn(f"The log {self._path} ends here: {why}; the training goes on.", PlacenormWarning, stacklevel=2)
