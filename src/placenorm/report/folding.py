"""What was folded, in the terminal or in a pipe."""

from collections import defaultdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from placenorm.facts.folding import RANDOM, ExportedFile, Folding
from placenorm.report.wording import count

SHOWN_SITES = 6
"""So many norms or convs are named in one line; the others are counted."""

_KB = 1000


def print_folding(folding: Folding, console: Console) -> None:
    """Print which norms are gone and where they went, which stay and why, how exact it is, and what was written.

    Args:
        folding: what was done.
        console: where to print.
    """
    gone = len(folding.changes)
    console.print(Text(f"{folding.model}: {gone} of {count(folding.norms, 'norm')} folded", style="bold"))
    if folding.changes:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("norm", "where it went"):
            table.add_column(name, overflow="fold")
        for change in folding.changes:
            table.add_row(Text(change.site), Text(change.reason))
        console.print(table)
    _print_skipped(folding, console)
    if folding.changes:
        _print_proof(folding, console)
    if folding.bordered:
        convs = count(len(folding.bordered), "conv")
        console.print(Text(f"{convs} with a correction at the border: {_name_some(folding.bordered)}."))
    if folding.hooked:
        console.print(Text(f"Hooks on {_name_some(folding.hooked)} see other values now."))
    if folding.agreement is not None:
        same, answers = folding.agreement.same, folding.agreement.answers
        share = 100 * same / answers
        console.print(Text(f"The top-1 answer is the same for {same} of {answers} ({share:.2f} %)."))
    if folding.weights == RANDOM:
        console.print(Text("Its weights are random: --weights FILE loads trained ones."))
    if folding.files:
        _print_files(folding.files, console)


def _print_skipped(folding: Folding, console: Console) -> None:
    """Print what stays, norms with one reason together."""
    sites: defaultdict[str, list[str]] = defaultdict(list)
    for skip in folding.skipped:
        sites[skip.reason].append(skip.site)
    if sites:
        console.print(Text("Norms that stay:"))
    for reason, paths in sites.items():
        console.print(Text(f"  {_name_some(paths)}: {reason}"))
    if sites:
        console.print()


def _print_proof(folding: Folding, console: Console) -> None:
    if folding.max_error is None:
        console.print(Text("Nothing was verified."))
        return
    errors = [("float64", folding.max_error), ("float32", folding.max_error_float32)]
    if folding.dtype not in dict(errors):
        errors.append((folding.dtype, folding.max_error_dtype))
    told = ", ".join(f"{error:.1e} in {name}" if error is not None else f"none in {name}" for name, error in errors)
    console.print(Text(f"Largest difference, as a share of the largest output: {told}."))
    unknown = [name for name, error in errors if error is None]
    if unknown:
        console.print(Text(f"It does not run in {' and '.join(unknown)} here, so nothing was measured there."))
    console.print(Text(f"Proved on inputs of {'; '.join(folding.verified)}."))


def _print_files(files: tuple[ExportedFile, ...], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("file", no_wrap=True)
    for name in ("size", "free", "norms", "largest difference"):
        table.add_column(name, overflow="fold")
    for file in files:
        size = "not written" if file.bytes is None else f"{file.bytes / _KB:,.0f} kB"
        error = "" if file.max_error is None else f"{file.max_error:.1e}"
        norms = "" if file.norms is None else str(file.norms)
        table.add_row(*map(Text, (file.name, size, ", ".join(file.free), norms, error)))
    console.print(table)
    for file in files:
        if file.note:
            console.print(Text(f"{file.name}: {file.note}"))


def _name_some(paths: list[str] | tuple[str, ...]) -> str:
    more = len(paths) - SHOWN_SITES
    return ", ".join(paths[:SHOWN_SITES]) + (f" and {more} more" if more > 0 else "")
