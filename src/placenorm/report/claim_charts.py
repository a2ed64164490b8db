"""Charts of claims, as Vega-Lite specifications with their words, their legend and their numbers as a table.

Every panel is one view that takes the width of what holds it. Titles of axes and legends are left to the page, where
they wrap, read from the right where the language does, and are reached with the keyboard; a picture that is drawn
without a page has them in the specification.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import altair as alt

from placenorm.facts.claim import Chart, Point
from placenorm.report.claim_numbers import ChartNumbers, number_of, thin
from placenorm.report.language import Language
from placenorm.report.palette import MARK_PATHS, MARKS, Theme, slots_of_groups
from placenorm.report.vega import OPAQUE, finish_spec, inline, ticks

Row = dict[str, Any]

HEIGHT: Final = 300
PANEL_HEIGHT: Final = 210
"""Height of a chart, and of a panel among several, in pixels."""

NAME_PX, LINE_PX, GAP_PX = 26, 17, 12
"""Height of the name of a row, of each of its marks, and of the space below, in pixels."""

FEW: Final = 9
"""Up to so many different places on an axis, each has its tick."""

_MOST_TICKS = 7

_FEW_DECADES = 200
"""An axis that spans less than this shows 2 and 5 beside the powers of ten."""

_WITH_INTERVAL = "isValid(datum.low) && isValid(datum.high)"


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A group of a chart in its legend.

    Attributes:
        group: its name in the facts.
        label: its name for the reader.
        slot: its colour and mark.
    """

    group: str
    label: str
    slot: int

    @property
    def mark(self) -> str:
        """Its mark as a path in a box from -10 to 10."""
        return MARK_PATHS[MARKS[self.slot]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One view of a chart.

    Attributes:
        name: a word for it, unique on a page.
        title: what it shows; "" where it is the only one.
        spec: the view in Vega-Lite, ``width: container``.
    """

    name: str
    title: str
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimDrawing:
    """A chart of a claim, ready for a page or a picture.

    Attributes:
        name: its name in the facts.
        title: what is seen.
        caption: how to read it.
        x: title of the axis from side to side.
        y: title of the axis upwards.
        alt: what is drawn, in words and numbers.
        legend: its groups; empty where there is one.
        panels: its views.
        heads: heads of the table of its numbers.
        rows: that table.
        kind: as in the facts.
    """

    name: str
    title: str
    caption: str
    x: str
    y: str
    alt: str
    legend: tuple[LegendEntry, ...]
    panels: tuple[Panel, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: str

    @property
    def above(self) -> str:
        """Title of the axis that stands above the chart: of what was measured."""
        return self.x if self.kind == "dots" else self.y

    @property
    def below(self) -> str:
        """Title of the axis below the chart; "" where rows have their names above them."""
        return self.x if self.kind == "lines" else ""


def draw_chart(chart: Chart, language: Language, theme: Theme, *, alone: bool = False) -> ClaimDrawing:
    """Return a chart of a claim.

    Args:
        chart: what was observed.
        language: whose words and digits it has.
        theme: the colours.
        alone: whether it stands without a page: titles of axes and a legend are drawn, and nothing reacts.
    """
    return _Drawer(chart, language, theme, alone=alone).draw()


class _Drawer:
    """Draws one chart."""

    def __init__(self, chart: Chart, language: Language, theme: Theme, *, alone: bool) -> None:
        self._chart = chart
        self._language = language
        self._theme = theme
        self._alone = alone
        self._numbers = ChartNumbers(chart, language)
        slots = slots_of_groups([group for group in self._numbers.groups if group])
        self._slots = {group: slots.get(group, 0) for group in self._numbers.groups}

    def draw(self) -> ClaimDrawing:
        """Return the chart."""
        say, name = self._language.say, self._chart.name
        draw = {"lines": self._draw_lines, "bars": self._draw_rows, "dots": self._draw_rows}
        several = len(self._numbers.panels) > 1
        panels = tuple(
            Panel(
                name=f"{name}-{place}" if several else name,
                title=self._numbers.name(panel) if panel else "",
                spec=draw[self._chart.kind]([point for point in self._numbers.points if point.panel == panel]),
            )
            for place, panel in enumerate(self._numbers.panels)
        )
        heads, rows = self._numbers.tabulate()
        title = say(f"{name}-title")
        return ClaimDrawing(
            name=name,
            title=title,
            caption=say(f"{name}-caption"),
            x=say(f"{name}-x"),
            y=say(f"{name}-y"),
            alt=say("chart-alt", title=title, says=self._numbers.describe()),
            legend=self._list_legend(),
            panels=panels,
            heads=heads,
            rows=rows,
            kind=self._chart.kind,
        )

    def _list_legend(self) -> tuple[LegendEntry, ...]:
        named = [group for group in self._slots if group]
        if len(named) < 2:
            return ()
        return tuple(LegendEntry(group, self._numbers.name(group), self._slots[group]) for group in named)

    # What is drawn

    def _draw_lines(self, points: Sequence[Point]) -> dict[str, Any]:
        chart, embed = self._chart, self._language.embed
        numeric = all(isinstance(point.x, int | float) for point in self._numbers.points)
        least = min((point.y for point in self._numbers.points if isinstance(point.y, int | float)), default=1.0)
        rows: list[Row] = []
        for group in self._slots:
            line = thin([point for point in points if point.group == group])
            if numeric:
                line = sorted(line, key=lambda point: float(point.x))
            for point in line:
                value = point.y if isinstance(point.y, int | float) else None
                low = least if chart.log_y and point.low is not None and point.low <= 0 else point.low
                rows.append(
                    {
                        "x": point.x if numeric else embed(self._numbers.name(point.x)),
                        "y": value,
                        "low": None if value is None else low,
                        "high": None if value is None else point.high,
                        **self._tips(point, point.x, self._numbers.show_with_interval(value, point.low, point.high)),
                    }
                )
        base = self._base(rows)
        x = self._x_axis() if numeric else alt.X("x:O", sort=None, title=self._x_title(), axis=alt.Axis(labelAngle=0))
        y = self._y_axis()
        several_points = max((sum(row["group"] == group for row in rows) for group in self._slots), default=0) > 1
        dense = len(rows) > 40 * max(1, len(self._slots))
        layers = [
            base.mark_area(opacity=0.14).encode(x=x, y=y.copy(), y2="high:Q", color=self._colour())
            if several_points
            else base.transform_filter(_WITH_INTERVAL)
            .mark_rule(strokeWidth=3)
            .encode(x=x, y=y.copy(), y2="high:Q", color=self._colour()),
            base.mark_line(strokeWidth=2.2).encode(x=x, y=self._y_axis("y"), color=self._colour()),
            base.mark_point(filled=True, size=22 if dense else 56, opacity=OPAQUE).encode(
                x=x, y=self._y_axis("y"), color=self._colour(), shape=self._shape(), tooltip=self._tooltip()
            ),
        ]
        return self._finish(layers, HEIGHT if len(self._numbers.panels) == 1 else PANEL_HEIGHT)

    def _draw_rows(self, points: Sequence[Point]) -> dict[str, Any]:
        """Draw bars, or dots with intervals: a row a category with its name above, in it a line a group."""
        bars = self._chart.kind == "bars"
        names = list(dict.fromkeys(str(point.x if bars else point.y) for point in points))
        start: float = 0.0
        rows: list[Row] = []
        heads: list[Row] = []
        for name in names:
            members = [point for point in points if str(point.x if bars else point.y) == name]
            heads.append({"top": start + NAME_PX / 2, "line": self._language.embed(self._numbers.name(name))})
            start += NAME_PX
            for point in members:
                value = number_of(point.y if bars else point.x)
                shown = self._numbers.show_with_interval(value, point.low, point.high)
                rows.append(
                    {
                        "top": start + LINE_PX / 2,
                        "zero": 0.0,
                        "y": value,
                        "low": point.low,
                        "high": point.high,
                        **self._tips(point, name, shown),
                    }
                )
                start += LINE_PX
            start += GAP_PX
        height = max(start, LINE_PX)
        y = alt.Y("top:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False, zero=False))
        right = self._language.direction == "rtl"
        colour = self._colour()
        base = self._base(rows)
        with_interval = base.transform_filter(_WITH_INTERVAL)
        x = self._value_axis(from_zero=bars)
        label = (
            alt.Chart(inline(heads))
            .mark_text(
                align="right" if right else "left",
                fontSize=13,
                fontWeight=600,
                color=self._theme.ink,
                limit=alt.ExprRef("width"),
            )
            .encode(x=alt.value("width") if right else alt.value(0), y=y, text="line:N")
        )
        layers = [label]
        if bars and not self._chart.log_y:
            layers.append(base.mark_rule(strokeWidth=9, opacity=0.4).encode(x=x, x2="zero:Q", y=y, color=colour))
        elif self._numbers.shows_zero():
            zero = alt.Chart(inline([{"zero": 0.0}]))
            layers.append(zero.mark_rule(strokeDash=[4, 4], color=self._theme.muted).encode(x="zero:Q"))
        layers += [
            with_interval.mark_rule(strokeWidth=2.5).encode(
                x=self._value_axis("low", from_zero=bars), x2="high:Q", y=y, color=colour
            ),
            base.mark_point(filled=True, size=90, opacity=OPAQUE, stroke=self._theme.surface, strokeWidth=1).encode(
                x=x, y=y, color=colour, shape=self._shape(), tooltip=self._tooltip()
            ),
        ]
        return self._finish(layers, math.ceil(height))

    # What its layers share

    def _base(self, rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
        base = alt.Chart(inline(rows))
        return base if self._alone else base.transform_filter("indexof(hidden, datum.group) < 0")

    def _tips(self, point: Point, where: str | float | None, shown: str) -> Row:
        label = self._numbers.name(point.group) if point.group else ""
        return {
            "group": point.group,
            "label": self._language.embed(label),
            "named": label,
            "where": self._numbers.name(where),
            "shown": shown,
        }

    def _tooltip(self) -> list[alt.Tooltip]:
        say, name = self._language.say, self._chart.name
        across, up = (f"{name}-y", f"{name}-x") if self._chart.kind == "dots" else (f"{name}-x", f"{name}-y")
        tips = [alt.Tooltip("where:N", title=say(across)), alt.Tooltip("shown:N", title=say(up))]
        named = [group for group in self._slots if group]
        return [alt.Tooltip("named:N", title=say("chart-group")), *tips] if named else tips

    def _legend(self) -> alt.Legend | None:
        if not self._alone or not self._list_legend():
            return None
        return alt.Legend(title=None, orient="top", columns=2, labelLimit=420, symbolSize=90, symbolOpacity=OPAQUE)

    def _labels(self) -> list[str]:
        return [self._language.embed(self._numbers.name(group)) if group else "" for group in self._slots]

    def _colour(self) -> alt.Color:
        swatches, ink = self._theme.swatches, self._theme.ink
        colours = [swatches[slot] if group else ink for group, slot in self._slots.items()]
        return alt.Color("label:N", scale=alt.Scale(domain=self._labels(), range=colours), legend=self._legend())

    def _shape(self) -> alt.Shape:
        marks = [MARKS[slot] for slot in self._slots.values()]
        return alt.Shape("label:N", scale=alt.Scale(domain=self._labels(), range=marks), legend=self._legend())

    def _x_title(self) -> str | None:
        return self._language.embed(self._language.say(f"{self._chart.name}-x")) if self._alone else None

    def _y_title(self) -> str | None:
        return self._language.embed(self._language.say(f"{self._chart.name}-y")) if self._alone else None

    def _x_axis(self) -> alt.X:
        """Return the axis of numbers from side to side of a chart of lines."""
        places = sorted({float(point.x) for point in self._numbers.points})
        if len(places) <= FEW:
            axis = self._label_ticks(places, overlap=True)
        elif self._chart.log_x:
            axis = self._label_ticks(list_decades(places[0], places[-1]), overlap=True)
        else:
            axis = ticks()
        ends = [places[0], places[-1]] if places else [0, 1]
        scale = (
            alt.Scale(type="log", domain=ends, nice=False, padding=8)
            if self._chart.log_x
            else alt.Scale(domain=ends, zero=False, nice=False, padding=8)
        )
        return alt.X("x:Q", title=self._x_title(), scale=scale, axis=axis)

    def _y_axis(self, field: str = "low") -> alt.Y:
        scale, axis = self._scale_values()
        return alt.Y(f"{field}:Q", title=self._y_title(), scale=scale, axis=axis)

    def _value_axis(self, field: str = "y", *, from_zero: bool = False) -> alt.X:
        """Return the axis of numbers below rows."""
        bars = self._chart.kind == "bars"
        scale, axis = self._scale_values(from_zero=from_zero, grid=False, padding=14)
        title = self._y_title() if bars else self._x_title()
        return alt.X(f"{field}:Q", title=title, scale=scale, axis=axis)

    def _scale_values(
        self, *, from_zero: bool = False, grid: bool = True, padding: float = 0
    ) -> tuple[alt.Scale, alt.Axis]:
        """Return the scale of what was measured, the same for all panels."""
        low, high = self._numbers.find_ends(from_zero=from_zero)
        if self._numbers.is_logarithmic:
            axis = self._label_ticks(list_decades(low, high), grid=grid)
            return alt.Scale(type="log", domain=widen_logs(low, high), nice=False), axis
        percent: dict[str, Any] = {"format": ".3~p"} if self._chart.as_percent else {}
        axis = alt.Axis(tickCount=alt.ExprRef("max(3, ceil(width / 90))") if padding else 5, grid=grid, **percent)
        return alt.Scale(domain=[low, high], nice=True, zero=False), axis

    def _label_ticks(self, places: Sequence[float], *, grid: bool = True, overlap: bool = False) -> alt.Axis:
        """Return an axis with ticks at given places, in the digits of the reader."""
        percent = self._chart.as_percent and not overlap
        return label_ticks(places, [self._numbers.show(place, percent=percent) for place in places], grid=grid)

    def _finish(self, layers: Sequence[alt.Chart], height: int) -> dict[str, Any]:
        spec = finish_spec(layers, height, self._theme)
        if not self._alone:
            spec["params"] = [{"name": "hidden", "value": []}]
        return spec


def label_ticks(places: Sequence[float], shown: Sequence[str], *, grid: bool = True) -> alt.Axis:
    """Return an axis with ticks at given places, each with its own words."""
    expression = f"{json.dumps(list(shown), ensure_ascii=False)}[indexof({json.dumps(list(places))}, datum.value)]"
    return alt.Axis(values=list(places), labelExpr=expression, grid=grid, labelOverlap="greedy")


def list_decades(low: float, high: float) -> list[float]:
    """Return ticks of a logarithmic axis: powers of ten, at most `_MOST_TICKS`; between them 2 and 5 where few fit."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if high < _FEW_DECADES * low else (1,)
    stride = max(1, math.ceil((last - first + 1) / _MOST_TICKS))
    powers = range(first - first % stride, last + 1, stride)
    places = [step * 10.0**power for power in powers for step in steps]
    kept = [place for place in places if 0.99 * low <= place <= 1.01 * high]
    return kept if len(kept) > 1 else sorted({low, high})


def widen_logs(low: float, high: float) -> list[float]:
    """Return the ends of a logarithmic axis with a little room at both."""
    room = (high / low) ** 0.04 if high > low else 2.0
    return [low / room, high * room]
