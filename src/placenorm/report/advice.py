"""Advice in the terminal, or in a pipe."""

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from placenorm.facts.advice import Advice
from placenorm.report.advice_wording import (
    NONE,
    STANCES,
    Group,
    group_blocks,
    list_cost_heads,
    list_costs,
    list_findings,
    name_keys,
    name_position,
    say_figure,
    say_headline,
    say_network,
    say_pools,
    say_rules,
    say_work,
)
from placenorm.report.findings import print_in_english
from placenorm.report.language import ENGLISH, Language

UNSEEN_SHOWN = 3
"""Parts that tracing could not describe, named in the terminal; the page and the JSON name all."""


def print_advice(advice: Advice, console: Console, language: Language) -> None:
    """Print advice: the blocks in groups, what each policy costs, what speaks against it, and what would settle it.

    Args:
        advice: the advice.
        console: where to print; plain text without markup, cut to its width.
        language: of the sentences; tables stay Latin, as most terminals do not put Persian into its order beside it.
    """
    say = language.say
    console.print(Text(f"{advice.model} on {advice.inputs}: {say_network(advice, ENGLISH)}", style="bold"))
    console.print(Text(f"{say_headline(advice, language)}.", style="bold green"))
    console.print()
    _print_blocks(advice, console, language)
    _print_costs(advice, console, language)
    _print_findings(advice, console, language)
    for part in advice.unseen[:UNSEEN_SHOWN]:
        console.print(_item("-", Text(f"not seen: {part.where}: {part.reason}")))
    if len(advice.unseen) > UNSEEN_SHOWN:
        console.print(_item("-", Text(say("advice-unseen-more", parts=len(advice.unseen) - UNSEEN_SHOWN))))
    if not advice.command:
        console.print(Text(f"{say('advice-honest')} {say('advice-nothing')}"))
        return
    console.print(Text(f"{say('advice-honest')} {say('advice-settle')}"))
    # Not wrapped: a command in two lines cannot be pasted.
    console.print(Text(f"  {advice.command}", style="bold"), soft_wrap=True)


def _print_findings(advice: Advice, console: Console, language: Language) -> None:
    if advice.findings:
        print_in_english(console, language)
    for stance in STANCES:
        findings = list_findings(advice, stance)
        if not findings:
            continue
        console.print(Text(language.say(f"advice-{stance}"), style="bold"))
        for finding in findings:
            console.print(_item("-", Text.assemble((finding.rule, "bold"), f": {finding.text}")))
            for figure in finding.figures:
                console.print(Padding(_item("*", Text(say_figure(figure), style="dim")), (0, 0, 0, 2)))
        console.print()


def _print_blocks(advice: Advice, console: Console, language: Language) -> None:
    if not advice.blocks:
        return
    heads = ("blocks", "norm now", "advised", "by", "norm work")
    groups = group_blocks(advice.blocks)
    rows = [
        (
            f"{len(group.keys):,}",
            name_position(group.position, ENGLISH),
            name_position(group.advised, ENGLISH),
            " ".join(group.rules) or NONE,
            say_work(group, ENGLISH),
        )
        for group in groups
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    console.print(Text(_line_up(heads, widths), style="bold"))
    for group, row in zip(groups, rows, strict=True):
        moves = group.position != group.advised
        console.print(Text(_line_up(row, widths), style="green" if moves else ""))
        which = Text(_say_which(group), style="dim", overflow="fold")
        console.print(Padding(which, (0, 0, 0, widths[0] + 2)))
    console.print()
    if rules := say_rules(advice, language):
        console.print(Text(rules, style="dim"))
    console.print()


def _say_which(group: Group) -> str:
    """Return which blocks a group holds, and why the rules do not reach them."""
    why = group.reason or say_pools(group, ENGLISH)
    return f"{name_keys(group)}: {why}" if why else name_keys(group)


def _print_costs(advice: Advice, console: Console, language: Language) -> None:
    console.print(Text(language.say("advice-costs"), style="bold"))
    heads = list_cost_heads(ENGLISH)
    table = _start_table()
    for name in heads:
        words = name in (heads[0], heads[-1])
        table.add_column(Text(name), justify="left" if words else "right", overflow="fold", no_wrap=name != heads[-1])
    for row in list_costs(advice, ENGLISH):
        table.add_row(*map(Text, row))
    console.print(table)
    console.print(Text(language.say("advice-costs-basis"), style="dim"))
    console.print()


def _line_up(cells: tuple[str, ...], widths: list[int]) -> str:
    """Return cells as one line: the first flush right, as a number, the others flush left."""
    return "  ".join([cells[0].rjust(widths[0]), *map(str.ljust, cells[1:], widths[1:])]).rstrip()


def _item(mark: str, text: Text) -> Padding:
    """Return a line of a list, indented where it goes on."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(mark), text)
    return Padding(grid, (0, 0, 0, 1))


def _start_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
