"""The verbs `bench layers` and `bench models`: ours beside torch's, timed in one run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

from placenorm.bench.layer_cases import LAYOUTS, OPS, SHAPES, Shape
from placenorm.bench.layer_timing import time_ops
from placenorm.bench.model_cases import DEFAULTS, MODELS, PLACEMENTS, Setting
from placenorm.bench.model_timing import Accelerate, complete_name, find_builder, time_models
from placenorm.bench.sampling import Timed
from placenorm.errors import BenchError, UsageError
from placenorm.facts.codec import dumps
from placenorm.facts.timing import LayerTiming, LayerTimings, ModelTiming, ModelTimings
from placenorm.report.bench_terminal import print_model_timings, print_timings
from placenorm.report.files import replace_file
from placenorm.report.forms import print_to_text
from placenorm.study.planning import describe_environment
from placenorm.study.request import check_device

DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}
"""What is timed where nothing is said."""

TABLE_WIDTH = 120

Facts = TypeVar("Facts", LayerTimings, ModelTimings)
Row = TypeVar("Row", LayerTiming, ModelTiming)


@dataclass(frozen=True, slots=True)
class BenchResult(Generic[Facts]):
    """A run of a bench.

    Attributes:
        facts: every sample.
        troubles: what could not be timed and why, a sentence each.
    """

    facts: Facts
    troubles: tuple[str, ...] = ()

    def table(self) -> str:
        """Return the table as text, for 120 columns."""
        facts = self.facts
        if isinstance(facts, LayerTimings):
            return print_to_text(lambda console: print_timings(facts, console), TABLE_WIDTH)
        return print_to_text(lambda console: print_model_timings(facts, console), TABLE_WIDTH)

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
    seconds: float | None = None,
    command: str = "",
    on_case: Callable[[BenchResult[LayerTimings]], None] | None = None,
) -> BenchResult[LayerTimings]:
    """Time norms with their neighbours: torch's layers, compiled, and ours, interleaved in one run.

    Args:
        ops: names of ops; all of them by default.
        device: ``cpu`` or a CUDA device.
        shapes: of the input, such as ``64x64x56x56``; those of known networks by default.
        layouts: ``nchw``, ``channels_last``; both by default.
        dtype: of the input; float32 on the processor, bfloat16 on a GPU by default.
        threads: of torch on the processor; as many as it has by default.
        compiled: whether torch.compile is timed too.
        seconds: of timing for each op, shape and layout; 1 on the processor, 0.25 on a GPU by default.
        command: the command that repeats the run.
        on_case: given all that is timed until then, after each op, shape and layout.

    Raises:
        UsageError: there is no such op, layout, dtype, shape, number of threads or device.
        BenchError: nothing could be timed: the ops cannot run on the shapes, or our layers do not compute them.
    """
    kind = _check_request(device, threads, seconds)
    _check_names("op", ops, OPS)
    _check_names("layout", layouts, LAYOUTS)
    chosen = DTYPES[kind] if dtype is None else _read_dtype(dtype)
    sizes = tuple(_read_shape(shape) for shape in shapes) or SHAPES[kind]
    with _threads(threads) as used:
        environment = describe_environment(device, command)
        cases = time_ops(
            list(ops) or list(OPS),
            sizes,
            list(layouts) or list(LAYOUTS),
            chosen,
            device,
            compiled=compiled,
            seconds=seconds,
        )
        return _collect(cases, lambda rows: LayerTimings(environment, used, rows), on_case)


def bench_models(
    models: Sequence[str] = (),
    *,
    device: str = "cpu",
    batch: int | None = None,
    size: int | None = None,
    autocast: str | None = None,
    layout: str | None = None,
    threads: int | None = None,
    compiled: bool = False,
    graphs: bool = False,
    placements: bool = False,
    seconds: float | None = None,
    command: str = "",
    on_case: Callable[[BenchResult[ModelTimings]], None] | None = None,
) -> BenchResult[ModelTimings]:
    """Time steps of training: networks by torch, compiled, and on our layers, interleaved in one run.

    A step is forward, cross-entropy, backward and SGD with momentum, on random images and labels.

    Args:
        models: names of torchvision's, or as for `compare`: ``timm:NAME``, ``path/to/file.py:Name``; resnet50,
            mobilenet_v3_large and vgg11_bn by default. A model of your own takes RGB images and gives scores, for each
            image or each of its positions.
        device: ``cpu`` or a CUDA device.
        batch: images; 16 on the processor, 128 on a GPU (256 for mobilenet_v3_large) by default.
        size: height and width of an image; 64 on the processor, 224 on a GPU by default.
        autocast: ``bfloat16``, ``float16`` or ``none``; none on the processor, bfloat16 on a GPU by default.
        layout: ``nchw`` or ``channels_last``; channels last on a GPU by default.
        threads: of torch on the processor; as many as it has by default.
        compiled: whether torch.compile of the model as it is is timed too.
        graphs: whether steps are timed too whose forward and backward are each started as one graph of CUDA.
        placements: whether each placement of the norms is timed too, by torch and on our layers.
        seconds: of timing for each model; 6 on the processor, 4 on a GPU by default.
        command: the command that repeats the run.
        on_case: given all that is timed until then, after each model.

    Raises:
        UsageError: there is no such layout, dtype, number of threads or device, or the batch is too small.
        ModelError: there is no such model.
        BenchError: nothing could be timed: the models do not run on the images.
    """
    kind = _check_request(device, threads, seconds)
    if graphs and kind != "cuda":
        raise UsageError(
            f"Cannot time graphs of CUDA on {device}: they run on a GPU; give --device cuda or no --graphs."
        )
    _check_names("layout", () if layout is None else (layout,), LAYOUTS)
    usual = DEFAULTS[kind]
    for option, number, least in (("batch", batch, 2), ("size", size, 1)):
        if number is not None and number < least:
            raise UsageError(f"Cannot time with --{option} {number}: a norm needs {least} at least; give more.")
    names = list(models) or list(MODELS)
    for name in names:  # so that a wrong name is refused before anything is timed
        find_builder(complete_name(name), size or usual.size)
    setting = Setting(
        device=device,
        batch=batch,
        size=size or usual.size,
        autocast=usual.autocast if autocast is None else _read_autocast(autocast),
        layout=layout or usual.layout,
        compiled=compiled,
        graphs=graphs,
        placements=PLACEMENTS if placements else (),
        seconds=seconds,
    )
    with _threads(threads) as used:
        environment = describe_environment(device, command)
        cases = time_models(names, setting, _find_accelerate())
        return _collect(cases, lambda rows: ModelTimings(environment, used, kind == "cuda", rows), on_case)


def _find_accelerate() -> Accelerate:
    from placenorm.verbs.accelerating import accelerate

    return accelerate


def _collect(
    cases: Iterable[Timed[Row]],
    make_facts: Callable[[tuple[Row, ...]], Facts],
    on_case: Callable[[BenchResult[Facts]], None] | None,
) -> BenchResult[Facts]:
    """Return the cases as one result; tell of each, so that none is lost to what comes later."""
    rows: list[Row] = []
    troubles: list[str] = []
    for timed in cases:
        rows += timed.rows
        troubles += timed.troubles
        if timed.rows and on_case is not None:
            on_case(BenchResult(make_facts(tuple(rows)), tuple(troubles)))
    if not rows:
        raise BenchError(" ".join(troubles))
    return BenchResult(make_facts(tuple(rows)), tuple(troubles))


def _check_request(device: str, threads: int | None, seconds: float | None) -> str:
    """Return the kind of a device that can be timed."""
    kind = device.partition(":")[0]
    check_device(device)
    if kind not in SHAPES:
        raise UsageError(
            f"Cannot time on {device}: torch finds no such device here; use cpu, or cuda where there is one."
        )
    if threads is not None and threads < 1:
        raise UsageError(f"Cannot time with --threads {threads}: torch needs one at least; give 1 or more.")
    if seconds is not None and not seconds >= 0:
        raise UsageError(f"Cannot time for --seconds {seconds}: give a number from 0 up.")
    return kind


def _check_names(what: str, given: Sequence[str], known: Iterable[str]) -> None:
    names = list(known)
    unknown = [name for name in given if name not in names]
    if unknown:
        raise UsageError(f"There is no {what} {unknown[0]!r} to time; there are {', '.join(names)}.")


@contextmanager
def _threads(wanted: int | None) -> Iterator[int]:
    """Set the threads of torch for a while, and give their number."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(wanted or before)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def _read_dtype(name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise UsageError(f"There is no dtype {name!r} to time; use float32, bfloat16, float16 or float64.")
    return found


def _read_autocast(name: str) -> torch.dtype | None:
    known = {"none": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise UsageError(f"There is no autocast to {name!r}; use {', '.join(known)}.")
    return known[name]


def _read_shape(text: str) -> Shape:
    parts = text.split("x")
    if len(parts) != 4 or not all(part.isdigit() and int(part) for part in parts):
        raise UsageError(f"{text!r} is no shape to time; give N, C, H and W, such as 64x64x56x56.")
    samples, channels, height, width = map(int, parts)
    return Shape("given", (samples, channels, height, width))
