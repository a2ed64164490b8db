"""Pictures of claims, made without a browser: all verdicts as one, and each chart by itself."""

import textwrap
from pathlib import Path
from typing import Any, Final

import altair as alt

from placenorm.errors import UsageError
from placenorm.facts.claim import Chart, ClaimsReport
from placenorm.report.claim_charts import draw_chart
from placenorm.report.claims_wording import COLUMNS, name_effect, say_facts, say_headline, say_part, show_effect
from placenorm.report.language import Language
from placenorm.report.palette import BADGES, LIGHT
from placenorm.report.sheet import choose_font
from placenorm.report.svg import draw_svg, write_svg
from placenorm.report.vega import OPAQUE, finish_spec, inline

WIDTH: Final = 860
PANEL_WIDTH: Final = 380
ONE_WIDTH: Final = 640
"""Widths of the drawn areas, in pixels: of all verdicts, of a panel among several, and of the only one."""

ROW, RAIL = 66, 18
"""Height of a claim's row, and how far below its middle its mark stands, in pixels."""

TITLE_COLUMNS: Final = 88
CAPTION_COLUMNS: Final = 120
EFFECT_COLUMNS: Final = 128
"""Characters that fit into a line."""

SUFFIXES: Final = (".svg", ".png")


def write_board(report: ClaimsReport, path: Path, language: Language) -> None:
    """Write the verdicts of all claims as one picture.

    Raises:
        UsageError: if the file is neither a .png nor a .svg, or there is no verdict yet.
        StoreError: if it cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"Cannot write the picture {path}: it is neither a .png nor a .svg; end its name in one.")
    if not report.results:
        raise UsageError(f"Cannot draw {path}: no claim has a verdict yet; finish the run with --resume first.")
    write_svg(draw_svg(compose_board(report, language), language), path, language)


def write_chart(chart: Chart, folder: Path, language: Language) -> list[Path]:
    """Write a chart of a claim into a folder, as ``<chart>.svg`` and ``<chart>.png``, and return both files.

    Raises:
        StoreError: if they cannot be written.
    """
    svg = draw_svg(compose_chart(chart, language), language)
    targets = [folder / f"{chart.name}{suffix}" for suffix in SUFFIXES]
    for target in targets:
        write_svg(svg, target, language)
    return targets


def compose_board(report: ClaimsReport, language: Language) -> dict[str, Any]:
    """Return the verdicts of all claims in Vega-Lite: a row a claim, a column an outcome, and the deciding number."""
    theme, embed = choose_font(LIGHT, language), language.embed
    right = language.direction == "rtl"
    columns = list(COLUMNS if not right else reversed(COLUMNS))
    names = {outcome: embed(language.say(f"outcome-{outcome}")) for outcome in columns}
    rows: list[dict[str, Any]] = []
    for place, result in enumerate(report.results):
        outcome, effects = result.ruling.outcome, result.ruling.effects
        effect = f"{name_effect(result, effects[0], language)}: {show_effect(effects[0], language)}" if effects else ""
        rows.append(
            {
                "top": ROW * (place + 0.5),
                "outcome": names[outcome],
                "title": embed(f"{result.number}  {say_part(result, 'title', language)}"),
                "effect": embed(textwrap.shorten(effect, EFFECT_COLUMNS, placeholder=" …")),
            }
        )
    height = ROW * max(1, len(rows))
    y = alt.Y("top:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False, zero=False))
    colours = [BADGES[outcome].light for outcome in columns]
    shapes = [BADGES[outcome].mark for outcome in columns]
    domain = list(names.values())
    x = alt.X(
        "outcome:N",
        scale=alt.Scale(domain=domain, type="point", padding=0.5),
        axis=alt.Axis(
            orient="top",
            title=None,
            labelAngle=0,
            domain=False,
            ticks=False,
            labelFontSize=13,
            labelFontWeight=600,
            labelPadding=14,
        ),
    )
    base = alt.Chart(inline(rows)).encode(y=y)
    rails = alt.Chart(inline([{"top": row["top"] + RAIL} for row in rows]))
    side, edge = ("right", alt.value("width")) if right else ("left", alt.value(0))
    words: dict[str, Any] = {"align": side, "limit": alt.ExprRef("width")}
    layers = [
        rails.mark_rule(color=theme.grid).encode(y=y),
        base.mark_text(dy=-22, fontSize=14, fontWeight=600, color=theme.ink, **words).encode(x=edge, text="title:N"),
        base.mark_text(dy=-4, fontSize=12, color=theme.muted, **words).encode(x=edge, text="effect:N"),
        base.mark_point(filled=True, size=620, opacity=OPAQUE, yOffset=RAIL).encode(
            x=x,
            color=alt.Color("outcome:N", scale=alt.Scale(domain=domain, range=colours), legend=None),
            shape=alt.Shape("outcome:N", scale=alt.Scale(domain=domain, range=shapes), legend=None),
        ),
    ]
    spec = finish_spec(layers, height, theme)
    head = [say_headline(report, language)]
    return _frame(spec, head, " · ".join(say_facts(report, language)), WIDTH, language)


def compose_chart(chart: Chart, language: Language) -> dict[str, Any]:
    """Return a chart of a claim in Vega-Lite, with its title, its axes' titles and its legend."""
    theme = choose_font(LIGHT, language)
    drawing = draw_chart(chart, language, theme, alone=True)
    if len(drawing.panels) == 1:
        spec, width = drawing.panels[0].spec, ONE_WIDTH
        return _frame(spec, textwrap.wrap(drawing.title, TITLE_COLUMNS), drawing.caption, width, language)
    panels = []
    for panel in drawing.panels:
        head = {"text": language.embed(panel.title), **_anchor(language), "fontSize": 13, "color": theme.ink}
        panels.append({**_inner(panel.spec), "width": PANEL_WIDTH, "title": head})
    spec = {"concat": panels, "columns": 2, "spacing": 28, "config": drawing.panels[0].spec["config"]}
    return _frame(spec, textwrap.wrap(drawing.title, TITLE_COLUMNS), drawing.caption, None, language)


def _frame(spec: dict[str, Any], title: list[str], below: str, width: int | None, language: Language) -> dict[str, Any]:
    theme = choose_font(LIGHT, language)
    lines = textwrap.wrap(below, CAPTION_COLUMNS)
    head = {
        "text": [language.embed(line) for line in title] or [""],
        "subtitle": [language.embed(line) for line in lines],
        **_anchor(language),
        "fontSize": 17,
        "fontWeight": 700,
        "color": theme.ink,
        "subtitleColor": theme.muted,
        "subtitleFontSize": 12,
        "subtitleLineHeight": 17,
        "subtitlePadding": 6,
        "offset": 18,
    }
    sized = _inner(spec) if width is None else {**_inner(spec), "width": width}
    return {**sized, "title": head, "background": theme.surface, "padding": 18, "config": spec["config"]}


def _anchor(language: Language) -> dict[str, str]:
    return {"anchor": "end" if language.direction == "rtl" else "start", "frame": "bounds"}


def _inner(spec: dict[str, Any]) -> dict[str, Any]:
    outer = ("config", "background", "autosize", "padding", "width")
    return {key: value for key, value in spec.items() if key not in outer}
