"""A norm with an activation in front of it or behind it, and an addition, in both layouts: whole passes.

Each is a call into compiled code that shares the loops of `chain_loops` out among a team of threads.
"""

from math import gcd
from typing import Any, Final

import numpy as np

from placenorm.kernels.cpu import chain_loops as loops
from placenorm.kernels.cpu.arithmetic import FASTMATH, activate, f32
from placenorm.kernels.cpu.compiling import njit
from placenorm.kernels.cpu.team import share_out

WIDTH: Final = 512
"""Values that an inner loop over rows should have: with each begins a comparison of all its addresses."""

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}


@njit(**_OPTIONS)
def forward_planes(
    team: Any,
    x: Any,  # [N, C, S]
    residual: Any,  # [N, C, S]; x where nothing is added
    y: Any,  # [N, C, S]
    mean: Any,  # [C]
    var: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    eps: float,
    before: Any,
    after: Any,
    adds: Any,  # () for nothing, (0,) for the residual
    parameter: Any,
) -> None:
    """Write the outputs and the statistics."""
    given = x, residual, y, mean, var, weight, bias, eps, before, after, adds, parameter
    share_out(team, loops.forward_planes, given, x.shape[1])
    for c in range(len(var)):
        rstd[c] = 1.0 / np.sqrt(var[c] + eps)


@njit(**_OPTIONS)
def backward_planes(
    team: Any,
    dy: Any,  # [N, C, S]
    x: Any,  # [N, C, S]
    y: Any,  # [N, C, S]; read only where there is a residual
    dx: Any,  # [N, C, S]
    dresidual: Any,  # [N, C, S]; written only where there is a residual
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    dweight: Any,  # [C]
    dbias: Any,  # [C]
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
) -> None:
    """Write the gradients."""
    given = dy, x, y, dx, dresidual, mean, rstd, weight, bias, dweight, dbias, before, after, adds, parameter
    share_out(team, loops.backward_planes, given, x.shape[1])


@njit(**_OPTIONS)
def forward_rows(
    team: Any,
    x: Any,  # [M, C]
    residual: Any,  # [M, C]; x where nothing is added
    y: Any,  # [M, C]
    mean: Any,  # [C]
    var: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    eps: float,
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
) -> None:
    """Write the outputs and the statistics."""
    rows, channels = x.shape
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


@njit(**_OPTIONS)
def backward_rows(
    team: Any,
    dy: Any,  # [M, C]
    x: Any,  # [M, C]
    y: Any,  # [M, C]; read only where there is a residual
    dx: Any,  # [M, C]
    dresidual: Any,  # [M, C]; written only where there is a residual
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    dweight: Any,  # [C]
    dbias: Any,  # [C]
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
) -> None:
    """Write the gradients."""
    rows, channels = x.shape
    times = _count_times(rows, channels)
    lines = _widen(dy, times), _widen(x, times), _widen(y, times)
    affine = _repeat(mean, times), _repeat(rstd, times), _repeat(weight, times), _repeat(bias, times)
    sums = np.zeros((team.shares, 2, channels * times))
    codes = before, after, adds, parameter
    share_out(team, loops.sum_gradients_rows, (*lines, *affine, sums, *codes), rows // times)
    totals = _add_up(sums, channels)
    shared, slope = finish_gradients(totals, rows, dweight, dbias)
    written = _widen(dx, times), _widen(dresidual, times)
    means = _repeat(shared, times), _repeat(slope, times)
    share_out(team, loops.backward_rows, (*lines, *written, *affine, *means, *codes), rows // times)


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
