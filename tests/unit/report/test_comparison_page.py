"""The page as text: one file, whole, with every name escaped. How it looks is tested in a browser."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from placenorm.errors import StoreError
from placenorm.facts.comparison import Comparison
from placenorm.report.comparison_page import render_comparison_page, write_comparison_page
from placenorm.report.language import END_ISOLATE, ENGLISH, ISOLATE_LTR, LANGUAGES, Language
from placenorm.report.verdict_wording import put_into_words
from support.comparisons import make_comparison, make_diverged, make_regression, make_unfinished, make_variant

LARGEST_BYTES = 2_000_000
HOSTILE = '</script><script>alert("1")</script>'

COMPARISONS = {
    "four placements": make_comparison,
    "regression": make_regression,
    "diverged": make_diverged,
    "unfinished": make_unfinished,
}


class Page(HTMLParser):
    """Elements, their attributes, and the text of scripts and of the rest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data
        else:
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for _, found in self.elements if (value := found.get(attribute)) is not None]


EACH = [(make, code) for make in COMPARISONS.values() for code in LANGUAGES]


@pytest.fixture(scope="module", params=EACH, ids=[f"{name}-{code}" for name in COMPARISONS for code in LANGUAGES])
def page(request: pytest.FixtureRequest) -> Page:
    make, code = request.param
    text = render_comparison_page(make(), Language(code))
    assert len(text.encode()) < LARGEST_BYTES
    return Page(text)


def test_page_has_a_place_for_every_chart(page: Page) -> None:
    specs = json.loads(page.scripts[0])
    charts = [value.removeprefix("chart-") for value in page.values("id") if value.startswith("chart-")]
    assert sorted(charts) == sorted(specs)
    assert charts


def test_page_describes_every_chart_in_words(page: Page) -> None:
    charts = [found for _, found in page.elements if found.get("class") == "chart"]
    assert charts
    assert all(found["role"] == "img" and len(found["aria-label"] or "") > 20 for found in charts)


def test_page_points_nowhere_else(page: Page) -> None:
    assert not page.values("src")
    assert {value for value in page.values("href") if not value.startswith("#")} == set()
    assert "url" not in re.findall(r'"(url|href)":', page.scripts[0])


def test_page_has_unique_ids_and_labels_that_exist(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(page.values("aria-labelledby")) <= set(ids)


def test_page_skips_no_heading_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_page_allows_its_own_scripts_and_nothing_else(page: Page) -> None:
    policy = next(found["content"] for _, found in page.elements if "http-equiv" in found)
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in page.scripts[1:]
    ]
    assert policy is not None
    assert policy.split("; ")[0] == "default-src 'none'"
    assert f"script-src {' '.join(hashes)}" in policy.split("; ")


@pytest.mark.parametrize("code", LANGUAGES)
def test_page_shows_hostile_names_as_text(code: str) -> None:
    variants = [make_variant("none", baseline=True), make_variant(HOSTILE, aliases=("<b>",))]
    comparison = make_comparison(model=f"net.py:{HOSTILE}", variants=variants, seeds=3)
    page = Page(render_comparison_page(comparison, Language(code)))
    assert len(page.scripts) == 3
    assert f"net.py:{HOSTILE}" in page.text
    assert f"{HOSTILE} = <b>" in page.text
    assert json.loads(page.scripts[0])["scores"]
    assert "<" not in page.scripts[0]


@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_persian_page_is_right_to_left_and_has_persian_digits(make: Callable[[], Comparison]) -> None:
    page = Page(render_comparison_page(make(), Language("fa")))
    root = next(found for tag, found in page.elements if tag == "html")
    assert (root["lang"], root["dir"]) == ("fa", "rtl")
    words = ("آموزش", "محیط اجرا", "تنظیمات", "اجرای دوباره")
    assert [word for word in words if word not in page.text] == []
    english = ("The numbers", "How it was measured", "Put the norm", "percentage points", "10 seeds", "Settings")
    assert [word for word in english if word in page.text] == []
    assert re.search("[۰-۹]+٫[۰-۹]+", page.text)


def test_persian_verdict_says_the_same_as_the_english_one() -> None:
    spoken = put_into_words(make_comparison(), Language("fa")).verdict
    assert spoken is not None
    assert spoken.advice.startswith("BN را در محل after-pool بگذارید: ")
    assert spoken.speed_line.startswith("سرعت: گام به گام، ")
    assert spoken.cost_line.startswith("هزینه: سهم BN از یک گام آموزش: ")
    english = make_comparison().verdict
    assert english is not None
    assert len(spoken.notes) == len(english.notes)
    assert spoken.pick == english.pick


@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_comparison_in_words_stays_as_it_is_when_it_is_put_into_words_again(make: Callable[[], Comparison]) -> None:
    assert put_into_words(make(), ENGLISH) == make()


class Words(HTMLParser):
    """The text of a page that is read in the direction of the page: no code, no chart and no run of its own."""

    APART = ("bdi", "code", "pre", "script", "style", "title")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[tuple[str, bool]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append((tag, tag in self.APART or ("dir", "ltr") in attrs))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:  # an element without an end, such as meta
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(apart for _, apart in self._open):
            self.texts.append(data.strip())


def list_texts(value: object) -> Iterator[str]:
    """Yield every text in a specification."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from list_texts(part)


@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_persian_page_has_no_latin_letter_or_digit_outside_of_a_run_of_its_own(make: Callable[[], Comparison]) -> None:
    texts = Words(render_comparison_page(make(), Language("fa"))).texts
    assert len(texts) > 100
    assert [text for text in texts if re.search("[A-Za-z0-9]", text)] == []


@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_persian_charts_have_persian_digits_and_no_english_sentence(make: Callable[[], Comparison]) -> None:
    page = Page(render_comparison_page(make(), Language("fa")))
    texts = {text for spec in json.loads(page.scripts[0]).values() for text in list_texts(spec)}
    persian = {re.sub(f"{ISOLATE_LTR}.*?{END_ISOLATE}", "", text) for text in texts if re.search("[؀-ۿ]", text)}
    assert len(persian) > 10
    assert [text for text in persian if re.search("[0-9]", text)] == []
    english = [text for text in texts if re.search("[A-Za-z]{2,} (?:of|over|the|is|in) ", text)]
    assert english == []


def test_words_of_a_page_are_found_where_they_stand() -> None:
    page = '<meta charset="utf-8"><p>one <bdi>two</bdi> three</p><ol dir="ltr"><li>four</li></ol><p>five</p>'
    assert Words(page).texts == ["one", "three", "five"]


def test_page_has_what_the_norms_of_every_placement_cost() -> None:
    page = Page(render_comparison_page(make_comparison()))
    text = " ".join(page.text.split())
    costs = text[text.index("What the norms cost") : text.index("Use after-pool")]
    assert "none 0 0 0 0.0 % 0" in costs
    assert re.search(r"after-pool 8 640 0\.20 MB 41 % 51\.2 kB", costs)
    assert "chart-step-times" in page.values("id")


def test_page_says_the_advice_first_then_the_numbers_and_the_lines_to_paste() -> None:
    comparison = make_comparison()
    text = " ".join(Page(render_comparison_page(comparison)).text.split())
    parts = ("Put the norm after-pool", "The numbers", "done = pn.place(", "Run it again")
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert comparison.verdict is not None
    assert all(note in text for note in comparison.verdict.notes)


def test_page_draws_the_baseline_and_the_variant_that_is_advised() -> None:
    page = Page(render_comparison_page(make_comparison()))
    norms = [found for tag, found in page.elements if tag == "li" and found.get("class") == "op norm"]
    assert len(norms) == 8
    assert sum(tag == "details" for tag, _ in page.elements) == 2


def test_page_of_an_unfinished_comparison_says_how_to_go_on() -> None:
    text = Page(render_comparison_page(make_unfinished())).text
    assert "Not finished yet" in text
    assert "6 trials of at least 120 are in the store" in text
    assert "--epochs 8 --resume" in text


def test_write_html_replaces_the_page_in_one_piece(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_comparison_page(make_unfinished(), path)
    write_comparison_page(make_unfinished(), path)
    assert path.read_text(encoding="utf-8") == render_comparison_page(make_unfinished())
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_write_html_refuses_a_place_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"Cannot write .*report\.html"):
        write_comparison_page(make_unfinished(), tmp_path / "file" / "report.html")
    assert (tmp_path / "file").read_text() == "mine"
