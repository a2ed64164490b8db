"""What the charts of a watched training share: how much is drawn, their axes, and what is said on hover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from placenorm.report.claim_charts import LegendEntry, label_ticks, list_decades
from placenorm.report.language import Language
from placenorm.report.palette import MARKS, Theme
from placenorm.report.vega import Drawing, inline

Row = dict[str, Any]

MAX_MARKS: Final = 4000
"""Marks of one chart of sites and looks: what a browser draws at once, and a page holds in 0.5 MB."""

FEWEST_LOOKS, MOST_LOOKS = 20, 120
"""Looks that are drawn, with very many sites and with few."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """Charts below one legend, whose buttons hide groups in all of them.

    Attributes:
        drawings: the charts; none where there is nothing to draw.
        legend: their groups.
    """

    drawings: tuple[Drawing, ...]
    legend: tuple[LegendEntry, ...]


def name_groups(slots: Mapping[str, int], theme: Theme) -> tuple[alt.Color, alt.Shape]:
    """Return the encodings of the field ``group`` as a colour and as a mark.

    Args:
        slots: colour and mark of each group.
        theme: the colours.
    """
    groups = list(slots)
    colours = alt.Scale(domain=groups, range=[theme.swatches[slot] for slot in slots.values()])
    marks = alt.Scale(domain=groups, range=[MARKS[slot] for slot in slots.values()])
    return alt.Color("group:N", scale=colours, legend=None), alt.Shape("group:N", scale=marks, legend=None)


def choose_stride(sites: int, looks: int) -> int:
    """Return how many neighbouring looks become one, so that a chart has no more marks than it may."""
    drawn = max(FEWEST_LOOKS, min(MOST_LOOKS, MAX_MARKS // max(sites, 1)))
    return -(-looks // drawn) or 1


def make_log_axis(low: float, high: float, language: Language) -> alt.Axis:
    """Return a logarithmic axis with its ticks in the digits of the reader."""
    places = list_decades(low, high)
    return label_ticks(places, [language.scientific(place, 2) for place in places])


def tip_site(language: Language) -> alt.Tooltip:
    """Return the field ``site`` as it is said on hover."""
    return alt.Tooltip("site:N", title=language.say("watch-site"))


def tip_step(language: Language) -> alt.Tooltip:
    """Return the field ``step`` as it is said on hover."""
    return alt.Tooltip("step:Q", title=language.say("watch-step"), format=",")


def filter_rows(rows: Sequence[Row]) -> alt.Chart:
    """Return a chart of rows whose groups the buttons of a legend hide."""
    return alt.Chart(inline(rows)).transform_filter("indexof(hidden, datum.group) < 0")


def let_hide(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a specification whose hidden groups the buttons of a legend can set; at first none is."""
    spec["params"] = [{"name": "hidden", "value": []}]
    return spec
