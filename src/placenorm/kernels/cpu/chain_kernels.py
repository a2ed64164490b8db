"""A norm with an activation in front of it or behind it, and an addition, in both layouts: whole passes.

Each is a call into compiled code that shares the loops of `chain_loops` out among a team of threads.
"""

from math import gcd
from typing import Any, Final

import numpy as np

from placenorm.kernels.cpu import chain_loops as loops
from placenorm.kernels.cpu.arithmetic import FASTMATH, activate, f32
from placenorm.kernels.cpu.compiling import njit
from placenorm.kernels.cpu.lending import NOWHERE, count_batch, lend, lend_or_fill
from placenorm.kernels.cpu.team import share_out

WIDTH: Final = 512
"""Values that an inner loop over rows should have: with each begins a comparison of all its addresses."""

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}


@njit(**_OPTIONS)
def forward_planes(
    team: Any,
    shape: Any,  # N, C, S
    tensors: Any,  # x, residual, y, [N, C, S] each; for the residual x where nothing is added
    numbers: Any,  # mean, var, rstd, weight, bias, [C] each; the last two may lie nowhere
    running: Any,  # mean and variance, [C] each, and the number of batches; nowhere where none are kept
    momentum: float,
    eps: float,
    before: Any,
    after: Any,
    adds: Any,  # () for nothing, (0,) for the residual
    parameter: Any,
) -> None:
    """Write the outputs and the statistics; tensors, numbers and running are addresses."""
    x, residual, y = lend(tensors[0], shape), lend(tensors[1], shape), lend(tensors[2], shape)
    mean, var, rstd, weight, bias = lend_numbers(numbers, shape[1])
    given = x, residual, y, mean, var, weight, bias, eps, before, after, adds, parameter
    share_out(team, loops.forward_planes, given, shape[1])
    for c in range(len(var)):
        rstd[c] = 1.0 / np.sqrt(var[c] + eps)
    take_batch(running, momentum, mean, var, shape[0] * shape[2])


@njit(**_OPTIONS)
def backward_planes(
    team: Any,
    shape: Any,  # N, C, S
    tensors: Any,  # dy, x, y, dx, dresidual, [N, C, S] each; y is read, dresidual written only where there is one
    numbers: Any,  # dweight, dbias, mean, rstd, weight, bias, [C] each; the weight and the bias may lie nowhere
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
) -> None:
    """Write the gradients; tensors and numbers are addresses."""
    dy, x, y = lend(tensors[0], shape), lend(tensors[1], shape), lend(tensors[2], shape)
    dx, dresidual = lend(tensors[3], shape), lend(tensors[4], shape)
    dweight, dbias = lend(numbers[0], shape[1:2]), lend(numbers[1], shape[1:2])
    mean, rstd, weight, bias = lend_affine(numbers[2:], shape[1])
    given = dy, x, y, dx, dresidual, mean, rstd, weight, bias, dweight, dbias, before, after, adds, parameter
    share_out(team, loops.backward_planes, given, shape[1])


@njit(**_OPTIONS)
def forward_rows(
    team: Any,
    shape: Any,  # M, C
    tensors: Any,  # x, residual, y, [M, C] each; for the residual x where nothing is added
    numbers: Any,  # as those of planes, and so the rest
    running: Any,
    momentum: float,
    eps: float,
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
) -> None:
    """Write the outputs and the statistics; tensors, numbers and running are addresses."""
    rows, channels = shape
    x, residual, y = lend(tensors[0], shape), lend(tensors[1], shape), lend(tensors[2], shape)
    mean, var, rstd, weight, bias = lend_numbers(numbers, channels)
    times = _count_times(rows, channels)
    first = average_first(x, before, parameter)
    shift = _repeat(first, times)
    sums = np.zeros((team.shares, 2, channels * times))
    share_out(team, loops.measure_rows, (_widen(x, times), shift, sums, before, parameter), rows // times)
    totals = _add_up(sums, channels)
    centre, scale = finish_statistics(totals, first, rows, weight, eps, mean, var, rstd)
    lines = _widen(x, times), _widen(residual, times), _widen(y, times)
    affine = shift, _repeat(centre, times), _repeat(scale, times), _repeat(bias, times)
    share_out(team, loops.forward_rows, (*lines, *affine, before, after, adds, parameter), rows // times)
    take_batch(running, momentum, mean, var, rows)


@njit(**_OPTIONS)
def backward_rows(
    team: Any,
    shape: Any,  # M, C
    tensors: Any,  # dy, x, y, dx, dresidual, [M, C] each; y is read, dresidual written only where there is one
    numbers: Any,  # as those of planes, and so the rest
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
) -> None:
    """Write the gradients; tensors and numbers are addresses."""
    rows, channels = shape
    times = _count_times(rows, channels)
    wide = rows // times, channels * times
    dy, x, y = lend(tensors[0], wide), lend(tensors[1], wide), lend(tensors[2], wide)
    dx, dresidual = lend(tensors[3], wide), lend(tensors[4], wide)
    dweight, dbias = lend(numbers[0], shape[1:]), lend(numbers[1], shape[1:])
    mean, rstd, weight, bias = lend_affine(numbers[2:], channels)
    affine = _repeat(mean, times), _repeat(rstd, times), _repeat(weight, times), _repeat(bias, times)
    sums = np.zeros((team.shares, 2, channels * times))
    codes = before, after, adds, parameter
    share_out(team, loops.sum_gradients_rows, (dy, x, y, *affine, sums, *codes), wide[0])
    totals = _add_up(sums, channels)
    shared, slope = finish_gradients(totals, rows, dweight, dbias)
    means = _repeat(shared, times), _repeat(slope, times)
    share_out(team, loops.backward_rows, (dy, x, y, dx, dresidual, *affine, *means, *codes), wide[0])


@njit(**_OPTIONS)
def lend_numbers(numbers: Any, channels: int) -> Any:
    """Return mean, var, rstd, weight and bias, ``[C]`` each."""
    shape = (channels,)
    mean, var, rstd = lend(numbers[0], shape), lend(numbers[1], shape), lend(numbers[2], shape)
    return mean, var, rstd, lend_or_fill(numbers[3], channels, 1.0), lend_or_fill(numbers[4], channels, 0.0)


@njit(**_OPTIONS)
def lend_affine(numbers: Any, channels: int) -> Any:
    """Return mean, rstd, weight and bias, ``[C]`` each."""
    mean, rstd = lend(numbers[0], (channels,)), lend(numbers[1], (channels,))
    return mean, rstd, lend_or_fill(numbers[2], channels, 1.0), lend_or_fill(numbers[3], channels, 0.0)


@njit(**_OPTIONS)
def take_batch(running: Any, momentum: float, mean: Any, var: Any, values: int) -> None:
    """Count a batch and mix it into the running statistics, as `Running.take`; nothing where they lie nowhere.

    Args:
        running: addresses of mean and variance, ``[C]`` each, and of the number of batches.
        momentum: weight of the batch.
        mean: of the batch, ``[C]``.
        var: of the batch, biased, ``[C]``.
        values: of a channel.
    """
    if running[0] == NOWHERE:
        return
    count_batch(running[2])
    means, spreads = lend(running[0], mean.shape), lend(running[1], mean.shape)
    unbiased = values / (values - 1.0)
    for c in range(len(mean)):
        means[c] = (1.0 - momentum) * means[c] + momentum * mean[c]
        spreads[c] = (1.0 - momentum) * spreads[c] + momentum * (var[c] * unbiased)


@njit(**_OPTIONS)
def _count_times(rows: int, channels: int) -> int:
    """Return how many rows are taken for one, so that an inner loop is long; they divide the rows."""
    return gcd(rows, max(1, WIDTH // channels))


@njit(**_OPTIONS)
def _widen(x: Any, times: int) -> Any:
    """Return rows, so many of which are taken for one."""
    return x.reshape((x.shape[0] // times, times * x.shape[1]))


@njit(**_OPTIONS)
def _repeat(numbers: Any, times: int) -> Any:
    """Return the numbers of the channels for so many rows."""
    channels = len(numbers)
    held = np.empty(times * channels, np.float32)
    for at in range(0, len(held), channels):
        line = held[at : at + channels]
        for c in range(channels):
            line[c] = numbers[c]
    return held


@njit(**_OPTIONS)
def _add_up(sums: Any, channels: int) -> Any:
    """Return the sums of the channels, ``[2, C]``, from those of the shares, ``[shares, 2, times * C]``."""
    totals = np.zeros((2, channels))
    for share in range(len(sums)):
        for kind in range(2):
            held, total = sums[share, kind], totals[kind]
            for at in range(0, len(held), channels):
                line = held[at : at + channels]
                for c in range(channels):
                    total[c] += line[c]
    return totals


@njit(**_OPTIONS)
def average_first(x: Any, before: Any, parameter: Any) -> Any:
    """Return the mean of every channel over the first rows, which is what its values are measured from."""
    first = np.zeros(x.shape[1], np.float32)
    count = min(len(x), loops.ROWS)
    for m in range(count):
        line = x[m]
        for c in range(len(line)):
            first[c] += activate(line[c], before, parameter)
    for c in range(len(first)):
        first[c] /= f32(count)
    return first


@njit(**_OPTIONS)
def finish_statistics(
    totals: Any,  # [2, C]: sums of distances from shift, and of their squares
    shift: Any,  # [C]
    values: int,  # of a channel
    weight: Any,  # [C]
    eps: float,
    mean: Any,  # [C]
    var: Any,  # [C]
    rstd: Any,  # [C]
) -> Any:
    """Write the statistics, and return the mean less shift, and the scale, ``[C]`` each."""
    centre, scale = np.empty_like(shift), np.empty_like(shift)
    for c in range(len(shift)):
        rest = totals[0, c] / values
        spread = max(totals[1, c] / values - rest * rest, 0.0)
        mean[c] = shift[c] + rest
        var[c] = spread
        rstd[c] = 1.0 / np.sqrt(spread + eps)
        centre[c] = rest
        scale[c] = weight[c] / np.sqrt(spread + eps)
    return centre, scale


@njit(**_OPTIONS)
def finish_gradients(totals: Any, values: int, dweight: Any, dbias: Any) -> Any:
    """Write the gradients of gamma and beta, and return their shares of every value, beta's first, ``[C]`` each.

    Args:
        totals: sums of the gradients, and of the gradients times x-hat, ``[2, C]``.
        values: of a channel.
        dweight: ``[C]``.
        dbias: ``[C]``.
    """
    shared, slope = np.empty_like(dbias), np.empty_like(dweight)
    for c in range(len(dbias)):
        dbias[c], dweight[c] = totals[0, c], totals[1, c]
        shared[c], slope[c] = totals[0, c] / values, totals[1, c] / values
    return shared, slope
