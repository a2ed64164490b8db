"""Memory for large results: what nobody uses any more, or fresh memory in large pages where the system has them.

A tensor of more than some 100 kB gets memory that the process never touched, or gave back, and the first touch of each
page of 4 kB is a call into the system: three times the cost of writing it. torch has no cache of memory for the
processor, so here is one; and Linux gives pages of 2 MB to who asks.
"""

import ctypes
import sys
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch import Tensor, UntypedStorage

KEPT_BYTES: Final = 1 << 29
"""What is kept at most, in use or not; results beyond it are allocated and freed as torch's are."""

LEAST_BYTES: Final = 1 << 22
"""Smaller results come from memory that the allocator holds, or are not worth the trouble."""

PAGE_BYTES: Final = 1 << 21
"""A large page of x86-64 and of most 64-bit Arm systems."""

_MADV_HUGEPAGE: Final = 14  # sys/mman.h, Linux

_KEPT: Final[dict[int, deque[UntypedStorage]]] = {}
"""By their bytes. A storage is taken out while it is asked about, so that no two threads find the same."""


def empty_like(x: Tensor) -> Tensor:
    """Return an uninitialised tensor of the shape, dtype and layout of another one, which has no gaps."""
    return _fill_in(x.new_empty(0), x.shape, x.stride())


def empty(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    """Return an uninitialised tensor of the processor."""
    stride = torch.empty(shape, device="meta", memory_format=layout).stride()
    return _fill_in(torch.empty(0, dtype=dtype), torch.Size(shape), stride)


def release() -> None:
    """Give back what is kept and not in use."""
    for size in list(_KEPT):
        kept = _KEPT[size]
        for _ in range(len(kept)):
            storage = kept.popleft()
            if not _is_free(storage):
                kept.append(storage)


def count_kept() -> int:
    """Return the bytes that are kept, in use or not."""
    return sum(size * len(kept) for size, kept in list(_KEPT.items()))


def _fill_in(y: Tensor, shape: torch.Size, stride: tuple[int, ...]) -> Tensor:
    """Give an empty tensor a shape and memory."""
    size = shape.numel() * y.element_size()
    if size < LEAST_BYTES:
        return torch.empty_strided(shape, stride, dtype=y.dtype)
    kept = _KEPT.setdefault(size, deque())
    for _ in range(len(kept)):
        try:
            storage = kept.popleft()
        except IndexError:  # another thread has it
            break
        if storage.nbytes() != size:  # somebody changed it
            continue
        if _is_free(storage):
            y.set_(storage, 0, shape, stride)
            kept.append(storage)
            return y
        kept.append(storage)
    storage = UntypedStorage(size)
    _advise(storage)
    y.set_(storage, 0, shape, stride)
    if size + count_kept() > KEPT_BYTES:
        release()
    if size + count_kept() <= KEPT_BYTES:
        kept.append(storage)
    return y


def _is_free(storage: UntypedStorage) -> bool:
    """Whether no tensor has a storage, nor anything else but the one who asks."""
    count: int = torch._C._storage_Use_Count(storage._cdata)
    return count == 1


def _advise(storage: UntypedStorage) -> None:
    """Ask for large pages."""
    advise = _find_advise()
    if advise is not None:
        start = -(-storage.data_ptr() // PAGE_BYTES) * PAGE_BYTES
        stop = (storage.data_ptr() + storage.nbytes()) // PAGE_BYTES * PAGE_BYTES
        if stop > start:
            advise(start, stop - start, _MADV_HUGEPAGE)  # refused, it changes nothing but the time


@cache
def _find_advise() -> Callable[[int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    advise.restype = ctypes.c_int
    call: Callable[[int, int, int], int] = advise
    return call
