"""The comparison in a terminal of 80 and of 120 columns, and in a pipe."""

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from placenorm.facts.comparison import Comparison
from placenorm.report.language import Language
from placenorm.report.terminal import print_comparison
from placenorm.report.verdict_wording import put_into_words
from placenorm.report.wording import OWN_COMMAND
from placenorm.study.verdict import judge
from support.comparisons import (
    ACCURACY,
    make_comparison,
    make_diverged,
    make_regression,
    make_unfinished,
    make_variant,
)

COMPARISONS = {
    "four placements": make_comparison,
    "regression": make_regression,
    "diverged": make_diverged,
    "unfinished": make_unfinished,
}


def print_at(comparison: Comparison, width: int) -> list[str]:
    out = io.StringIO()
    print_comparison(comparison, Console(file=out, width=width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 120], ids=["80 columns", "120 columns"])
@pytest.mark.parametrize("make", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_terminal_keeps_to_its_width_and_cuts_nothing_off(make, width: int) -> None:
    lines = print_at(make(), width)
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert "…" not in text
    assert "\x1b" not in text
    for name in ("none", "before-activation", "after-activation", "after-pool"):
        assert name in text


def test_terminal_at_80_columns_shows_each_variant_with_its_numbers() -> None:
    comparison = make_comparison()
    assert comparison.verdict is not None
    row = comparison.verdict.summaries[3]
    lines = print_at(comparison, 80)
    shown = [line.split() for line in lines if line.startswith("after-pool ")]
    low, high = (f"{100 * value:.2f}" for value in (row.metric_low, row.metric_high))
    assert shown[0][:5] == ["after-pool", f"{100 * row.metric:.2f}", low, "to", high]
    assert shown[1][1:4] == [f"{row.steps_to_target:.0f}", f"{row.seconds_to_target:.3g}", "10/10"]
    assert "none (baseline)" in "\n".join(lines)


def test_terminal_puts_the_advice_behind_the_tables_and_before_the_notes() -> None:
    comparison = make_comparison()
    assert comparison.verdict is not None
    text = " ".join(" ".join(print_at(comparison, 80)).split())
    places = [
        text.index(part)
        for part in (
            "Final result: test accuracy; margin 0.5 percentage points",
            "Speed: ",
            comparison.verdict.advice,
            comparison.verdict.speed_line,
            comparison.verdict.cost_line,
            *comparison.verdict.notes,
        )
    ]
    assert places == sorted(places)


def test_terminal_names_the_pairs_with_their_words() -> None:
    lines = print_at(make_comparison(), 80)
    section = lines[next(i for i, line in enumerate(lines) if line.startswith("Final result")) :]
    assert section[3].strip() == "against none"
    assert section[4].split()[0] == "before-activation"
    assert section[4].endswith("better")
    assert any("undecided (+" in line for line in section)
    assert any(line.endswith("no practical difference") for line in section)


def test_terminal_is_one_table_where_there_is_room() -> None:
    wide = print_at(make_comparison(), 140)
    assert sum(line.startswith("placement") for line in wide) == 3  # the summary, and the pairs of two questions
    assert sum(line.startswith("placement") for line in print_at(make_comparison(), 80)) == 4


def test_terminal_shows_aliases_and_names_in_brackets_as_they_are() -> None:
    variants = [make_variant("none", baseline=True), make_variant("[red]mine[/red]", aliases=("after-pool",))]
    text = "\n".join(print_at(make_comparison(variants=variants), 120))
    assert "[red]mine[/red] = after-pool" in text


def test_terminal_says_how_an_unfinished_comparison_goes_on() -> None:
    long = "placenorm compare " + "a" * 100 + " --data digits"
    comparison = make_unfinished()
    comparison = replace(comparison, environment=replace(comparison.environment, command=long))
    lines = print_at(comparison, 80)
    assert lines[0] == "No verdict yet: 6 trials of at least 120 are done."
    assert lines[-1] == f"  {long} --resume"


def test_terminal_writes_ascii_where_the_pipe_takes_nothing_else() -> None:
    raw = io.BytesIO()
    pipe = io.TextIOWrapper(raw, encoding="ascii")
    print_comparison(make_comparison(), Console(file=pipe, width=80))
    pipe.flush()
    assert b"before-activation" in raw.getvalue()


@pytest.mark.parametrize(
    "make", [make_comparison, make_regression, make_diverged], ids=["usual", "regression", "diverged"]
)
def test_persian_sentences_stand_on_lines_of_their_own_and_tables_stay_latin(make: Callable[[], Comparison]) -> None:
    out = io.StringIO()
    print_comparison(make(), Console(file=out, width=100), Language("fa"))
    english = print_at(make(), 100)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    table = english[: english.index("Verdict")]
    assert lines[: len(table)] == table
    spoken = put_into_words(make(), Language("fa")).verdict
    assert spoken is not None
    text = " ".join(" ".join(lines).split())
    for sentence in (spoken.advice, spoken.speed_line, spoken.cost_line, *spoken.notes):
        assert " ".join(sentence.split()) in text
    for heading in ("نتیجه", "یادداشت‌ها"):
        assert heading in lines
    own = make().settings.data != "digits"
    assert ("روی شبکه و داده‌ی خودتان:" in lines) != own
    command = f"  {OWN_COMMAND}"
    after = lines[len(table) :]
    assert [line for line in after if line and line != command and not re.search("[\u0600-\u06ff]", line)] == []


def test_persian_terminal_says_how_an_unfinished_comparison_goes_on() -> None:
    out = io.StringIO()
    print_comparison(make_unfinished(), Console(file=out, width=100), Language("fa"))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert lines[0] == "هنوز نتیجه‌ای نیست: از دست‌کم ۱۲۰ اجرا، ۶ اجرا انجام شده است."
    assert lines[1] == " - none: ۶ اجرا"
    assert lines[-2] == "برای ادامه این دستور را اجرا کنید:"
    assert lines[-1] == f"  {make_unfinished().environment.command} --resume"


def test_terminal_finds_the_words_of_a_verdict_that_has_none() -> None:
    comparison = make_comparison()
    assert comparison.verdict is not None
    bare = judge(
        comparison.variants, comparison.chosen, ACCURACY, 0.005, ACCURACY.quantum, comparison.verdict.remarks[:3]
    )
    assert bare.advice == bare.final.measure == ""
    assert print_at(replace(comparison, verdict=bare), 100) == print_at(comparison, 100)
