"""Advice in a terminal of 80 and of 120 columns, in a pipe, and as a page."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from placenorm.facts.advice import Advice, BlockAdvice, PolicyCost
from placenorm.facts.cost import CostChange
from placenorm.facts.finding import Figure, Finding
from placenorm.facts.graph import Graph, Unseen
from placenorm.report.advice import UNSEEN_SHOWN, print_advice
from placenorm.report.advice_page import render_advice_page
from placenorm.report.advice_wording import (
    generalise,
    group_blocks,
    name_keys,
    say_headline,
    say_pools,
    say_work,
)
from placenorm.report.forms import print_to_text
from placenorm.report.language import ENGLISH, LANGUAGES, Language
from support.readable import read_own_words

NO_GRAPH = Graph((), ())
FIGURE = Figure("94.0 % behind the pool", "CIFAR-10, 50 runs", "Page", "https://example.org/page", "primary source")


def make_block(key: str, **fields: object) -> BlockAdvice:
    block = BlockAdvice(key, 64, "before-activation", "after-activation", ("A9",), "", (100, 100))
    return replace(block, **fields)  # type: ignore[arg-type]


def make_advice() -> Advice:
    """Return the advice for a network of many blocks that are alike."""
    branch = {"advised": "before-activation", "rules": (), "reason": "no activation of its own before add"}
    blocks = (
        make_block("conv1", advised="after-pool", rules=("A9", "A10"), elements=(400, 100), pool_factor=4.0),
        *(make_block(f"layer{place}.conv1") for place in range(30)),
        *(make_block(f"layer{place}.conv2", **branch) for place in range(22)),
        make_block("fc[0]", position="none", advised="none", rules=(), reason="it gives the output", elements=(0, 0)),
    )
    same = CostChange((5600, 5300), (179_200, 169_600), (44_800, 42_400), (6784, 6784), (6837, 6837))
    return Advice(
        model="zoo:[bold]net",
        inputs="[2, 3, 8, 8]",
        depth=50,
        shallow=False,
        policy="after-pool",
        blocks=blocks,
        norms=53,
        share_pct=27.1,
        costs=(PolicyCost("after-pool", 31, 53, 26.0, same),),
        findings=(
            Finding("norm-behind-pool", ("conv1",), "It has less work.", "against", (FIGURE,)),
            Finding("norm-on-branch", ("layer0.conv2",), "It stays <there>.", "note", (FIGURE,)),
        ),
        unseen=tuple(Unseen(f"part{place}", "it is hidden") for place in range(5)),
        command="placenorm compare zoo:net --data path/to/my_data.py:datasets --placements as-is,before-activation",
    )


def print_at(advice: Advice, width: int) -> list[str]:
    out = io.StringIO()
    print_advice(advice, Console(file=out, width=width), ENGLISH)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 120], ids=["80 columns", "120 columns"])
def test_terminal_keeps_to_its_width_and_cuts_nothing_off(width: int) -> None:
    advice = make_advice()
    lines = print_at(advice, width)
    assert max(len(line) for line in lines if advice.command not in line) <= width
    text = "\n".join(lines)
    assert "…" not in text
    assert "\x1b" not in text
    assert "[bold]net" in text
    for word in ("before-activation", "after-activation", "after-pool"):
        assert re.search(rf"\b{word}\b", text)


def test_terminal_groups_equal_blocks_so_that_it_can_be_read_in_a_minute() -> None:
    lines = print_at(make_advice(), 120)
    assert len(lines) < 60
    assert [line.split() for line in lines if line.startswith("    30")] == [
        ["30", "before-activation", "after-activation", "A9", "same"]
    ]
    assert "        layer0.conv1, layer1.conv1, layer2.conv1, ..." in lines


def test_terminal_ends_with_the_command_in_one_line() -> None:
    advice = make_advice()
    lines = print_at(advice, 80)
    assert lines[-1] == f"  {advice.command}"
    assert "not measurements of your network" in " ".join(" ".join(lines).split())


def test_terminal_without_a_command_says_that_there_is_nothing_to_compare() -> None:
    text = " ".join(" ".join(print_at(replace(make_advice(), command=""), 80)).split())
    assert text.endswith("Every placement gives this network, so there is nothing to compare.")


def test_terminal_tells_objections_first_and_each_figure_with_setting_source_and_mark() -> None:
    text = " ".join(" ".join(print_at(make_advice(), 120)).split())
    assert text.index("What speaks against it") < text.index("norm-behind-pool") < text.index("What else to know")
    assert "94.0 % behind the pool (CIFAR-10, 50 runs; Page; primary source)" in text
    assert "What speaks for it" not in text


def test_terminal_names_some_unseen_parts_and_counts_the_rest() -> None:
    text = "\n".join(print_at(make_advice(), 80))
    assert sum(f"not seen: part{place}" in text for place in range(5)) == UNSEEN_SHOWN
    assert "and 2 more that tracing could not see" in text


def test_terminal_says_what_each_policy_costs_beside_now() -> None:
    lines = print_at(make_advice(), 120)
    now, there = (next(line for line in lines if line.startswith(name)) for name in ("now ", "after-pool  "))
    assert now.split() == ["now", "53", "5,600", "0.179", "27.1", "6,784"]
    assert "advised: 5.4 % less work for the norm, same parameters" in there


@pytest.mark.parametrize(
    ("reason", "general"),
    [
        ("a linear layer on [2, 196, 384] has its features last", "a linear layer on [...] has its features last"),
        ("features.norm normalises it behind a join", "a later norm normalises it behind a join"),
        ("it goes into mul (blocks.0:mul_1), so it stays", "it goes into mul, so it stays"),
        ("it gives the network's output", "it gives the network's output"),
    ],
    ids=["shape", "norm", "place", "plain"],
)
def test_generalise_leaves_out_what_belongs_to_one_block(reason: str, general: str) -> None:
    assert generalise(reason) == general


@pytest.mark.parametrize(
    ("elements", "work"),
    [((100, 100), "same"), ((0, 0), "-"), ((400, 100), "4.0x less"), ((0, 5000), "+5,000"), ((5000, 0), "-5,000")],
    ids=["same", "none", "less", "new", "gone"],
)
def test_say_work_is_short(elements: tuple[int, int], work: str) -> None:
    (group,) = group_blocks((make_block("a", elements=elements),))
    assert say_work(group, ENGLISH) == work


def test_say_pools_tells_what_the_pool_saves_where_the_norm_is_new() -> None:
    fields = {"position": "none", "advised": "after-pool", "elements": (0, 100)}
    groups = group_blocks((make_block("a", **fields, pool_factor=4.0), make_block("b", **fields, pool_factor=2.0)))
    (group,) = groups
    assert name_keys(group) == "a, b"
    assert say_pools(group, ENGLISH) == "2.0x to 4.0x less than in front of the pool"


def test_name_keys_names_a_network_that_is_one_weight_op() -> None:
    assert [name_keys(group) for group in group_blocks((make_block(""),))] == ["(the network)"]


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({}, "The article would change 31 of 54 blocks"),
        ({"blocks": ()}, "No weight op was seen, so there is nothing to advise"),
        (
            {"blocks": (make_block("a", advised="before-activation"),)},
            "The norms are where the article would have them",
        ),
        ({"shallow": True, "norms": 1}, "The article expects hardly any gain from norms here: 1 norm could go"),
        ({"shallow": True, "norms": 0}, "The article expects hardly any gain from norms here, and there is none"),
    ],
    ids=["some", "no blocks", "in place", "shallow with norms", "shallow without"],
)
def test_say_headline_is_what_is_advised(changes: dict[str, object], headline: str) -> None:
    assert say_headline(replace(make_advice(), **changes), ENGLISH) == headline  # type: ignore[arg-type]


class Outline(HTMLParser):
    """What a page loads and how its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        self.scripts += tag == "script"
        self.loads += [held.get("src") or "", *([held.get("href") or ""] if tag == "link" else [])]


def test_page_lists_every_block_and_loads_nothing() -> None:
    advice = make_advice()
    page = render_advice_page(advice, NO_GRAPH, ENGLISH)
    outline = Outline()
    outline.feed(page)
    assert not any(outline.loads)
    assert outline.scripts == 2  # what copies the command, and the charts, of which there are none
    assert all(f">{block.key}<" in page for block in advice.blocks)
    assert all(part.where in page for part in advice.unseen)
    assert FIGURE.url in page
    assert advice.command in page


def test_page_escapes_what_comes_from_the_model() -> None:
    page = render_advice_page(replace(make_advice(), model="<script>alert(1)</script>"), NO_GRAPH, ENGLISH)
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "It stays &lt;there&gt;." in page


def test_page_without_a_command_says_so() -> None:
    assert "there is nothing to compare" in render_advice_page(replace(make_advice(), command=""), NO_GRAPH, ENGLISH)


@pytest.mark.parametrize("code", LANGUAGES)
def test_page_speaks_the_language(code: str) -> None:
    advice = replace(make_advice(), model="<script>alert(1)</script>")
    page = render_advice_page(advice, NO_GRAPH, Language(code))
    words = read_own_words(page)
    assert f'<html lang="{code}" dir="{"rtl" if code == "fa" else "ltr"}"' in page
    assert "<script>alert" not in page
    assert {"en": "The article would change 31 of 54 blocks", "fa": "مقاله ۳۱ بلوک از ۵۴ بلوک را تغییر می‌دهد"}[
        code
    ] in words
    assert {"en": "advised: 5.4 % less work for the norm", "fa": "توصیه: کار BN ۵٫۴٪ کمتر"}[code] in re.sub(
        "</?bdi>", "", page
    )
    assert bool(re.search("[0-9]", words)) == (code == "en")
    assert ("جمله‌های قاعده‌ها به انگلیسی است." in words) == (code == "fa")
    assert '<bdi lang="en" dir="ltr">no activation of its own before add</bdi>' in page
    assert '<li lang="en" dir="ltr"><b>norm-behind-pool</b>: It has less work.' in page


@pytest.mark.parametrize("changes", [{}, {"command": ""}], ids=["with a command", "without"])
def test_terminal_in_persian_has_latin_tables_and_sentences_of_their_own(changes: dict[str, str]) -> None:
    advice = replace(make_advice(), **changes)  # type: ignore[arg-type]
    english, persian = (
        print_to_text(lambda console: print_advice(advice, console, Language(code)), 300).splitlines()  # noqa: B023
        for code in LANGUAGES
    )
    told = [line for line in persian if re.search("[\u0600-\u06ff]", line)]
    assert "مقاله ۳۱ بلوک از ۵۴ بلوک را تغییر می‌دهد." in told
    assert "جمله‌های قاعده‌ها به انگلیسی است." in told
    assert not any(word in line for line in told for word in ("before", "after", "norm"))
    left = [line for line in english if line not in persian]
    assert len(left) == len(told) - 1  # all but that the rules speak English
    assert all(re.search("[a-z]{3}", line) for line in left)
