"""A norm with an activation and a max pool behind it, and the way back, in both layouts: whole passes.

Each is a call into compiled code that shares the loops of `chain_pool_loops` out among a team of threads. Arrays lie
without gaps, and are gone through in the order of memory.
"""

from typing import Any, Final

import numpy as np

from placenorm.kernels.cpu import chain_pool_loops as loops
from placenorm.kernels.cpu.arithmetic import CODES, f32
from placenorm.kernels.cpu.chain_kernels import (
    average_first,
    finish_gradients,
    finish_statistics,
    lend_affine,
    lend_numbers,
    take_batch,
)
from placenorm.kernels.cpu.chain_loops import RUN, sum_gradients_rows
from placenorm.kernels.cpu.chain_loops import forward_rows as forward_rows_of_chain
from placenorm.kernels.cpu.compiling import njit
from placenorm.kernels.cpu.lending import lend, lend_bytes
from placenorm.kernels.cpu.team import share_out

IDENTITY: Final = CODES["identity"]

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "error_model": "numpy"}


@njit(**_OPTIONS)
def forward_planes(
    team: Any,
    shape: Any,  # P, H, W; P = N * C
    pooled: Any,  # P, OH, OW
    tensors: Any,  # x, [P, H, W], winner, place, of bytes, and y, [P, OH, OW] each
    numbers: Any,  # mean, var, rstd, weight, bias, [C] each; the last two may lie nowhere
    channels: int,
    running: Any,  # mean and variance, [C] each, and the number of batches; nowhere where none are kept
    momentum: float,
    eps: float,
    after: Any,
    falls: Any,  # one element where the activation may fall, else none
    slope: Any,
    ways: Any,  # what `chain_pool_loops.pool_planes` takes of the window
) -> None:
    """Write the outputs, the winners and the statistics; tensors, numbers and running are addresses."""
    x, winner, place = lend(tensors[0], shape), lend(tensors[1], pooled), lend_bytes(tensors[2], pooled)
    lines = lend(tensors[1], (pooled[0], pooled[1] * pooled[2])), lend(tensors[3], (pooled[0], pooled[1] * pooled[2]))
    mean, var, rstd, weight, bias = lend_numbers(numbers, channels)
    shift, centre, scale = _measure_planes(team, x, winner, place, mean, var, rstd, weight, eps, falls, ways)
    affine = shift, centre, scale, bias, after, slope
    if len(falls):
        share_out(team, loops.rank_planes, (x, winner, place, *affine, *ways), len(x))
    share_out(team, loops.apply_planes, (*lines, *affine), len(x))
    take_batch(running, momentum, mean, var, x.size // channels)


@njit(**_OPTIONS)
def _measure_planes(
    team: Any, x: Any, winner: Any, place: Any, mean: Any, var: Any, rstd: Any, weight: Any, eps: float, falls: Any,
    ways: Any,
) -> Any:  # fmt: skip
    """Write the statistics, and the winners where they are known; return shift, centre and scale, ``[C]``."""
    channels = len(mean)
    shift = np.empty(channels, np.float32)
    for c in range(channels):
        shift[c] = loops.average(x[c].ravel()[:RUN])
    sums = np.zeros((team.shares, 2, channels))
    given = x, winner, place, shift, sums, np.sign(weight), falls, *ways
    share_out(team, loops.pool_planes, given, len(x))
    centre, scale = finish_statistics(sums.sum(0), shift, x.size // channels, weight, eps, mean, var, rstd)
    return shift, centre, scale


@njit(**_OPTIONS)
def backward_planes(
    team: Any,
    shape: Any,  # P, H, W
    pooled: Any,  # P, OH, OW
    tensors: Any,  # x, [P, H, W], winner, place, dy, [P, OH, OW] each, and dx, [P, H, W]
    numbers: Any,  # dweight, dbias, mean, rstd, weight, bias, [C] each; the weight and the bias may lie nowhere
    channels: int,
    after: Any,
    slope: Any,
    ways: Any,  # what `chain_pool_loops.spread_planes` takes of the window
) -> None:
    """Write the gradients; tensors and numbers are addresses."""
    x, winner, place = lend(tensors[0], shape), lend(tensors[1], pooled), lend_bytes(tensors[2], pooled)
    dy, dx = lend(tensors[3], pooled), lend(tensors[4], shape)
    dweight, dbias = lend(numbers[0], (channels,)), lend(numbers[1], (channels,))
    affine = lend_affine(numbers[2:], channels)
    sums = np.zeros((team.shares, 2, channels))
    lines = dy.reshape((len(x), -1)), winner.reshape((len(x), -1))
    share_out(team, loops.sum_gradients_planes, (*lines, *affine, sums, after, slope), len(x))
    means = finish_gradients(sums.sum(0), x.size // channels, dweight, dbias)
    share_out(team, loops.spread_planes, (dy, x, winner, place, dx, *affine, *means, after, slope, *ways), len(x))


@njit(**_OPTIONS)
def forward_rows(
    team: Any,
    shape: Any,  # N, H, W, C
    pooled: Any,  # N, OH, OW, C
    tensors: Any,  # as those of planes, and so the rest
    numbers: Any,
    channels: int,
    running: Any,
    momentum: float,
    eps: float,
    after: Any,
    falls: Any,
    slope: Any,
    ways: Any,  # what `chain_pool_loops.pool_rows` takes of the window
) -> None:
    """Write the outputs, the winners and the statistics; tensors, numbers and running are addresses."""
    x, winner, place = lend(tensors[0], shape), lend(tensors[1], pooled), lend_bytes(tensors[2], pooled)
    mean, var, rstd, weight, bias = lend_numbers(numbers, channels)
    shift, centre, scale = _measure_rows(team, x, winner, place, mean, var, rstd, weight, eps, falls, ways)
    affine = shift, centre, scale, bias
    if len(falls):
        share_out(team, loops.rank_rows, (x, winner, place, *affine, after, slope, *ways), len(x))
    flat = pooled[0] * pooled[1] * pooled[2], channels
    best, out = lend(tensors[1], flat), lend(tensors[3], flat)
    share_out(team, forward_rows_of_chain, (best, best, out, *affine, IDENTITY, after, (), slope), len(best))
    take_batch(running, momentum, mean, var, x.size // channels)


@njit(**_OPTIONS)
def _measure_rows(
    team: Any, x: Any, winner: Any, place: Any, mean: Any, var: Any, rstd: Any, weight: Any, eps: float, falls: Any,
    ways: Any,
) -> Any:  # fmt: skip
    """Do as `_measure_planes`."""
    channels = len(mean)
    shift = average_first(x.reshape((-1, channels)), IDENTITY, f32(0.0))
    sums = np.zeros((team.shares, 2, channels))
    given = x, winner, place, shift, sums, np.sign(weight), falls, *ways
    share_out(team, loops.pool_rows, given, len(x))
    centre, scale = finish_statistics(sums.sum(0), shift, x.size // channels, weight, eps, mean, var, rstd)
    return shift, centre, scale


@njit(**_OPTIONS)
def backward_rows(
    team: Any,
    shape: Any,  # N, H, W, C
    pooled: Any,  # N, OH, OW, C
    tensors: Any,  # as those of planes, and so the rest
    numbers: Any,
    channels: int,
    after: Any,
    slope: Any,
    ways: Any,  # what `chain_pool_loops.spread_rows` takes of the window
) -> None:
    """Write the gradients; tensors and numbers are addresses."""
    x, winner, place = lend(tensors[0], shape), lend(tensors[1], pooled), lend_bytes(tensors[2], pooled)
    dy, dx = lend(tensors[3], pooled), lend(tensors[4], shape)
    dweight, dbias = lend(numbers[0], (channels,)), lend(numbers[1], (channels,))
    affine = lend_affine(numbers[2:], channels)
    sums = np.zeros((team.shares, 2, channels))
    given, best = dy.reshape((-1, channels)), winner.reshape((-1, channels))
    share_out(team, sum_gradients_rows, (given, best, best, *affine, sums, IDENTITY, after, (), slope), len(best))
    means = finish_gradients(sums.sum(0), x.size // channels, dweight, dbias)
    share_out(team, loops.spread_rows, (dy, x, winner, place, dx, *affine, *means, after, slope, *ways), len(x))
