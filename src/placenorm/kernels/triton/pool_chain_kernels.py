"""What pooled chains have beside chains on a GPU: a max pool that adds up its winners, and the way back through it.

A tile is ``[ROWS, WIDTH]``. With the channels last its rows are positions and its columns channels; in planes, where a
block is a channel, its rows are lines of one sample and its columns positions of a line.
"""

from typing import Any, Final

import triton
import triton.language as tl

from placenorm.kernels.triton.arithmetic import activate, differentiate
from placenorm.kernels.triton.chain_kernels import SAMPLED, ends_last, find_statistics, load_affine, load_corrections
from placenorm.kernels.triton.launch import Kernel
from placenorm.kernels.triton.tiles import add_up

SIZES: Final = ["samples", "units", "height", "width", "down", "across", "cells_down", "cells_across"]
"""What no kernel is compiled anew for."""


@triton.jit
def locate_cells(
    tile: tl.tensor,
    samples: tl.tensor,
    channels: tl.tensor,
    down: tl.tensor,
    across: tl.tensor,
    PLANES: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
) -> Any:
    """Return sample, channel, line and column of a tile's values, and which of them there are.

    Args:
        tile: number of the tile.
        samples: N.
        channels: C.
        down: lines of what is gone through.
        across: columns of it.
        PLANES: whether every channel lies in one piece.
        ROWS: of the tile.
        WIDTH: of the tile.
    """
    row = tile * ROWS + tl.arange(0, ROWS)[:, None]
    side = tl.arange(0, WIDTH)[None, :]
    block = tl.program_id(1)
    if PLANES:
        pieces = tl.cdiv(across, WIDTH)
        column = (row % pieces) * WIDTH + side
        line = row // pieces
        sample = line // down
        return sample.to(tl.int64), block, line % down, column, (sample < samples) & (column < across)
    else:
        channel = block * WIDTH + side
        line = row // across
        sample = line // down
        return sample.to(tl.int64), channel, line % down, row % across, (sample < samples) & (channel < channels)


@triton.jit
def find_channels(PLANES: tl.constexpr, WIDTH: tl.constexpr) -> Any:
    """Return the channel of every column, ``[1, WIDTH]``; in planes the one there is, ``[1, 1]``."""
    if PLANES:
        return tl.program_id(1) + tl.arange(0, 1)[None, :]
    else:
        return tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)[None, :]


@triton.jit
def find_offset(
    sample: tl.tensor,
    channel: tl.tensor,
    line: tl.tensor,
    column: tl.tensor,
    channels: tl.tensor,
    down: tl.tensor,
    across: tl.tensor,
    PLANES: tl.constexpr,
) -> Any:
    """Return where values stand in memory, of a tensor with so many channels, lines and columns."""
    if PLANES:
        return ((sample * channels + channel) * down + line) * across + column
    else:
        return ((sample * down + line) * across + column) * channels + channel


@triton.jit
def find_winner(
    x_ptr: tl.tensor,
    sample: tl.tensor,
    channel: tl.tensor,
    line: tl.tensor,
    column: tl.tensor,
    valid: tl.tensor,
    channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    PLANES: tl.constexpr,
    HIGH: tl.constexpr,
    WIDE: tl.constexpr,
    STRIDE_DOWN: tl.constexpr,
    STRIDE_ACROSS: tl.constexpr,
    PADDED_DOWN: tl.constexpr,
    PADDED_ACROSS: tl.constexpr,
) -> Any:
    """Return the largest value of every window, and its place there, in the shape of valid.

    The first of equals wins, and NaN wins always, as in torch.
    """
    top, left = line * STRIDE_DOWN - PADDED_DOWN, column * STRIDE_ACROSS - PADDED_ACROSS
    best = tl.full(valid.shape, float("-inf"), tl.float32)
    # Where all is minus infinity, the first value inside is it.
    place = tl.maximum(-top, 0) * WIDE + tl.maximum(-left, 0) + tl.zeros(valid.shape, tl.int32)
    for i in tl.static_range(HIGH):
        for j in tl.static_range(WIDE):
            h, w = top + i, left + j
            inside = valid & (h >= 0) & (h < height) & (w >= 0) & (w < width)
            offset = find_offset(sample, channel, h, w, channels, height, width, PLANES)
            value = tl.load(x_ptr + offset, inside, float("-inf")).to(tl.float32)
            wins = (value > best) | (value != value)
            best = tl.where(wins, value, best)
            place = tl.where(wins, i * WIDE + j, place)
    return best, place


@Kernel
@triton.jit(do_not_specialize=SIZES)
def pool_values(
    x_ptr: tl.tensor,
    winner_ptr: tl.tensor,
    place_ptr: tl.tensor,
    partial_ptr: tl.tensor,
    counter_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    var_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_var_ptr: tl.tensor,
    tracked_ptr: tl.tensor,
    eps: tl.tensor,
    share: tl.tensor,
    parameter: tl.tensor,
    samples: tl.tensor,
    units: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    down: tl.tensor,
    across: tl.tensor,
    BEFORE: tl.constexpr,
    PLANES: tl.constexpr,
    ALIGN: tl.constexpr,
    HIGH: tl.constexpr,
    WIDE: tl.constexpr,
    STRIDE_DOWN: tl.constexpr,
    STRIDE_ACROSS: tl.constexpr,
    PADDED_DOWN: tl.constexpr,
    PADDED_ACROSS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Write the winners and their places, and add up what the activation makes of them, as `sum_values` does."""
    channels = units * ALIGN
    channel = find_channels(PLANES, WIDTH)
    there = channel < channels
    # The shift is the mean over winners that are spread over all.
    outputs = samples.to(tl.int64) * down * across
    index = tl.arange(0, SAMPLED)[:, None].to(tl.int64) * outputs // SAMPLED
    sampled, _ = find_winner(
        x_ptr, index // (down * across), channel, (index // across % down).to(tl.int32), (index % across).to(tl.int32),
        there & (index >= 0), channels, height, width, PLANES, HIGH, WIDE, STRIDE_DOWN, STRIDE_ACROSS, PADDED_DOWN,
        PADDED_ACROSS,
    )  # fmt: skip
    sampled = tl.where(there, activate(sampled, BEFORE, parameter), 0.0)
    shift = tl.sum(sampled, 0, keep_dims=True) / SAMPLED
    first = tl.zeros([ROWS, WIDTH], tl.float32)
    second = tl.zeros([ROWS, WIDTH], tl.float32)
    rows = samples * down * (tl.cdiv(across, WIDTH) if PLANES else across)
    for tile in tl.range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0), num_stages=STAGES):
        sample, c, line, column, valid = locate_cells(tile, samples, channels, down, across, PLANES, ROWS, WIDTH)
        best, place = find_winner(
            x_ptr, sample, c, line, column, valid, channels, height, width, PLANES, HIGH, WIDE, STRIDE_DOWN,
            STRIDE_ACROSS, PADDED_DOWN, PADDED_ACROSS,
        )  # fmt: skip
        offset = find_offset(sample, c, line, column, channels, down, across, PLANES)
        tl.store(winner_ptr + offset, best.to(winner_ptr.dtype.element_ty), valid)
        tl.store(place_ptr + offset, place.to(tl.uint8), valid)
        away = tl.where(valid, activate(best, BEFORE, parameter) - shift, 0.0)
        first += away
        second += away * away
    end_sums(
        add_up(first, PLANES), add_up(second, PLANES), shift, partial_ptr, counter_ptr, mean_ptr, var_ptr, rstd_ptr,
        running_mean_ptr, running_var_ptr, tracked_ptr, channel, channels, outputs.to(tl.float32), eps, share,
    )  # fmt: skip


@triton.jit
def end_sums(
    first: tl.tensor,
    second: tl.tensor,
    shift: tl.tensor,
    partial_ptr: tl.tensor,
    counter_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    var_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_var_ptr: tl.tensor,
    tracked_ptr: tl.tensor,
    channel: tl.tensor,
    channels: tl.tensor,
    count: tl.tensor,
    eps: tl.tensor,
    share: tl.tensor,
) -> None:
    """Leave this program's sums, ``[1, WIDTH]`` or ``[1, 1]``; the program that ends last finds the statistics."""
    there = channel < channels
    stride = tl.num_programs(0) * channels
    if tl.program_id(0) == 0:
        tl.store(partial_ptr + 2 * stride + channel, shift, there)
    partial = partial_ptr + tl.program_id(0) * channels + channel
    tl.store(partial, first, there)
    tl.store(partial + stride, second, there)
    if ends_last(counter_ptr, 1):
        if tracked_ptr is not None:
            if tl.program_id(1) == 0:
                tl.atomic_add(tracked_ptr, 1)
        find_statistics(
            partial_ptr, mean_ptr, var_ptr, rstd_ptr, running_mean_ptr, running_var_ptr, channel, tl.num_programs(0),
            channels, count, eps, share,
        )  # fmt: skip


@Kernel
@triton.jit(do_not_specialize=SIZES)
def spread_gradients(
    dy_ptr: tl.tensor,
    winner_ptr: tl.tensor,
    place_ptr: tl.tensor,
    dx_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    dweight_ptr: tl.tensor,
    dbias_ptr: tl.tensor,
    count: tl.tensor,
    parameter: tl.tensor,
    samples: tl.tensor,
    units: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    down: tl.tensor,
    across: tl.tensor,
    cells_down: tl.tensor,
    cells_across: tl.tensor,
    BEFORE: tl.constexpr,
    PLANES: tl.constexpr,
    ALIGN: tl.constexpr,
    HIGH: tl.constexpr,
    WIDE: tl.constexpr,
    STRIDE_DOWN: tl.constexpr,
    STRIDE_ACROSS: tl.constexpr,
    PADDED_DOWN: tl.constexpr,
    PADDED_ACROSS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Write the gradient of the input: that of every window goes to its winner.

    The input and its padding are cut into cells of the stride's size. The windows that reach a cell are few and the
    same for all its values: each is read once a cell.
    """
    channels = units * ALIGN
    held = tl.minimum(find_channels(PLANES, WIDTH), channels - 1)
    mean, rstd, scale, _ = load_affine(mean_ptr, rstd_ptr, weight_ptr, None, held)
    shared, slope = load_corrections(dweight_ptr, dbias_ptr, rstd, held, count)
    rows = samples * cells_down * (tl.cdiv(cells_across, WIDTH) if PLANES else cells_across)
    tiles = tl.cdiv(rows, ROWS)
    for step in tl.range(tl.program_id(0), tiles, tl.num_programs(0), num_stages=STAGES):
        sample, c, line, column, valid = locate_cells(
            tiles - 1 - step, samples, channels, cells_down, cells_across, PLANES, ROWS, WIDTH
        )
        top, left = line * STRIDE_DOWN - PADDED_DOWN, column * STRIDE_ACROSS - PADDED_ACROSS
        # One for each value of a cell; a stride of 1 has no second line or column.
        p00 = tl.zeros([ROWS, WIDTH], tl.float32)
        p01 = tl.zeros([ROWS, WIDTH], tl.float32)
        p10 = tl.zeros([ROWS, WIDTH], tl.float32)
        p11 = tl.zeros([ROWS, WIDTH], tl.float32)
        for a in tl.static_range((HIGH - 1) // STRIDE_DOWN + 1):
            for b in tl.static_range((WIDE - 1) // STRIDE_ACROSS + 1):
                oh, ow = line - a, column - b
                inside = valid & (oh >= 0) & (oh < down) & (ow >= 0) & (ow < across)
                offset = find_offset(sample, c, oh, ow, channels, down, across, PLANES)
                place = tl.load(place_ptr + offset, inside, 255).to(tl.int32)
                dy = tl.load(dy_ptr + offset, inside, 0.0).to(tl.float32)
                winner = tl.load(winner_ptr + offset, inside, 0.0).to(tl.float32)
                dv = (dy - shared - (activate(winner, BEFORE, parameter) - mean) * slope) * scale
                if BEFORE != "identity":
                    dv = dv * differentiate(winner, BEFORE, parameter)
                mine = place - (a * STRIDE_DOWN * WIDE + b * STRIDE_ACROSS)
                p00 += tl.where(mine == 0, dv, 0.0)
                if STRIDE_ACROSS == 2 and b * STRIDE_ACROSS + 1 < WIDE:
                    p01 += tl.where(mine == 1, dv, 0.0)
                if STRIDE_DOWN == 2 and a * STRIDE_DOWN + 1 < HIGH:
                    p10 += tl.where(mine == WIDE, dv, 0.0)
                    if STRIDE_ACROSS == 2 and b * STRIDE_ACROSS + 1 < WIDE:
                        p11 += tl.where(mine == WIDE + 1, dv, 0.0)
        store_inside(dx_ptr, p00, sample, c, top, left, valid, channels, height, width, PLANES)
        if STRIDE_ACROSS == 2:
            store_inside(dx_ptr, p01, sample, c, top, left + 1, valid, channels, height, width, PLANES)
        if STRIDE_DOWN == 2:
            store_inside(dx_ptr, p10, sample, c, top + 1, left, valid, channels, height, width, PLANES)
            if STRIDE_ACROSS == 2:
                store_inside(dx_ptr, p11, sample, c, top + 1, left + 1, valid, channels, height, width, PLANES)


@triton.jit
def store_inside(
    x_ptr: tl.tensor,
    values: tl.tensor,
    sample: tl.tensor,
    channel: tl.tensor,
    line: tl.tensor,
    column: tl.tensor,
    valid: tl.tensor,
    channels: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    PLANES: tl.constexpr,
) -> None:
    """Write the values that stand inside of the tensor, and not in the padding."""
    inside = valid & (line >= 0) & (line < height) & (column >= 0) & (column < width)
    offset = find_offset(sample, channel, line, column, channels, height, width, PLANES)
    tl.store(x_ptr + offset, values.to(x_ptr.dtype.element_ty), inside)
