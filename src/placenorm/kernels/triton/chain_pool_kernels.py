"""What chains with a max pool behind them have beside chains on a GPU.

The input and its padding are cut into cells of the stride's size. A window begins with its cell, so that one sweep over
the cells adds up the input, each value once, and finds the winners. Tiles are those of `pool_chain_kernels`.
"""

from typing import Any, Final

import triton
import triton.language as tl

from placenorm.kernels.triton.arithmetic import activate, differentiate
from placenorm.kernels.triton.chain_kernels import find_shift, load_affine, load_corrections
from placenorm.kernels.triton.launch import Kernel
from placenorm.kernels.triton.pool_chain_kernels import end_sums, find_channels, find_offset, locate_cells
from placenorm.kernels.triton.tiles import add_up

SIZES: Final = ["samples", "units", "height", "width", "down", "across", "cells_down", "cells_across"]
"""What no kernel is compiled anew for."""


@triton.jit
def meet(
    best: tl.tensor, top: tl.tensor, place: tl.tensor, value: tl.tensor, rank: tl.tensor, HERE: tl.constexpr
) -> Any:
    """Return the winners, their ranks and places after one more value; the first of equals stays, NaN wins."""
    wins = (rank > top) | (rank != rank)
    return tl.where(wins, value, best), tl.where(wins, rank, top), tl.where(wins, HERE, place)


@Kernel
@triton.jit(do_not_specialize=SIZES)
def pool_and_sum(
    x_ptr: tl.tensor,
    weight_ptr: tl.tensor,
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
    samples: tl.tensor,
    units: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    down: tl.tensor,
    across: tl.tensor,
    cells_down: tl.tensor,
    cells_across: tl.tensor,
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
    """Write the winners and their places by the sign of gamma, and add up the input, as `sum_values` does."""
    channels = units * ALIGN
    channel = find_channels(PLANES, WIDTH)
    held = tl.minimum(channel, channels - 1)
    shift = find_shift(x_ptr, held, samples, channels, height * width, eps, PLANES, "identity")
    sign = tl.full(held.shape, 1.0, tl.float32)
    if weight_ptr is not None:
        gamma = tl.load(weight_ptr + held).to(tl.float32)
        sign = tl.where(gamma > 0.0, 1.0, tl.where(gamma < 0.0, -1.0, 0.0))
    first = tl.zeros([ROWS, WIDTH], tl.float32)
    second = tl.zeros([ROWS, WIDTH], tl.float32)
    rows = samples * cells_down * (tl.cdiv(cells_across, WIDTH) if PLANES else cells_across)
    for tile in tl.range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0), num_stages=STAGES):
        sample, c, line, column, valid = locate_cells(
            tile, samples, channels, cells_down, cells_across, PLANES, ROWS, WIDTH
        )
        row, left = line * STRIDE_DOWN - PADDED_DOWN, column * STRIDE_ACROSS - PADDED_ACROSS
        best = tl.zeros([ROWS, WIDTH], tl.float32)
        top = tl.full([ROWS, WIDTH], float("-inf"), tl.float32)
        place = tl.maximum(-row, 0) * WIDE + tl.maximum(-left, 0) + tl.zeros([ROWS, WIDTH], tl.int32)
        for i in tl.static_range(HIGH if HIGH > STRIDE_DOWN else STRIDE_DOWN):
            for j in tl.static_range(WIDE if WIDE > STRIDE_ACROSS else STRIDE_ACROSS):
                h, w = row + i, left + j
                inside = valid & (h >= 0) & (h < height) & (w >= 0) & (w < width)
                offset = find_offset(sample, c, h, w, channels, height, width, PLANES)
                value = tl.load(x_ptr + offset, inside, 0.0).to(tl.float32)
                if i < STRIDE_DOWN and j < STRIDE_ACROSS:
                    away = tl.where(inside, value - shift, 0.0)
                    first += away
                    second += away * away
                if i < HIGH and j < WIDE:
                    rank = tl.where(inside, value * sign, float("-inf"))
                    best, top, place = meet(best, top, place, value, rank, i * WIDE + j)
        chosen = valid & (line < down) & (column < across)
        offset = find_offset(sample, c, line, column, channels, down, across, PLANES)
        tl.store(winner_ptr + offset, best.to(winner_ptr.dtype.element_ty), chosen)
        tl.store(place_ptr + offset, place.to(tl.uint8), chosen)
    end_sums(
        add_up(first, PLANES), add_up(second, PLANES), shift, partial_ptr, counter_ptr, mean_ptr, var_ptr, rstd_ptr,
        running_mean_ptr, running_var_ptr, tracked_ptr, channel, channels,
        samples.to(tl.float32) * height * width, eps, share,
    )  # fmt: skip


@Kernel
@triton.jit(do_not_specialize=SIZES)
def pool_activated(
    x_ptr: tl.tensor,
    winner_ptr: tl.tensor,
    place_ptr: tl.tensor,
    y_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    parameter: tl.tensor,
    samples: tl.tensor,
    units: tl.tensor,
    height: tl.tensor,
    width: tl.tensor,
    down: tl.tensor,
    across: tl.tensor,
    AFTER: tl.constexpr,
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
    """Write the outputs, the winners and their places, by what the activation makes of every value."""
    channels = units * ALIGN
    held = tl.minimum(find_channels(PLANES, WIDTH), channels - 1)
    mean, _, scale, beta = load_affine(mean_ptr, rstd_ptr, weight_ptr, bias_ptr, held)
    rows = samples * down * (tl.cdiv(across, WIDTH) if PLANES else across)
    tiles = tl.cdiv(rows, ROWS)
    for step in tl.range(tl.program_id(0), tiles, tl.num_programs(0), num_stages=STAGES):
        sample, c, line, column, valid = locate_cells(
            tiles - 1 - step, samples, channels, down, across, PLANES, ROWS, WIDTH
        )
        row, left = line * STRIDE_DOWN - PADDED_DOWN, column * STRIDE_ACROSS - PADDED_ACROSS
        best = tl.zeros([ROWS, WIDTH], tl.float32)
        top = tl.full([ROWS, WIDTH], float("-inf"), tl.float32)
        place = tl.maximum(-row, 0) * WIDE + tl.maximum(-left, 0) + tl.zeros([ROWS, WIDTH], tl.int32)
        for i in tl.static_range(HIGH):
            for j in tl.static_range(WIDE):
                h, w = row + i, left + j
                inside = valid & (h >= 0) & (h < height) & (w >= 0) & (w < width)
                offset = find_offset(sample, c, h, w, channels, height, width, PLANES)
                value = tl.load(x_ptr + offset, inside, 0.0).to(tl.float32)
                rank = tl.where(inside, activate((value - mean) * scale + beta, AFTER, parameter), float("-inf"))
                best, top, place = meet(best, top, place, value, rank, i * WIDE + j)
        offset = find_offset(sample, c, line, column, channels, down, across, PLANES)
        tl.store(winner_ptr + offset, best.to(winner_ptr.dtype.element_ty), valid)
        tl.store(place_ptr + offset, place.to(tl.uint8), valid)
        tl.store(y_ptr + offset, top.to(y_ptr.dtype.element_ty), valid)


@Kernel
@triton.jit(do_not_specialize=SIZES)
def spread_through(
    dy_ptr: tl.tensor,
    x_ptr: tl.tensor,
    winner_ptr: tl.tensor,
    place_ptr: tl.tensor,
    dx_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
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
    AFTER: tl.constexpr,
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
    """Write the gradient of the input: each window's goes to its winner, and through the statistics to all."""
    channels = units * ALIGN
    held = tl.minimum(find_channels(PLANES, WIDTH), channels - 1)
    mean, rstd, scale, beta = load_affine(mean_ptr, rstd_ptr, weight_ptr, bias_ptr, held)
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
                dz = tl.load(dy_ptr + offset, inside, 0.0).to(tl.float32)
                if AFTER != "identity":
                    winner = tl.load(winner_ptr + offset, inside, 0.0).to(tl.float32)
                    dz = dz * differentiate((winner - mean) * scale + beta, AFTER, parameter)
                mine = place - (a * STRIDE_DOWN * WIDE + b * STRIDE_ACROSS)
                p00 += tl.where(mine == 0, dz, 0.0)
                if STRIDE_ACROSS == 2 and b * STRIDE_ACROSS + 1 < WIDE:
                    p01 += tl.where(mine == 1, dz, 0.0)
                if STRIDE_DOWN == 2 and a * STRIDE_DOWN + 1 < HIGH:
                    p10 += tl.where(mine == WIDE, dz, 0.0)
                    if STRIDE_ACROSS == 2 and b * STRIDE_ACROSS + 1 < WIDE:
                        p11 += tl.where(mine == WIDE + 1, dz, 0.0)
        for i in tl.static_range(STRIDE_DOWN):
            for j in tl.static_range(STRIDE_ACROSS):
                passed = p00
                if i == 0 and j == 1:
                    passed = p01
                if i == 1 and j == 0:
                    passed = p10
                if i == 1 and j == 1:
                    passed = p11
                h, w = top + i, left + j
                inside = valid & (h >= 0) & (h < height) & (w >= 0) & (w < width)
                offset = find_offset(sample, c, h, w, channels, height, width, PLANES)
                x = tl.load(x_ptr + offset, inside, 0.0, eviction_policy="evict_first").to(tl.float32)
                dx = (passed - shared - (x - mean) * slope) * scale
                tl.store(dx_ptr + offset, dx.to(dx_ptr.dtype.element_ty), inside)
