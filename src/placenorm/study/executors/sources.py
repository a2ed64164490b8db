"""The user's own files for machines that do not have them: read here, and laid where they are found there."""

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from placenorm.errors import UsageError
from placenorm.lookup import redirect_files, source_file

MOST_BYTES = 20_000_000
"""Python files beside the user's own that together are larger are no code of one project."""


_kept: list[tempfile.TemporaryDirectory[str]] = []


@dataclass(frozen=True, slots=True)
class Sources:
    """Files of one machine.

    Attributes:
        folder: the working directory there, which relative names start from.
        files: content by absolute path.
    """

    folder: str
    files: dict[str, bytes]


def collect_sources(references: Iterable[str], others: Iterable[str] = ()) -> Sources:
    """Return the files that references name, with all Python files beside and below them; and other files.

    Args:
        references: ``path/to/file.py:Name`` or ``package.module:name``; what lies in no file is passed over.
        others: files that are no code, such as a checkpoint, of any size.

    Raises:
        UsageError: if they are too large to be sent.
    """
    files: dict[str, bytes] = {}
    size = 0
    for reference in references:
        file = source_file(reference)
        for each in [] if file is None else [file, *file.parent.rglob("*.py")]:
            if str(each) not in files and not _is_left_out(each.relative_to(file.parent)):  # type: ignore[union-attr]
                files[str(each)] = each.read_bytes()
                size += len(files[str(each)])
                if size > MOST_BYTES:
                    raise UsageError(
                        f"Cannot send the code around {reference} to the cluster: its folder holds more than "
                        f"{MOST_BYTES // 1_000_000} MB of Python files; put it into a folder of its own."
                    )
    for other in others:
        path = Path(other).expanduser().resolve()
        files[str(path)] = path.read_bytes()
    return Sources(str(Path.cwd()), files)


def receive_sources(sources: Sources) -> None:
    """Let this process find files of another machine: in their own place if they lie there alike, else in a copy."""
    if all(_is_alike(Path(path), content) for path, content in sources.files.items()):
        redirect_files(Path(sources.folder), None)
        return
    _kept.append(tempfile.TemporaryDirectory(prefix="placenorm-sources-"))  # for the life of this process
    root = Path(_kept[-1].name)
    for path, content in sources.files.items():
        copy = root / Path(path).relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)
    redirect_files(Path(sources.folder), root)


def _is_left_out(path: Path) -> bool:
    return any(part.startswith(".") or part in ("site-packages", "node_modules", "__pycache__") for part in path.parts)


def _is_alike(file: Path, content: bytes) -> bool:
    try:
        return file.read_bytes() == content
    except OSError:
        return False
