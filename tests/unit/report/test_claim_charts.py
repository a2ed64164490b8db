"""Charts of claims: every kind, their words, their numbers, and that each can be drawn."""

import json
from typing import Any

import pytest

from placenorm.facts.claim import Chart, Point
from placenorm.report.claim_charts import draw_chart
from placenorm.report.claim_numbers import MAX_POINTS, ChartNumbers
from placenorm.report.claims_picture import compose_board, compose_chart
from placenorm.report.language import Language
from placenorm.report.palette import LIGHT, slots_of_groups
from placenorm.report.svg import draw_svg, embed_font
from support.claims_report import make_claims_report

CHARTS = {chart.name: chart for result in make_claims_report().results for chart in result.charts}
ENGLISH, PERSIAN = Language("en"), Language("fa")


def find(found: Any, key: str) -> list[Any]:
    """Return every value of a key in a specification."""
    if isinstance(found, dict):
        return [*([found[key]] if key in found else []), *(each for part in found.values() for each in find(part, key))]
    return [each for part in found for each in find(part, key)] if isinstance(found, list) else []


@pytest.mark.parametrize("language", [ENGLISH, PERSIAN], ids=["en", "fa"])
@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS.keys())
def test_chart_can_be_drawn_without_a_page(chart: Chart, language: Language) -> None:
    svg = draw_svg(compose_chart(chart, language), language)
    assert "mark-symbol" in svg
    assert ("@font-face" in embed_font(svg, language)) == (language is PERSIAN)


def test_board_has_a_mark_for_every_claim() -> None:
    svg = draw_svg(compose_board(make_claims_report(), ENGLISH), ENGLISH)
    assert svg.count('aria-roledescription="point"') == 3 or svg.count("<path") >= 3


def test_placements_keep_their_colours_and_nothing_else_has_them() -> None:
    slots = slots_of_groups(["normal", "before-activation", "input", "none"])
    assert slots["none"] == 0
    assert slots["before-activation"] == 1
    assert len(set(slots.values())) == 4


def test_legend_filters_its_chart() -> None:
    drawing = draw_chart(CHARTS["A3-tails"], ENGLISH, LIGHT)
    assert [entry.label for entry in drawing.legend][:2] == ["normal table", "input"]
    spec = drawing.panels[0].spec
    assert spec["params"] == [{"name": "hidden", "value": []}]
    assert "indexof(hidden, datum.group) < 0" in find(spec, "filter")


def test_chart_of_one_group_needs_no_legend() -> None:
    assert draw_chart(CHARTS["A11-kurtosis"], ENGLISH, LIGHT).legend == ()


def test_panels_share_their_scale() -> None:
    drawing = draw_chart(CHARTS["A11-skewness"], ENGLISH, LIGHT)
    assert [panel.title for panel in drawing.panels] == ["fully connected, depth 8", "convolutional, depth 4"]
    first, second = (json.dumps(find(panel.spec, "domain")) for panel in drawing.panels)
    assert first == second


def test_gap_in_a_line_stays_a_gap() -> None:
    drawing = draw_chart(CHARTS["A11-skewness"], ENGLISH, LIGHT)
    values = [row for rows in find(drawing.panels[0].spec, "values") for row in rows if isinstance(row, dict)]
    gap = next(row for row in values if row["x"] == 3 and row["group"] == "none")
    assert gap["y"] is gap["low"] is None
    assert gap["shown"] == "–"


def test_table_has_a_row_a_place_and_a_column_a_group() -> None:
    drawing = draw_chart(CHARTS["A3-tails"], ENGLISH, LIGHT)
    assert drawing.heads == (
        "Distance from 0",
        "normal table",
        "input",
        "before the activation",
        "after the activation",
    )
    assert [row[0] for row in drawing.rows] == ["1", "2", "3", "5"]
    assert drawing.rows[0][1] == "31.7 %"
    assert drawing.rows[0][2] == "44.4 % (34.9 % to 53.9 %)"


def test_table_of_a_persian_chart_is_in_persian_digits() -> None:
    drawing = draw_chart(CHARTS["A3-tails"], PERSIAN, LIGHT)
    assert [row[0] for row in drawing.rows] == ["۱", "۲", "۳", "۵"]
    assert drawing.rows[0][1] == "۳۱٫۷٪"


def test_logarithmic_axis_leaves_out_what_has_no_place_on_it() -> None:
    points = (Point(1, 0.0, "a"), Point(2, 0.1, "a", -0.5, 0.2), Point(0, 1.0, "a"))
    drawing = draw_chart(Chart("A3-limit", "lines", points, log_x=True, log_y=True), ENGLISH, LIGHT)
    assert [row[0] for row in drawing.rows] == ["2"]
    values = [row for rows in find(drawing.panels[0].spec, "values") for row in rows if isinstance(row, dict)]
    assert min(row["low"] for row in values) > 0


def test_interval_of_a_share_ends_at_nothing_and_at_all() -> None:
    points = (Point(1.0, 0.9, "a", 0.7, 1.1), Point(2.0, 0.1, "a", -0.2, 0.4))
    shares = ChartNumbers(Chart("A6-dead", "lines", points, as_percent=True), Language("en")).points
    assert [(point.low, point.high) for point in shares] == [(0.7, 1.0), (0.0, 0.4)]
    values = ChartNumbers(Chart("A8-gain", "lines", points), Language("en")).points
    assert values == points


def test_long_line_is_thinned_and_keeps_its_end() -> None:
    points = tuple(Point(place, float(place), "a") for place in range(10 * MAX_POINTS + 1))
    drawing = draw_chart(Chart("A3-limit", "lines", points), ENGLISH, LIGHT)
    assert len(drawing.rows) <= MAX_POINTS + 1
    assert drawing.rows[-1][0] == "1,200"


def test_words_beside_a_chart_say_where_lines_begin_and_end() -> None:
    assert "normal table: 31.7 % at 1, " in draw_chart(CHARTS["A3-tails"], ENGLISH, LIGHT).alt
    assert "and 5 more" in draw_chart(CHARTS["A3-found"], ENGLISH, LIGHT).alt


@pytest.mark.parametrize("kind", ["lines", "bars", "dots"])
def test_chart_without_points_is_empty_and_no_error(kind: Any) -> None:
    drawing = draw_chart(Chart("A3-limit", kind, ()), ENGLISH, LIGHT)
    assert drawing.rows == ()


@pytest.mark.parametrize(("offset", "shows"), [(0.0, True), (98.0, False)], ids=["near", "far"])
def test_dots_far_from_0_are_not_drawn_beside_it(offset: float, shows: bool) -> None:
    points = tuple(Point(offset + place, "row", "", offset + place - 1, offset + place + 1) for place in range(2))
    spec = draw_chart(Chart("A3-limit", "dots", points), ENGLISH, LIGHT).panels[0].spec
    assert bool(find(spec, "strokeDash")) == shows
