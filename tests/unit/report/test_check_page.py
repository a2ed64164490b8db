"""The page of a check in both languages, and what the terminal says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import placenorm as pn
from placenorm.facts.check import Check
from placenorm.facts.finding import Finding
from placenorm.facts.graph import Unseen
from placenorm.report.check_page import render_check_page
from placenorm.report.check_wording import say_counts, say_headline
from placenorm.report.checking import print_check
from placenorm.report.forms import print_to_text
from placenorm.report.language import ENGLISH, LANGUAGES, Language
from placenorm.report.strips import OPEN_BLOCKS, draw_moved, draw_strip
from placenorm.verbs.checking import Checked
from support.readable import read_own_words

X = torch.zeros(4, 1, 8, 8)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def checked() -> Checked:
    """A network whose output a norm gives, which a safe fix mends, with a dropout in front of another norm."""
    layers = (nn.Conv2d(1, 8, 3), nn.Dropout(0.5), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))
    net = nn.Sequential(*layers, nn.BatchNorm1d(3))
    done = pn.check(net, X, name=HOSTILE, command=f"placenorm check {HOSTILE}")
    return replace(done, check=replace(done.check, silenced=1, unseen=(Unseen(HOSTILE, "it is hidden"),)))


def make_check(*severities: str, silenced: int = 0) -> Check:
    findings = tuple(Finding("a-rule", (), "It is so.", "note", severity=each) for each in severities)  # type: ignore[arg-type]
    return Check("net", "[2, 4]", 1, ("BN101",), findings, silenced, (), 0)


@pytest.mark.parametrize("code", LANGUAGES)
def test_check_page_speaks_the_language(code: str, checked: Checked, tmp_path: Path) -> None:
    page = checked.report(tmp_path / "check.html", lang=code).read_text(encoding="utf-8")
    words = read_own_words(page)
    assert f'<html lang="{code}" dir="{"rtl" if code == "fa" else "ltr"}"' in page
    counts = (re.search("The rules found (.*?)\\.", words), re.search("قاعده‌ها (.*?) یافتند\\.", words))
    assert [bool(found) for found in counts] == [code == "en", code == "fa"]
    assert {"en": "With the safe fixes", "fa": "با رفع‌های بی‌خطر"}[code] in words
    assert {"en": "What was not looked at", "fa": "آنچه بررسی نشد"}[code] in words
    assert bool(re.search("[0-9]", words)) == (code == "en")
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3  # the model, what was not seen, the command


def test_check_page_ends_with_what_mends_and_what_repeats(checked: Checked, tmp_path: Path) -> None:
    page = checked.report(tmp_path / "check.html").read_text(encoding="utf-8")
    commands = re.findall(r"<pre[^>]*><code>(.*?)</code>", page)
    assert commands == [
        "model = pn.place(model, example_inputs, {&#34;5&#34;: &#34;none&#34;}, preserve=batches).model",
        "placenorm check &lt;script&gt;alert(1)&lt;/script&gt;",
    ]
    assert "Take the norm out: 5 gives the output. Safe: in evaluation the network computes the same." in page


def test_check_page_shows_the_network_as_the_safe_fixes_leave_it(checked: Checked, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3))
    done = pn.check(net, X)
    assert done.placement == {"1": "none"}
    placed = pn.place(net, X, done.placement, preserve=[torch.randn(16, 1, 8, 8)])
    kinds = [
        [[op.kind for op in block.ops if op.kind != "identity"] for block in strip]
        for strip in (draw_moved(done.graph, done.placement), draw_strip(placed.graph))
    ]
    assert kinds[0] == kinds[1]
    page = checked.report(tmp_path / "check.html").read_text(encoding="utf-8")
    now, then = re.findall('<ol class="strip".*?</details>', page, re.DOTALL)
    assert (now.count('class="op norm"'), then.count('class="op norm"')) == (2, 1)


def test_check_page_without_safe_fixes_has_one_strip() -> None:
    done = pn.check(nn.Sequential(nn.Linear(4, 2)), torch.zeros(2, 4))
    page = render_check_page(done.check, done.graph, done.command, ENGLISH)
    assert page.count('<ol class="strip"') == 1
    assert "The rules found nothing." in page
    assert "pn.check(model, example_inputs)" in page
    assert "pn.place(" not in page


@pytest.mark.parametrize(("layers", "is_open"), [(OPEN_BLOCKS, True), (OPEN_BLOCKS + 1, False)], ids=["few", "many"])
def test_strip_of_many_blocks_starts_folded(layers: int, is_open: bool, tmp_path: Path) -> None:
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))
    for done in (pn.check(net, torch.zeros(2, 4)), pn.advise(net, torch.zeros(2, 4))):
        page = done.report(tmp_path / "page.html").read_text(encoding="utf-8")
        (folded,) = set(re.findall(r'<details class="network slot-\d"( open)?>', page))
        assert (folded == " open") == is_open


@pytest.mark.parametrize(
    ("check", "counts", "headline"),
    [
        (make_check(), "Nothing found.", "The rules found nothing."),
        (make_check("warning"), "1 warning.", "The rules found 1 warning."),
        (
            make_check("error", "warning", "warning", "info"),
            "1 error, 2 warnings, 1 note.",
            "The rules found 1 error, 2 warnings, and 1 note.",
        ),
        (
            make_check("info", silenced=2),
            "1 note (2 findings silenced by comments).",
            "The rules found 1 note.",
        ),
        (make_check(silenced=1), "Nothing found (1 finding silenced by comments).", "The rules found nothing."),
    ],
    ids=["nothing", "one", "all", "silenced", "all silenced"],
)
def test_counts_are_sentences(check: Check, counts: str, headline: str) -> None:
    assert say_counts(check, ENGLISH) == counts
    assert say_headline(check, ENGLISH) == headline


def test_terminal_in_persian_says_its_own_sentences_and_leaves_those_of_the_rules(checked: Checked) -> None:
    english, persian = (
        print_to_text(lambda console: print_check(checked.check, console, Language(code)), 200).splitlines()  # noqa: B023
        for code in LANGUAGES
    )
    told = [line for line in persian if line not in english]
    assert told[0] == "جمله‌های قاعده‌ها به انگلیسی است."
    assert told[1].endswith("(۱ یافته با توضیحی در متن برنامه خاموش شده است).")
    assert len(told) == 2
    assert not any(re.search("[A-Za-z0-9]", line) for line in told)
    assert [line for line in english if line not in persian] == [english[-1]]


def test_text_file_and_table_are_in_the_language(checked: Checked, tmp_path: Path) -> None:
    text = checked.report(tmp_path / "check.txt", lang="fa").read_text(encoding="utf-8")
    assert text == checked.table("fa")
    assert "جمله‌های قاعده‌ها به انگلیسی است." in text
    assert "جمله‌های" not in checked.table()
