"""The page of `outliers` in both languages."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import placenorm as pn
from placenorm.errors import UsageError
from placenorm.facts.outliers import Outliers, OutlierSample, OutlierSite, Quantiles
from placenorm.report.forms import print_to_text
from placenorm.report.language import ENGLISH, LANGUAGES, Language
from placenorm.report.outliers import print_outliers
from placenorm.report.outliers_chart import ALL_OF, draw_excesses
from placenorm.report.outliers_page import render_outliers_page
from placenorm.report.palette import PAGE
from placenorm.verbs.outlying import Outlying

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def found() -> Outlying:
    """Images of which the last is far from the others, in a network with a hostile name, without clean data."""
    torch.manual_seed(0)
    net = type(HOSTILE, (nn.Sequential,), {})(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    images = torch.randn(30, 1, 6, 6)
    images[29] = 50.0
    return pn.outliers(net, images, top=3)


@pytest.mark.parametrize("code", LANGUAGES)
def test_outliers_page_speaks_the_language(code: str, found: Outlying, tmp_path: Path) -> None:
    page = found.report(tmp_path / "page.html", lang=code).read_text(encoding="utf-8")
    text = re.sub("</?bdi>", "", page)
    assert f'<html lang="{code}" dir="{"rtl" if code == "fa" else "ltr"}"' in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("data:image/png;base64") == 3
    assert {"en": 'alt="sample 29"', "fa": 'alt="نمونه‌ی ۲۹"'}[code] in page
    assert {"en": "With 30 samples nothing rarer than 1 in 30", "fa": "با ۳۰ نمونه، چیزی نادرتر از ۱ در ۳۰"}[
        code
    ] in text
    assert '<li lang="en" dir="ltr">The data say themselves' in page
    assert ("جمله‌های دیگر به انگلیسی است." in page) == (code == "fa")


def test_outliers_page_in_no_language_is_refused(found: Outlying, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no language 'de' here"):
        found.report(tmp_path / "page.html", lang="de")


def make_facts(samples: int, beyond: int, *, own: bool = False) -> Outliers:
    """Return outliers of which some are further out than all of 100 clean samples."""
    usual = Quantiles(1.0, 2.0, 3.0, 4.0)
    site = OutlierSite("norm", "BatchNorm2d", 8, True, 100, usual, usual, 0.0, None)
    found = tuple(
        OutlierSample(
            index=place,
            site="norm",
            distance=5.0,
            share=0.0,
            peak=4.0,
            surprise=1 / 101 if place < beyond else 0.5,
            excess=None if place == 0 else 10.0 - 9.0 * place / samples,
        )
        for place in range(samples)
    )
    return Outliers("Net", found, (site,), 100, own, ())


def layers_of(spec: dict[str, Any]) -> list[Any]:
    """Return the types of the marks of a chart."""
    return [layer["mark"]["type"] for layer in spec["layer"]]


def test_chart_has_the_furthest_samples_and_ever_fewer_of_the_others() -> None:
    drawing = draw_excesses(make_facts(100_000, 3), ENGLISH, PAGE)
    assert drawing is not None
    rows = drawing.spec["layer"][0]["data"]["values"]
    ranks = [row["rank"] for row in rows]
    assert ranks[:ALL_OF] == list(range(2, ALL_OF + 2))  # the first is not finite
    assert len(ranks) < 400
    assert ranks[-1] > 95_000
    assert [row["rank"] for row in rows if row["beyond"]] == [2, 3]
    assert f"Of 100,000 samples {len(rows)} are drawn." in drawing.caption


@pytest.mark.parametrize(
    ("facts", "is_there"),
    [
        (make_facts(50, 3), True),
        (make_facts(50, 0), False),
        (make_facts(50, 50), False),
        (make_facts(50, 3, own=True), False),
    ],
    ids=["some beyond", "none beyond", "all beyond", "no clean samples"],
)
def test_limit_is_drawn_where_it_is_known(facts: Outliers, is_there: bool) -> None:
    drawing = draw_excesses(facts, ENGLISH, PAGE)
    assert drawing is not None
    assert ("rule" in layers_of(drawing.spec)) == is_there
    assert ("dashed line" in drawing.caption) == is_there
    if is_there:
        (line,) = [layer["data"]["values"] for layer in drawing.spec["layer"] if layer["mark"]["type"] == "rule"]
        inner, outer = (facts.samples[place].excess for place in (3, 2))
        assert inner is not None
        assert outer is not None
        assert inner < line[0]["limit"] < outer


def test_chart_of_hardly_a_sample_is_left_out() -> None:
    facts = make_facts(2, 0)
    assert draw_excesses(facts, ENGLISH, PAGE) is None
    page = render_outliers_page(facts, {}, 2, ENGLISH)
    assert 'class="chart"' not in page


def test_terminal_in_persian_has_latin_tables_and_sentences_of_their_own(found: Outlying) -> None:
    english, persian = (
        print_to_text(lambda console: print_outliers(found.facts, 3, console, Language(code)), 400).splitlines()  # noqa: B023
        for code in LANGUAGES
    )
    told = [line for line in persian if re.search("[\u0600-\u06ff]", line)]
    assert "۳۰ نمونه، به ترتیب فاصله از بقیه" in told
    assert "- جمله‌های دیگر به انگلیسی است." in told
    assert "و ۲۷ نمونه‌ی دیگر که کمتر شگفت‌آورند" in told
    tables = [line for line in english if re.search(r"\S  +\S", line)]
    assert len(tables) >= 6
    assert [line for line in persian if line in tables] == tables
