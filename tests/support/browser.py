"""Pages in headless Chromium: opened, measured, and watched for what they fetch."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
DARK, LIGHT = "--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1"
HOSTILE = "<script>alert(1)</script>"
AXE = Path(__file__).parents[1] / "browser" / "vendor" / "axe.min.js"
MEASURED_AFTER_MS = 6000

# Chromium does not make a window narrower than 500 px: the page is measured in a frame. A frame with `srcdoc` has the
# origin of the page around it, which can then look inside.
FRAME = """<!doctype html><body style="margin:0">
<iframe id="frame" style="border:0;width:{width}px;height:4000px" srcdoc="{page}"></iframe>
<pre id="measured"></pre>
<script>
setTimeout(async () => {{
  const inner = document.getElementById("frame").contentDocument;
  const note = (found) => (document.getElementById("measured").textContent = JSON.stringify(found));
  {script}
}}, {after});
</script>"""

MEASURE = """
  const width = inner.documentElement.clientWidth;
  const scrolls = (element) => element.closest("pre, .scroll") !== null;
  const hidden = (element) => element.closest("[role=rowgroup]:first-child, .skip") !== null;
  const juts = (box) => box.right > width + 1 || box.left < -1;
  const wide = [...inner.body.querySelectorAll("*")]
    .filter((element) => !scrolls(element) && !hidden(element) && juts(element.getBoundingClientRect()))
    .map((element) => `${element.tagName}.${element.getAttribute("class")} ${element.textContent.slice(0, 40)}`);
  const charts = [...inner.querySelectorAll(".chart")].map((chart) => ({
    id: chart.id,
    marks: chart.querySelectorAll("svg :is(.mark-symbol, .mark-line, .mark-rect) path, svg .mark-rule line").length,
    width: chart.querySelector("svg")?.getBoundingClientRect().width ?? 0,
  }));
  note({
    width,
    scroll: inner.documentElement.scrollWidth,
    wide,
    charts,
    drawn: inner.documentElement.dataset.charts,
    text: inner.body.innerText,
    alerts: inner.querySelectorAll("main script").length,
    surface: inner.defaultView.getComputedStyle(inner.body).backgroundColor,
    ink: inner.querySelector("svg text") && inner.defaultView.getComputedStyle(inner.querySelector("svg text")).fill,
  });
"""
"""What is seen of a page: its width, what is wider, and its charts."""

HOVER = """
  const found = [];
  for (const chart of inner.querySelectorAll(".chart")) {
    const marks = [...chart.querySelectorAll("svg :is(.mark-symbol, .mark-rect) path")];
    const mark = marks[Math.floor(marks.length / 2)];
    const { left, top, width, height } = mark.getBoundingClientRect();
    const at = { bubbles: true, clientX: left + width / 2, clientY: top + height / 2 };
    for (const name of ["pointerover", "pointermove", "mouseover", "mousemove"]) {
      mark.dispatchEvent(new (name.startsWith("p") ? PointerEvent : MouseEvent)(name, at));
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    const tip = inner.getElementById("vg-tooltip-element");
    found.push({
      chart: chart.id,
      shown: Boolean(tip?.classList.contains("visible")),
      text: tip?.innerText ?? "",
    });
    mark.dispatchEvent(new MouseEvent("mouseout", at));
    mark.dispatchEvent(new PointerEvent("pointerout", at));
  }
  note(found);
"""
"""Hovers over a mark of every chart, and notes what is said there."""

AUDIT = """
  for (const details of inner.querySelectorAll("details")) details.open = true;
  const found = await inner.defaultView.axe.run(inner, { resultTypes: ["violations"] });
  note(found.violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.html) })));
"""


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


def open_framed(page: str, folder: Path, width: int, *flags: str, script: str = MEASURE) -> Visit:
    """Open a page in a frame of a width and measure it.

    Args:
        page: the page.
        folder: where the browser may write.
        width: of the frame, in pixels.
        flags: more flags of the browser.
        script: JavaScript that looks into the document ``inner`` and hands what it finds to ``note``.
    """
    framed = FRAME.format(width=width, page=html.escape(page), script=script, after=MEASURED_AFTER_MS)
    return open_page(framed, folder, *flags, f"--window-size={WIDE_PX},4000")


def audit(page: str, folder: Path, *flags: str) -> list[dict[str, Any]]:
    """Return what axe-core finds in a page, with everything unfolded; its policy would keep axe from running."""
    open_to_axe = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    axe = AXE.read_text(encoding="utf-8")
    open_to_axe = open_to_axe.replace("</body>", f"<script>{axe}</script></body>")
    time = "--virtual-time-budget=60000"
    found: list[dict[str, Any]] = open_framed(open_to_axe, folder, WIDE_PX, *flags, time, script=AUDIT).measured()
    return found


def find_serious(page: str, folder: Path, *flags: str) -> list[dict[str, Any]]:
    """Return what axe-core finds in a page that is serious or critical."""
    return [finding for finding in audit(page, folder, *flags) if finding["impact"] in ("serious", "critical")]
