"""Times ops with norms: torch's layers one after the other, compiled, and ours, interleaved in one run."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from placenorm.bench.layer_cases import LAYOUTS, OPS, Op, Shape
from placenorm.errors import BenchError
from placenorm.facts.timing import LayerTiming
from placenorm.layers import explain

WARM_UP = 3
"""Rounds that are not counted: kernels are compiled, caches filled."""

LEAST_SECONDS, LEAST_ROUNDS, MOST_ROUNDS = 1.0, 7, 60
"""A case goes on until both are reached, and no further than the last."""

FEW = 1e-3
"""Share of values that rounding may flip."""

TOLERANCES = {torch.float32: 1e-3, torch.float64: 1e-9, torch.bfloat16: 6e-2, torch.float16: 1e-2}
"""How far a candidate may be from the truth before nothing is timed: a gate, the numerics have tests of their own."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    run: Callable[[Tensor, Tensor], Tensor]
    way: str = ""


def time_ops(
    ops: list[str],
    shapes: tuple[Shape, ...],
    layouts: list[str],
    dtype: torch.dtype,
    device: str,
    *,
    compiled: bool,
) -> Iterator[list[LayerTiming]]:
    """Yield the timings of one op, shape and layout after the other.

    Args:
        ops: names in `OPS`.
        shapes: of the input.
        layouts: names in `LAYOUTS`.
        dtype: of the input; parameters are float32 at least.
        device: where they run.
        compiled: whether torch.compile is a candidate.

    Raises:
        BenchError: the op cannot run on a shape, or a candidate does not compute it.
    """
    for shape in shapes:
        for layout in layouts:
            for name in ops:
                yield _time_case(OPS[name], shape, layout, dtype, device, compiled=compiled)


def _time_case(
    op: Op, shape: Shape, layout: str, dtype: torch.dtype, device: str, *, compiled: bool
) -> list[LayerTiming]:
    torch.manual_seed(0)
    x, residual = (
        torch.randn(shape.size, device=device, dtype=dtype).contiguous(memory_format=LAYOUTS[layout]).requires_grad_()
        for _ in range(2)
    )
    candidates = list(_list_candidates(op, shape, x, residual, compiled=compiled))
    try:
        dy = torch.randn_like(candidates[0].run(x, residual))
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise BenchError(f"Cannot time {op.name} on {shape.size}: {reason}; give another --shape.") from error
    _check(op, shape, candidates, x, residual, dy)
    forward: dict[str, list[float]] = {each.name: [] for each in candidates}
    backward: dict[str, list[float]] = {each.name: [] for each in candidates}
    copies: list[float] = []
    started = time.perf_counter()
    target = torch.empty_like(x)
    for turn in range(-WARM_UP, MOST_ROUNDS):
        if turn >= LEAST_ROUNDS and time.perf_counter() - started > LEAST_SECONDS:
            break
        if turn == 0:
            started = time.perf_counter()
        for each in candidates:
            ahead, back = _take_time(each, x, residual, dy, op)
            if turn >= 0:
                forward[each.name].append(ahead)
                backward[each.name].append(back)
        if turn >= 0:
            copies.append(_time_copy(x, target))
    unit = median(copies) / 2  # a copy reads once and writes once
    units = op.forward_units(x.element_size()) + op.backward_units(x.element_size())
    return [
        LayerTiming(
            op=op.name,
            layer=shape.layer,
            shape=shape.size,
            dtype=str(dtype).removeprefix("torch."),
            layout=layout,
            candidate=each.name,
            forward_ms=tuple(forward[each.name]),
            backward_ms=tuple(backward[each.name]),
            both_floor_ms=unit * units,
            saved_bytes=_count_saved(each, x, residual),
            peak_bytes=_measure_peak(each, x, residual, dy),
            way=each.way,
        )
        for each in candidates
    ]


def _list_candidates(op: Op, shape: Shape, x: Tensor, residual: Tensor, *, compiled: bool) -> Iterator[_Candidate]:
    channels = shape.size[1]
    norms = [nn.BatchNorm2d(channels).to(x.device) for _ in range(2)]
    yield _Candidate("eager", lambda x, residual: op.compose(norms[0], x, residual))
    if compiled:
        torch.compiler.reset()
        run: Callable[[Tensor, Tensor], Tensor] = torch.compile(
            lambda x, residual: op.compose(norms[1], x, residual), fullgraph=True
        )
        yield _Candidate("compile", run)
    ours = op.build(channels).to(x.device)
    if op.adds:
        yield _Candidate("placenorm", ours, str(explain(ours, x, residual)))
    else:
        yield _Candidate("placenorm", lambda x, residual: ours(x), str(explain(ours, x)))


def _check(op: Op, shape: Shape, candidates: list[_Candidate], x: Tensor, residual: Tensor, dy: Tensor) -> None:
    """Refuse to time what does not compute the op: torch's layers in float64 say what that is.

    Eager is timed as it is: with the channels last and many values, torch's own norm is off by a hundredth in float32.
    """
    wide, added = (each.detach().double().requires_grad_() for each in (x, residual))
    norm = nn.BatchNorm2d(shape.size[1], device=x.device, dtype=torch.float64)
    leaves = [wide, added] if op.adds else [wide]
    y = op.compose(norm, wide, added)
    wanted = [y.detach(), *torch.autograd.grad(y, leaves, dy.double())]
    room = TOLERANCES[x.dtype]
    for each in candidates:
        if each.name == "eager":
            continue
        y = each.run(x, residual)
        found = [y.detach(), *torch.autograd.grad(y, [x, residual] if op.adds else [x], dy)]
        for one, other in zip(found, wanted, strict=True):
            apart = float(((one - other).abs() > room * (1.0 + other.abs())).double().mean())
            if not one.isfinite().all() or apart > FEW * op.flips:
                raise BenchError(
                    f"Cannot time {op.name} on {shape.size}: {each.name} differs from torch in float64 in {apart:.1e} "
                    "of its values; that is an error in the kernels, please report it."
                )


def _take_time(each: _Candidate, x: Tensor, residual: Tensor, dy: Tensor, op: Op) -> tuple[float, float]:
    """Return the milliseconds of a forward and of a backward."""
    leaves = [x, residual] if op.adds else [x]
    marks = [_now(x)]
    y = each.run(x, residual)
    marks.append(_now(x))
    torch.autograd.grad(y, leaves, dy)
    marks.append(_now(x))
    return _between(marks[0], marks[1]), _between(marks[1], marks[2])


def _time_copy(x: Tensor, target: Tensor) -> float:
    with torch.no_grad():
        start = _now(x)
        target.copy_(x)
        return _between(start, _now(x))


Mark = float | torch.cuda.Event


def _now(x: Tensor) -> Mark:
    if not x.is_cuda:
        return 1e3 * time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between(start: Mark, stop: Mark) -> float:
    if isinstance(start, float) and isinstance(stop, float):
        return stop - start
    assert isinstance(start, torch.cuda.Event)
    assert isinstance(stop, torch.cuda.Event)
    stop.synchronize()
    return float(start.elapsed_time(stop))


def _count_saved(each: _Candidate, x: Tensor, residual: Tensor) -> int:
    """Return the bytes of what the forward keeps: each storage once, parameters and statistics aside."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.numel() > x.shape[1]:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = each.run(x, residual)
    del y
    return sum(storages.values())


def _measure_peak(each: _Candidate, x: Tensor, residual: Tensor, dy: Tensor) -> int | None:
    if not x.is_cuda:
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats(x.device)
    before = torch.cuda.memory_allocated(x.device)
    torch.autograd.grad(each.run(x, residual), x, dy)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated(x.device) - before
