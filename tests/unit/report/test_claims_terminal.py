"""Claims in the terminal and as a page of the documentation."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from placenorm.facts.claim import Effect, Published
from placenorm.report.claims_markdown import render_claims_markdown, write_claims_markdown
from placenorm.report.claims_terminal import print_claims
from placenorm.report.forms import print_to_text
from placenorm.report.language import Language
from support.claims_report import make_claims_report, make_unfinished_report

PERSIAN = re.compile("[\u0600-\u06ff]")
LATIN = re.compile("[A-Za-z]")


def show(code: str, width: int = 120, *, finished: bool = True) -> str:
    report = make_claims_report() if finished else make_unfinished_report()
    return print_to_text(lambda console: print_claims(report, console, Language(code)), width)


@pytest.mark.parametrize("width", [60, 80, 120], ids=str)
@pytest.mark.parametrize("code", ["en", "fa"])
def test_terminal_shows_every_claim_within_its_width(code: str, width: int) -> None:
    text = show(code, width)
    assert max(map(cell_len, text.splitlines())) <= width
    for slug in ("transform", "outliers", "shape"):
        assert slug in text


def test_terminal_table_stays_latin_in_persian() -> None:
    lines = show("fa").splitlines()
    table = lines[lines.index("") + 1 : lines.index("", lines.index("") + 1)]
    assert any("A3 outliers" in line and "0.712" in line and "0.642 to 0.781" in line for line in table)
    assert not any(PERSIAN.search(line) for line in table)


def test_terminal_has_no_table_and_persian_sentence_on_one_line() -> None:
    for line in show("fa").splitlines():
        if re.match(r"A\d+ ", line):
            assert not PERSIAN.search(line)


def test_terminal_says_the_verdict_and_what_to_do() -> None:
    text = show("en")
    assert "A11 The shape of distributions before and after the norm: does not hold" in text
    assert "What to do: " in text


def test_terminal_says_how_an_unfinished_run_goes_on() -> None:
    assert "placenorm claims A1 A3 A11 --resume" in show("en", finished=False)


@pytest.mark.parametrize("code", ["en", "fa"])
def test_document_names_a_picture_for_every_chart(code: str, tmp_path: Path) -> None:
    page = tmp_path / "fa" / "claims.md"
    written = write_claims_markdown(make_claims_report(), page, tmp_path / "images", Language(code))
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(named) == 7
    assert [(page.parent / name).resolve() for name in named] == [path.resolve() for path in written[1:]]
    assert all(path.is_file() for path in written)
    assert ('<div dir="rtl">' in text) == (code == "fa")


def test_document_has_the_effects_as_a_table() -> None:
    text = render_claims_markdown(make_claims_report(), Language("en"), "images")
    assert "| Area under the ROC curve, largest distance at any norm | 0.712 | 0.642 to 0.781 | 5 |" in text
    assert "[Ioffe & Szegedy 2015](https://arxiv.org/abs/1502.03167)" in text


@pytest.mark.parametrize("code", ["en", "fa"])
def test_document_says_how_it_was_measured_and_how_far_its_intervals_err(code: str) -> None:
    language, report = Language(code), make_claims_report()
    text = render_claims_markdown(report, language, "images")
    assert language.say("claims-effects-note") in text
    assert f"- {language.say('claims-set-samples')}: " in text
    assert "placenorm claims A1 A3 A11 --out claims-again\n" in text
    assert all(f": {value}\n" in text for value in (report.environment.torch, report.environment.python))


def test_effects_need_no_plural() -> None:
    report = make_claims_report()
    units = ("points", "ratio", "steps", "sd", "percent")
    effects = tuple(Effect("others", 1.0, -1.0, 12.0, 5, unit) for unit in units)
    first = replace(report.results[0], ruling=replace(report.results[0].ruling, effects=effects))
    text = render_claims_markdown(replace(report, results=(first,)), Language("en"), "images")
    shown = [
        f"| {value} | −1.0 to {high} |"
        for value, high in (
            ("+1.0 points", "+12.0"),
            ("1.0 times", "12.0"),
            ("1.0 steps", "12.0"),
            ("1.0 standard deviations", "12.0"),
            ("1.0 %", "12.0"),
        )
    ]
    assert [row for row in shown if row not in text] == []


def test_document_shows_hostile_names_as_text() -> None:
    report = make_claims_report()
    hostile = Published("A1-published-algorithm", "<script>alert(1)</script> [x](y)", "javascript:alert(1)")
    first = replace(report.results[0], published=(hostile,))
    text = render_claims_markdown(replace(report, results=(first,)), Language("en"), "images")
    assert "<script" not in text
    assert "](javascript:" not in text
    assert "[x](y)" not in text
