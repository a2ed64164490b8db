"""The section ``[tool.placenorm]`` of a pyproject.toml: what a project asks of every check."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placenorm.errors import UsageError

_KEYS = ("select", "ignore")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project asks of every check.

    Attributes:
        select: codes, families or names of the rules to ask; empty for all.
        ignore: the same, of the rules not to ask.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


def read_settings(folder: Path) -> Settings:
    """Return the settings of the nearest pyproject.toml, in a folder or above it; the defaults where there is none.

    Raises:
        UsageError: if it cannot be read, or its section has an unknown key or a value that is no list of words.
    """
    file = next(
        (each / "pyproject.toml" for each in (folder, *folder.parents) if (each / "pyproject.toml").is_file()), None
    )
    if file is None:
        return Settings()
    try:
        held: Any = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("placenorm", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError) as error:
        raise UsageError(f"Cannot read {file}: {error}; mend it, or call from another folder.") from error
    if not isinstance(held, dict):
        raise UsageError(f"Cannot use [tool.placenorm] of {file}: it is no section; write it as a table.")
    for key, value in held.items():
        if key not in _KEYS:
            raise UsageError(f"Unknown key {key!r} in [tool.placenorm] of {file}: use one of {', '.join(_KEYS)}.")
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise UsageError(f'Cannot use {key} in [tool.placenorm] of {file}: write a list such as ["BN101"].')
    return Settings(**{key: tuple(value) for key, value in held.items()})
