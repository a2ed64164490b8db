"""How a tensor is cut into tiles, on the host and in the kernels.

A tile is ``[ROWS, WIDTH]``: rows of values that lie side by side in memory. The grid is (programs, blocks), and a
program goes through the rows of its block in steps of the number of programs, so that all sweep the memory together.

With the channels last a row is one position's channels, or those of several positions where that fills a power of two
better (72 channels: five positions, 360 of 384 columns); a block is WIDTH of its columns. In planes a block is a
channel, and a row is a piece of one sample's plane.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod
from typing import Any, Final

import triton
import triton.language as tl
from torch import Tensor

ROW_WIDTH: Final = 128
"""Columns of a tile with the channels last: the same for all, so that few kernels have to be compiled."""

PIECES: Final = (1024, 512, 256, 128, 64, 32)
"""The same in planes."""

HELD_WIDTHS: Final = (128, 64, 32, 16)
"""With the channels last, where a program holds all positions: 16 values of two bytes are the least that is read."""

WASTE: Final = 1 / 8
"""Share of a row's columns that may lie outside of the tensor."""

MOST_POSITIONS: Final = 128
"""In a row."""

ALIGNED: Final = 8
"""Values that a thread reads at a time, at most: more tells a compiler no more about addresses."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """How a tensor is cut.

    Attributes:
        folds: positions in a row with the channels last: so many partial sums a program leaves of a channel.
        rows: rows of a block.
        blocks: second axis of the grid.
        width: columns of a tile.
        align: a number of values that every row's start and length are multiples of.
        sizes: what `locate` and `find_shift` take, in the order that kernels have it.
        constants: what a kernel is compiled for.
    """

    folds: int
    rows: int
    blocks: int
    width: int
    align: int
    sizes: tuple[int, ...]
    constants: dict[str, Any]


def cut(x: Tensor) -> Cut:
    """Return how an input ``[N, C, *]`` is cut, contiguous or with the channels last."""
    shape = x.shape
    return _cut(x.is_contiguous(), shape[0], shape[1], prod(shape[2:]))


def cut_held(x: Tensor, most: int, blocks: int) -> Cut | None:
    """Return how an input is cut so that a block is one tile.

    None where that takes too large a tile, or where rows do not come in eights.

    Args:
        x: input, ``[N, C, *]``, contiguous or with the channels last.
        most: values of a tile.
        blocks: how many there should be, where tiles can be narrow.
    """
    shape = x.shape
    samples, channels, positions = shape[0], shape[1], prod(shape[2:])
    if x.is_contiguous() and positions > 1:
        found = cut(x)
        return found if found.rows * found.width <= most else None
    if channels % ALIGNED:
        return None  # rows are read a value at a time then, and their bits would share bytes
    fitting = [width for width in HELD_WIDTHS if samples * positions * width <= most]
    many = [width for width in fitting if _divide_up(channels, width) >= blocks]
    widths = many[:1] or fitting[-1:]
    return _cut(False, samples, channels, positions, widths[0]) if widths else None


@lru_cache(maxsize=4096)
def _cut(contiguous: bool, samples: int, channels: int, positions: int, held_width: int | None = None) -> Cut:
    values = samples * channels * positions
    planes = contiguous and positions > 1
    if planes:
        folds, length, blocks = 1, positions, channels
        width = _find_width(length, PIECES)
        rows = samples * _divide_up(length, width)
        align = gcd(length, ALIGNED)
        full = length % width == 0
    else:
        folds, width = (1, held_width) if held_width else (_find_folds(channels), ROW_WIDTH)
        length = folds * channels
        rows, blocks = _divide_up(samples * positions, folds), _divide_up(length, width)
        align = gcd(length, values, ALIGNED)
        full = length % width == 0 and samples * positions % folds == 0
    sizes = (rows, length // align, values // align, samples, channels, positions, folds)
    constants = {"PLANES": planes, "FULL": full, "ALIGN": align, "WIDTH": width}
    return Cut(folds, rows, blocks, width, align, sizes, constants)


def _find_folds(channels: int) -> int:
    """Return how many positions share a row: the fewest whose channels come in eights and fill tiles well."""
    every = range(1, MOST_POSITIONS + 1)
    return next(folds for folds in every if folds * channels % 8 == 0 and _waste(folds * channels, ROW_WIDTH) <= WASTE)


def _divide_up(values: int, size: int) -> int:
    return -(-values // size)


def _waste(length: int, width: int) -> float:
    return 1 - length / (_divide_up(length, width) * width)


def _find_width(length: int, widths: tuple[int, ...]) -> int:
    """Return the first width that wastes little, or the one that wastes least."""
    fitting = [width for width in widths if _waste(length, width) <= WASTE]
    return fitting[0] if fitting else min(widths, key=lambda width: _waste(length, width))


@triton.jit
def locate(
    row: tl.tensor,
    rows: tl.tensor,
    units: tl.tensor,
    total: tl.tensor,
    channels: tl.tensor,
    PLANES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGN: tl.constexpr,
    WIDTH: tl.constexpr,
) -> Any:
    """Return where a tile's values stand in memory, and which of them there are, ``[ROWS, WIDTH]`` each.

    Args:
        row: numbers of rows, ``[ROWS, 1]``.
        rows: how many rows there are.
        units: length of a row or plane, in multiples of ALIGN.
        total: values of the tensor, in multiples of ALIGN.
        channels: C.
        PLANES: of the cut.
        FULL: of the cut.
        ALIGN: of the cut.
        WIDTH: of the cut.
    """
    block = tl.program_id(1)
    length = units * ALIGN
    side = tl.arange(0, WIDTH)[None, :]
    if PLANES:
        pieces = tl.cdiv(length, WIDTH)
        column = (row % pieces) * WIDTH + side
        offset = ((row // pieces).to(tl.int64) * channels + block) * length + column
        valid = (row < rows) & (column < length)
    else:
        column = block * WIDTH + side
        offset = row.to(tl.int64) * length + column
        valid = (row < rows) & (column < length) & (offset < total.to(tl.int64) * ALIGN)
    if FULL:
        valid = tl.broadcast_to(row < rows, [row.shape[0], WIDTH])
    return offset, valid


@triton.jit
def find_channel(channels: tl.tensor, PLANES: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return the channel of every column, ``[1, WIDTH]``; in planes the one there is, ``[1, 1]``."""
    block = tl.program_id(1)
    if PLANES:
        return block + tl.arange(0, 1)[None, :]
    else:
        return (block * WIDTH + tl.arange(0, WIDTH)[None, :]) % channels


@triton.jit
def find_inside(channels: tl.tensor, PLANES: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return which columns have a channel of their own, in the shape of `find_channel`, where rows are positions."""
    block = tl.program_id(1)
    if PLANES:
        return block + tl.arange(0, 1)[None, :] < channels
    else:
        return block * WIDTH + tl.arange(0, WIDTH)[None, :] < channels


@triton.jit
def find_partial(
    units: tl.tensor, channels: tl.tensor, PLANES: tl.constexpr, ALIGN: tl.constexpr, WIDTH: tl.constexpr
) -> Any:
    """Return where this program's partial sums stand, those of the next kind behind all of them, and which there are.

    Partial sums are ``[kinds, programs * folds, C]``.
    """
    program, programs, block = tl.program_id(0), tl.num_programs(0), tl.program_id(1)
    if PLANES:
        column = block + tl.arange(0, 1)[None, :]
        return program * channels + column, programs * channels, column < channels
    else:
        length = units * ALIGN
        column = block * WIDTH + tl.arange(0, WIDTH)[None, :]
        return program * length + column, programs * length, column < length


@triton.jit
def find_share(channels: tl.tensor, folds: tl.tensor, PLANES: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return the first channel whose partial sums the last program adds up, and the one behind the last."""
    block = tl.program_id(1)
    if PLANES:
        return block, block + 1
    else:
        first = tl.where(folds > 1, 0, block * WIDTH)
        return first, tl.where(folds > 1, channels, tl.minimum(channels, first + WIDTH))


@triton.jit
def add_up(values: tl.tensor, PLANES: tl.constexpr) -> Any:
    """Return the sum of a tile over what belongs to one channel and fold, in the shape of `find_channel`."""
    summed = tl.sum(values, 0, keep_dims=True)
    if PLANES:
        summed = tl.sum(summed, 1, keep_dims=True)
    return summed
