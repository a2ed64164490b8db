"""Timings as the page docs/performance.md."""

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from placenorm.facts.timing import LayerTimings, ModelTimings
from placenorm.report.bench_terminal import describe_place, describe_setting, list_layers, list_models

INTRODUCTION: Final = """# Performance

What our layers cost beside torch's, measured by `placenorm bench layers` and `placenorm bench models`; every sample
lies in `docs/runs/bench`, and this page is made of them by `tools/write_performance_page.py`. Candidates are
interleaved in one run; times are medians of forward and backward together. Other columns are ratios: how many times
faster than eager (both passes, and each), how near our time comes to the floor, and what we keep for the backward, or
have in use at most, over what eager does. *Way* says whether the fused kernels ran or torch's operators
(`pn.layers.explain`). Slower cases are shown too.

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

**How it is timed.** Before a candidate is timed it must compute the op: torch's layers in float64 say what that is. A
backward gives the gradients of the inputs and of the norm's weight and bias. On a processor each pass is timed from its
call to its end, and the copy is one of the input. On a GPU a buffer of 256 MB is written before each sample: no sample
finds its input in the cache, and the GPU is busy until the sample is queued, so that marks in its queue (*clock*:
events) measure its work and no launch. Inputs under 8 MB are bound by launches instead: they are timed by the wall
clock over many forwards, then their backwards, and stay in the cache, as in a loop (*clock*: loop). The copy is one of
256 MB, which no cache holds. Peak memory is read in a pass of its own: what is in use beside inputs and parameters.
"""

MODELS: Final = """## Steps of training

A step is forward, cross-entropy, backward and SGD with momentum, on random images; a sample is a step on a processor
and the mean of three on a GPU, by the wall clock. Before anything is timed, loss and gradients in float32 must be
torch's. *Over eager* is how many times faster a step is than the model's as it is by torch, and then than that of the
same placement by torch. *Peak* is the memory of a step beside parameters and momentum. *Taken* and *skipped* are norms
that our layers took the place of, and left; *fused* those whose fused kernels ran on inputs of this size.
"""


def write_performance_markdown(runs: Sequence[LayerTimings], models: Sequence[ModelTimings] = ()) -> str:
    """Return the page, with a table for each run."""
    lines = [INTRODUCTION]
    if models:
        lines.append(MODELS)
    for steps in models:
        lines += _write_run(steps, "###", describe_setting(steps.rows), *list_models(steps.rows))
    for run in runs:
        lines += _write_run(run, "##", _describe_copy(run), *list_layers(run.rows))
    return "\n".join(lines)


def _write_run(
    run: LayerTimings | ModelTimings, level: str, how: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]
) -> Iterator[str]:
    place = run.environment
    title = describe_place(run).removesuffix(f", torch {place.torch}")
    details = [place.platform, f"{place.cores} cores", f"torch {place.torch}", f"placenorm {place.placenorm}"]
    yield from (f"{level} {title}", "")
    yield from (f"{', '.join([*details, place.date, *([how] if how else [])])}; `{place.command}`", "")
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(cells)} |" for cells in rows)
    yield ""


def _describe_copy(run: LayerTimings) -> str:
    """Return the bandwidth of the copies behind the floors; of a processor, where each shape has one, their median."""
    speeds = [row.copy_bytes_per_s for row in run.rows if row.copy_bytes_per_s is not None]
    if not speeds:
        return ""
    if all(row.clock == "wall" for row in run.rows):
        return f"copies at {median(speeds) / 1e9:.0f} GB/s in the median"
    return f"copy {median(speeds) / 1e12:.2f} TB/s"
