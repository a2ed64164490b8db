"""Timings as tables: in the terminal and in Markdown."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from placenorm.facts.timing import LayerTiming, LayerTimings, ModelTiming, ModelTimings

LayerGroup = Mapping[str, LayerTiming]
"""The candidates of an op, shape and layout, by name."""

LAYER_COLUMNS: Final[dict[str, Callable[[LayerGroup], str]]] = {
    "op": lambda group: group["placenorm"].op,
    "input": lambda group: "x".join(map(str, group["placenorm"].shape)),
    "layout": lambda group: group["placenorm"].layout,
    "eager, ms": lambda group: _format_ms(find_median(group["eager"])),
    "compile": lambda group: _compare(group, "compile", find_median),
    "placenorm": lambda group: _compare(group, "placenorm", find_median),
    "forward": lambda group: _compare(group, "placenorm", lambda row: median(row.forward_ms)),
    "backward": lambda group: _compare(group, "placenorm", lambda row: median(row.backward_ms)),
    "way": lambda group: group["placenorm"].way.partition(":")[0],
    "of the floor": lambda group: f"{group['placenorm'].both_floor_ms / find_median(group['placenorm']):.0%}",
    "saved": lambda group: _divide(group["placenorm"].saved_bytes, group["eager"].saved_bytes),
    "peak": lambda group: _divide(group["placenorm"].peak_bytes, group["eager"].peak_bytes),
    "clock": lambda group: group["placenorm"].clock.replace("wall", ""),
}
"""Eager in milliseconds; compiled and ours as how many times faster, both passes and each; how near ours is to the
floor; saved and peak bytes over eager's. A column in which nothing stands is left out."""

TERMINAL_COLUMNS: Final = tuple(head for head in LAYER_COLUMNS if head not in ("forward", "backward"))
"""Those that a terminal of 120 columns has room for."""

MODEL_HEADS: Final = (
    "model",
    "norms stand",
    "candidate",
    "step, ms",
    "from, to",
    "over eager",
    "saved, MB",
    "peak, MB",
    "norms",
    "taken",
    "fused",
    "skipped",
)
"""Over eager: how many times faster than the model as it is by torch, and than its own placement by torch where that is
another."""

DISPENSABLE: Final = (
    "clock", "peak", "from, to", "taken", "saved", "norms", "peak, MB", "skipped", "saved, MB", "way", "of the floor"
)  # fmt: skip
"""Columns that a narrow terminal goes without, in this order."""

SKIPS: Final = 3
"""So many of what was skipped in a model are printed."""

Rows = list[tuple[str, ...]]


def print_timings(timings: LayerTimings, console: Console) -> None:
    """Print a row for each op, shape and layout."""
    _print_table(*list_layers(timings.rows, TERMINAL_COLUMNS), console)
    console.print(
        f"Forward and backward, medians; {describe_place(timings)}. Of the floor: least traffic at the speed of a copy "
        "in the same run, over ours. Saved: bytes kept for the backward, over eager's."
    )


def print_model_timings(timings: ModelTimings, console: Console) -> None:
    """Print a row for each candidate of each model, and what was skipped."""
    _print_table(*list_models(timings.rows), console)
    console.print(
        f"A step: forward, cross-entropy, backward, SGD with momentum; median, least and most; "
        f"{describe_place(timings)}, {describe_setting(timings.rows)}. Over eager: how many times faster than the "
        "model as it is by torch. Saved: bytes kept for the backward, parameters aside."
    )
    for row in timings.rows:
        for skip in row.skipped[:SKIPS]:
            console.print(f"Skipped in {row.model}, norms {row.placement}: {skip}", markup=False)
        if len(row.skipped) > SKIPS:
            console.print(f"and {len(row.skipped) - SKIPS} more; --json has all.")


def describe_place(timings: LayerTimings | ModelTimings) -> str:
    """Return the device, the dtype of layers, the threads of a processor and the version of torch."""
    place = timings.environment
    parts = [place.device]
    if isinstance(timings, LayerTimings):
        parts += sorted({row.dtype for row in timings.rows})
    if place.device == "cpu":
        parts.append(f"{timings.threads} thread{'s' * (timings.threads > 1)}")
    if isinstance(timings, ModelTimings) and timings.cudnn_benchmark:
        parts.append("cudnn.benchmark")
    return ", ".join([*parts, f"torch {place.torch}"])


def describe_setting(rows: Sequence[ModelTiming]) -> str:
    """Return the inputs, the precision and the layout of models."""
    inputs = sorted({"x".join(map(str, row.shape)) for row in rows})
    casts = sorted({f"autocast {row.autocast}" if row.autocast else "float32" for row in rows})
    return ", ".join([*inputs, *casts, *sorted({row.layout for row in rows})])


def describe_last(timings: LayerTimings | ModelTimings) -> str:
    """Return the times of the case that was timed last, in one line."""
    if isinstance(timings, LayerTimings):
        group = list(_group(timings.rows))[-1]
        (first, *_) = group.values()
        times = [f"{row.candidate} {_format_ms(find_median(row))} ms" for row in group.values()]
        return f"{first.op} {'x'.join(map(str, first.shape))} {first.layout}: {', '.join(times)}"
    name = timings.rows[-1].model
    steps = [
        f"{row.candidate} ({row.placement}) {_format_ms(median(row.step_ms))} ms"
        for row in timings.rows
        if row.model == name
    ]
    return f"{name}: {', '.join(steps)}"


def list_layers(rows: Iterable[LayerTiming], columns: Iterable[str] = LAYER_COLUMNS) -> tuple[tuple[str, ...], Rows]:
    """Return heads and cells for each op, shape and layout; columns in which nothing stands are left out."""
    groups = list(_group(rows))
    return _drop_empty(tuple(columns), [tuple(LAYER_COLUMNS[head](group) for head in columns) for group in groups])


def list_models(rows: Sequence[ModelTiming]) -> tuple[tuple[str, ...], Rows]:
    """Return heads and cells for each candidate of each model."""
    return _drop_empty(MODEL_HEADS, [_list_model_cells(row, rows) for row in rows])


def find_median(row: LayerTiming) -> float:
    """Return the median of forward and backward together, in milliseconds."""
    return median(ahead + back for ahead, back in zip(row.forward_ms, row.backward_ms, strict=True))


def _list_model_cells(row: ModelTiming, rows: Sequence[ModelTiming]) -> tuple[str, ...]:
    first = next(other for other in rows if other.model == row.model)
    base = next((o for o in rows if (o.model, o.placement, o.candidate) == (row.model, row.placement, "eager")), first)
    own = median(row.step_ms)
    over = [f"{median(first.step_ms) / own:.2f}x"]
    if base is not first and base is not row:
        over.append(f"{median(base.step_ms) / own:.2f}x")
    ours = row.candidate.startswith("placenorm")
    return (
        row.model.removeprefix("torchvision:"),
        row.placement,
        row.candidate,
        _format_ms(own),
        f"{_format_ms(min(row.step_ms))}, {_format_ms(max(row.step_ms))}",
        "" if row is first else "; ".join(over),
        f"{row.saved_bytes / 1e6:.0f}",
        "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}",
        str(row.norms),
        str(row.taken) if ours else "",
        str(row.fused) if ours else "",
        str(len(row.skipped)) if ours else "",
    )


def _group(rows: Iterable[LayerTiming]) -> Iterator[LayerGroup]:
    groups: defaultdict[tuple[object, ...], dict[str, LayerTiming]] = defaultdict(dict)
    for row in rows:
        groups[row.op, row.shape, row.dtype, row.layout][row.candidate] = row
    yield from groups.values()


def _compare(group: LayerGroup, candidate: str, find_ms: Callable[[LayerTiming], float]) -> str:
    """Return how many times faster than eager a candidate is; nothing where it was not timed."""
    row = group.get(candidate)
    return "" if row is None else f"{find_ms(group['eager']) / find_ms(row):.2f}x"


def _divide(ours: int | None, eager: int | None) -> str:
    return f"{ours / eager:.2f}" if ours is not None and eager else ""


def _format_ms(time_ms: float) -> str:
    """Return milliseconds with at least three digits that count: a GPU takes a tenth of one."""
    return f"{time_ms:.2f}" if time_ms >= 1 else f"{time_ms:.3f}"


def _drop_empty(heads: tuple[str, ...], cells: Rows) -> tuple[tuple[str, ...], Rows]:
    kept = [place for place in range(len(heads)) if any(each[place] for each in cells)]
    return tuple(heads[place] for place in kept), [tuple(each[place] for place in kept) for each in cells]


def _print_table(heads: tuple[str, ...], cells: Rows, console: Console) -> None:
    """Print a table; where the terminal is too narrow, without what is missed least."""
    left_out = []
    for head in DISPENSABLE:
        if _measure(heads, cells) <= console.width:
            break
        if head in heads:
            left_out.append(head)
            place = heads.index(head)
            heads = heads[:place] + heads[place + 1 :]
            cells = [each[:place] + each[place + 1 :] for each in cells]
    table = Table(*heads)
    for each in cells:
        table.add_row(*each)
    console.print(table)
    if left_out:
        console.print(f"Left out for want of room: {', '.join(left_out)}; a wider terminal or --json has them.")


def _measure(heads: tuple[str, ...], cells: Rows) -> int:
    """Return the columns of a terminal that a table takes: each of its own is padded and has a line."""
    return 1 + sum(3 + max(map(len, column)) for column in zip(heads, *cells, strict=True))
