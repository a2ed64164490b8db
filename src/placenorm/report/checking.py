"""What a check found, in the terminal or in a pipe."""

from rich.console import Console
from rich.text import Text

from placenorm.facts.check import Check
from placenorm.facts.finding import Severity
from placenorm.report.findings import print_finding
from placenorm.report.wording import count

_NOUNS: dict[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}


def print_check(check: Check, console: Console) -> None:
    """Print what was found, the worst first: where, what, and how it is mended.

    Args:
        check: what was found.
        console: where to print.
    """
    counts = check.count()
    looked = f"{count(check.norms, 'norm')}, {count(len(check.rules), 'rule')}"
    data = f", batches of data: {check.batches:,}" if check.batches else ""
    console.print(Text(f"{check.model} on {check.inputs}: {looked}{data}", style="bold"))
    for finding in check.findings:
        print_finding(finding, console)
    for unseen in check.unseen:
        console.print(Text(f"not looked at: {unseen.where or 'the network'}: {unseen.reason}", style="dim"))
    found = ", ".join(count(number, _NOUNS[severity]) for severity, number in counts.items() if number)
    silenced = f" ({count(check.silenced, 'finding')} silenced by comments)" if check.silenced else ""
    console.print(Text(f"{found or 'Nothing found'}{silenced}."))
