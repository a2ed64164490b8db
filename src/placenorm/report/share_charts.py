"""What is on inside the networks of a comparison: heat maps of dead and active shares, layer by layer."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final, Literal

import altair as alt

from placenorm.facts.comparison import Comparison
from placenorm.facts.trial import DeadShare
from placenorm.report.language import ENGLISH, Language
from placenorm.report.palette import Theme
from placenorm.report.vega import (
    Drawing,
    Row,
    colour_of,
    finish_spec,
    inline,
    make_room,
    name_rows,
    tip,
)
from placenorm.report.wording import format_share, say_share

Kind = Literal["dead", "active"]

ROW: Final = 66
"""Height of a row: a line of text above its cells, in pixels."""

CELL: Final = 30
CELL_DOWN: Final = 12
"""Height of a cell, and how far below the middle of its row it stands, in pixels."""

LEGIBLE: Final = 34
"""A cell that is narrower, in pixels, shows no number; hovering over it does."""

FAINT: Final = 0.04
STRONG: Final = 0.5
"""Opacity of a cell at none and at the most: text in ink stays legible on each (WCAG 2.2, 1.4.3)."""

NAMED: Final = 12
"""Of more layers than this, only some have their names below the cells."""

TIPS: Final = {"shown": "mean-share", "least": "fewest", "most": "most", "seeds": "seeds"}
"""What hovering over a cell shows of it, and the words for that."""


def draw_shares(comparison: Comparison, kind: Kind, theme: Theme, language: Language = ENGLISH) -> Drawing | None:
    """Return the share of dead units, or of active values, of every activation: a row a variant, a column a layer.

    Args:
        comparison: the comparison.
        kind: ``dead`` for units that no validation sample switches on, ``active`` for values that are on.
        theme: the colours.
        language: of the reader.

    Returns:
        The chart, or None where no activation can die or none was watched.
    """
    cells = _make_cells(comparison, kind, language)
    if not cells:
        return None
    means = {
        variant.name: fmean(found)
        for variant in comparison.variants
        if (found := [cell["share"] for cell in cells if cell["variant"] == variant.name])
    }
    title = _say_title(cells, means, kind, language)
    top = 100.0 if kind == "active" else max(1.0, *(cell["share"] for cell in cells))
    most = say_share(top, language)
    return Drawing(
        name=f"{kind}-shares",
        title=title,
        caption=language.say(f"draw-{kind}-caption", most=most),
        alt=language.say(
            f"draw-{kind}-alt",
            rows="; ".join(f"{name} {say_share(mean, language)}" for name, mean in means.items()),
            title=title,
        ),
        spec=finish_spec(_draw_cells(comparison, cells, means, top, theme, language), ROW * len(means), theme),
    )


def _make_cells(comparison: Comparison, kind: Kind, language: Language) -> list[Row]:
    """Return a cell for every activation, in the order of the network, and variant."""
    shares: dict[tuple[str, str], list[float]] = {}
    for trial in comparison.chosen:
        for entry in trial.dead:
            share = _read_share(entry, kind)
            if share is not None:
                shares.setdefault((entry.activation, trial.key.variant), []).append(share)
    order = _order_activations(comparison, {activation for activation, _ in shares})
    return [
        {
            "activation": activation,
            "variant": variant.name,
            "share": fmean(found),
            "text": language.figures(format_share(fmean(found)).removesuffix(" %")),
            "shown": say_share(fmean(found), language),
            "least": say_share(min(found), language),
            "most": say_share(max(found), language),
            "seeds": language.number(len(found), 0),
        }
        for activation in order
        for variant in comparison.variants
        if (found := shares.get((activation, variant.name)))
    ]


def _read_share(entry: DeadShare, kind: Kind) -> float | None:
    """Return what is drawn of one activation in one trial, in percent; None where it was not measured."""
    if kind == "active":
        return None if entry.active is None else 100.0 * entry.active
    return 100.0 * entry.dead / entry.units if entry.units else None


def _order_activations(comparison: Comparison, wanted: set[str]) -> list[str]:
    """Return the activations in the order they run; the ones that no graph knows come last."""
    keys = [op.key for variant in comparison.variants for op in variant.graph.ops if op.key in wanted]
    return list(dict.fromkeys([*keys, *sorted(wanted)]))


def _say_title(cells: Sequence[Row], means: dict[str, float], kind: Kind, language: Language) -> str:
    """Return what the chart says: where most units are dead, or where the most and the fewest values are on."""
    if kind == "active":
        low, high = min(means, key=lambda name: means[name]), max(means, key=lambda name: means[name])
        least, most = say_share(means[low], language), say_share(means[high], language)
        if least == most:
            return language.say("draw-active-even", share=most)
        return language.say("draw-active-title", low=low, least=least, high=high, most=most)
    worst = max(cells, key=lambda cell: float(cell["share"]))
    if not worst["share"]:
        return language.say("draw-dead-none")
    return language.say(
        "draw-dead-title", variant=worst["variant"], share=worst["shown"], activation=worst["activation"]
    )


def _draw_cells(
    comparison: Comparison, cells: Sequence[Row], means: dict[str, float], top: float, theme: Theme, language: Language
) -> list[alt.Chart]:
    rows = [
        {
            "variant": variant.name,
            "line": language.embed(variant.label),
            "tags": language.embed(language.say("draw-shares-mean", share=say_share(means[variant.name], language))),
        }
        for variant in comparison.variants
        if variant.name in means
    ]
    y = alt.Y("variant:N", sort=[row["variant"] for row in rows], axis=None)
    order = list(dict.fromkeys(cell["activation"] for cell in cells))
    named = order[:: math.ceil(len(order) / NAMED)]
    x = alt.X(
        "activation:O",
        sort=order,
        title=language.embed(language.say("draw-shares-order")),
        scale=alt.Scale(paddingInner=0.06),
        axis=alt.Axis(values=named, labelAngle=-40, labelLimit=90, labelOverlap=False, domain=False, ticks=False),
    )
    tooltip = [tip("activation:N", "activation", language), tip("variant:N", "variant", language)]
    tooltip += [tip(f"{field}:N", word, language) for field, word in TIPS.items()]
    base = alt.Chart(inline(cells)).encode(y=y, x=x, tooltip=tooltip)
    legible: Any = alt.ExprRef(f"bandwidth('x') < {LEGIBLE} ? 0 : 1")
    return [
        *name_rows(alt.Chart(inline(make_room(rows))).encode(y=y), theme),
        base.mark_rect(height=CELL, yOffset=CELL_DOWN, stroke=theme.grid, cornerRadius=4).encode(
            color=colour_of(comparison, theme),
            fillOpacity=alt.FillOpacity(
                "share:Q", scale=alt.Scale(domain=[0, top], range=[FAINT, STRONG]), legend=None
            ),
        ),
        base.mark_text(fontSize=12, yOffset=CELL_DOWN, color=theme.ink, opacity=legible).encode(text="text:N"),
    ]
