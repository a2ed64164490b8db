"""Timings of layers as a table: in the terminal and in Markdown."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from statistics import median

from rich.console import Console
from rich.table import Table

from placenorm.facts.timing import LayerTiming, LayerTimings

HEADS = ("op", "input", "layout", "eager, ms", "compile", "placenorm", "way", "of the floor", "saved")
"""Columns: eager in milliseconds, the others as how many times faster; how near ours is to the floor; saved bytes."""


def print_timings(timings: LayerTimings, console: Console) -> None:
    """Print a row for each op, shape and layout."""
    table = Table(*HEADS)
    for cells in list_cells(timings.rows):
        table.add_row(*cells)
    console.print(table)
    console.print(
        f"Forward and backward, medians; {timings.environment.device}, {timings.threads} threads, torch "
        f"{timings.environment.torch}. Of the floor: least traffic at the speed of a copy in the same run, over ours. "
        "Saved: bytes kept for the backward, over eager's."
    )


def list_cells(rows: Iterable[LayerTiming]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of `HEADS` for each op, shape and layout."""
    groups: defaultdict[tuple[object, ...], dict[str, LayerTiming]] = defaultdict(dict)
    for row in rows:
        groups[row.op, row.shape, row.dtype, row.layout][row.candidate] = row
    for group in groups.values():
        eager, ours = group["eager"], group["placenorm"]
        compiled = group.get("compile")
        yield (
            ours.op,
            "x".join(map(str, ours.shape)),
            ours.layout,
            f"{find_median(eager):.2f}",
            "" if compiled is None else f"{find_median(eager) / find_median(compiled):.2f}x",
            f"{find_median(eager) / find_median(ours):.2f}x",
            ours.way.partition(":")[0],
            f"{ours.both_floor_ms / find_median(ours):.0%}",
            f"{ours.saved_bytes / eager.saved_bytes:.2f}" if eager.saved_bytes else "",
        )


def find_median(row: LayerTiming) -> float:
    """Return the median of forward and backward together, in milliseconds."""
    return median(ahead + back for ahead, back in zip(row.forward_ms, row.backward_ms, strict=True))
