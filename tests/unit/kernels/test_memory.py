"""Memory of large results, which is used again where nobody else does."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from placenorm.kernels.cpu import memory

SHAPE = (2, 8, 16, 16)
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(autouse=True)
def small_results_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LEAST_BYTES", 1)
    monkeypatch.setattr(memory, "_KEPT", {})


def make() -> torch.Tensor:
    return memory.empty(SHAPE, torch.float32, torch.contiguous_format)


def test_memory_of_a_result_that_is_gone_is_used_again() -> None:
    y = make()
    place = y.data_ptr()
    del y
    assert make().data_ptr() == place


def test_memory_in_use_is_left_alone() -> None:
    y = make()
    view = y.view(-1)[3:].detach().numpy()
    del y
    assert make().data_ptr() + 12 != view.ctypes.data


def test_two_results_never_share_memory() -> None:
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: make(), range(64)))
    assert len({each.data_ptr() for each in held}) == len(held)


def test_no_more_is_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    size = make().nbytes
    monkeypatch.setattr(memory, "KEPT_BYTES", 2 * size)
    held = [make() for _ in range(4)]
    assert memory.count_kept() == 2 * size
    held.clear()
    memory.empty((1, *SHAPE[1:]), torch.float32, torch.contiguous_format)
    assert memory.count_kept() == size // 2


def test_what_is_free_is_given_back() -> None:
    y = make()
    make()
    memory.release()
    assert memory.count_kept() == y.nbytes


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_layout_is_that_of_torch(layout: torch.memory_format) -> None:
    x = torch.empty(SHAPE, memory_format=layout)
    for y in (memory.empty_like(x), memory.empty(SHAPE, torch.float32, layout)):
        assert (y.shape, y.stride(), y.dtype) == (x.shape, x.stride(), x.dtype)


def test_a_storage_that_was_resized_is_not_used_again() -> None:
    y = make()
    y.untyped_storage().resize_(0)
    del y
    assert make().untyped_storage().nbytes() == torch.Size(SHAPE).numel() * 4
