"""One picture of a result, made without a browser."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from placenorm.errors import UsageError
from placenorm.facts.comparison import Comparison
from placenorm.report.charts import draw_curves, draw_differences
from placenorm.report.language import END_ISOLATE, ENGLISH, ISOLATE_RTL, Language
from placenorm.report.palette import LIGHT
from placenorm.report.sheet import choose_font
from placenorm.report.svg import draw_svg, write_svg
from placenorm.report.vega import Drawing
from placenorm.report.verdict_wording import put_into_words
from placenorm.report.wording import count_seeds, say_count, split_advice

PANEL_WIDTH: Final = 400
"""Width of each of the two panels, in pixels: with axes and space between, the picture is about 900 wide."""

HEADLINE_COLUMNS: Final = 84
REASON_COLUMNS: Final = 132
PANEL_COLUMNS: Final = 56
"""Characters that fit into a line: of the headline, of the reason below it, of the title of a panel."""


def write_picture(comparison: Comparison, path: Path, language: Language = ENGLISH) -> None:
    """Write one picture of a result: the advice, the learning curves and the paired differences.

    Args:
        comparison: a comparison with a verdict.
        path: where to; ``.png`` or ``.svg`` says which of them.
        language: of the reader.

    Raises:
        UsageError: if the name has another ending, or if there is no verdict to draw.
        StoreError: if it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg"):
        raise UsageError(
            f"Cannot write the picture {path}: it is neither a .png nor a .svg; end its name in one of them."
        )
    write_svg(draw_picture(comparison, language), path, language)


def draw_picture(comparison: Comparison, language: Language = ENGLISH) -> str:
    """Return the picture of a result as the text of an SVG."""
    return draw_svg(compose_picture(comparison, language), language)


def compose_picture(comparison: Comparison, language: Language = ENGLISH) -> dict[str, Any]:
    """Return the picture in Vega-Lite: learning curves on the left, the forest plot of the final metric on the right.

    Args:
        comparison: a comparison with a verdict.
        language: of the reader.

    Raises:
        UsageError: if there is no verdict to draw.
    """
    spoken = put_into_words(comparison, language)
    verdict = spoken.verdict
    if verdict is None:
        raise UsageError("Cannot draw the comparison: it has no verdict yet; finish it with --resume first.")
    theme, embed = choose_font(LIGHT, language), language.embed
    forest = draw_differences(spoken, verdict.final, theme, language)
    height = forest.spec["height"] if forest else 320
    panels = [draw_curves(spoken, theme, language, height=height, legend=True), forest]
    drawn = [panel for panel in panels if panel is not None]
    headline, reason = split_advice(verdict.advice)
    settings = comparison.settings
    parts = [
        settings.model,
        settings.data or language.say("picture-own-data"),
        say_count("seeds", count_seeds(comparison), language),
        say_count("epochs", settings.epochs, language),
    ]
    return {
        "title": {
            "text": [embed(line) for line in _wrap(headline, HEADLINE_COLUMNS)] or [""],
            "subtitle": [*(embed(line) for line in _wrap(reason, REASON_COLUMNS)), _join(parts, language)],
            "anchor": "start" if language.direction == "ltr" else "end",
            "fontSize": 19,
            "fontWeight": 700,
            "color": LIGHT.ink,
            "subtitleColor": LIGHT.muted,
            "subtitleFontSize": 13,
            "subtitleLineHeight": 18,
            "subtitlePadding": 6,
            "offset": 22,
        },
        "background": LIGHT.surface,
        "padding": 18,
        "spacing": 36,
        "hconcat": [
            _panel(drawing, lines, language) for drawing, lines in zip(drawn, _wrap_titles(drawn), strict=True)
        ],
        "resolve": {"scale": {"color": "independent", "shape": "independent"}},
        "config": drawn[0].spec["config"] if drawn else {},
    }


def _wrap(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, columns, break_on_hyphens=False)  # a name stays whole


def _join(parts: Sequence[str], language: Language) -> str:
    """Return parts beside each other in the direction of a language, each in its own."""
    line = " · ".join(map(language.embed, parts))
    return line if language.direction == "ltr" else f"{ISOLATE_RTL}{line}{END_ISOLATE}"


def _wrap_titles(drawings: Sequence[Drawing]) -> list[list[str]]:
    """Return the titles in lines, all in equally many, so that the panels start at one height."""
    wrapped = [_wrap(drawing.title, PANEL_COLUMNS) for drawing in drawings]
    most = max((len(lines) for lines in wrapped), default=0)
    return [lines + [""] * (most - len(lines)) for lines in wrapped]


def _panel(drawing: Drawing, title: list[str], language: Language) -> dict[str, Any]:
    outer = ("config", "background", "autosize", "padding", "width")
    inner = {key: value for key, value in drawing.spec.items() if key not in outer}
    lines, anchor = [language.embed(line) for line in title], "start" if language.direction == "ltr" else "end"
    head = {"text": lines, "anchor": anchor, "fontSize": 13, "color": LIGHT.ink, "offset": 12}
    return {**inner, "width": PANEL_WIDTH, "title": head}
