"""Timings of layers as the page docs/performance.md."""

from collections.abc import Sequence
from typing import Final

from placenorm.facts.timing import LayerTimings
from placenorm.report.bench_terminal import HEADS, list_cells

INTRODUCTION: Final = """# Performance

What our layers cost beside torch's, measured by `placenorm bench layers`; every sample lies in `docs/runs/bench`, and
this page is made of them by `tools/write_performance_page.py`. Candidates are interleaved in one run; times are medians
of forward and backward together. Other columns are ratios: how many times faster than eager, how near our time comes to
the floor, and what we keep for the backward over what eager keeps. *Way* says whether the fused kernels ran or torch's
operators (`pn.layers.explain`). Slower cases are shown too.

**The floor.** Batch norm moves bytes; it hardly computes. The floor is the traffic of the best two-pass algorithm at
the speed of a copy into used memory, measured in the same run. Unit: one read or write of the layer's input; b is the
bytes of a value, r the input values for each value that a pool leaves. Where a tensor stays in the cache, a copy is
faster than any algorithm that must first have its memory from the system.

| op, training | forward | backward | note |
|---|---|---|---|
| norm, with or without an activation | 3 | 5 | read, read, write; read x and dy twice, write dx |
| norm + add | 4 | 5 | the second gradient is dy itself |
| norm + add, then activation | 4 | 6 + 3/(8b) | a mask of one bit, written once, read twice |
| activation, max pool, norm | 1 + (3 + 1/b)/r | 1 + (4 + 1/b)/r | what won and where is kept, the input is not |
"""


def write_performance_markdown(runs: Sequence[LayerTimings]) -> str:
    """Return the page, with a table for each run."""
    lines = [INTRODUCTION]
    for run in runs:
        place = run.environment
        versions = f"torch {place.torch}, placenorm {place.placenorm}, {place.date}"
        lines += [
            f"## {place.device}, {run.threads} thread{'s' if run.threads > 1 else ''}",
            "",
            f"{place.platform}, {place.cores} cores, {versions}; `{place.command}`",
            "",
            f"| {' | '.join(HEADS)} |",
            f"|{'---|' * len(HEADS)}",
            *(f"| {' | '.join(cells)} |" for cells in list_cells(run.rows)),
            "",
        ]
    return "\n".join(lines)
