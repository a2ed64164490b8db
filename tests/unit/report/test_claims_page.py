"""The page of the claims as text: whole, in both languages, with every name escaped. Its looks are for a browser."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from placenorm.errors import StoreError
from placenorm.report.claims_page import render_claims_page, write_claims_page
from placenorm.report.language import Language
from support.claims_report import make_claims_report, make_hostile_report, make_unfinished_report

LARGEST_BYTES = 5_000_000
HOSTILE = '</script><script>alert("1")</script>'
VOID = {"meta", "link", "br", "img", "path"}


class Page(HTMLParser):
    """Elements with their attributes, the text of scripts, and the rest with its Latin runs apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.latin = ""
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self._open:
            self.scripts[-1] += data
        elif "style" in self._open:
            return
        elif {"bdi", "code"} & set(self._open):
            self.latin += data + " "
        else:
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for _, found in self.elements if (value := found.get(attribute)) is not None]


@pytest.fixture(scope="module", params=["en", "fa"])
def code(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def text(code: str) -> str:
    return render_claims_page(make_claims_report(), Language(code))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_page_is_in_its_language(page: Page, code: str) -> None:
    direction = {"en": "ltr", "fa": "rtl"}[code]
    assert page.elements[0] == ("html", {"lang": code, "dir": direction})


def test_page_begins_with_the_sum_of_the_verdicts(page: Page, code: str) -> None:
    sums = {
        "en": "Of 3 claims of the article, one holds only under a condition, one does not hold, and one is undecided.",
        "fa": "از ۳ ادعای مقاله، یک ادعا فقط به شرطی درست است،",
    }
    assert sums[code] in page.text


def test_page_has_a_place_for_every_chart_and_its_numbers(page: Page) -> None:
    specs = json.loads(page.scripts[0])
    charts = [value.removeprefix("chart-") for value in page.values("id") if value.startswith("chart-")]
    assert sorted(charts) == sorted(specs)
    drawn = [chart for result in make_claims_report().results for chart in result.charts]
    assert sum(tag == "table" for tag, _ in page.elements) == len(drawn)


def test_page_describes_every_chart_in_words(page: Page) -> None:
    charts = [found for _, found in page.elements if found.get("class") == "chart"]
    assert charts
    assert all(found["role"] == "img" and found["aria-label"] for found in charts)


def test_page_leads_to_every_claim(page: Page) -> None:
    slugs = {result.slug for result in make_claims_report().results}
    assert slugs <= set(page.values("id"))
    assert {f"#{slug}" for slug in slugs} <= set(page.values("href"))


def test_page_loads_nothing(page: Page, text: str, code: str) -> None:
    assert not page.values("src")
    assert {tag for tag, found in page.elements if "href" in found} == {"a"}
    policy = next(found["content"] for _, found in page.elements if found.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert ("font-src data:" in policy) == ("@font-face" in text) == (code == "fa")
    assert len(text.encode()) < LARGEST_BYTES


def test_every_style_sheet_word_of_ours_is_used(text: str) -> None:
    """A class that the scripts look for is there."""
    for name in ("legend", "chart", "matrix", "histogram", "previous", "next", "copy"):
        assert re.search(rf'class="{name}[ "]', text), name


def test_persian_page_has_latin_digits_in_latin_runs_only() -> None:
    page = Page(render_claims_page(make_claims_report(), Language("fa")))
    numbers = re.findall(r"(?<![A-Za-z])[0-9]+", page.text)
    # The numbers of claims and the date's and the versions' are Latin terms.
    assert [number for number in numbers if number not in {"1", "3", "11"}] == []
    assert "۹۸٫۳" in page.text


def test_stepper_says_each_step_once(page: Page, code: str) -> None:
    assert len(page.values("data-says")) == len(page.values("data-step")) == 5
    example = json.loads(page.scripts[1])
    assert len(example["means"]) == 100
    assert example["digits"][7] == {"en": "7", "fa": "۷"}[code]


def test_page_escapes_every_name(code: str) -> None:
    page = Page(render_claims_page(make_hostile_report(HOSTILE), Language(code)))
    assert len(page.scripts) == 5
    assert not any("alert(" in script and "vega" not in script for script in page.scripts[2:])
    assert "javascript:" not in " ".join(page.values("href"))


def test_unfinished_page_says_how_to_go_on(code: str) -> None:
    page = Page(render_claims_page(make_unfinished_report(), Language(code)))
    assert "placenorm claims A1 A3 A11 --resume" in page.latin
    assert json.loads(page.scripts[0]) == {}


@pytest.mark.parametrize(("fixed", "samples"), [(True, 2), (False, 1)], ids=["own-test-data", "split"])
def test_page_says_how_many_samples_were_used(code: str, fixed: bool, samples: int) -> None:
    report = make_claims_report()
    settings, data = replace(report.settings, limit=1437), replace(report.data, fixed_test=fixed)
    text = Page(render_claims_page(replace(report, settings=settings, data=data), Language(code))).text
    assert text.count({"en": "1,437", "fa": "۱٬۴۳۷"}[code]) == samples
    for number in {"en": ("1,078", "359", "360"), "fa": ("۱٬۰۷۸", "۳۵۹", "۳۶۰")}[code]:
        assert number in text


def test_page_repeats_a_resumed_run_in_a_new_folder(code: str) -> None:
    report = make_claims_report()
    environment = replace(report.environment, command="placenorm claims A1 --out runs/a1 --resume")
    page = Page(render_claims_page(replace(report, environment=environment), Language(code)))
    assert "placenorm claims A1 --out runs/a1-again " in page.latin
    assert "--resume" not in page.latin


def test_page_is_written_whole_or_not(tmp_path: Path) -> None:
    target = tmp_path / "claims.html"
    write_claims_page(make_claims_report(), target, Language("en"))
    assert target.read_text(encoding="utf-8").rstrip().endswith("</html>")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="Cannot write"):
        write_claims_page(make_claims_report(), tmp_path / "file" / "claims.html", Language("en"))
