"""What all pages share: the style sheet, and the policy that keeps a page from loading anything."""

import base64
import hashlib
from functools import cache
from importlib import resources

from placenorm.report.palette import DARK, LIGHT, MARKS, Theme


def make_style() -> str:
    """Return the style sheet, with the palette in front."""
    classes = "".join(
        f".slot-{slot}{{color:var(--slot-{slot});--norm:var(--slot-{slot})}}" for slot in range(len(MARKS))
    )
    light, dark = (
        _properties(LIGHT, page="#f7f8fa", accent="#00866a"),
        _properties(DARK, page="#0e1115", accent="#2fc79a"),
    )
    palette = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return f"{palette}{read_part('page.css')}{classes}"


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
    }
    return "".join(f"--{name}:{value};" for name, value in named.items())


def make_content_policy(*scripts: str) -> str:
    """Return a policy under which nothing is fetched and no script runs but these, even if a name slipped through."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}; base-uri 'none'; form-action 'none'"


@cache
def read_part(name: str) -> str:
    """Return the text of a file of this folder."""
    return resources.files("placenorm.report").joinpath(name).read_text(encoding="utf-8")
