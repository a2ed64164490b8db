"""The numbers of a claim's chart: where its points are, how they are shown, in words and as a table."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from placenorm.facts.claim import Chart, Number, Point
from placenorm.report.claims_wording import DIGITS, claim_of, name_group
from placenorm.report.language import Language

MAX_POINTS: Final = 120
"""Points of one line; more cannot be told apart on a page, and make it large."""


SAID: Final = 8
"""Lines or rows that the words beside a chart say; its table has all of them."""

PERCENT: Final = 100.0

_LEAST_SHARE = 0.05
"""Where all shares are 0, the axis ends here."""


class ChartNumbers:
    """What a chart shows.

    Args:
        chart: what was observed; points that have no place on a logarithmic axis are left out, and intervals of shares
            end at 0 and 1.
        language: whose words and digits its numbers have.
    """

    def __init__(self, chart: Chart, language: Language) -> None:
        self.chart = chart
        points = map(_bound_share, chart.points) if chart.as_percent else chart.points
        self.points = tuple(point for point in points if self._can_be_drawn(point))
        self.panels = list(dict.fromkeys(point.panel for point in self.points)) or [""]
        self.groups = list(dict.fromkeys(point.group for point in self.points))
        self._claim = claim_of(chart)
        self._language = language

    def _can_be_drawn(self, point: Point) -> bool:
        """Whether a point has a place on its axes: a logarithmic one has none for 0."""
        if self.chart.log_x and isinstance(point.x, int | float) and point.x <= 0:
            return False
        return not (self.chart.log_y and isinstance(point.y, int | float) and point.y <= 0)

    def name(self, name: str | float | None) -> str:
        """Return the name of a group, a panel, a column or a row for the reader."""
        return "" if name is None else name_group(self._claim, name, self._language)

    def show(self, value: Number, *, percent: bool | None = None) -> str:
        """Return a measured number as it is shown."""
        if value is None:
            return "–"
        percent = self.chart.as_percent if percent is None else percent
        if not percent:
            return self._language.scientific(value, DIGITS)
        return self._language.say("unit-percent", value=self._language.scientific(PERCENT * value, DIGITS))

    def show_with_interval(self, value: Number, low: Number, high: Number) -> str:
        """Return a measured number with its interval, where it has one."""
        shown = self.show(value)
        if value is None or low is None or high is None:
            return shown
        ends = {"low": self.show(low), "high": self.show(high)}
        return self._language.say("claims-with-interval", value=shown, **ends)

    @property
    def is_logarithmic(self) -> bool:
        """Whether the axis of what was measured is."""
        return self.chart.log_x if self.chart.kind == "dots" else self.chart.log_y

    def find_ends(self, *, from_zero: bool = False) -> tuple[float, float]:
        """Return the ends of that axis: of all values and intervals, and 0 where it is near or wanted."""
        values = [number_of(point.x if self.chart.kind == "dots" else point.y) for point in self.points]
        ends = [end for point in self.points for end in (point.low, point.high)]
        log = self.is_logarithmic
        known = [value for value in (*values, *ends) if value is not None and (value > 0 or not log)] or [0.0, 1.0]
        low, high = min(known), max(known)
        if log:
            return low, high
        if from_zero or 0 <= low <= high / 2:
            low, high = min(low, 0.0), max(high, 0.0)
        if low == high:
            high = low + (abs(low) / 2 or (_LEAST_SHARE if self.chart.as_percent else 1.0))
        return low, high

    def shows_zero(self) -> bool:
        """Whether 0 has a place on that axis."""
        low, high = self.find_ends()
        return not self.is_logarithmic and low <= 0 <= high

    def describe(self) -> str:
        """Return what is drawn in words and numbers: the ends of lines, or rows."""
        say, language = self._language.say, self._language
        kind = self.chart.kind
        parts: list[str] = []
        if kind == "lines":
            for panel in self.panels:
                for group in self.groups:
                    line = [point for point in self.points if point.panel == panel and point.group == group]
                    line = [point for point in line if point.y is not None]
                    if line:
                        name = self._join(self.name(panel), self.name(group))
                        parts.append(self._describe_line(name, line[0], line[-1]))
        else:
            for point in self.points:
                row, value = (point.x, point.y) if kind == "bars" else (point.y, point.x)
                names = (self.name(point.panel), self.name(row), self.name(point.group))
                shown_value = self.show_with_interval(number_of(value), point.low, point.high)
                parts.append(say("chart-alt-row", row=self._join(*names), value=shown_value))
        if len(parts) > SAID:
            parts = [*parts[: SAID - 1], say("chart-alt-more", rest=language.number(len(parts) - SAID + 1, 0))]
        return "; ".join(parts) if language.direction == "ltr" else "؛ ".join(parts)

    def _join(self, *names: str) -> str:
        return self._language.chain(filter(None, names))

    def _describe_line(self, name: str, first: Point, last: Point) -> str:
        shown = {
            "first": self.show(number_of(first.y)),
            "last": self.show(number_of(last.y)),
            "from": self.name(first.x),
            "to": self.name(last.x),
        }
        text = self._language.say("chart-alt-line", group=name, **shown)
        return text if name else text.removeprefix(": ")

    def _place(self, point: Point) -> str:
        return self.name(point.y if self.chart.kind == "dots" else point.x)

    def tabulate(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Return the numbers as a table: a row a place, a column a group."""
        say, kind = self._language.say, self.chart.kind
        axis = "x" if kind == "dots" else "y"
        groups = [self.name(group) if group else say(f"{self.chart.name}-{axis}") for group in self.groups]
        cells: dict[tuple[str, str], dict[str, str]] = {}
        for panel in self.panels:
            for group in self.groups:
                members = [point for point in self.points if point.panel == panel and point.group == group]
                for point in thin(members) if kind == "lines" else members:
                    row = cells.setdefault((self.name(panel) if panel else "", self._place(point)), {})
                    value = number_of(point.x if kind == "dots" else point.y)
                    column = self.name(group) if group else groups[0]
                    row[column] = self.show_with_interval(value, point.low, point.high)
        panelled = any(self.panels)
        first = say(f"{self.chart.name}-{'y' if kind == 'dots' else 'x'}")
        heads = (*([say("chart-panel")] if panelled else []), first, *groups)
        rows = tuple(
            (*([panel] if panelled else []), place, *(row.get(group, "") for group in groups))
            for (panel, place), row in cells.items()
        )
        return heads, rows


def _bound_share(point: Point) -> Point:
    """Return a point whose interval ends at 0 and at 1: one of Student's t does not know that a share does."""
    low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (point.low, point.high))
    return replace(point, low=low, high=high)


def number_of(value: str | float | None) -> Number:
    """Return the number that a place on an axis is; None where it is a name."""
    return value if isinstance(value, int | float) else None


def thin(points: Sequence[Point]) -> list[Point]:
    """Return at most about `MAX_POINTS` of the points of a line, the last among them."""
    stride = -(-len(points) // MAX_POINTS) or 1
    kept = list(points[::stride])
    return kept if not points or kept[-1] is points[-1] else [*kept, points[-1]]
