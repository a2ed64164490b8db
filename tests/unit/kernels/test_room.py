"""The memory that kernels of a GPU share, one after the other, on their stream."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from placenorm.kernels.triton import launch
from placenorm.kernels.triton.launch import Plan, find_room, fresh_room


class Device:
    stream = 7
    captures = False


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """Stand in for a GPU's streams."""
    there = Device()
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda index: (index, there.stream), raising=False)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: there.captures)
    monkeypatch.setattr(launch, "_ROOMS", {})
    return there


def draw(channels: int, index: int = 0) -> Any:
    """Stand in for an input on a GPU."""
    return SimpleNamespace(
        is_cuda=True, get_device=lambda: index, device=torch.device("cpu"), shape=(2, channels, 4, 4)
    )


def plan(blocks: int, partials: int) -> Plan:
    return Plan((1, blocks), partials, 4, (), {})


def test_room_is_kept_for_a_device_and_a_stream(device: Device) -> None:
    first = find_room(draw(8), plan(1, 4))
    assert int(first.counters.abs().sum()) == 0
    assert find_room(draw(16), plan(2, 8)) is first
    device.stream = 8
    second = find_room(draw(8), plan(1, 4))
    assert second is not first
    assert all(find_room(draw(8, index=1), plan(1, 4)) is not each for each in (first, second))
    device.stream = 7
    assert find_room(draw(8), plan(1, 4)) is first


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(("channels", "blocks", "partials"), [(8, launch.LEAST_COUNTERS + 1, 1), (4096, 1, 264)])
def test_room_grows_to_what_a_kernel_needs(channels: int, blocks: int, partials: int) -> None:
    small = find_room(draw(8), plan(1, 1))
    large = find_room(draw(channels), plan(blocks, partials))
    assert large is not small
    assert large.counters.numel() >= blocks
    assert large.partial.numel() >= (2 * partials + 1) * channels
    assert find_room(draw(8), plan(1, 1)) is large


def test_graphs_and_operators_get_room_of_their_own(device: Device) -> None:
    kept = find_room(draw(8), plan(1, 4))
    device.captures = True
    captured = find_room(draw(8), plan(3, 4))
    assert captured is not kept
    assert (captured.counters.numel(), captured.partial.numel()) == (3, 9 * 8)
    device.captures = False
    with fresh_room():
        assert find_room(draw(8), plan(1, 4)) is not kept
    assert find_room(draw(8), plan(1, 4)) is kept
