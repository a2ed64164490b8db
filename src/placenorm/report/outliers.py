"""Outliers in the terminal, or in a pipe."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from placenorm.facts.outliers import Outliers
from placenorm.report.language import ENGLISH, Language
from placenorm.report.outliers_wording import (
    list_sample,
    list_sample_heads,
    list_site,
    list_site_heads,
    say_headline,
    say_limit,
    say_reach,
)


def print_outliers(facts: Outliers, top: int, console: Console, language: Language) -> None:
    """Print the most surprising samples, what is usual at each site, and what cannot be told.

    Args:
        facts: what was found.
        top: how many samples to print.
        console: where to print; plain text without markup, cut to its width.
        language: of the sentences; tables stay Latin, as most terminals do not put Persian into its order beside it.
    """
    say = language.say
    _print_headline(facts, console, language)
    console.print(Text(say_limit(facts, language)))
    others = [] if language.code == "en" or not facts.notes else [say("outliers-in-english")]
    for note in (*say_reach(facts, language), *others, *facts.notes):
        console.print(Text(f"- {note}"))
    console.print()
    _print_table(list_sample_heads(ENGLISH), [list_sample(sample, ENGLISH) for sample in facts.samples[:top]], console)
    if len(facts.samples) > top:
        console.print(Text(say("outliers-more", samples=len(facts.samples) - top), style="dim"))
    console.print()
    console.print(Text(say("outliers-usual-terminal"), style="bold"))
    _print_table(list_site_heads(ENGLISH), [list_site(site, ENGLISH) for site in facts.sites], console)
    console.print(Text(say("outliers-basis"), style="dim"))


def _print_headline(facts: Outliers, console: Console, language: Language) -> None:
    """Print the model and the headline: in one line, or where the headline is no Latin in two."""
    headline = say_headline(facts, language)
    lines = [f"{facts.model}: {headline}"] if language.direction == "ltr" else [facts.model, headline]
    for line in lines:
        console.print(Text(line, style="bold"))


def _print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(Text(head), justify="left" if head in ("site", "layer") else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
