"""A comparison in the terminal, or in a pipe.

Most terminals do not put Persian into its order beside Latin: tables stay Latin, and a Persian sentence stands on
lines of its own.
"""

from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from placenorm.facts.comparison import Answer, Comparison, Summary, Variant, Verdict
from placenorm.report.language import ENGLISH, Language
from placenorm.report.search_wording import list_blocks, say_intro, say_search
from placenorm.report.verdict_wording import put_into_words
from placenorm.report.wording import (
    ABSENT,
    OWN_COMMAND,
    Units,
    count_planned,
    count_rates,
    describe_run,
    describe_word,
    find_baseline,
    format_seconds,
    format_share,
    format_steps,
    group_failed,
    orient_pairs,
    resume_command,
    say_count,
    say_progress,
    say_spending,
    units_of,
)

RATES = "learning rates\nchosen"
"""Head of the one column of the summary that may wrap."""

UNLIMITED = 10_000
"""A width that no table has: how wide a table would like to be is measured against it."""

SPLIT = 5
"""Columns of the first table, where the summary does not fit into one: the result, then how it was reached."""

_COLOURS = {"better": "green", "no practical difference": "default", "undecided": "yellow"}


def print_comparison(comparison: Comparison, console: Console, language: Language = ENGLISH) -> None:
    """Print a comparison: its table, its pairs for both questions, and its verdict.

    Everything is printed as text without markup, so that a name in brackets stays as it is; and in plain ASCII, but
    for the table rules, which rich replaces where the terminal cannot show them.

    Args:
        comparison: the comparison, finished or not.
        console: where to print; its width decides between one table and two.
        language: of the sentences.
    """
    spoken = put_into_words(comparison, language).verdict
    comparison = put_into_words(comparison, ENGLISH)
    verdict = comparison.verdict
    if verdict is None or spoken is None:
        _print_unfinished(comparison, console, language)
        return
    console.print(Text(describe_run(comparison), style="bold"))
    console.print()
    units = units_of(comparison)
    names = list(_summary_columns(comparison, verdict, units))
    whole = _make_summary(comparison, verdict, units, names)
    if console.measure(whole, options=console.options.update(width=UNLIMITED)).maximum <= console.width:
        parts = [whole]
    else:
        halves = (names[:SPLIT], names[SPLIT:])
        parts = [_make_summary(comparison, verdict, units, half) for half in halves]
    for table in parts:
        console.print(table)
        console.print()
    for answer in (verdict.final, verdict.speed):
        _print_pairs(answer, find_baseline(comparison), units, console)
    _print_search(comparison, console)
    _print_verdict(spoken, say_search(comparison, language), console, language, is_own=_is_own(comparison))


def _summary_columns(comparison: Comparison, verdict: Verdict, units: Units) -> dict[str, Callable[[Summary], str]]:
    target = units.level(verdict.target) if verdict.target is not None else "target"
    return {
        f"test\n{units.head(comparison.metric.name)}": lambda row: units.number(row.metric),
        "95 %\ninterval": lambda row: units.interval(row.metric_low, row.metric_high),
        units.head("area\n"): lambda row: units.number(row.area),
        "dead\nunits": lambda row: format_share(row.dead_share_pct),
        "ms\na step": lambda row: format_seconds(row.step_time_ms),
        f"steps to\n{target}": lambda row: format_steps(row.steps_to_target),
        f"seconds to\n{target}": lambda row: format_seconds(row.seconds_to_target),
        "seeds\nthere": lambda row: f"{row.reached}/{row.seeds}",
        RATES: lambda row: count_rates(row.learning_rates),
    }


def _make_summary(comparison: Comparison, verdict: Verdict, units: Units, names: list[str]) -> Table:
    columns = _summary_columns(comparison, verdict, units)
    labels = {variant.name: _label(variant) for variant in comparison.variants}
    table = _start_table()
    _add_text_column(table, "\nplacement")
    for name in names:
        if name == RATES:
            _add_text_column(table, name)
        else:
            _add_number_column(table, name)
    for row in verdict.summaries:
        label = labels[row.variant] + (f"\n({row.diverged} of {row.seeds} diverged)" if row.diverged else "")
        style = "bold" if row.variant == verdict.pick else ""
        table.add_row(Text(label, style=style), *(Text(columns[name](row)) for name in names))
    return table


def _label(variant: Variant) -> str:
    return variant.label + (" (baseline)" if variant.baseline else "")


def _print_pairs(answer: Answer, baseline: str, units: Units, console: Console) -> None:
    question = "Final result" if answer.question == "final" else "Speed"
    head = Text(question, style="bold")
    head.append(f": {answer.measure}; margin {units.margin(answer.margin)}", style="not bold")
    console.print(head)
    if not answer.pairs:
        console.print(Text("(one placement: nothing to set beside it)\n", style="dim"))
        return
    table = _start_table()
    _add_text_column(table, "placement")
    _add_number_column(table, "difference")
    _add_number_column(table, f"{100 * answer.confidence:g} % jointly")
    _add_text_column(table, "verdict")
    second = None
    for pair in orient_pairs(answer.pairs, baseline):
        if pair.second != second:
            second = pair.second
            table.add_row(Text(f"against {second}"))
        table.add_row(
            Text(f"  {pair.first}"),
            Text(units.gap(pair.difference)),
            Text(units.gap_interval(pair.low, pair.high)),
            Text(describe_word(pair), style=_COLOURS[pair.word]),
        )
    console.print(table)
    if any(pair.more_seeds is not None for pair in answer.pairs):
        console.print(Text("(+ seeds: so many more would probably decide it)", style="dim"))
    console.print()


def _print_search(comparison: Comparison, console: Console) -> None:
    """Print which blocks matter; the table is Latin, as all tables here are."""
    if comparison.search is None:
        return
    heads, rows = list_blocks(comparison, ENGLISH)
    console.print(Text(ENGLISH.say("search-title"), style="bold"))
    console.print(Text(say_intro(comparison.search, ENGLISH), style="dim"))
    table = _start_table()
    for head in (heads[0], heads[1], heads[4]):
        _add_text_column(table, head)
    for block, position, effect, interval, word in rows:
        stands = word if effect == ABSENT else f"{word}\n{effect}, {interval}"
        table.add_row(*map(Text, (block, position, stands)))
    console.print(table)
    console.print()


def _is_own(comparison: Comparison) -> bool:
    """Return whether a user compared a network or data of their own, and need not be told how."""
    settings = comparison.settings
    return ":" in (settings.data or ":") or ".py:" in settings.model


def _print_verdict(
    verdict: Verdict, found: tuple[str, ...], console: Console, language: Language, *, is_own: bool
) -> None:
    console.print(Text(language.say("terminal-verdict"), style="bold"))
    console.print(Padding(Text(verdict.advice, style="bold green"), (0, 0, 0, 2)))
    for line in (*found, verdict.speed_line, verdict.cost_line):
        if line:
            console.print(Padding(Text(line), (0, 0, 0, 2)))
    if verdict.notes:
        console.print()
        console.print(Text(language.say("terminal-notes"), style="bold"))
    for note in verdict.notes:
        console.print(_item(note))
    console.print(_item(language.say("terminal-columns")))
    if not is_own:
        console.print()
        console.print(Text(language.say("terminal-own")))
        console.print(Text(f"  {OWN_COMMAND}"), soft_wrap=True)


def _print_unfinished(comparison: Comparison, console: Console, language: Language) -> None:
    done = say_count("trials", len(comparison.trials), language)
    head = language.say("terminal-unfinished", done=done, planned=count_planned(comparison))
    console.print(Text(head, style="bold yellow"))
    for line in (*say_progress(comparison, language), *(group.line for group in group_failed(comparison, language))):
        console.print(_item(line))
    if comparison.spending is not None:
        console.print(_item(say_spending(comparison.spending, language)))
    console.print(Text(language.say("terminal-go-on")))
    # Not wrapped: a command in two lines cannot be pasted.
    console.print(Text(f"  {resume_command(comparison.environment.command)}"), soft_wrap=True)


def _item(text: str) -> Padding:
    """Return a line of a list, indented where it goes on."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text("-"), Text(text))
    return Padding(grid, (0, 0, 0, 1))


def _start_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)


def _add_text_column(table: Table, name: str) -> None:
    """Add a column that may wrap; a word is folded only where it is wider than the column, and never cut off."""
    table.add_column(Text(name), overflow="fold")


def _add_number_column(table: Table, name: str) -> None:
    table.add_column(Text(name), justify="right", no_wrap=True)
