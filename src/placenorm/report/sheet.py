"""What all pages share: the style sheet, and the policy that keeps a page from loading anything."""

import base64
import hashlib
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Final

from placenorm.report.language import Language
from placenorm.report.palette import BADGES, DARK, LIGHT, MARKS, Theme

FONT: Final = "Vazirmatn"
FONT_FILE: Final = "vazirmatn-subset.woff2"
"""The font of Persian, cut down to Persian (fonts/OFL.txt, tools/subset_font.py)."""

PERSIAN_FONTS: Final = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
"""What draws Latin terms on a Persian page."""


def choose_font(theme: Theme, language: Language) -> Theme:
    """Return a theme with the font of a language."""
    return theme if language.direction == "ltr" else replace(theme, font=f"{FONT}, {PERSIAN_FONTS}")


def make_style(*more: str, persian: bool = False) -> str:
    """Return the style sheet, with the palette in front.

    Args:
        more: names of sheets that only some pages need.
        persian: whether the Persian font stands in it.
    """
    classes = "".join(
        f".slot-{slot}{{color:var(--slot-{slot});--norm:var(--slot-{slot})}}" for slot in range(len(MARKS))
    )
    light, dark = (
        _properties(LIGHT, page="#f7f8fa", accent="#00866a"),
        _properties(DARK, page="#0e1115", accent="#2fc79a"),
    )
    palette = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    sheets = "".join(read_part(name) for name in ("page.css", *more))
    return f"{_make_font_face() if persian else ''}{palette}{sheets}{classes}"


def _make_font_face() -> str:
    data = base64.b64encode(read_font(FONT_FILE)).decode()
    source = f"url(data:font/woff2;base64,{data}) format('woff2')"
    return f"@font-face{{font-family:{FONT};font-weight:100 900;src:{source}}}"


def _properties(theme: Theme, page: str, accent: str) -> str:
    named = {
        "ink": theme.ink,
        "muted": theme.muted,
        "grid": theme.grid,
        "band": theme.band,
        "surface": theme.surface,
        "page": page,
        "accent": accent,
        **{f"slot-{slot}": colour for slot, colour in enumerate(theme.swatches)},
        **{name: badge.light if theme is LIGHT else badge.dark for name, badge in BADGES.items()},
    }
    return "".join(f"--{name}:{value};" for name, value in named.items())


def make_content_policy(*scripts: str, font: bool = False) -> str:
    """Return a policy under which nothing is fetched and no script runs but these, even if a name slipped through.

    Args:
        scripts: the scripts of the page.
        font: whether the page has a font in its style sheet.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    fonts = " font-src data:;" if font else ""
    return (
        f"default-src 'none'; style-src 'unsafe-inline';{fonts} script-src {hashes}; base-uri 'none'; "
        "form-action 'none'"
    )


@cache
def read_part(name: str) -> str:
    """Return the text of a file of this folder."""
    return resources.files("placenorm.report").joinpath(name).read_text(encoding="utf-8")


@cache
def read_font(name: str) -> bytes:
    """Return a file of the folder of fonts."""
    return resources.files("placenorm.report").joinpath("fonts", name).read_bytes()
