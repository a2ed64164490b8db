"""Fresh memory for large results, in large pages where the system has them.

A tensor of more than some MB gets memory that the process never touched, and the first touch of each page of 4 kB is a
call into the system: three times the cost of writing it. Linux gives pages of 2 MB to who asks.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch import Tensor

PAGE_BYTES: Final = 1 << 21
"""A large page of x86-64 and of most 64-bit Arm systems."""

LEAST_BYTES: Final = 2 * PAGE_BYTES
"""Smaller results come from memory that the allocator holds, or are not worth a call."""

_MADV_HUGEPAGE: Final = 14  # sys/mman.h, Linux


def empty_like(x: Tensor) -> Tensor:
    """Return an uninitialised tensor of the shape, dtype and layout of another one."""
    return _advise(torch.empty_like(x))


def empty(shape: tuple[int, ...], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    """Return an uninitialised tensor of the processor."""
    return _advise(torch.empty(shape, dtype=dtype, memory_format=layout))


def _advise(y: Tensor) -> Tensor:
    size = y.untyped_storage().nbytes()
    advise = _find_advise()
    if advise is not None and size >= LEAST_BYTES:
        start = -(-y.data_ptr() // PAGE_BYTES) * PAGE_BYTES
        stop = (y.data_ptr() + size) // PAGE_BYTES * PAGE_BYTES
        if stop > start:
            advise(start, stop - start, _MADV_HUGEPAGE)  # refused, it changes nothing but the time
    return y


@cache
def _find_advise() -> Callable[[int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    advise.restype = ctypes.c_int
    call: Callable[[int, int, int], int] = advise
    return call
