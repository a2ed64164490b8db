"""The clocks of a GPU, on a GPU that only writes down what is queued."""

from itertools import count

import pytest
import torch

from placenorm.bench import clocks
from placenorm.bench.clocks import Pass, choose_clock, count_writes


@pytest.mark.parametrize(
    ("kind", "size", "name"),
    [
        ("cpu", 1 << 10, "wall"),
        ("cpu", 1 << 30, "wall"),
        ("cuda", clocks.SMALL_BYTES - 1, "loop"),
        ("cuda", clocks.SMALL_BYTES, "events"),
    ],
)
def test_clock_is_chosen_by_device_and_size(kind: str, size: int, name: str) -> None:
    assert choose_clock(kind, size) == name


@pytest.mark.parametrize(
    ("queue_ms", "write_ms", "writes"),
    [(0.0, 0.1, 1), (0.01, 0.1, 1), (0.2, 0.125, 3), (0.21, 0.1, 4), (5000.0, 0.1, 200)],
    ids=["nothing queued", "quick", "just covered", "rounded up", "compiled just now"],
)
def test_gpu_is_kept_busy_until_a_sample_is_queued(queue_ms: float, write_ms: float, writes: int) -> None:
    assert count_writes(queue_ms, write_ms) == writes


class Queue:
    """What is queued, in order; each entry takes the GPU a millisecond."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def add(self, entry: str) -> int:
        self.entries.append(entry)
        return len(self.entries)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    queue = Queue()

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing
            self.at = 0

        def record(self) -> None:
            self.at = queue.add("mark")

        def elapsed_time(self, other: "Event") -> float:
            assert "wait" in queue.entries[other.at :], "read before the GPU was there"
            return float(sum(each != "mark" for each in queue.entries[self.at : other.at]))

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: queue.add("wait"))
    monkeypatch.setattr(clocks, "FLUSH_BYTES", 64)
    monkeypatch.setattr(clocks._GpuCopy, "keep_busy", lambda self, writes: [queue.add("write") for _ in range(writes)])
    return queue


def make_pass(queue: Queue, name: str) -> Pass:
    def forward() -> torch.Tensor:
        queue.add(f"{name} forward")
        return torch.zeros(1)

    def backward(y: torch.Tensor) -> None:
        queue.add(f"{name} backward")
        queue.add(f"{name} backward")

    return Pass(forward, backward)


def test_events_stand_around_each_pass_and_the_gpu_is_waited_for_once_a_round(queue: Queue) -> None:
    clock = clocks._EventClock(torch.device("cpu"))
    queue.entries.clear()
    sample = clock.take_round([make_pass(queue, "eager"), make_pass(queue, "ours")])
    ends = [[f"{name} backward"] * 2 for name in ("eager", "ours")]
    assert queue.entries == [
        *("write", "mark", "eager forward", "mark", *ends[0], "mark"),
        *("write", "mark", "ours forward", "mark", *ends[1], "mark"),
        *("write", "mark", "mark", "wait"),
    ]
    assert sample.forward_ms == (1.0, 1.0)
    assert sample.backward_ms == (2.0, 2.0)
    assert sample.copy_bytes == 2 * 64


def test_gpu_is_kept_busy_as_long_as_the_slowest_took_in_the_round_before(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = clocks._EventClock(torch.device("cpu"))
    assert clock._copy.write_ms == 1.0
    reads = count()
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: 0.002 * next(reads))
    passes = [make_pass(queue, "eager"), make_pass(queue, "ours")]
    clock.take_round(passes)
    queue.entries.clear()
    clock.take_round(passes)
    wanted = ["write"] * 3  # 2 ms, half as long again, at 1 ms a write
    assert queue.entries[:5] == [*wanted, "mark", "eager forward"]
    start = queue.entries.index("ours forward") - 4
    assert queue.entries[start : start + 4] == [*wanted, "mark"]


def test_small_inputs_are_called_many_times_between_two_waits(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clocks._LoopClock(torch.device("cpu"))
    queue.entries.clear()
    reads = count()
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: float(next(reads)))
    sample = clock.take_round([make_pass(queue, "ours")])
    assert queue.entries[: 3 * clocks.REPEATS + 3] == [
        *("wait", *["ours forward"] * clocks.REPEATS),
        *("wait", *["ours backward"] * 2 * clocks.REPEATS),
        "wait",
    ]
    assert sample.forward_ms == sample.backward_ms == (1e3 / clocks.REPEATS,)


def test_wall_clock_times_each_pass_and_a_copy_of_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = clocks.make_clock(torch.zeros(4, 3))
    reads = iter([0.0, 1.0, 3.0, 10.0, 14.0])
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: next(reads))
    sample = clock.take_round([Pass(lambda: torch.zeros(1), lambda y: None)])
    assert (sample.forward_ms, sample.backward_ms, sample.copy_ms) == ((1e3,), (2e3,), 4e3)
    assert sample.copy_bytes == 2 * 4 * 12
