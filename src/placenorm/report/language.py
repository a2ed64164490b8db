"""The reader's language: sentences from catalogues, numbers in the reader's digits, Latin terms kept in their order."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

from babel.lists import format_list
from babel.numbers import format_decimal
from fluent.runtime import FluentBundle, FluentResource
from markupsafe import Markup, escape

from placenorm.errors import UsageError

LANGUAGES: Final = ("en", "fa")

RIGHT_TO_LEFT: Final = frozenset({"fa"})

_PERSIAN_DIGITS: Final = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")

_RAISED: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_FEWEST_ZEROS, _MOST_PLACES = 3, 6
"""A number from 0.001 to 999,999 is written out."""

_NO_BREAK: Final = "\u00a0"

_LEFT_TO_RIGHT_MARK: Final = "\u200e"
"""Before a minus in Persian: it would stand behind its number otherwise (Unicode CLDR, fa)."""

_NUMERAL: Final = re.compile(r"(?<![\w.])([−+-]?\d+(?:,\d{3})*(?:\.\d+)?)(?:e([+-]?\d+))?(?![\w])")
"""A number in Latin numerals that is no part of a name."""

_BARE_SIGN: Final = re.compile(r"(?<![\w\u200e])[−+](?=[۰-۹])")

_TOKEN = r"[A-Za-z0-9_./:=+×√²#%@'()\[\]<>|-]"
_LATIN: Final = re.compile(
    rf"(?:(?<!\w)-{{1,2}}|[0-9][0-9.×]*)?\|?[A-Za-z√]{_TOKEN}*(?:\s(?:[−+=×·/<>≤≥&-]\s(?:[۰-۹]+\)?)?)?{_TOKEN}*(?<=\S))*"
)
"""A run of Latin words, or a formula: what must keep its own direction in a Persian sentence."""

_BRACKETS: Final = {")": "(", "]": "["}

_POINTED: Final = " \t\n.,:;'/=<>|-"
"""What belongs to the sentence, and not to the Latin run in front of it."""

ISOLATE_RTL, ISOLATE_LTR, END_ISOLATE = "\u2067", "\u2066", "\u2069"


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
            arguments: what it needs, by name: text as it is, whole numbers, or floats with one to three digits behind
                the point, so that no plural has to be chosen by one: ``1.0 points``. ``$seeds_count`` is the number
                behind a whole number ``$seeds``, to choose a plural by.

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
            if isinstance(value, int):
                given[name], given[f"{name}_count"] = self.number(value, 0), value
            else:
                given[name] = self.number(value, 3, least=1)
        text, errors = self._bundle.format_pattern(pattern, given)
        if errors:
            raise KeyError(f"message {key!r} of the catalogue {self.code}: {errors[0]}")
        return str(text) if self.direction == "ltr" else _BARE_SIGN.sub(f"{_LEFT_TO_RIGHT_MARK}\\g<0>", str(text))

    def number(self, value: float, digits: int = 1, *, least: int = 0, signed: bool = False) -> str:
        """Return a number in the reader's digits and signs.

        Args:
            value: the number.
            digits: at most so many digits stand behind the point.
            least: at least so many do, zeros among them.
            signed: whether a number above 0 has a plus.
        """
        pattern = "#,##0." + "0" * least + "#" * (digits - least) if digits else "#,##0"
        value = round(value, digits) + 0.0  # + 0.0: no minus before a 0
        text = self._digits(format_decimal(value, format=pattern, locale=self.code, numbering_system="default"))
        return f"{self._plus}{text}" if signed and value > 0 else text

    @property
    def _plus(self) -> str:
        return "+" if self.direction == "ltr" else f"{_LEFT_TO_RIGHT_MARK}+"

    def scientific(self, value: float, digits: int = 3, *, least: int = 0) -> str:
        """Return a number with so many digits that count; one that is very small or large with a power of ten.

        Args:
            value: the number.
            digits: how many digits count.
            least: at least so many of them stand behind the point, where there are so many left: ``1.0``, and ``120``.
        """
        if value == 0 or not math.isfinite(value):
            return self.number(0, 0) if value == 0 else ("∞" if value > 0 else "−∞" if value < 0 else "–")
        exponent = math.floor(math.log10(abs(value)))
        if -_FEWEST_ZEROS <= exponent < _MOST_PLACES:
            places = max(0, digits - 1 - exponent)
            return self.number(value, places, least=min(least, places))
        mantissa = self.number(value / 10.0**exponent, digits - 1)
        power = str(exponent).translate(_RAISED)
        factor = "" if mantissa == self.number(1, 0) else f"{mantissa}{_NO_BREAK}×{_NO_BREAK}"
        text = f"{factor}{self.number(10, 0)}{power}"
        return text if self.direction == "ltr" else f"{ISOLATE_LTR}{text}{END_ISOLATE}"

    def figures(self, text: str) -> str:
        """Return text that was written with Latin numerals with those of the language: ``0.03, 0.1``."""
        if self.direction == "ltr":
            return text
        return _NUMERAL.sub(lambda found: self._turn_numeral(*found.groups()), text).replace(", ", "، ")

    def _turn_numeral(self, numeral: str, exponent: str | None = None) -> str:
        if exponent is not None:
            power = str(int(exponent)).translate(_RAISED)
            times = f"{_NO_BREAK}×{_NO_BREAK}{self.number(10, 0)}{power}"
            return f"{ISOLATE_LTR}{self._turn_numeral(numeral)}{times}{END_ISOLATE}"
        turned = numeral.translate(_PERSIAN_DIGITS).replace(",", "٬").replace(".", "٫")
        sign = {"-": "−", "−": "−", "+": "+"}.get(turned[0], "")
        return f"{_LEFT_TO_RIGHT_MARK}{sign}{turned[1:]}" if sign else turned

    def join(self, parts: Sequence[str]) -> str:
        """Return parts of a sentence as a list: ``one, two, and three``."""
        return str(format_list(list(parts), locale=self.code))

    def chain(self, parts: Iterable[str]) -> str:
        """Return parts one behind the other, with commas between them: ``one, two, three``."""
        return (", " if self.direction == "ltr" else "، ").join(parts)

    @property
    def numerals(self) -> dict[str, Any]:
        """The digits and signs of this language for d3, which writes the numbers of charts."""
        if self.direction == "ltr":
            return {
                "decimal": ".",
                "thousands": ",",
                "grouping": [3],
                "currency": ["", ""],
                "minus": "−",
                "percent": "\u00a0%",
            }
        return {
            "decimal": "٫",
            "thousands": "٬",
            "grouping": [3],
            "currency": ["", ""],
            "numerals": [*"۰۱۲۳۴۵۶۷۸۹"],
            "minus": f"{_LEFT_TO_RIGHT_MARK}−",
            "percent": "٪",
        }

    def _digits(self, text: str) -> str:
        if self.code != "fa":
            return text.replace("-", "−")
        return text.translate(_PERSIAN_DIGITS).replace("-", f"{_LEFT_TO_RIGHT_MARK}−")

    def isolate(self, text: str) -> Markup:
        """Return text for a page of this language: in Persian every Latin run is an element of its own direction."""
        if self.direction == "ltr":
            return escape(text)
        return Markup("").join(
            Markup("<bdi>{}</bdi>").format(part) if is_latin else escape(part) for part, is_latin in _find_latin(text)
        )

    def embed(self, text: str) -> str:
        """Return text for a place that reads from the left and takes no elements, such as a chart."""
        if self.direction == "ltr" or not text:
            return text
        parts = [f"{ISOLATE_LTR}{part}{END_ISOLATE}" if is_latin else part for part, is_latin in _find_latin(text)]
        return f"{ISOLATE_RTL}{''.join(parts)}{END_ISOLATE}"


def _find_latin(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text, and whether each is a Latin run."""
    end = 0
    while match := _LATIN.search(text, end):
        run = _trim(match.group())
        yield text[end : match.start()], False
        yield run, True
        end = match.start() + len(run)
    yield text[end:], False


def _trim(run: str) -> str:
    """Return a Latin run without brackets that do not close in it, and without what ends the sentence."""
    opened: list[int] = []
    for place, letter in enumerate(run):
        if letter in _BRACKETS.values():
            opened.append(place)
        elif letter in _BRACKETS and not opened:
            return _trim(run[:place])
        elif letter in _BRACKETS:
            opened.pop()
    kept = (run[: opened[0]] if opened else run).rstrip(_POINTED)
    return kept if kept == run else _trim(kept)


@cache
def _read_bundle(code: str) -> Any:
    """Return the catalogue of a language: every ``.ftl`` file of its folder."""
    bundle = FluentBundle([code], use_isolating=False)
    folder = resources.files("placenorm.report").joinpath("words", code)
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".ftl"):
            bundle.add_resource(FluentResource(file.read_text(encoding="utf-8")))
    return bundle


ENGLISH: Final = Language("en")
"""What is written where no language is asked for."""
