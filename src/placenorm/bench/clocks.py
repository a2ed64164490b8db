"""How long a forward and a backward take: one after the other on the processor, queued ahead on a GPU."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

import torch
from torch import Tensor

FLUSH_BYTES: Final = 1 << 28
"""What is written before each sample on a GPU, and what its copy is measured on: several times its L2 cache (50 MB on
an H100)."""

SMALL_BYTES: Final = 1 << 23
"""A smaller input is launch-bound on a GPU: 8 reads and writes of it at 3 TB/s take 22 microseconds, less than torch
needs to launch a forward and a backward."""

REPEATS: Final = 30
"""Calls in a sample of what is launch-bound: waiting for the GPU at its end (10 microseconds) then hardly counts."""

AHEAD: Final = 1.5
"""The GPU is kept busy so many times longer than the last round's slowest candidate took to be queued."""

MOST_AHEAD_MS: Final = 20.0
"""And no longer than this: the first round compiles kernels."""

WRITES: Final = 5
"""Writes of the buffer that say how long one takes."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What is timed of one candidate.

    Attributes:
        forward: runs it.
        backward: gives the gradients from what the forward gave.
    """

    forward: Callable[[], Tensor]
    backward: Callable[[Tensor], object]


@dataclass(frozen=True, slots=True)
class Round:
    """One sample of every candidate.

    Attributes:
        forward_ms: of each candidate, in milliseconds.
        backward_ms: of each candidate.
        copy_ms: of the copy.
        copy_bytes: what the copy read and wrote.
    """

    forward_ms: tuple[float, ...]
    backward_ms: tuple[float, ...]
    copy_ms: float
    copy_bytes: int


class Clock(Protocol):
    """Takes samples of candidates, one after the other, and of a copy beside them."""

    name: str

    def take_round(self, passes: Sequence[Pass]) -> Round:
        """Return a sample of each."""


def make_clock(x: Tensor) -> Clock:
    """Return the clock for an input: what it measures with depends on its device and its size."""
    name = choose_clock(x.device.type, x.nbytes)
    if name == "wall":
        return _WallClock(x)
    return _EventClock(x.device) if name == "events" else _LoopClock(x.device)


def choose_clock(kind: str, size: int) -> str:
    """Return how an input is timed: ``wall``, ``events`` or ``loop``; `LayerTiming.clock` says what they are.

    Args:
        kind: of the device.
        size: of the input, in bytes.
    """
    if kind != "cuda":
        return "wall"
    return "loop" if size < SMALL_BYTES else "events"


def count_writes(queue_ms: float, write_ms: float) -> int:
    """Return how many writes of a buffer keep a GPU busy until a sample is queued; one at least, to empty its cache.

    Args:
        queue_ms: what the processor took to queue one.
        write_ms: what a write takes.
    """
    return max(1, math.ceil(min(AHEAD * queue_ms, MOST_AHEAD_MS) / write_ms))


class _WallClock:
    """Calls each once; the copy is one of the input itself, into used memory, as warm as the candidates find it."""

    name = "wall"

    def __init__(self, x: Tensor) -> None:
        self._source, self._target = x.detach(), torch.empty_like(x)

    def take_round(self, passes: Sequence[Pass]) -> Round:
        """Return a sample of each."""
        samples = [_time_once(each) for each in passes]
        started = time.perf_counter()
        self._target.copy_(self._source)
        copy_ms = 1e3 * (time.perf_counter() - started)
        forward, backward = zip(*samples, strict=True)
        return Round(forward, backward, copy_ms, 2 * self._source.nbytes)


def _time_once(each: Pass) -> tuple[float, float]:
    marks = [time.perf_counter()]
    y = each.forward()
    marks.append(time.perf_counter())
    each.backward(y)
    marks.append(time.perf_counter())
    ahead, back = (1e3 * (after - before) for before, after in pairwise(marks))
    return ahead, back


class _GpuCopy:
    """A copy of a buffer that no cache holds, and writes of it that empty the cache and keep the GPU busy."""

    def __init__(self, device: torch.device) -> None:
        self._buffer = torch.zeros(FLUSH_BYTES, dtype=torch.uint8, device=device)
        self._target = torch.zeros_like(self._buffer)
        marks = [_mark()]
        self.keep_busy(WRITES)
        marks.append(_mark())
        torch.cuda.synchronize(device)
        self.write_ms = marks[0].elapsed_time(marks[1]) / WRITES

    def keep_busy(self, writes: int) -> None:
        """Queue writes of the buffer."""
        for _ in range(writes):
            self._buffer.zero_()

    def queue(self) -> tuple[torch.cuda.Event, torch.cuda.Event]:
        """Queue a copy between two events."""
        before = _mark()
        self._target.copy_(self._buffer)
        return before, _mark()

    @property
    def traffic(self) -> int:
        """Bytes that a copy reads and writes."""
        return 2 * self._buffer.nbytes


class _EventClock:
    """Marks the queue of the GPU around each pass, and waits for it at the round's end only.

    Before each sample a buffer is written that empties the cache, as often as keeps the GPU busy until the processor
    has queued the sample: what lies between two marks is then the GPU's work, and no launch that it waited for.
    """

    name = "events"

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copy = _GpuCopy(device)
        self._queue_ms = 0.0

    def take_round(self, passes: Sequence[Pass]) -> Round:
        """Return a sample of each."""
        writes = count_writes(self._queue_ms, self._copy.write_ms)
        samples, queue_ms = [], []
        for each in passes:
            self._copy.keep_busy(writes)
            started = time.perf_counter()
            samples.append(_queue_once(each))
            queue_ms.append(1e3 * (time.perf_counter() - started))
        self._copy.keep_busy(1)
        copy = self._copy.queue()
        torch.cuda.synchronize(self._device)
        self._queue_ms = max(queue_ms)
        return Round(
            tuple(start.elapsed_time(middle) for start, middle, _ in samples),
            tuple(middle.elapsed_time(stop) for _, middle, stop in samples),
            copy[0].elapsed_time(copy[1]),
            self._copy.traffic,
        )


def _queue_once(each: Pass) -> tuple[torch.cuda.Event, torch.cuda.Event, torch.cuda.Event]:
    start = _mark()
    y = each.forward()
    middle = _mark()
    each.backward(y)
    return start, middle, _mark()


def _mark() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


class _LoopClock:
    """Calls each many times and waits for the GPU at the end, as a loop over small inputs spends its time."""

    name = "loop"

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copy = _GpuCopy(device)

    def take_round(self, passes: Sequence[Pass]) -> Round:
        """Return a sample of each: many forwards, then the backward of each of them."""
        samples = [self._time_many(each) for each in passes]
        self._copy.keep_busy(1)
        start, stop = self._copy.queue()
        torch.cuda.synchronize(self._device)
        forward, backward = zip(*samples, strict=True)
        return Round(forward, backward, start.elapsed_time(stop), self._copy.traffic)

    def _time_many(self, each: Pass) -> tuple[float, float]:
        torch.cuda.synchronize(self._device)
        marks = [time.perf_counter()]
        outputs = [each.forward() for _ in range(REPEATS)]
        torch.cuda.synchronize(self._device)
        marks.append(time.perf_counter())
        for y in outputs:
            each.backward(y)
        torch.cuda.synchronize(self._device)
        marks.append(time.perf_counter())
        ahead, back = (1e3 * (after - before) / REPEATS for before, after in pairwise(marks))
        return ahead, back
