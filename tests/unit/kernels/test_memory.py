"""Memory of large results, which is used again where nobody else does."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.multiprocessing
import torch.utils.dlpack

from placenorm.kernels.cpu import memory

SHAPE = (2, 8, 16, 16)
LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(autouse=True)
def small_results_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LEAST_BYTES", 1)
    monkeypatch.setattr(memory, "_FREE", {})


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


HOLDERS = {
    "view": lambda y: y[1:],
    "storage": lambda y: y.untyped_storage(),
    "typed-storage": lambda y: y.storage(),
    "numpy": lambda y: y.numpy(),
    "memoryview": lambda y: memoryview(y.numpy()),
    "dlpack": torch.from_dlpack,
    "capsule": torch.utils.dlpack.to_dlpack,
    "parameter": torch.nn.Parameter,
    "set": lambda y: torch.empty(0).set_(y.untyped_storage(), 0, SHAPE, y.stride()),
    "saved": lambda y: torch.ones(SHAPE, requires_grad=True) * y,
}


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated:UserWarning")
@pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS.keys())
def test_memory_that_something_else_holds_is_left_alone(hold: Any) -> None:
    y = make()
    place = y.data_ptr()
    held = hold(y)
    del y
    gc.collect()
    others = [make() for _ in range(3)]
    assert place not in {each.data_ptr() for each in others}
    del held
    gc.collect()
    assert make().data_ptr() == place


@pytest.mark.skipif(sys.platform != "linux", reason="what is shared lies elsewhere on other systems")
@pytest.mark.parametrize("strategy", ["file_system", "file_descriptor"])
def test_memory_that_is_shared_is_not_used_again(strategy: str) -> None:
    before = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy(strategy)
    try:
        y = make().fill_(1.0)
        y.share_memory_()
        same = torch.multiprocessing.reductions.reduce_tensor(y)
        del y
        others = [make().fill_(2.0) for _ in range(3)]
        received = same[0](*same[1])
        assert others[0].data_ptr() != received.data_ptr()
        assert (received == 1.0).all()
    finally:
        torch.multiprocessing.set_sharing_strategy(before)


def test_what_another_process_is_sent_stays_what_it_was() -> None:
    with torch.multiprocessing.get_context("spawn").Pool(1) as pool:
        y = make().fill_(1.0)
        asked = pool.apply_async(torch.sum, (y,))
        del y
        others = [make().fill_(2.0) for _ in range(3)]
        assert float(asked.get(60)) == torch.Size(SHAPE).numel()
    assert len(others) == 3


def test_two_results_never_share_memory() -> None:
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda _: make(), range(64)))
    assert len({each.data_ptr() for each in held}) == len(held)


def test_threads_that_make_and_drop_results_never_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KEPT_BYTES", 3 * make().nbytes)

    def work(mine: int) -> bool:
        own = []
        for _ in range(100):
            y = make().fill_(mine)
            memory.release()
            own.append(bool((y == mine).all()))
        return all(own)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
    assert memory.count_kept() <= memory.KEPT_BYTES


def test_no_more_is_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    size = make().nbytes
    monkeypatch.setattr(memory, "KEPT_BYTES", 2 * size)
    held = [make() for _ in range(4)]
    last = held[-1].data_ptr()
    while held:
        held.pop(0)
    assert memory.count_kept() == 2 * size
    assert make().data_ptr() == last


def test_what_is_free_is_given_back() -> None:
    y = make()
    make()
    assert memory.count_kept() == y.nbytes
    memory.release()
    assert memory.count_kept() == 0


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_layout_is_that_of_torch(layout: torch.memory_format) -> None:
    x = torch.empty(SHAPE, memory_format=layout)
    for y in (memory.empty_like(x), memory.empty(SHAPE, torch.float32, layout)):
        assert (y.shape, y.stride(), y.dtype) == (x.shape, x.stride(), x.dtype)
        assert y.data_ptr() % memory.ALIGNED_BYTES == 0
        assert not y._is_view()


def test_memory_is_not_resized_under_the_one_who_has_it() -> None:
    with pytest.raises(RuntimeError, match="not resizable"):
        make().untyped_storage().resize_(0)
