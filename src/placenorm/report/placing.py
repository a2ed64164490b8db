"""What was done to a network, in the terminal or in a pipe."""

from collections import defaultdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from placenorm.facts.placing import Placing
from placenorm.report.wording import count

SHOWN_SITES = 6
"""So many blocks are named that were left for one reason; the others are counted."""


def print_placing(placing: Placing, cost: str, console: Console, *, dry: bool) -> None:
    """Print what was changed, block by block, what was not and why, and what it costs and keeps.

    Args:
        placing: what was done.
        cost: what becomes of the cost of the norms, in words.
        console: where to print.
        dry: whether nothing was written, so that the words speak of what would be done.
    """
    verb = "would change" if dry else "changed"
    changed = count(len(placing.changes), "block")
    console.print(Text(f"{placing.model}: {changed} {verb}, of {len(placing.before)}", style="bold"))
    if placing.changes:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("block", "from", "to", "what"):
            table.add_column(name, overflow="fold")
        for change in placing.changes:
            before, after = placing.before.get(change.site, "none"), placing.after.get(change.site, "none")
            table.add_row(*map(Text, (change.site, before, after, change.reason)))
        console.print(table)
    _print_skipped(placing, console)
    console.print(Text(f"Cost: {cost}."))
    if placing.max_error is not None and placing.max_error_dtype is not None and placing.changes:
        console.print(
            Text(
                f"It computes the same in evaluation: the largest difference is {placing.max_error:.1e} of the largest "
                f"output in float64, {placing.max_error_dtype:.1e} in its own type."
            )
        )


def _print_skipped(placing: Placing, console: Console) -> None:
    """Print what was left as it is, blocks with one reason together."""
    sites: defaultdict[str, list[str]] = defaultdict(list)
    for skip in placing.skipped:
        sites[skip.reason].append(skip.site)
    if sites:
        console.print(Text("Left as it is:"))
    for reason, keys in sites.items():
        more = len(keys) - SHOWN_SITES
        named = ", ".join(keys[:SHOWN_SITES]) + (f" and {more} more" if more > 0 else "")
        console.print(Text(f"  {named}: {reason}"))
    if sites:
        console.print()
