"""Times ops with norms: torch's layers one after the other, compiled, and ours, interleaved in one run."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Final

import torch
from torch import Tensor, nn

from placenorm.bench.clocks import Clock, Pass, make_clock
from placenorm.bench.layer_cases import LAYOUTS, OPS, Op, Shape
from placenorm.bench.sampling import Rounds, Timed
from placenorm.errors import BenchError, first_line
from placenorm.facts.timing import LayerTiming
from placenorm.layers import explain

ROUNDS: Final = {
    "cpu": Rounds(seconds=1.0, least=7, most=60, warm_up=3),
    "cuda": Rounds(seconds=0.25, least=7, most=60, warm_up=3),
}
"""By the kind of device. A GPU's samples spread less, and its time is dearer."""

FEW: Final = 1e-3
"""Share of values that rounding may flip."""

TOLERANCES: Final = {torch.float32: 1e-3, torch.float64: 1e-9, torch.bfloat16: 6e-2, torch.float16: 1e-2}
"""How far a candidate may be from the truth before nothing is timed: a gate, the numerics have tests of their own."""

TRUTH_VALUES: Final = 1 << 26
"""Values of the input whose truth is computed at a time: about ten tensors of half a gigabyte each."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    run: Callable[[Tensor, Tensor], Tensor]
    parameters: tuple[nn.Parameter, ...]
    way: str = ""


@dataclass(frozen=True, slots=True)
class _Case:
    op: Op
    shape: Shape
    x: Tensor
    residual: Tensor
    dy: Tensor

    @property
    def inputs(self) -> list[Tensor]:
        return [self.x, self.residual] if self.op.adds else [self.x]

    def run(self, candidate: _Candidate) -> Tensor:
        return candidate.run(self.x, self.residual)

    def differentiate(self, candidate: _Candidate, y: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients that training asks for: of the inputs and of the norm's weight and bias."""
        return torch.autograd.grad(y, [*self.inputs, *candidate.parameters], self.dy)


def time_ops(
    ops: list[str],
    shapes: tuple[Shape, ...],
    layouts: list[str],
    dtype: torch.dtype,
    device: str,
    *,
    compiled: bool,
    seconds: float | None = None,
) -> Iterator[Timed[LayerTiming]]:
    """Yield the timings of one op, shape and layout after the other; what cannot be timed is told with its reason.

    Args:
        ops: names in `OPS`.
        shapes: of the input.
        layouts: names in `LAYOUTS`.
        dtype: of the input; parameters are float32 at least.
        device: where they run.
        compiled: whether torch.compile is a candidate.
        seconds: of timing for each; as the device needs by default.
    """
    rounds = choose_rounds(device.partition(":")[0], seconds)
    for shape in shapes:
        for layout in layouts:
            for name in ops:
                try:
                    with _on_device(device):
                        timed = _time_case(OPS[name], shape, layout, dtype, device, rounds, compiled=compiled)
                except BenchError as error:
                    timed = Timed(troubles=[str(error)])
                yield timed


def choose_rounds(kind: str, seconds: float | None) -> Rounds:
    """Return how long a case on a kind of device goes on."""
    usual = ROUNDS[kind]
    return usual if seconds is None else Rounds(seconds, usual.least, usual.most, usual.warm_up)


def _on_device(device: str) -> AbstractContextManager[object]:
    """Events are recorded on the present device's queue."""
    return torch.cuda.device(device) if device.startswith("cuda:") else nullcontext()


def _time_case(
    op: Op, shape: Shape, layout: str, dtype: torch.dtype, device: str, rounds: Rounds, *, compiled: bool
) -> Timed[LayerTiming]:
    torch.manual_seed(0)
    troubles: list[str] = []
    try:
        x, residual = (
            torch.randn(shape.size, device=device, dtype=dtype)
            .contiguous(memory_format=LAYOUTS[layout])
            .requires_grad_()
            for _ in range(2)
        )
        candidates = [_make_eager(op, shape, x)]
        case = _Case(op, shape, x, residual, torch.randn_like(candidates[0].run(x, residual)))
        if compiled:
            candidates += _compile(case, candidates[0], troubles)
        candidates.append(_make_ours(case))
        candidates = _check(case, candidates, troubles)
        return Timed(_take_samples(case, candidates, layout, rounds), troubles)
    except BenchError:
        raise
    except (ValueError, RuntimeError) as error:  # the shape is too small for the op, or too large for the memory
        raise BenchError(
            f"Cannot time {op.name} on {shape.size}: {first_line(error)}; give another --shape."
        ) from error
    except Exception as error:  # of a compiler of kernels, anything can come out of it
        raise BenchError(
            f"Cannot time {op.name} on {shape.size}: {type(error).__name__}: {first_line(error)}; that is an error in "
            "our kernels, please report it."
        ) from error


def _take_samples(case: _Case, candidates: list[_Candidate], layout: str, rounds: Rounds) -> list[LayerTiming]:
    clock: Clock = make_clock(case.x)
    passes = [_make_pass(case, each) for each in candidates]
    samples = rounds.take(lambda: clock.take_round(passes))
    bandwidth = median(each.copy_bytes / each.copy_ms for each in samples)  # bytes a millisecond
    size = case.x.element_size()
    traffic = case.x.nbytes * (case.op.forward_units(size) + case.op.backward_units(size))
    return [
        LayerTiming(
            op=case.op.name,
            layer=case.shape.layer,
            shape=case.shape.size,
            dtype=str(case.x.dtype).removeprefix("torch."),
            layout=layout,
            candidate=each.name,
            forward_ms=tuple(sample.forward_ms[place] for sample in samples),
            backward_ms=tuple(sample.backward_ms[place] for sample in samples),
            both_floor_ms=traffic / bandwidth,
            saved_bytes=_count_saved(case, each),
            peak_bytes=_measure_peak(case, each),
            way=each.way,
            clock=clock.name,
            copy_bytes_per_s=1e3 * bandwidth,
        )
        for place, each in enumerate(candidates)
    ]


def _make_pass(case: _Case, each: _Candidate) -> Pass:
    return Pass(lambda: case.run(each), lambda y: case.differentiate(each, y))


def _make_eager(op: Op, shape: Shape, x: Tensor) -> _Candidate:
    norm = nn.BatchNorm2d(shape.size[1]).to(x.device, _choose_dtype(x))
    return _Candidate("eager", lambda x, residual: op.compose(norm, x, residual), tuple(norm.parameters()))


def _choose_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype of parameters: float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def _compile(case: _Case, eager: _Candidate, troubles: list[str]) -> list[_Candidate]:
    """Return eager compiled, both directions; nothing and a trouble where torch.compile fails."""
    torch.compiler.reset()
    made = _make_eager(case.op, case.shape, case.x)
    compiled = _Candidate("compile", torch.compile(made.run, fullgraph=True, dynamic=False), made.parameters)
    try:
        case.differentiate(compiled, case.run(compiled))
    except Exception as error:  # the compiler's own, anything can come out of it
        troubles.append(
            f"Cannot time torch.compile for {case.op.name} on {case.shape.size}: {first_line(error)}; the others were "
            "timed without it."
        )
        return []
    return [compiled]


def _make_ours(case: _Case) -> _Candidate:
    ours = case.op.build(case.shape.size[1]).to(case.x.device, _choose_dtype(case.x))
    parameters = tuple(ours.parameters())
    if case.op.adds:
        return _Candidate("placenorm", ours, parameters, str(explain(ours, case.x, case.residual)))
    return _Candidate("placenorm", lambda x, residual: ours(x), parameters, str(explain(ours, case.x)))


def _check(case: _Case, candidates: list[_Candidate], troubles: list[str]) -> list[_Candidate]:
    """Return the candidates that compute the op: torch's layers in float64 say what that is. Ours has to.

    The truth is computed some channels at a time, which is the same for ops that keep to a channel. Eager is timed as
    it is: with the channels last and many values, torch's own norm is off by a hundredth in float32.
    """
    found: dict[str, list[Tensor]] = {}
    for each in candidates[1:]:
        y = case.run(each)
        found[each.name] = [y.detach(), *case.differentiate(each, y)[: len(case.inputs)]]
    apart = {name: [0] * len(tensors) for name, tensors in found.items()}
    for channels in split_channels(case.shape.size, TRUTH_VALUES):
        for place, wanted in enumerate(_compute_truth(case, channels)):
            room = TOLERANCES[case.x.dtype] * (1.0 + wanted.abs())
            for name, tensors in found.items():
                far = (tensors[place][:, channels] - wanted).abs() <= room  # False for NaN
                apart[name][place] += far.numel() - int(far.sum())
    right = candidates[:1]
    for each in candidates[1:]:
        counts = zip(apart[each.name], found[each.name], strict=True)
        share = max(count / tensor.numel() for count, tensor in counts)
        if share <= FEW * case.op.flips:
            right.append(each)
            continue
        whose = "our kernels" if each.name == "placenorm" else "torch.compile"
        trouble = (
            f"Cannot time {case.op.name} on {case.shape.size}: {each.name} differs from torch in float64 in "
            f"{share:.1e} of its values; that is an error in {whose}, please report it."
        )
        if each.name == "placenorm":
            raise BenchError(trouble)
        troubles.append(trouble)
    return right


def split_channels(size: tuple[int, ...], most: int) -> Iterator[slice]:
    """Yield slices of the channels that together are all of them, each with as many values as are allowed, or one."""
    samples, channels, height, width = size
    step = max(1, most // (samples * height * width))
    for start in range(0, channels, step):
        yield slice(start, min(start + step, channels))


def _compute_truth(case: _Case, channels: slice) -> list[Tensor]:
    wide, added = (each.detach()[:, channels].double().requires_grad_() for each in (case.x, case.residual))
    norm = nn.BatchNorm2d(channels.stop - channels.start, device=wide.device, dtype=torch.float64)
    y = case.op.compose(norm, wide, added)
    leaves = [wide, added] if case.op.adds else [wide]
    return [y.detach(), *torch.autograd.grad(y, leaves, case.dy[:, channels].double())]


def _count_saved(case: _Case, each: _Candidate) -> int:
    """Return the bytes of what the forward keeps: each storage once, parameters and statistics aside."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.numel() > case.x.shape[1]:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = case.run(each)
    del y
    return sum(storages.values())


def _measure_peak(case: _Case, each: _Candidate) -> int | None:
    """Return the most bytes that a forward and a backward have in use beside inputs and parameters, with gradients."""
    device = case.x.device
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    case.differentiate(each, case.run(each))
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
