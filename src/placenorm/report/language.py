"""The reader's language: sentences from catalogues, numbers in the reader's digits, Latin terms kept in their order."""

import re
from functools import cache
from importlib import resources
from typing import Any, Final

from babel.numbers import format_decimal
from fluent.runtime import FluentBundle, FluentResource
from markupsafe import Markup, escape

from placenorm.errors import UsageError

LANGUAGES: Final = ("en", "fa")

RIGHT_TO_LEFT: Final = frozenset({"fa"})

_PERSIAN_DIGITS: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")

_LEFT_TO_RIGHT_MARK: Final = "\u200e"
"""Before a minus in Persian: it would stand behind its number otherwise (Unicode CLDR, fa)."""

_LATIN: Final = re.compile(r"[A-Za-z]+[A-Za-z0-9_./:=+×#'()\[\]-]*(?:\s+[A-Za-z0-9_./:=+×#'()\[\]-]*[A-Za-z0-9)\]])*")
"""A run of Latin words: what must keep its own direction in a Persian sentence."""


class Language:
    """Says things in one language.

    Args:
        code: ``en`` or ``fa``.

    Raises:
        UsageError: if there is no such language.
    """

    def __init__(self, code: str) -> None:
        if code not in LANGUAGES:
            raise UsageError(f"There is no language {code!r} here; use {' or '.join(LANGUAGES)}.")
        self.code = code
        self._bundle = _read_bundle(code)

    @property
    def direction(self) -> str:
        """``ltr`` or ``rtl``, as HTML wants it."""
        return "rtl" if self.code in RIGHT_TO_LEFT else "ltr"

    def has(self, key: str) -> bool:
        """Whether the catalogue has a message."""
        return bool(self._bundle.has_message(key))

    def say(self, key: str, **arguments: object) -> str:
        """Return a message; numbers among the arguments stand in the reader's digits.

        Args:
            key: its key in the catalogues of ``report/words``.
            arguments: what it needs, by name: text as it is, whole numbers, or floats with up to three digits behind
                the point. ``$seeds_count`` is the number behind a whole number ``$seeds``, to choose a plural by.

        Raises:
            KeyError: if there is no such message, or it needs an argument that is not there.
        """
        if not self.has(key):
            raise KeyError(f"no message {key!r} in the catalogue {self.code}")
        pattern = self._bundle.get_message(key).value
        given: dict[str, object] = {}
        for name, value in arguments.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                given[name] = str(value)
                continue
            given[name] = self.number(value, 0 if isinstance(value, int) else 3)
            if isinstance(value, int):
                given[f"{name}_count"] = value
        text, errors = self._bundle.format_pattern(pattern, given)
        if errors:
            raise KeyError(f"message {key!r} of the catalogue {self.code}: {errors[0]}")
        return str(text)

    def number(self, value: float, digits: int = 1, *, signed: bool = False) -> str:
        """Return a number with at most so many digits behind the point, in the reader's digits and signs."""
        pattern = "#,##0." + "#" * digits if digits else "#,##0"
        text = self._digits(format_decimal(value, format=pattern, locale=self.code, numbering_system="default"))
        return f"+{text}" if signed and value > 0 else text

    def _digits(self, text: str) -> str:
        if self.code != "fa":
            return text.replace("-", "−")
        return text.translate(_PERSIAN_DIGITS).replace("-", f"{_LEFT_TO_RIGHT_MARK}−")

    def isolate(self, text: str) -> Markup:
        """Return text for a page of this language: in Persian every Latin run is an element of its own direction."""
        if self.direction == "ltr":
            return escape(text)
        parts: list[Markup] = []
        end = 0
        for match in _LATIN.finditer(text):
            parts += [escape(text[end : match.start()]), Markup("<bdi>{}</bdi>").format(match.group())]
            end = match.end()
        return Markup("").join([*parts, escape(text[end:])])


@cache
def _read_bundle(code: str) -> Any:
    """Return the catalogue of a language: every ``.ftl`` file of its folder."""
    bundle = FluentBundle([code], use_isolating=False)
    folder = resources.files("placenorm.report").joinpath("words", code)
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".ftl"):
            bundle.add_resource(FluentResource(file.read_text(encoding="utf-8")))
    return bundle
