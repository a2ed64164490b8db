"""The report in a real browser: charts drawn, nothing fetched, nothing cut off, names shown as text."""

import re
from pathlib import Path
from typing import Any

import pytest

from placenorm.facts.comparison import Comparison
from placenorm.report.comparison_page import render_comparison_page
from placenorm.report.language import LANGUAGES, Language
from support.browser import DARK, HOSTILE, LIGHT, PHONE_PX, WIDE_PX, find_serious, open_framed, open_page
from support.comparisons import make_comparison, make_diverged, make_regression, make_unfinished, make_variant

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def make_long_names() -> Comparison:
    name = "experiments/placements/a-very-long-file-name-of-somebody.json"
    variants = [make_variant("none", baseline=True), make_variant(name, aliases=("after-activation", "after-pool"))]
    return make_comparison(model="src/somewhere/deep/in/the/tree/networks.py:NetworkWithALongName", variants=variants)


def make_lost() -> Comparison:
    names = ("none", "before-activation", "after-activation", "after-pool")
    return make_comparison(seeds=2, diverged=dict.fromkeys(names, 2))


FILTER = """
  const charts = [...inner.querySelectorAll(".filtered .chart")];
  const count = () => charts.map((chart) => chart.querySelectorAll("svg .mark-symbol path").length);
  const button = inner.querySelector(".filtered .legend button");
  const found = [count()];
  for (let click = 0; click < 2; click += 1) {
    button.click();
    await new Promise((resolve) => setTimeout(resolve, 500));
    found.push(count(), button.getAttribute("aria-pressed"));
  }
  note(found);
"""

HOVER = """
  const found = {};
  for (const chart of inner.querySelectorAll(".chart")) {
    const says = new Set();
    for (const mark of chart.querySelectorAll("svg .mark-symbol path, svg .mark-rect path")) {
      mark.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
      const tip = inner.getElementById("vg-tooltip-element");
      if (tip?.classList.contains("visible")) says.add(tip.innerText);
      mark.dispatchEvent(new PointerEvent("pointerout", { bubbles: true }));
    }
    found[chart.id] = [...says];
  }
  note(found);
"""

COMPARISONS = {
    "all diverged": make_lost,
    "long names": make_long_names,
    "four placements": make_comparison,
    "regression": make_regression,
    "diverged": make_diverged,
    "unfinished": make_unfinished,
}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("width", [PHONE_PX, WIDE_PX], ids=["phone", "wide"])
@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_report_draws_every_chart_within_its_width(make: Any, width: int, code: str, tmp_path: Path) -> None:
    visit = open_framed(render_comparison_page(make(), Language(code)), tmp_path, width)
    assert visit.console == []
    assert visit.requests == []
    found = visit.measured()
    assert found["wide"] == []
    assert found["scroll"] <= found["width"] == width
    assert found["charts"]
    assert all(chart["marks"] > 0 and chart["width"] > width / 4 for chart in found["charts"]), found["charts"]
    assert int(found["drawn"]) == len(found["charts"])


def test_report_opened_as_a_file_needs_nothing_else(tmp_path: Path) -> None:
    visit = open_page(render_comparison_page(make_comparison()), tmp_path)
    assert visit.console == []
    assert visit.requests == []
    assert f'data-charts="{visit.dom.count(chr(60) + "figure")}"' in visit.dom


@pytest.mark.parametrize("code", LANGUAGES)
def test_report_shows_hostile_names_as_text(code: str, tmp_path: Path) -> None:
    variants = [make_variant("none", baseline=True), make_variant(HOSTILE)]
    comparison = make_comparison(model=f"net.py:{HOSTILE}", data=f"npz:{HOSTILE}", variants=variants)
    page = render_comparison_page(comparison, Language(code))
    visit = open_framed(page, tmp_path, WIDE_PX)
    assert visit.console == []
    found = visit.measured()
    assert found["alerts"] == 0
    assert f"net.py:{HOSTILE}" in found["text"]
    assert int(found["drawn"]) == len(found["charts"])
    assert "&lt;script&gt;alert(1)" in visit.dom


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("scheme", [DARK, LIGHT], ids=["dark", "light"])
def test_report_has_no_serious_finding_of_axe(scheme: str, code: str, tmp_path: Path) -> None:
    assert find_serious(render_comparison_page(make_comparison(), Language(code)), tmp_path, scheme) == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_legend_hides_and_shows_a_placement_in_every_curve(code: str, tmp_path: Path) -> None:
    page = render_comparison_page(make_comparison(), Language(code))
    before, hidden, pressed, after, again = open_framed(page, tmp_path, WIDE_PX, script=FILTER).measured()
    assert len(before) == 3
    assert all(0 < few < many for few, many in zip(hidden, before, strict=True))
    assert after == before
    assert (pressed, again) == ("false", "true")


@pytest.mark.parametrize("code", LANGUAGES)
def test_hovering_shows_values_in_every_chart(code: str, tmp_path: Path) -> None:
    page = render_comparison_page(make_comparison(), Language(code))
    found = open_framed(page, tmp_path, WIDE_PX, script=HOVER).measured()
    assert len(found) == page.count('class="chart"') == 9
    numeral = "[0-9]" if code == "en" else "[۰-۹]"
    for chart, says in found.items():
        assert len(says) > 3, chart
        assert all(re.search(numeral, each) for each in says), chart
    if code == "fa":
        values = [line.strip() for says in found.values() for each in says for line in each.splitlines()[1::3]]
        assert "none" in values
        assert [value for value in values if re.fullmatch("[-+0-9.,%]+", value)] == []


@pytest.mark.parametrize(("scheme", "is_dark"), [(DARK, True), (LIGHT, False)], ids=["dark", "light"])
def test_report_follows_the_colour_scheme(scheme: str, is_dark: bool, tmp_path: Path) -> None:
    found = open_framed(render_comparison_page(make_comparison()), tmp_path, WIDE_PX, scheme).measured()
    brightness = {name: sum(map(int, re.findall(r"\d+", found[name])[:3])) / 3 for name in ("surface", "ink")}
    assert (brightness["surface"] < brightness["ink"]) == is_dark


def test_visit_notices_what_it_is_there_to_notice(tmp_path: Path) -> None:
    bad = '<img src="http://127.0.0.1:9/x.png"><script>console.error("seen")</script>'
    visit = open_page(bad, tmp_path)
    assert any("seen" in line for line in visit.console)
    assert visit.requests == ["http://127.0.0.1:9/x.png"]


def test_measuring_notices_what_is_too_wide(tmp_path: Path) -> None:
    found = open_framed('<div class="broad" style="width:900px">x</div>', tmp_path, PHONE_PX).measured()
    assert [line.split()[0] for line in found["wide"]] == ["DIV.broad"]
    assert found["scroll"] > PHONE_PX
