"""The verb `bench layers`: our layers beside torch's, timed in one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from placenorm.bench.layer_cases import LAYOUTS, OPS, SHAPES, Shape
from placenorm.bench.layer_timing import time_ops
from placenorm.errors import UsageError
from placenorm.facts.codec import dumps
from placenorm.facts.timing import LayerTiming, LayerTimings
from placenorm.report.bench_terminal import print_timings
from placenorm.report.files import replace_file
from placenorm.report.forms import print_to_text
from placenorm.study.planning import describe_environment
from placenorm.study.request import check_device

DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}
"""What is timed where nothing is said."""

TABLE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class BenchResult:
    """A run of the bench of layers.

    Attributes:
        facts: every sample.
    """

    facts: LayerTimings

    def table(self) -> str:
        """Return the table as text, for 120 columns."""
        return print_to_text(lambda console: print_timings(self.facts, console), TABLE_WIDTH)

    def save(self, path: Path | str) -> Path:
        """Write every sample as JSON and return the path.

        Raises:
            StoreError: if it cannot be written.
        """
        target = Path(path)
        replace_file(target, (dumps(self.facts) + "\n").encode())
        return target


def bench_layers(
    ops: Sequence[str] = (),
    *,
    device: str = "cpu",
    shapes: Sequence[str] = (),
    layouts: Sequence[str] = (),
    dtype: str | None = None,
    threads: int | None = None,
    compiled: bool = False,
    command: str = "",
    on_case: Callable[[list[LayerTiming]], None] | None = None,
) -> BenchResult:
    """Time norms with their neighbours: torch's layers, compiled, and ours, interleaved in one run.

    Args:
        ops: names of ops; all of them by default.
        device: ``cpu`` or a CUDA device.
        shapes: of the input, such as ``64x64x56x56``; those of known networks by default.
        layouts: ``nchw``, ``channels_last``; both by default.
        dtype: of the input; float32 on the processor, bfloat16 on a GPU by default.
        threads: of torch on the processor; as many as it has by default.
        compiled: whether torch.compile is timed too.
        command: the command that repeats the run.
        on_case: told the timings of each op, shape and layout as they come.

    Raises:
        UsageError: there is no such op, layout, dtype, shape, number of threads or device.
        BenchError: an op cannot run on a shape, or a candidate does not compute it.
    """
    kind = device.partition(":")[0]
    check_device(device)
    if kind not in SHAPES:
        raise UsageError(
            f"Cannot time on {device}: torch finds no such device here; use cpu, or cuda where there is one."
        )
    for what, given, known in (("op", ops, OPS), ("layout", layouts, LAYOUTS)):
        unknown = [name for name in given if name not in known]
        if unknown:
            raise UsageError(f"There is no {what} {unknown[0]!r} to time; there are {', '.join(known)}.")
    chosen = DTYPES[kind] if dtype is None else getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise UsageError(f"There is no dtype {dtype!r} to time; use float32, bfloat16, float16 or float64.")
    if threads is not None and threads < 1:
        raise UsageError(f"Cannot time with --threads {threads}: torch needs one at least; give 1 or more.")
    sizes = tuple(_read_shape(shape) for shape in shapes) or SHAPES[kind]
    before = torch.get_num_threads()
    rows: list[LayerTiming] = []
    try:
        torch.set_num_threads(threads or before)
        for found in time_ops(
            list(ops) or list(OPS), sizes, list(layouts) or list(LAYOUTS), chosen, device, compiled=compiled
        ):
            rows += found
            if on_case is not None:
                on_case(found)
        used = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    return BenchResult(LayerTimings(describe_environment(device, command), used, tuple(rows)))


def _read_shape(text: str) -> Shape:
    parts = text.split("x")
    if len(parts) != 4 or not all(part.isdigit() and int(part) for part in parts):
        raise UsageError(f"{text!r} is no shape to time; give N, C, H and W, such as 64x64x56x56.")
    samples, channels, height, width = map(int, parts)
    return Shape("given", (samples, channels, height, width))
