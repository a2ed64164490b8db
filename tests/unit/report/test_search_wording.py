"""What a search found, in words and on the page, in both languages."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from placenorm.facts.codec import dumps, loads
from placenorm.facts.comparison import Comparison
from placenorm.facts.search import SEARCHED, BlockEffect, BlockWord, Effect, Search, SearchEnding
from placenorm.report.comparison_page import render_comparison_page
from placenorm.report.language import ENGLISH, Language
from placenorm.report.search_wording import list_blocks, say_search
from placenorm.report.terminal import print_comparison
from placenorm.study.searching import FIRST_SEED
from support.comparisons import make_comparison


def make_block(name: str, word: BlockWord, *, known: bool = True) -> BlockEffect:
    low, high = (0.01, 0.03) if known else (None, None)
    return BlockEffect((name,), "none", word, (Effect("after-activation", "none", 0.02, low, high),))


def make_found(
    found: str = SEARCHED, *blocks: BlockEffect, policy_metric: float | None = 0.91, ending: SearchEnding = "trials"
) -> Comparison:
    search = Search(
        kind="per-block",
        size=3**30,
        tried=40,
        drawn=20,
        seeds=3,
        trials=150,
        ending=ending,
        wall_s=10.0,
        found=found,
        placement={"conv1": "none"},
        metric=0.93,
        policy="after-pool",
        policy_metric=policy_metric,
        confidence=0.95,
        margin=0.01,
        blocks=blocks or (make_block("conv1", "matters"), make_block("conv2", "not known", known=False)),
    )
    return replace(make_comparison(), search=search)


def test_find_is_said_beside_the_best_named_placement() -> None:
    found, blocks = say_search(make_found(), ENGLISH)
    assert "40 of 205,891,132,094,649 placements were tried at 3 seeds each, in 150 trials, " in found
    assert 'the best of them, "searched", reached a mean accuracy of 93' in found
    assert "the best named one, after-pool, 91" in found
    assert "it stands on seeds that the search never saw" in found
    assert blocks.startswith("Of 2 blocks with a choice, one matters (conv1), 0 do not, and of 1 it is not known")


@pytest.mark.parametrize(("names", "said"), [(("none",), "(none)"), ((), "(others)")], ids=["named", "others"])
def test_trials_of_the_search_that_failed_are_said(names: tuple[str, ...], said: str) -> None:
    found = make_found()
    assert found.search is not None
    failed = replace(found.search, failed=3, failed_of=names, failure="RuntimeError: needs a norm")
    sentence = say_search(replace(found, search=failed), ENGLISH)[1]
    assert sentence.startswith("Of its trials 3 failed")
    assert said in sentence
    assert sentence.endswith("the last: RuntimeError: needs a norm.")


def test_named_find_is_said_to_be_no_find() -> None:
    found, _ = say_search(make_found("after-pool"), ENGLISH)
    assert "none was better by more than the margin than the named after-pool" in found


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("all", "in 150 trials, and there are no more; on their"),
        ("trials", "in 150 trials, as many as it might take; on their"),
        ("budget", "in 150 trials, as far as the budget went; on their"),
    ],
)
@pytest.mark.parametrize("found", [SEARCHED, "after-pool"])
def test_end_of_a_search_is_said(found: str, ending: SearchEnding, said: str) -> None:
    assert said in say_search(make_found(found, ending=ending), ENGLISH)[0]
    assert len(say_search(make_found(found, ending=ending), Language("fa"))[0]) > 100


@pytest.mark.parametrize("width", [80, 120])
def test_table_of_blocks_keeps_names_of_positions_whole(width: int) -> None:
    longest = "after-pool-before-activation"
    effect = Effect(longest, "before-activation", 0.02, 0.01, 0.03)
    out = io.StringIO()
    print_comparison(
        make_found(SEARCHED, BlockEffect(("conv1",), longest, "matters", (effect,))), Console(file=out, width=width)
    )
    table = out.getvalue().partition("What the search found")[2].partition("Verdict")[0]
    assert table.count(longest) == 2
    assert "at the 3 seeds of the search" in " ".join(table.split())
    assert "+1.00 to +3.00" in " ".join(table.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["matters", "matters"], "2 matter (b0 and b1), 0 do not"),
        (["does not matter"] * 3, "None of 3 blocks with a choice is shown to matter: 3 are shown not to, and of 0"),
        (["not known"], "None of 1 blocks with a choice is shown to matter: 0 are shown not to, and of 1"),
    ],
    ids=["two", "none", "unknown"],
)
def test_blocks_are_counted(words: list[BlockWord], said: str) -> None:
    blocks = [make_block(f"b{place}", word) for place, word in enumerate(words)]
    assert said in say_search(make_found(SEARCHED, *blocks), ENGLISH)[1]


def test_table_has_a_row_for_each_block_and_no_number_where_none_is_known() -> None:
    heads, rows = list_blocks(make_found(), ENGLISH)
    assert len(heads) == 5
    assert rows[0][:2] == ("conv1", "none")
    assert rows[0][2].startswith("after-activation over none: +2.0")
    assert rows[0][4] == "matters"
    assert rows[1] == ("conv2", "none", "-", "-", "not known")


@pytest.mark.parametrize("code", ["en", "fa"])
def test_page_has_the_search_and_is_without_it_where_there_was_none(code: str) -> None:
    language = Language(code)
    title = language.say("search-title")
    assert title in render_comparison_page(make_found(), language)
    assert title not in render_comparison_page(make_comparison(), language)
    assert say_search(make_comparison(), language) == ()


def test_persian_sentences_have_persian_digits() -> None:
    for line in say_search(make_found(), Language("fa")):
        assert not set("0123456789") & set(line.replace("conv1", ""))


def test_policy_whose_trial_failed_has_no_number() -> None:
    assert "after-pool, -." in say_search(make_found(policy_metric=None), ENGLISH)[0]


def test_search_survives_json() -> None:
    found = make_found()
    assert loads(Comparison, dumps(found), "here") == found


def test_seeds_of_a_search_are_far_from_those_of_a_verdict() -> None:
    assert FIRST_SEED > 10_000
