"""What all charts share: their scales, their axes, and the specification around them."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import altair as alt
import vl_convert

from placenorm.facts.comparison import Comparison
from placenorm.report.language import Language
from placenorm.report.palette import MARKS, Theme, slots_of

Row = dict[str, Any]
"""What one mark of a chart is drawn from."""

TAG_PX = 6.4
TAG_GAP_PX = 10
"""About how wide a letter of a tag is in system fonts at 12 px, and the least space before the first."""

OPAQUE = 1.0
"""Marks on their surface; Vega-Lite draws points at 0.7 otherwise."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One chart.

    Attributes:
        name: a word for it, unique on a page.
        title: what it says.
        caption: what one sees, with its units and what a band or a bar is.
        alt: the same in words and numbers, for people who do not see it.
        spec: the chart in Vega-Lite, ``width: container``, without title.
    """

    name: str
    title: str
    caption: str
    alt: str
    spec: dict[str, Any]


def inline(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    """Return rows as data that stand in the specification itself.

    Args:
        rows: what a chart is drawn from, a mapping a mark.
    """
    return alt.Data(values=[dict(row) for row in rows])  # type: ignore[no-untyped-call]


def colour_of(comparison: Comparison, theme: Theme, *, legend: bool = False) -> alt.Color:
    """Return the encoding of the field ``variant`` as its fixed colour.

    Args:
        comparison: the comparison.
        theme: the colours.
        legend: whether the chart says itself which colour is which.
    """
    slots = _slots(comparison)
    scale = alt.Scale(domain=list(slots), range=[theme.swatches[slot] for slot in slots.values()])
    return alt.Color("variant:N", scale=scale, legend=_legend(comparison) if legend else None)


def colour_of_winner(comparison: Comparison, theme: Theme) -> alt.Color:
    """Return the encoding of the field ``winner`` as the colour of that variant, and of "" as none of them.

    Args:
        comparison: the comparison.
        theme: the colours.
    """
    slots = _slots(comparison)
    colours = [theme.swatches[slot] for slot in slots.values()]
    return alt.Color("winner:N", scale=alt.Scale(domain=[*slots, ""], range=[*colours, theme.muted]), legend=None)


def shape_of(comparison: Comparison, *, legend: bool = False) -> alt.Shape:
    """Return the encoding of the field ``variant`` as its fixed mark.

    Args:
        comparison: the comparison.
        legend: whether the chart says itself which mark is which.
    """
    slots = _slots(comparison)
    scale = alt.Scale(domain=list(slots), range=[MARKS[slot] for slot in slots.values()])
    return alt.Shape("variant:N", scale=scale, legend=_legend(comparison) if legend else None)


def _slots(comparison: Comparison) -> dict[str, int]:
    return slots_of([variant.name for variant in comparison.variants])


def _legend(comparison: Comparison) -> alt.Legend:
    """Return a legend in the corner that the curves leave free; the same for colour and mark, which makes it one."""
    corner: Literal["bottom-right", "top-right"] = "bottom-right" if comparison.metric.higher_is_better else "top-right"
    return alt.Legend(title=None, orient=corner, labelLimit=400, symbolSize=90, symbolOpacity=OPAQUE, offset=12)


def make_room(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the width, in pixels, that their field ``tags`` leaves less for their field ``line``.

    Args:
        rows: what a chart is drawn from.
    """
    return [{**row, "room": TAG_PX * len(row["tags"]) + TAG_GAP_PX} for row in rows]


def name_rows(base: alt.Chart, theme: Theme) -> tuple[alt.Chart, alt.Chart]:
    """Return the text above every row: its field ``line`` on the left, cut to its room, its ``tags`` on the right.

    Without a limit, one long name would leave no width to the marks of a chart on a phone.

    Args:
        base: a chart of rows from `make_room`.
        theme: the colours.
    """
    room = alt.ExprRef("width - datum.room")
    line = base.mark_text(align="left", dy=-16, fontSize=13, fontWeight=600, color=theme.ink, limit=room)
    tags = base.mark_text(align="right", dy=-16, fontSize=12, color=theme.muted)
    return line.encode(x=alt.value(0), text="line:N"), tags.encode(x=alt.value("width"), text="tags:N")


def value_axis(field: str, title: str) -> alt.X:
    """Return the encoding of a number on an axis that need not begin at 0, without a grid behind the names.

    Args:
        field: the number.
        title: what it is, with its unit.
    """
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(zero=False, padding=14), axis=ticks(grid=False))


def tip(field: str, word: str, language: Language, **more: Any) -> alt.Tooltip:
    """Return a line of what hovering shows.

    Args:
        field: what it shows.
        word: its name: a message ``draw-tip-...``.
        language: of the reader.
        more: what else it takes, such as its format.
    """
    return alt.Tooltip(field, title=language.say(f"draw-tip-{word}"), **more)


def ticks(*, grid: bool = True) -> alt.Axis:
    """Return an axis with as many ticks as a phone has room for, and more where there is more of it.

    Args:
        grid: whether lines stand behind the marks.
    """
    return alt.Axis(tickCount=alt.ExprRef("max(3, ceil(width / 90))"), grid=grid)


def finish_spec(layers: Sequence[alt.Chart], height: int, theme: Theme) -> dict[str, Any]:
    """Return the specification of a chart that takes the width of what holds it.

    Args:
        layers: what is drawn, the backmost first.
        height: height of the drawn area, in pixels; axes come on top.
        theme: the colours.
    """
    chart = (
        alt.layer(*layers)
        .properties(width="container", height=height, background="transparent")
        .properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), padding=2)
        .configure(font=theme.font, aria=False)
        .configure_view(stroke=None)
        .configure_legend(labelColor=theme.ink, labelFontSize=12)
        .configure_axis(
            labelColor=theme.muted,
            titleColor=theme.muted,
            titleFontWeight="normal",
            titlePadding=8,
            labelFontSize=12,
            titleFontSize=12,
            gridColor=theme.grid,
            domainColor=theme.grid,
            tickColor=theme.grid,
        )
    )
    spec: dict[str, Any] = chart.to_dict()
    del spec["$schema"]  # what draws it is always the version that comes with vl-convert
    return spec


@cache
def bundle_vega() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script; no text in it may end the element that it stands in.

    It is the same for every page of one version of vl-convert, and making it takes a quarter of a report's time: so it
    is kept in the user's cache folder, where that can be written.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "placenorm"
    kept = folder / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        return kept.read_text(encoding="utf-8")
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    script = bundle.replace("</script", "<\\/script")
    draft = kept.with_suffix(f".{os.getpid()}")  # of this process alone: others may be making it too
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_text(script, encoding="utf-8")
        os.replace(draft, kept)
    return script
