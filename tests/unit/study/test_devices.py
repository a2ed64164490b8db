"""GPUs are dealt round: as arithmetic, and by the seats that processes take."""

import subprocess
import sys

import pytest
import torch

from placenorm.study import devices
from placenorm.study.devices import choose_device, deal_device

SEAT = "from placenorm.study.devices import take_seat; print(take_seat(), take_seat(), flush=True); input()"


@pytest.mark.parametrize(
    ("seats", "gpus", "processes", "dealt"),
    [
        (4, 4, 1, [[0], [1], [2], [3]]),
        (5, 2, 1, [[0], [1], [0], [1], [0]]),
        (3, 1, 1, [[0], [0], [0]]),
        (3, 4, 2, [[0, 1], [2, 3], [0, 1]]),
        (2, 3, 2, [[0, 1], [2, 0]]),
    ],
    ids=["one-each", "several-a-gpu", "one-gpu", "pairs", "odd"],
)
def test_gpus_go_round(seats: int, gpus: int, processes: int, dealt: list[list[int]]) -> None:
    found = [[deal_device(seat, gpus, processes, rank) for rank in range(processes)] for seat in range(seats)]
    assert found == [[f"cuda:{index}" for index in each] for each in dealt]


@pytest.mark.parametrize("named", ["cpu", "cuda:1"])
def test_device_with_a_name_of_its_own_stays(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert choose_device(named) == named


def test_cuda_becomes_the_gpu_of_the_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert choose_device("cuda", seat=6) == "cuda:2"
    monkeypatch.setattr(devices, "take_seat", lambda: 3)
    assert choose_device("cuda") == "cuda:3"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("cuda") == "cuda"


def test_processes_take_seats_of_their_own_and_leave_them_when_they_die() -> None:
    def start() -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", SEAT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        first, again = process.stdout.readline().split()
        assert first == again
        return process, int(first)

    started = [start() for _ in range(2)]
    try:
        assert started[0][1] != started[1][1]
        started[0][0].kill()
        started[0][0].wait()
        started.append(start())
        assert started[2][1] == started[0][1]
    finally:
        for process, _ in started:
            process.kill()
            process.communicate()
