"""Facts in and out of JSON, with a format version."""

import json
from typing import Any, TypeVar

import cattrs
from cattrs.preconf.json import make_converter

from placenorm.errors import StoreError

FORMAT_VERSION = 1
"""Raised by one whenever an older reader would misread a newer file."""

T = TypeVar("T")

_converter = make_converter(forbid_extra_keys=True)


def encode(fact: object) -> dict[str, Any]:
    """Return a fact as plain values that JSON can hold."""
    return {"format": FORMAT_VERSION, "fact": _converter.unstructure(fact)}


def decode(kind: type[T], plain: dict[str, Any], where: str) -> T:
    """Return the fact of a kind from what `encode` gave.

    Args:
        kind: the dataclass to make.
        plain: what `encode` returned, after a trip through JSON.
        where: file or table it was read from, for the error.

    Raises:
        StoreError: if it was written in another format or is not such a fact.
    """
    version = plain.get("format") if isinstance(plain, dict) else None
    if version != FORMAT_VERSION:
        raise StoreError(
            f"Cannot read {where}: it is in format {version}, this placenorm reads format {FORMAT_VERSION}; "
            "read it with the version that wrote it, or repeat the run in a new folder."
        )
    try:
        return _converter.structure(plain["fact"], kind)
    except (cattrs.BaseValidationError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"Cannot read {where}: it is damaged or not a {kind.__name__} ({type(error).__name__}); "
            "restore the file, or repeat the run in a new folder."
        ) from error


def dumps(fact: object) -> str:
    """Return a fact as one line of JSON; a number that is not finite raises ValueError."""
    return json.dumps(encode(fact), allow_nan=False, ensure_ascii=False)


def loads(kind: type[T], text: str, where: str) -> T:
    """Return the fact of a kind from the text of `dumps`.

    Raises:
        StoreError: if the text is no JSON, or as `decode`.
    """
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise StoreError(
            f"Cannot read {where}: it is not JSON ({error}); restore the file or use a new folder."
        ) from error
    return decode(kind, plain, where)
