"""How kernels are started: with tiles of some size, so many programs and warps, and without being looked up anew."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Launch:
    """The size of a kernel's tiles and of its grid.

    Attributes:
        values: of a tile.
        programs: for each multiprocessor.
        warps: of a program.
        stages: tiles that are on their way at a time.
    """

    values: int
    programs: int
    warps: int
    stages: int = 1


SUM_VALUES: Final = Launch(8192, 2, 8)
APPLY_NORM: Final = Launch(4096, 2, 8, 3)
SUM_GRADIENTS: Final = Launch(8192, 2, 8)
APPLY_GRADIENTS: Final = Launch(2048, 4, 4, 3)
POOL: Final = Launch(4096, 2, 4)
UNPOOL: Final = Launch(2048, 2, 8, 3)
"""The fastest of those that `bench/gpu_launches.py` tried on an H100."""

HELD: Final = (Launch(1024, 1, 4), Launch(2048, 1, 4), Launch(4096, 1, 8), Launch(8192, 1, 16))
"""Where one tile holds a block, ever larger ones: at most 16 values of a tensor for each thread, which its registers
have room for. Narrower tiles are taken where wider ones would leave multiprocessors idle."""

LEAST_SHARED_BYTES: Final = 101_376
"""What a program may share on the smallest devices that have tiles under way (8.6, 8.9, 12.0)."""

LEAST_COUNTERS: Final = 4096
LEAST_SUMS: Final = 1 << 18
"""That there is room for at least, where it is kept."""

LARGEST_INT: Final = 2**31 - 1
"""That a compiled kernel takes for one of 32 bits."""

ALIGNED_BYTES: Final = 16
"""What a compiled kernel takes every address for a multiple of."""

PROCESSORS_WITHOUT_GPU: Final = 1
"""Under Triton's interpreter, which runs one program after the other."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a kernel is started with on inputs of one shape; made once.

    Attributes:
        grid: programs, and blocks.
        partials: sums that the programs leave of a channel, of each kind.
        warps: of a program.
        numbers: what describes the shape, the last of a kernel's numbers.
        constants: what it is compiled for.
        compiled: what it was compiled to, by the types of its tensors.
    """

    grid: tuple[int, int]
    partials: int
    warps: int
    numbers: tuple[int, ...]
    constants: dict[str, Any]
    compiled: dict[tuple[torch.dtype | None, ...], "_Compiled"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Compiled:
    run: Callable[..., None]
    function: Any
    metadata: Any
    constants: tuple[object, ...]


class Kernel:
    """A kernel of Triton, which is looked up and given its arguments in a fraction of the time that Triton takes.

    Its parameters are tensors, then numbers, of which none is specialised, then constants.

    Args:
        function: what ``triton.jit`` made.
    """

    def __init__(self, function: Any) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def start(self, plan: Plan, tensors: Sequence[Tensor | None], *numbers: float) -> None:
        """Start the kernel on the present device and stream.

        Args:
            plan: made for this kernel.
            tensors: the first parameters; the first of them is on the device.
            numbers: the parameters behind them, up to those of the plan.
        """
        first = tensors[0]
        assert first is not None
        types = tuple([None if each is None else each.dtype for each in tensors])
        pointers = [None if each is None else each.data_ptr() for each in tensors]
        misaligned = [each for each in pointers if each is not None and each % ALIGNED_BYTES]
        found = plan.compiled.get(types)
        if found is not None and not misaligned:
            # As Triton starts it, with addresses in the place of tensors, whose devices it need not find out then.
            stream = torch._C._cuda_getCurrentRawStream(first.get_device())
            found.run(
                *plan.grid, 1, stream, found.function, found.metadata, None, None, None,
                *pointers, *numbers, *plan.numbers, *found.constants,
            )  # fmt: skip
            return
        compiled = self._function[plan.grid](*tensors, *numbers, *plan.numbers, **plan.constants, num_warps=plan.warps)
        if compiled is not None and max(plan.numbers) <= LARGEST_INT and not misaligned:  # None of the interpreter
            held = tuple(plan.constants[name] for name in self._function.arg_names if name in plan.constants)
            plan.compiled[types] = _Compiled(compiled.run, compiled.function, compiled.packed_metadata, held)


def fit_stages(how: Launch, value_bytes: int, shared_bytes: int) -> Launch:
    """Return a launch of one stage where what is under way does not fit into shared memory, else the one given.

    All tiles but one lie there. Fewer stages that fit are hardly faster than one: backward at 128x64x56x56 on an H100,
    bfloat16, channels last, 3x3 windows with a stride of 1: 0.35 ms with two and 0.34 with one (three: 0.28).

    Args:
        how: with the stages that are best where they fit.
        value_bytes: what a kernel reads for each value of a tile.
        shared_bytes: what a program may share.
    """
    return how if (how.stages - 1) * how.values * value_bytes <= shared_bytes else replace(how, stages=1)


def count_shared_bytes(device: torch.device) -> int:
    """Return what a program may share on a device."""
    if device.type != "cuda":
        return LEAST_SHARED_BYTES
    properties = torch.cuda.get_device_properties(device.index)
    shared: int = getattr(properties, "shared_memory_per_block_optin", LEAST_SHARED_BYTES)
    return shared


@lru_cache
def _count_processors(index: int | None) -> int:
    return torch.cuda.get_device_properties(index).multi_processor_count


def count_programs(device: torch.device, launch: Launch) -> int:
    """Return how many programs fill a device."""
    return launch.programs * (_count_processors(device.index) if device.type == "cuda" else PROCESSORS_WITHOUT_GPU)


class Room(NamedTuple):
    """Memory that a kernel uses while it runs.

    Attributes:
        counters: one for each block, int32, which are 0 whenever no kernel runs.
        partial: for the partial sums, of two kinds, of every channel, and its shift behind them; float32.
    """

    counters: Tensor
    partial: Tensor


_ROOMS: dict[tuple[int, int], Room] = {}
"""Of every device and stream, whose kernels run one after the other."""


class _Fresh(threading.local):
    wanted: bool = False


_FRESH = _Fresh()


@contextmanager
def fresh_room() -> Iterator[None]:
    """Make room for each kernel, and keep none."""
    before, _FRESH.wanted = _FRESH.wanted, True
    try:
        yield
    finally:
        _FRESH.wanted = before


def find_room(x: Tensor, plan: Plan) -> Room:
    """Return room for a kernel of the present stream.

    Args:
        x: input, ``[N, C, *]``.
        plan: of the kernel.
    """
    blocks, sums = plan.grid[1], (2 * plan.partials + 1) * x.shape[1]
    # A graph may run beside the stream that it was captured on, and owns the memory that it was given.
    if _FRESH.wanted or not x.is_cuda or torch.cuda.is_current_stream_capturing():
        return _make_room(blocks, sums, x.device)
    index = x.get_device()
    key = index, torch._C._cuda_getCurrentRawStream(index)
    held = _ROOMS.get(key)
    if held is None or held.counters.numel() < blocks or held.partial.numel() < sums:
        held = _ROOMS[key] = _make_room(max(blocks, LEAST_COUNTERS), max(sums, LEAST_SUMS), x.device)
    return held


def _make_room(blocks: int, sums: int, device: torch.device) -> Room:
    counters = torch.zeros(blocks, dtype=torch.int32, device=device)
    return Room(counters, torch.empty(sums, dtype=torch.float32, device=device))


@contextmanager
def _on(device: torch.device) -> Iterator[None]:
    with torch.cuda.device(device):
        yield


class _Here:
    """Nothing to enter; made once, as every norm asks for it."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


_HERE = _Here()


def on_device_of(x: Tensor) -> Any:
    """Return a context in which kernels start on a tensor's device."""
    return _HERE if not x.is_cuda or x.get_device() == torch._C._cuda_getDevice() else _on(x.device)
