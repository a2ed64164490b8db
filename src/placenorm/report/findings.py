"""One finding, in the terminal or in a pipe."""

from typing import Final

from rich.console import Console
from rich.text import Text

from placenorm.facts.finding import Finding, Severity

SHOWN_SITES: Final = 6
"""So many sites of one finding are named; the others are counted."""

_STYLES: Final[dict[Severity, str]] = {"error": "bold red", "warning": "yellow", "info": "cyan"}


def print_finding(finding: Finding, console: Console) -> None:
    """Print one finding: how bad, which rule, where, what, and how it is mended.

    Args:
        finding: what was found.
        console: where to print.
    """
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
