"""What a check found, in the terminal or in a pipe."""

from rich.console import Console
from rich.text import Text

from placenorm.facts.check import Check
from placenorm.report.check_wording import say_counts, say_looked
from placenorm.report.findings import print_findings
from placenorm.report.language import ENGLISH, Language


def print_check(check: Check, console: Console, language: Language) -> None:
    """Print what was found, the worst first: where, what, and how it is mended.

    Args:
        check: what was found.
        console: where to print.
        language: of the reader; what the rules say themselves is in English.
    """
    looked = ", ".join(say_looked(check, ENGLISH))
    console.print(Text(f"{check.model} on {check.inputs}: {looked}", style="bold"))
    print_findings(check.findings, console, language)
    for unseen in check.unseen:
        console.print(Text(f"not looked at: {unseen.where or 'the network'}: {unseen.reason}", style="dim"))
    console.print(Text(say_counts(check, language)))
