"""One picture of a result, made without a browser."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import vl_convert

from placenorm.errors import UsageError
from placenorm.facts.comparison import Comparison, Verdict
from placenorm.report.charts import draw_curves, draw_differences
from placenorm.report.files import replace_file
from placenorm.report.palette import LIGHT
from placenorm.report.vega import Drawing
from placenorm.report.wording import count, split_advice

PANEL_WIDTH: Final = 400
"""Width of each of the two panels, in pixels: with axes and space between, the picture is about 900 wide."""

HEADLINE_COLUMNS: Final = 84
REASON_COLUMNS: Final = 132
PANEL_COLUMNS: Final = 56
"""Characters that fit into a line: of the headline, of the reason below it, of the title of a panel."""

PNG_SCALE: Final = 2.0
"""Pixels of the PNG for each pixel of the layout, for dense screens."""


def write_picture(comparison: Comparison, path: Path) -> None:
    """Write one picture of a result: the advice, the learning curves and the paired differences.

    Args:
        comparison: a comparison with a verdict.
        path: where to; ``.png`` or ``.svg`` says which of them.

    Raises:
        UsageError: if the name has another ending, or if there is no verdict to draw.
        StoreError: if it cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".svg"):
        raise UsageError(
            f"Cannot write the picture {path}: it is neither a .png nor a .svg; end its name in one of them."
        )
    if comparison.verdict is None:
        raise UsageError(f"Cannot draw {path}: the comparison has no verdict yet; finish it with --resume first.")
    if suffix == ".png":
        spec = compose_picture(comparison, comparison.verdict)
        replace_file(path, vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
    else:
        replace_file(path, draw_svg(comparison, comparison.verdict).encode())


def draw_svg(comparison: Comparison, verdict: Verdict) -> str:
    """Return the picture of a result as the text of an SVG."""
    svg: str = vl_convert.vegalite_to_svg(compose_picture(comparison, verdict))
    return svg


def compose_picture(comparison: Comparison, verdict: Verdict) -> dict[str, Any]:
    """Return the picture in Vega-Lite: learning curves on the left, the forest plot of the final metric on the right.

    Args:
        comparison: the comparison.
        verdict: its verdict.
    """
    forest = draw_differences(comparison, verdict.final, LIGHT)
    height = forest.spec["height"] if forest else 320
    panels = [draw_curves(comparison, LIGHT, height=height, legend=True), forest]
    drawn = [panel for panel in panels if panel is not None]
    headline, reason = split_advice(verdict.advice)
    settings = comparison.settings
    parts = [settings.model, settings.data or "own data", count(settings.seeds, "seed"), f"{settings.epochs} epochs"]
    return {
        "title": {
            "text": textwrap.wrap(headline, HEADLINE_COLUMNS) or [""],
            "subtitle": [*textwrap.wrap(reason, REASON_COLUMNS), " · ".join(parts)],
            "anchor": "start",
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
        "hconcat": [_panel(drawing, lines) for drawing, lines in zip(drawn, _wrap_titles(drawn), strict=True)],
        "resolve": {"scale": {"color": "independent", "shape": "independent"}},
        "config": drawn[0].spec["config"] if drawn else {},
    }


def _wrap_titles(drawings: Sequence[Drawing]) -> list[list[str]]:
    """Return the titles in lines, all in equally many, so that the panels start at one height."""
    wrapped = [textwrap.wrap(drawing.title, PANEL_COLUMNS) for drawing in drawings]
    most = max((len(lines) for lines in wrapped), default=0)
    return [lines + [""] * (most - len(lines)) for lines in wrapped]


def _panel(drawing: Drawing, title: list[str]) -> dict[str, Any]:
    outer = ("config", "background", "autosize", "padding", "width")
    inner = {key: value for key, value in drawing.spec.items() if key not in outer}
    head = {"text": title, "anchor": "start", "fontSize": 13, "color": LIGHT.ink, "offset": 12}
    return {**inner, "width": PANEL_WIDTH, "title": head}
