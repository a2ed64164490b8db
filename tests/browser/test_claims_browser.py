"""The page of the claims in a real browser: charts drawn, nothing cut off or fetched, reached without a mouse."""

import re
from pathlib import Path
from typing import Any

import pytest

from placenorm.report.claim_charts import draw_chart
from placenorm.report.claims_page import render_claims_page
from placenorm.report.language import Language
from placenorm.report.palette import PAGE
from support.browser import DARK, HOSTILE, HOVER, LIGHT, PHONE_PX, WIDE_PX, audit, find_serious, open_framed, open_page
from support.claims_report import make_claims_report, make_hostile_report, make_unfinished_report

pytestmark = [pytest.mark.browser, pytest.mark.slow]

REPORTS = {
    "three claims": make_claims_report,
    "unfinished": make_unfinished_report,
    "long and hostile names": lambda: make_hostile_report(f"{HOSTILE} {'very-long-name-' * 8}"),
}

STEP_THROUGH = """
  const shown = () => [...inner.querySelectorAll("[data-says]")].filter((each) => !each.hidden);
  const find = (selector) => inner.querySelector(selector);
  const ink = (selector) => {
    const canvas = find(selector);
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.reduce((sum, value, place) => (sum + value * ((place % 7) + 1)) % 1000003, 0);
  };
  const key = (name) => find(".next").dispatchEvent(new inner.defaultView.KeyboardEvent(
    "keydown", { key: name, bubbles: true }));
  const wait = () => new Promise((resolve) => setTimeout(resolve, 1500));
  const seen = [];
  const look = async () => {
    await wait();
    const panes = shown();
    seen.push({
      count: panes.length,
      step: Number(panes[0].dataset.says),
      current: [...inner.querySelectorAll("[aria-current=step]")].map((each) => Number(each.dataset.step)),
      matrix: ink(".matrix"),
      histogram: ink(".histogram"),
      ends: [".previous", ".next"].map((each) => find(each).getAttribute("aria-disabled")),
    });
  };
  await look();
  find(".next").click();
  await look();
  key(inner.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight");
  await look();
  find("[data-step='4']").click();
  await look();
  find(".next").click();
  key(inner.documentElement.dir === "rtl" ? "ArrowRight" : "ArrowLeft");
  await look();
  note(seen);
"""

FILTER = """
  const figure = inner.querySelector("figure.claim-chart");
  const count = () => figure.querySelectorAll("svg .mark-symbol path").length;
  const button = figure.querySelector(".legend button");
  const found = [count()];
  for (let click = 0; click < 2; click += 1) {
    button.click();
    await new Promise((resolve) => setTimeout(resolve, 500));
    found.push(count(), button.getAttribute("aria-pressed"));
  }
  note(found);
"""


@pytest.fixture(params=["en", "fa"])
def language(request: pytest.FixtureRequest) -> Language:
    return Language(request.param)


@pytest.mark.parametrize("width", [PHONE_PX, WIDE_PX], ids=["phone", "wide"])
@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS.keys())
def test_page_draws_every_chart_within_its_width(make: Any, width: int, language: Language, tmp_path: Path) -> None:
    visit = open_framed(render_claims_page(make(), language), tmp_path, width)
    assert visit.console == []
    assert visit.requests == []
    found = visit.measured()
    assert found["wide"] == []
    assert found["scroll"] <= found["width"] == width
    assert all(chart["marks"] > 0 and chart["width"] > min(width, 700) / 4 for chart in found["charts"])
    assert int(found["drawn"]) == len(found["charts"])
    assert found["alerts"] == 0


def test_page_opened_as_a_file_needs_nothing_else(language: Language, tmp_path: Path) -> None:
    visit = open_page(render_claims_page(make_claims_report(), language), tmp_path)
    assert visit.console == []
    assert visit.requests == []
    assert re.search('data-charts="[1-9]', visit.dom)


def test_charts_are_in_the_readers_digits(language: Language, tmp_path: Path) -> None:
    script = 'note([...inner.querySelectorAll(".chart svg text")].map((text) => text.textContent).join(" "));'
    page = render_claims_page(make_claims_report(), language)
    words = open_framed(page, tmp_path, WIDE_PX, script=script).measured()
    outside_latin = re.sub("\u2066[^\u2069]*\u2069", "", words)
    digits, others = {"en": ("[0-9]", "[۰-۹]"), "fa": ("[۰-۹]", "[0-9]")}[language.code]
    assert re.search(digits, outside_latin)
    assert not re.search(others, outside_latin)


@pytest.mark.parametrize("flags", [(), ("--force-prefers-reduced-motion",)], ids=["motion", "reduced-motion"])
def test_stepper_steps_by_button_and_key(flags: tuple[str, ...], language: Language, tmp_path: Path) -> None:
    page = render_claims_page(make_claims_report(), language)
    time = "--virtual-time-budget=30000"
    seen = open_framed(page, tmp_path, WIDE_PX, *flags, time, script=STEP_THROUGH).measured()
    assert [look["step"] for look in seen] == [0, 1, 2, 4, 3]
    assert all(look["count"] == 1 and look["current"] == [look["step"]] for look in seen)
    assert [look["ends"] for look in seen][::3] == [["true", "false"], ["false", "true"]]
    assert len({look["matrix"] for look in seen}) == 5
    assert len({look["histogram"] for look in seen}) == 4  # the means change nothing yet


def test_legend_hides_and_shows_a_group(language: Language, tmp_path: Path) -> None:
    page = render_claims_page(make_claims_report(), language)
    before, hidden, pressed, after, again = open_framed(page, tmp_path, WIDE_PX, script=FILTER).measured()
    assert 0 < hidden < before == after
    assert (pressed, again) == ("false", "true")


def test_hovering_over_a_mark_says_numbers_of_the_table(language: Language, tmp_path: Path) -> None:
    report = make_claims_report()
    drawings = [draw_chart(chart, language, PAGE) for result in report.results for chart in result.charts]
    assert {drawing.kind for drawing in drawings} == {"lines", "bars", "dots"}
    drawn = {f"chart-{panel.name}": drawing for drawing in drawings for panel in drawing.panels}
    time = "--virtual-time-budget=30000"
    page = render_claims_page(report, language)
    found = open_framed(page, tmp_path, WIDE_PX, time, script=HOVER).measured()
    assert {tip["chart"] for tip in found} == set(drawn)
    for tip in found:
        assert tip["shown"], tip
        said = set(re.split(r"[\n\t]+", tip["text"]))
        rows = drawn[tip["chart"]].rows
        assert any(len(said & {cell for cell in row if cell}) >= 2 for row in rows), (tip, rows[:3])


@pytest.mark.parametrize("scheme", [DARK, LIGHT], ids=["dark", "light"])
def test_page_has_no_serious_finding_of_axe(scheme: str, language: Language, tmp_path: Path) -> None:
    page = render_claims_page(make_claims_report(), language)
    assert find_serious(page, tmp_path, scheme) == []


def test_axe_would_find_something(tmp_path: Path) -> None:
    bad = "<html><body><main><p style='color:#aaa;background:#fff'>pale</p></main></body></html>"
    assert "color-contrast" in {finding["id"] for finding in audit(bad, tmp_path)}
