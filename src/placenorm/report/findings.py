"""Findings: how many, and each of them in the terminal or in a pipe."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from placenorm.facts.finding import SEVERITIES, Finding, Severity
from placenorm.report.language import Language

SHOWN_SITES: Final = 6
"""So many sites of one finding are named; the others are counted."""

_STYLES: Final[dict[Severity, str]] = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def count_findings(findings: Iterable[Finding], language: Language) -> list[str]:
    """Return how many findings there are of each severity, the worst first: ``1 error``, ``2 warnings``."""
    found = [finding.severity for finding in findings]
    return [
        language.say(f"finding-count-{severity}", number=found.count(severity))
        for severity in SEVERITIES
        if severity in found
    ]


def print_findings(findings: Sequence[Finding], console: Console, language: Language) -> None:
    """Print findings, each as the rule says it, in English: how bad, which rule, where, what, and how it is mended.

    Args:
        findings: what was found.
        console: where to print.
        language: of the reader.
    """
    if findings:
        print_in_english(console, language)
    for finding in findings:
        _print_finding(finding, console)


def print_in_english(console: Console, language: Language) -> None:
    """Tell a reader of another language that what the rules say is in English."""
    if language.code != "en":
        console.print(Text(language.say("rules-in-english"), style="dim"))


def _print_finding(finding: Finding, console: Console) -> None:
    more = len(finding.sites) - SHOWN_SITES
    sites = ", ".join(finding.sites[:SHOWN_SITES]) + (f" and {more} more" if more > 0 else "")
    head = Text.assemble(
        (finding.severity, _STYLES[finding.severity]), f" {finding.code} ", (finding.rule, "bold"), f"  {sites}"
    )
    head.rstrip()
    console.print(head)
    console.print(Text(f"    {finding.text}"))
    if finding.fix is not None:
        safe = " (safe: --fix writes it)" if finding.fix.exact else ""
        console.print(Text(f"    Mend: {finding.fix.text}{safe}"))
