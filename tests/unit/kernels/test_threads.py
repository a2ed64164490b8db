"""Loops in torch's own team of threads, and in what stands in for it."""

import ctypes
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numba import njit

from placenorm.kernels import threads
from placenorm.kernels.chain import Chain
from placenorm.kernels.cpu import chain as cpu
from placenorm.kernels.cpu.team import share_out
from placenorm.kernels.threads import ALONE, Team, find_team, find_torch_team

SHARES = 3
COUNT = 1000


@njit(nogil=True)
def _mark(marks: np.ndarray, shares: np.ndarray, share: int, start: int, stop: int) -> None:
    shares[share] = stop - start
    for at in range(start, stop):
        marks[at] += 1


@njit(nogil=True)
def mark(team: Team, marks: np.ndarray, shares: np.ndarray) -> None:
    share_out(team, _mark, (marks, shares), len(marks))


@pytest.fixture(autouse=True)
def several_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(SHARES)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "find_torch_team", lambda: 0)


def expect_all_is_done(count: int = COUNT) -> None:
    team = find_team()
    marks, shares = np.zeros(count, np.int64), np.zeros(team.shares, np.int64)
    mark(team, marks, shares)
    assert (marks == 1).all()
    assert shares.sum() == count
    assert shares.max() - shares.min() <= 1


def run_norm() -> list[torch.Tensor]:
    x = torch.randn(4, 6, 9, 7, generator=torch.Generator().manual_seed(0))
    return [each for each in cpu.chain_fwd(x, None, None, None, 1e-5, Chain()) if each is not None]


def test_team_is_that_of_torch() -> None:
    start = find_torch_team()
    if not start:
        pytest.skip("torch has no OpenMP of this kind here")
    lines = Path("/proc/self/maps").read_text().splitlines()
    bounds = [(line.split()[-1], [int(each, 16) for each in line.split()[0].split("-")]) for line in lines]
    (library,) = [name for name, (first, last) in bounds if first <= start < last]
    assert "omp" in Path(library).name
    assert find_team() == Team(start, SHARES)


@pytest.mark.parametrize("count", [0, 1, 2, COUNT], ids=lambda count: f"{count}-values")
def test_every_value_is_in_one_share(count: int) -> None:
    expect_all_is_done(count)


def test_one_thread_starts_no_team() -> None:
    torch.set_num_threads(1)
    assert find_team() == ALONE
    expect_all_is_done()


@pytest.mark.usefixtures("no_library")
def test_without_the_library_plain_threads_work() -> None:
    assert find_team().start not in (0, find_torch_team())
    expect_all_is_done()
    torch.testing.assert_close(run_norm(), run_alone())


@pytest.mark.usefixtures("no_library")
def test_without_any_thread_the_caller_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    expected = run_norm()
    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    expect_all_is_done()
    torch.testing.assert_close(run_norm(), expected, rtol=0, atol=0)


STEPS = ["_ask_helpers", "_do_own_share", "_wait_for_helpers"]


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Take SIGINT as in a terminal: where the tests run in the background, a shell has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("no_library", "interrupts")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_interrupt_comes_when_the_work_is_done(step: str, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, real, left = run_norm(), getattr(threads, step), [1]

    def interrupt(*given: Any) -> None:
        if moment == "after":
            real(*given)
        if left and left.pop():
            signal.raise_signal(signal.SIGINT)
        real(*given)

    monkeypatch.setattr(threads, step, interrupt)
    expect_all_is_done()
    with pytest.raises(KeyboardInterrupt):
        threads.raise_caught()
    left.append(1)
    with pytest.raises(KeyboardInterrupt):
        run_norm()
    torch.testing.assert_close(run_norm(), expected, rtol=0, atol=0)


def test_door_waits_for_who_is_inside_and_lets_nobody_in_later() -> None:
    door, entered, go, done = threads._Door(), threading.Event(), threading.Event(), []

    def work(block: int) -> None:
        entered.set()
        assert go.wait(60)
        done.append(block)

    with ThreadPoolExecutor(2) as pool:
        inside = pool.submit(door.enter, work, 1)
        assert entered.wait(60)
        closing = pool.submit(lambda: [door.close(), list(done)][1])
        go.set()
        assert closing.result(60) == [1]
        inside.result(60)
    door.enter(work, 2)
    assert done == [1]


def run_alone() -> list[torch.Tensor]:
    torch.set_num_threads(1)
    return run_norm()


def test_results_are_those_of_one_thread() -> None:
    torch.testing.assert_close(run_norm(), run_alone(), rtol=0, atol=0)


@pytest.mark.parametrize("library", ["torch", "none"])
def test_several_callers_work_at_once(library: str, request: pytest.FixtureRequest) -> None:
    if library == "none":
        request.getfixturevalue("no_library")
    expected = run_norm()
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: run_norm(), range(40)):
            torch.testing.assert_close(found, expected)


def test_within_a_team_the_caller_works_alone() -> None:
    start = find_torch_team()
    if not start:
        pytest.skip("torch has no OpenMP of this kind here")
    done: list[int] = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def work(_: int | None) -> None:
        expect_all_is_done()
        done.append(1)

    parallel = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)(start)
    parallel(ctypes.cast(work, ctypes.c_void_p), None, 2, 0)
    assert len(done) == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_process_does_not_wait_for_a_team_that_is_dead() -> None:
    expected = run_norm()
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        sender.send((find_torch_team(), [each.tolist() for each in run_norm()]))

    child = context.Process(target=work)
    child.start()
    try:
        assert receiver.poll(60)
        start, found = receiver.recv()
    finally:
        child.kill()
        child.join()
    assert start == 0
    assert found == [each.tolist() for each in expected]
