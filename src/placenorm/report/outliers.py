"""Outliers in the terminal, or in a pipe."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from placenorm.facts.outliers import Outliers
from placenorm.report.language import ENGLISH
from placenorm.report.outliers_wording import (
    list_sample,
    list_sample_heads,
    list_site,
    list_site_heads,
    say_headline,
    say_limit,
    say_reach,
)


def print_outliers(facts: Outliers, top: int, console: Console) -> None:
    """Print the most surprising samples, what is usual at each site, and what cannot be told.

    Args:
        facts: what was found.
        top: how many samples to print.
        console: where to print; plain text without markup, cut to its width.
    """
    console.print(Text(f"{facts.model}: {say_headline(facts, ENGLISH)}", style="bold"))
    console.print(Text(say_limit(facts, ENGLISH)))
    for note in (*facts.notes, *say_reach(facts, ENGLISH)):
        console.print(Text(f"- {note}"))
    console.print()
    _print_table(list_sample_heads(ENGLISH), [list_sample(sample, ENGLISH) for sample in facts.samples[:top]], console)
    if len(facts.samples) > top:
        console.print(Text(f"and {len(facts.samples) - top:,} more that are less surprising", style="dim"))
    console.print()
    console.print(Text("What is usual: the clean samples at every site", style="bold"))
    _print_table(list_site_heads(ENGLISH), [list_site(site, ENGLISH) for site in facts.sites], console)
    console.print(Text(ENGLISH.say("outliers-basis"), style="dim"))


def _print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(Text(head), justify="left" if head in ("site", "layer") else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
