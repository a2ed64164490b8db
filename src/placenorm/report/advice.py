"""Advice in the terminal, or in a pipe."""

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from placenorm.facts.advice import Advice
from placenorm.report.advice_wording import (
    COST_BASIS,
    COST_HEADS,
    HONEST,
    NONE,
    NOTHING_TO_SETTLE,
    STANCES,
    group_blocks,
    list_costs,
    list_findings,
    say_figure,
    say_headline,
    say_network,
    say_rules,
    say_which,
    say_work,
)

UNSEEN_SHOWN = 3
"""Parts that tracing could not describe, named in the terminal; the page and the JSON name all."""


def print_advice(advice: Advice, console: Console) -> None:
    """Print advice: the blocks in groups, what each policy costs, what speaks against it, and what would settle it.

    Args:
        advice: the advice.
        console: where to print; plain text without markup, cut to its width.
    """
    console.print(Text(f"{advice.model} on {advice.inputs}: {say_network(advice)}", style="bold"))
    console.print(Text(f"{say_headline(advice)}.", style="bold green"))
    console.print()
    _print_blocks(advice, console)
    _print_costs(advice, console)
    for stance, head in STANCES.items():
        findings = list_findings(advice, stance)
        if not findings:
            continue
        console.print(Text(head, style="bold"))
        for finding in findings:
            console.print(_item("-", Text.assemble((finding.rule, "bold"), f": {finding.text}")))
            for figure in finding.figures:
                console.print(Padding(_item("*", Text(say_figure(figure), style="dim")), (0, 0, 0, 2)))
        console.print()
    for part in advice.unseen[:UNSEEN_SHOWN]:
        console.print(_item("-", Text(f"not seen: {part.where}: {part.reason}")))
    if len(advice.unseen) > UNSEEN_SHOWN:
        console.print(_item("-", Text(f"and {len(advice.unseen) - UNSEEN_SHOWN:,} more that tracing could not see")))
    if not advice.command:
        console.print(Text(f"{HONEST} {NOTHING_TO_SETTLE}"))
        return
    console.print(Text(f"{HONEST} This would settle it:"))
    # Not wrapped: a command in two lines cannot be pasted.
    console.print(Text(f"  {advice.command}", style="bold"), soft_wrap=True)


def _print_blocks(advice: Advice, console: Console) -> None:
    if not advice.blocks:
        return
    heads = ("blocks", "norm now", "advised", "by", "norm work")
    groups = group_blocks(advice.blocks)
    rows = [
        (f"{len(group.keys):,}", group.position, group.advised, " ".join(group.rules) or NONE, say_work(group))
        for group in groups
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    console.print(Text(_line_up(heads, widths), style="bold"))
    for group, row in zip(groups, rows, strict=True):
        moves = group.position != group.advised
        console.print(Text(_line_up(row, widths), style="green" if moves else ""))
        console.print(Padding(Text(say_which(group), style="dim", overflow="fold"), (0, 0, 0, widths[0] + 2)))
    console.print()
    if rules := say_rules(advice):
        console.print(Text(f"By the article's rules: {rules}.", style="dim"))
    console.print()


def _print_costs(advice: Advice, console: Console) -> None:
    console.print(Text("What the norms cost", style="bold"))
    table = _start_table()
    for name in COST_HEADS:
        words = name in (COST_HEADS[0], COST_HEADS[-1])
        table.add_column(
            Text(name), justify="left" if words else "right", overflow="fold", no_wrap=name != COST_HEADS[-1]
        )
    for row in list_costs(advice):
        table.add_row(*map(Text, row))
    console.print(table)
    console.print(Text(COST_BASIS, style="dim"))
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
