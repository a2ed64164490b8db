"""The pages of advise, check, watch and outliers in a real browser: drawn, within their width, said on hover."""

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

import placenorm as pn
from placenorm.report.language import LANGUAGES, Language
from placenorm.report.outliers_page import render_outliers_page
from placenorm.report.watch_page import render_watch_page
from placenorm.verbs.outlying import Outlying
from support.browser import DARK, HOSTILE, HOVER, LIGHT, PHONE_PX, WIDE_PX, find_serious, open_framed, open_page
from support.histories import make_watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Make = Callable[[str, str, Path], str]
"""Makes a page: language, name of the network or its sites, folder."""

FILTER = """
  const legend = [...inner.querySelectorAll("div.legend")].at(-1);
  const charts = [...legend.closest("figure, .filtered").querySelectorAll(".chart")];
  const count = () => charts.map((chart) => chart.querySelectorAll("svg .mark-symbol path").length);
  const button = legend.querySelector("button");
  const found = [count()];
  for (let click = 0; click < 2; click += 1) {
    button.click();
    await new Promise((resolve) => setTimeout(resolve, 500));
    found.push(count());
  }
  note(found);
"""


def make_net() -> nn.Module:
    """Return a network with warnings, notes and a safe fix."""
    torch.manual_seed(0)
    layers = [
        *[("conv1", nn.Conv2d(1, 8, 3, padding=1)), ("norm1", nn.BatchNorm2d(8)), ("norm2", nn.BatchNorm2d(8))],
        *[("relu1", nn.ReLU()), ("pool1", nn.MaxPool2d(2)), ("conv2", nn.Conv2d(8, 8, 3, padding=1))],
        *[("dropout", nn.Dropout(0.3)), ("norm3", nn.BatchNorm2d(8)), ("relu2", nn.ReLU()), ("flatten", nn.Flatten())],
        *[("head", nn.Linear(128, 3)), ("norm4", nn.BatchNorm1d(3))],
    ]
    return nn.Sequential(OrderedDict(layers))


def make_deep() -> nn.Module:
    return nn.Sequential(*(layer for _ in range(7) for layer in (nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU())))


@cache
def find_outliers() -> Outlying:
    generator = torch.Generator().manual_seed(0)
    data, clean = (torch.randn(samples, 1, 8, 8, generator=generator) for samples in (60, 80))
    data[7] *= 20
    return pn.outliers(make_net().eval(), data, clean)


def advise_page(code: str, name: str, folder: Path) -> str:
    done = pn.advise(make_deep(), torch.zeros(4, 64), name=name)
    return done.report(folder / "advise.html", lang=code).read_text(encoding="utf-8")


def check_page(code: str, name: str, folder: Path) -> str:
    done = pn.check(make_net(), torch.randn(4, 1, 8, 8), name=name)
    return done.report(folder / "check.html", lang=code).read_text(encoding="utf-8")


def watch_page(code: str, name: str, folder: Path) -> str:
    return render_watch_page(make_watched(sites=9, name=name), Language(code))


def long_watch_page(code: str, name: str, folder: Path) -> str:
    return render_watch_page(make_watched(sites=60, looks=120, name=name), Language(code))


def outliers_page(code: str, name: str, folder: Path) -> str:
    found = find_outliers()
    return render_outliers_page(replace(found.facts, model=name), found.pictures, 8, Language(code))


PAGES = {
    "advise": (advise_page, 0),
    "check": (check_page, 0),
    "watch": (watch_page, 6),
    "watch of many sites": (long_watch_page, 6),
    "outliers": (outliers_page, 1),
}
"""What makes a page, and how many charts it has."""

CHARTED = {name: make for name, (make, charts) in PAGES.items() if charts}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("width", [PHONE_PX, WIDE_PX], ids=["phone", "wide"])
@pytest.mark.parametrize(("make", "charts"), PAGES.values(), ids=PAGES.keys())
def test_page_is_drawn_within_its_width(make: Make, charts: int, width: int, code: str, tmp_path: Path) -> None:
    visit = open_framed(make(code, "experiments.nets:Net", tmp_path), tmp_path, width)
    assert visit.console == []
    assert visit.requests == []
    found = visit.measured()
    assert found["wide"] == []
    assert found["scroll"] <= found["width"] == width
    assert len(found["charts"]) == int(found["drawn"]) == charts
    assert all(chart["marks"] > 0 and chart["width"] > width / 4 for chart in found["charts"]), found["charts"]


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize(("make", "charts"), PAGES.values(), ids=PAGES.keys())
def test_page_shows_hostile_names_as_text(make: Make, charts: int, code: str, tmp_path: Path) -> None:
    visit = open_framed(make(code, HOSTILE, tmp_path), tmp_path, WIDE_PX)
    assert visit.console == []
    found = visit.measured()
    assert found["alerts"] == 0
    assert HOSTILE in found["text"]
    assert int(found["drawn"]) == charts


@pytest.mark.parametrize(("make", "charts"), PAGES.values(), ids=PAGES.keys())
def test_page_opened_as_a_file_needs_nothing_else(make: Make, charts: int, tmp_path: Path) -> None:
    visit = open_page(make("fa", "Net", tmp_path), tmp_path)
    assert visit.console == []
    assert visit.requests == []
    assert f'data-charts="{charts}"' in visit.dom


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("make", CHARTED.values(), ids=CHARTED.keys())
def test_hovering_over_a_mark_says_its_numbers_in_the_readers_digits(make: Make, code: str, tmp_path: Path) -> None:
    time = "--virtual-time-budget=30000"
    found = open_framed(make(code, "net.layer", tmp_path), tmp_path, WIDE_PX, time, script=HOVER).measured()
    assert found
    for tip in found:
        assert tip["shown"], tip
        numbers = re.sub(r"[a-z][\w.:]*", "", tip["text"], flags=re.IGNORECASE | re.ASCII)  # without names of sites
        own, other = {"en": ("[0-9]", "[۰-۹]"), "fa": ("[۰-۹]", "[0-9]")}[code]
        assert re.search(own, numbers), tip
        assert not re.search(other, numbers), tip


@pytest.mark.parametrize("code", LANGUAGES)
def test_legend_hides_and_shows_a_look_in_both_charts_of_the_signal(code: str, tmp_path: Path) -> None:
    page = watch_page(code, "Net", tmp_path)
    before, hidden, after = open_framed(page, tmp_path, WIDE_PX, script=FILTER).measured()
    assert before == after == [18, 18]
    assert hidden == [9, 9]


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("scheme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(("make", "charts"), PAGES.values(), ids=PAGES.keys())
def test_page_has_no_serious_finding_of_axe(make: Make, charts: int, scheme: str, code: str, tmp_path: Path) -> None:
    assert find_serious(make(code, "experiments.nets:Net", tmp_path), tmp_path, scheme) == []
