"""Memory for large results: what nobody uses any more, or fresh memory.

A tensor of more than some 100 kB gets memory that the process never touched, or gave back, and the first touch of each
page of 4 kB is a call into the system: three times the cost of writing it. torch has no cache of memory for the
processor, so here is one; and from 4 MB on numpy asks Linux for pages of 2 MB.

Each result has a storage of its own over an array of its own, which torch holds until nobody has the storage any more,
or its numbers move elsewhere (`Tensor.share_memory_`). The end of the array is what brings its block back: nothing is
concluded from counts of users.
"""

import weakref
from collections.abc import Sequence
from itertools import count
from math import prod
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

KEPT_BYTES: Final = 1 << 29
"""What is kept at most of what nobody uses."""

LEAST_BYTES: Final = 1 << 20
"""Smaller results come from memory that the allocator holds, or are not worth the trouble."""

ALIGNED_BYTES: Final = 64
"""What torch makes the addresses of its own tensors multiples of."""

Block = NDArray[np.uint8]

_FREE: Final[dict[int, Block]] = {}
"""Blocks that nobody uses, in the order in which they came back.

There is no lock, since an array may end anywhere, in the middle of any line here too: each step is one call that the
interpreter does not interrupt, and whoever pops a block has it.
"""

_NUMBERS: Final = count()


def empty_like(x: Tensor) -> Tensor:
    """Return an uninitialised tensor of the shape, dtype and layout of another one, which has no gaps."""
    return empty_strided(x.shape, x.stride(), x.dtype)


def empty(shape: Sequence[int], dtype: torch.dtype, layout: torch.memory_format) -> Tensor:
    """Return an uninitialised tensor of the processor, ``[N, C, H, W]``."""
    return empty_strided(shape, list_strides(shape, layout), dtype)


def empty_strided(shape: Sequence[int], stride: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return an uninitialised tensor of the processor, without gaps."""
    size = prod(shape) * dtype.itemsize
    if size < LEAST_BYTES:
        return torch.empty_strided(shape, stride, dtype=dtype, device="cpu")
    return torch.empty(0, dtype=dtype, device="cpu").set_(_lend(_find_block(size)), 0, torch.Size(shape), stride)


def list_strides(shape: Sequence[int], layout: torch.memory_format) -> tuple[int, ...]:
    """Return the strides of ``[N, C, H, W]`` without gaps in a layout."""
    _, channels, height, width = shape
    if layout == torch.contiguous_format:
        return channels * height * width, height * width, width, 1
    return channels * height * width, 1, width * channels, channels


def release() -> None:
    """Give back what is kept."""
    for number in list(_FREE):
        _FREE.pop(number, None)


def count_kept() -> int:
    """Return the bytes that are kept and that nobody uses."""
    return sum(block.nbytes for number in list(_FREE) if (block := _FREE.get(number)) is not None)


def _find_block(size: int) -> Block:
    """Return a block of so many bytes that is the caller's alone: what came back last, or a fresh one."""
    for number in reversed(list(_FREE)):
        held = _FREE.get(number)
        if held is not None and held.nbytes == size and _FREE.pop(number, None) is not None:
            return held
    room = np.empty(size + ALIGNED_BYTES, np.uint8)
    start = -room.ctypes.data % ALIGNED_BYTES
    return room[start : start + size]


def _lend(block: Block) -> Any:
    """Return a storage over a block, which comes back when the storage has left it."""
    array = block.view()  # nobody has it but the storage
    weakref.finalize(array, _take_back, block).atexit = False
    return torch.from_numpy(array).untyped_storage()


def _take_back(block: Block) -> None:
    """Keep a block, and of the others those that came back last."""
    _FREE[next(_NUMBERS)] = block
    kept = 0
    for number in reversed(list(_FREE)):
        held = _FREE.get(number)
        kept += 0 if held is None else held.nbytes
        if kept > KEPT_BYTES:
            _FREE.pop(number, None)
