"""The report in a real browser: charts drawn, nothing fetched, nothing cut off, names shown as text."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from placenorm.facts.comparison import Comparison
from placenorm.report.html import render_page
from support.comparisons import make_comparison, make_diverged, make_regression, make_unfinished, make_variant

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=10000",
)
TIMEOUT_S = 120  # a browser on a machine whose cores are all busy
PHONE_PX = 400
WIDE_PX = 1400
NO_PAGE = "not an origin"
HOSTILE = "<script>alert(1)</script>"

# Chromium does not make a window narrower than 500 px: the page is measured in a frame. A frame with `srcdoc` has the
# origin of the page around it, which can then look inside.
FRAME = """<!doctype html><body style="margin:0">
<iframe id="frame" style="border:0;width:{width}px;height:4000px" srcdoc="{page}"></iframe>
<pre id="measured"></pre>
<script>
setTimeout(() => {{
  const inner = document.getElementById("frame").contentDocument;
  const width = inner.documentElement.clientWidth;
  const scrolls = (element) => element.closest("pre") !== null;
  const hidden = (element) => element.closest("[role=rowgroup]:first-child, .skip") !== null;
  const wide = [...inner.body.querySelectorAll("*")]
    .filter((element) => !scrolls(element) && !hidden(element) && element.getBoundingClientRect().right > width + 1)
    .map((element) => `${{element.tagName}}.${{element.getAttribute("class")}} ${{element.textContent.slice(0, 40)}}`);
  const charts = [...inner.querySelectorAll(".chart")].map((chart) => ({{
    id: chart.id,
    marks: chart.querySelectorAll("svg .mark-symbol path, svg .mark-rule line, svg .mark-line path").length,
    width: chart.querySelector("svg")?.getBoundingClientRect().width ?? 0,
  }}));
  document.getElementById("measured").textContent = JSON.stringify({{
    width,
    scroll: inner.documentElement.scrollWidth,
    wide,
    charts,
    drawn: inner.documentElement.dataset.charts,
    text: inner.body.innerText,
    alerts: inner.querySelectorAll("main script").length,
    surface: inner.defaultView.getComputedStyle(inner.body).backgroundColor,
    ink: inner.querySelector("svg text") && inner.defaultView.getComputedStyle(inner.querySelector("svg text")).fill,
  }});
}}, 6000);
</script>"""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser did with a page."""

    dom: str
    console: list[str]
    requests: list[str]

    def measured(self) -> Any:
        """Return what the frame measured."""
        found = re.search(r'<pre id="measured">(.+?)</pre>', self.dom, re.DOTALL)
        assert found, f"the page was not measured; the console says: {self.console}"
        return json.loads(html.unescape(found[1]))


def open_page(page: str, folder: Path, *flags: str) -> Visit:
    """Open a page in headless Chromium with an empty profile, and return what came of it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.fail("There is no chromium on the PATH: install Debian's package chromium to run the browser tests.")
    file, log = folder / "page.html", folder / "net.json"
    file.write_text(page, encoding="utf-8")
    places = (f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}")
    command = [browser, *FLAGS, *flags, *places, "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    events = [event.get("params", {}) for event in json.loads(log.read_text(encoding="utf-8"))["events"]]
    # What Chromium asks its maker for on its own has no origin; what a page asks for has the page's.
    urls = [event["url"] for event in events if event.get("initiator", NO_PAGE) != NO_PAGE and "url" in event]
    return Visit(
        dom=done.stdout,
        console=[line for line in done.stderr.splitlines() if "CONSOLE" in line],
        requests=sorted({url for url in urls if url.startswith(("http:", "https:", "ws:", "wss:"))}),
    )


def open_framed(page: str, folder: Path, width: int, *flags: str) -> Visit:
    """Open a page in a frame of a width and measure it."""
    return open_page(FRAME.format(width=width, page=html.escape(page)), folder, *flags, f"--window-size={WIDE_PX},4000")


def make_long_names() -> Comparison:
    name = "experiments/placements/a-very-long-file-name-of-somebody.json"
    variants = [make_variant("none", baseline=True), make_variant(name, aliases=("after-activation", "after-pool"))]
    return make_comparison(model="src/somewhere/deep/in/the/tree/networks.py:NetworkWithALongName", variants=variants)


def make_lost() -> Comparison:
    names = ("none", "before-activation", "after-activation", "after-pool")
    return make_comparison(seeds=2, diverged=dict.fromkeys(names, 2))


COMPARISONS = {
    "all diverged": make_lost,
    "long names": make_long_names,
    "four placements": make_comparison,
    "regression": make_regression,
    "diverged": make_diverged,
    "unfinished": make_unfinished,
}


@pytest.mark.parametrize("width", [PHONE_PX, WIDE_PX], ids=["phone", "wide"])
@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_report_draws_every_chart_within_its_width(make: Any, width: int, tmp_path: Path) -> None:
    visit = open_framed(render_page(make()), tmp_path, width)
    assert visit.console == []
    assert visit.requests == []
    found = visit.measured()
    assert found["wide"] == []
    assert found["scroll"] <= found["width"] == width
    assert found["charts"]
    assert all(chart["marks"] > 0 and chart["width"] > width / 4 for chart in found["charts"]), found["charts"]
    assert int(found["drawn"]) == len(found["charts"])


def test_report_opened_as_a_file_needs_nothing_else(tmp_path: Path) -> None:
    visit = open_page(render_page(make_comparison()), tmp_path)
    assert visit.console == []
    assert visit.requests == []
    assert f'data-charts="{visit.dom.count(chr(60) + "figure")}"' in visit.dom


def test_report_shows_hostile_names_as_text(tmp_path: Path) -> None:
    variants = [make_variant("none", baseline=True), make_variant(HOSTILE)]
    page = render_page(make_comparison(model=f"net.py:{HOSTILE}", data=f"npz:{HOSTILE}", variants=variants))
    visit = open_framed(page, tmp_path, WIDE_PX)
    assert visit.console == []
    found = visit.measured()
    assert found["alerts"] == 0
    assert f"net.py:{HOSTILE}" in found["text"]
    assert int(found["drawn"]) == len(found["charts"])
    assert "&lt;script&gt;alert(1)" in visit.dom


@pytest.mark.parametrize(("scheme", "is_dark"), [("0", True), ("1", False)], ids=["dark", "light"])
def test_report_follows_the_colour_scheme(scheme: str, is_dark: bool, tmp_path: Path) -> None:
    flag = f"--blink-settings=preferredColorScheme={scheme}"
    found = open_framed(render_page(make_comparison()), tmp_path, WIDE_PX, flag).measured()
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
