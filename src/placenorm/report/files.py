"""Files that are whole or not there."""

import os
from pathlib import Path

from placenorm.errors import StoreError


def replace_file(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there, so that a full disk leaves an older one as it was.

    Args:
        path: where it shall be; the folders above it are made.
        content: all of it.

    Raises:
        StoreError: if it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None
        raise StoreError(
            f"Cannot write {path}: {error.strerror or error}; free some space there, or name another place."
        ) from error
