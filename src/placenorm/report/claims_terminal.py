"""A run of the claims in the terminal, or in a pipe.

Most terminals do not put Persian into its order beside Latin: tables stay Latin, and a Persian sentence stands on
lines of its own.
"""

from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from placenorm.facts.claim import ClaimResult, ClaimsReport
from placenorm.report.claims_wording import (
    name_effect,
    say_facts,
    say_headline,
    say_left_out,
    say_missing,
    say_part,
    say_verdict,
    show_interval,
    show_value,
)
from placenorm.report.language import Language
from placenorm.report.wording import resume_command

COLOURS: Final = {"holds": "green", "holds-only-if": "yellow", "does-not-hold": "red", "undecided": "default"}

_NARROW = 100
"""Consoles that are narrower show no names of effects in the table: they would take it apart."""


def print_claims(report: ClaimsReport, console: Console, language: Language) -> None:
    """Print the claims: the table, and each verdict with what to do.

    Everything is printed as text without markup, so that a name in brackets stays as it is.

    Args:
        report: the claims, finished or not.
        console: where to print.
        language: of the sentences.
    """
    console.print(Text(say_headline(report, language), style="bold"))
    console.print(Text(" · ".join(say_facts(report, Language("en"))), style="dim"))
    console.print()
    if report.results:
        console.print(_make_table(report, names=console.width >= _NARROW))
        console.print()
    for result in report.results:
        _print_claim(result, console, language)
    left_out = say_left_out(report, language)
    if left_out:
        console.print(Text(left_out))
    missing = say_missing(report, language)
    if missing:
        console.print(Text(missing, style="bold yellow"))
        # Not wrapped: a command in two lines cannot be pasted.
        console.print(Text(f"  {resume_command(report.environment.command)}"), soft_wrap=True)


def _make_table(report: ClaimsReport, *, names: bool) -> Table:
    english = Language("en")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if names:
        table.add_column("what decides", overflow="fold")
    table.add_column("estimate", justify="right", overflow="fold")
    table.add_column("interval", justify="right", overflow="fold")
    table.add_column("seeds", justify="right", no_wrap=True)
    for result in report.results:
        outcome = result.ruling.outcome
        effect = next(iter(result.ruling.effects), None)
        cells = [Text(f"{result.number} {result.slug}"), Text(outcome.replace("-", " "), style=COLOURS[outcome])]
        if names:
            cells.append(Text("" if effect is None else name_effect(result, effect, english)))
        value, interval = ("", "") if effect is None else (show_value(effect, english), show_interval(effect, english))
        cells += [Text(value), Text(interval), Text("" if effect is None else str(effect.seeds))]
        table.add_row(*cells)
    return table


def _print_claim(result: ClaimResult, console: Console, language: Language) -> None:
    outcome = result.ruling.outcome
    if language.direction == "rtl":
        head = Text(f"{result.number} {result.slug}", style="bold")
        head.append(f"  {outcome.replace('-', ' ')}", style=COLOURS[outcome])
        console.print(head)
        console.print(Text(say_part(result, "title", language), style="bold"))
    else:
        head = Text(f"{result.number} {say_part(result, 'title', language)}", style="bold")
        head.append(f": {language.say(f'outcome-{outcome}')}", style=COLOURS[outcome])
        console.print(head)
    console.print(Text(say_verdict(result, language)))
    console.print(Text(f"{language.say('claims-advice')}: {say_part(result, 'advice', language)}", style="dim"))
    console.print()
