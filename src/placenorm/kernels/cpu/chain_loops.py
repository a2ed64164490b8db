"""A norm with an activation in front of it or behind it, and an addition, in both layouts: the loops.

Each function works on a share of the channels (``[N, C, S]``, planes) or of the rows (``[M, C]``, channels last).
Planes: a channel of usual size stays in the cache between its sweeps, so memory is read once a direction. Rows: two
sweeps, with sums per share in between.

Sums are taken of distances from `shift`, a mean of the channel's first values. It is one of the means whose weighted
average is the channel's own, so it is at most sqrt(M / first values) standard deviations away, and the squares lose no
more digits than that. Inside a run of `RUN` values sums are float32, which vectorises; runs are added up in float64.

Inner loops go along a slice with one axis: indices into several axes keep them from vectorising (the backward of planes
took four times as long).
"""

from typing import Any, Final

import numpy as np

from placenorm.kernels.cpu.arithmetic import FASTMATH, INLINE, activate, differentiate, f32
from placenorm.kernels.cpu.compiling import njit

RUN: Final = 4096
"""Values of one plane that are summed up in float32, by at least 16 partial sums."""

ROWS: Final = 64
"""Rows of which each channel is summed up in float32."""

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}


@INLINE
def _slope_behind(x_hat: Any, gamma: Any, beta: Any, y: Any, after: Any, adds: Any, parameter: Any) -> Any:
    """Return the derivative of the activation behind the norm at one value; after an addition the output tells it."""
    if len(adds):
        return differentiate(y, after, parameter)
    return differentiate(x_hat * gamma + beta, after, parameter)


@njit(**_OPTIONS)
def forward_planes(
    x: Any,  # [N, C, S]
    residual: Any,  # [N, C, S]; x where nothing is added
    y: Any,  # [N, C, S]
    mean: Any,  # [C]
    var: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    eps: float,
    before: Any,
    after: Any,
    adds: Any,  # () for nothing, (0,) for the residual
    parameter: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the outputs and the statistics of the channels from start to stop."""
    samples, _, size = x.shape
    values = samples * size
    for c in range(start, stop):
        first = f32(0.0)
        line = x[0, c]
        for s in range(min(size, RUN)):
            first += activate(line[s], before, parameter)
        shift = first / f32(min(size, RUN))
        total = np.float64(0.0)
        squares = np.float64(0.0)
        for n in range(samples):
            for at in range(0, size, RUN):
                run_total = f32(0.0)
                run_squares = f32(0.0)
                line = x[n, c, at : at + RUN]
                for s in range(len(line)):
                    d = activate(line[s], before, parameter) - shift
                    run_total += d
                    run_squares += d * d
                total += run_total
                squares += run_squares
        rest = total / values
        spread = max(squares / values - rest * rest, 0.0)
        mean[c] = shift + rest
        var[c] = spread
        scale = f32(weight[c] / np.sqrt(spread + eps))
        centre = f32(rest)
        beta = bias[c]
        for n in range(samples):
            line = x[n, c]
            added = residual[n, c]
            out = y[n, c]
            for s in range(size):
                z = ((activate(line[s], before, parameter) - shift) - centre) * scale + beta
                if len(adds):
                    z += added[s]
                out[s] = activate(z, after, parameter)


@njit(**_OPTIONS)
def backward_planes(
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
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the channels from start to stop."""
    samples, _, size = x.shape
    values = samples * size
    for c in range(start, stop):
        mu, r, gamma, beta = mean[c], rstd[c], weight[c], bias[c]
        total = np.float64(0.0)
        along = np.float64(0.0)
        for n in range(samples):
            for at in range(0, size, RUN):
                run_total = f32(0.0)
                run_along = f32(0.0)
                line = x[n, c, at : at + RUN]
                given = dy[n, c, at : at + RUN]
                seen = y[n, c, at : at + RUN]
                for s in range(len(line)):
                    x_hat = (activate(line[s], before, parameter) - mu) * r
                    dz = given[s] * _slope_behind(x_hat, gamma, beta, seen[s], after, adds, parameter)
                    run_total += dz
                    run_along += dz * x_hat
                total += run_total
                along += run_along
        dbias[c] = total
        dweight[c] = along
        scale = f32(gamma * r)
        shared = f32(total / values)
        slope = f32(along / values)
        for n in range(samples):
            line = x[n, c]
            given = dy[n, c]
            seen = y[n, c]
            out = dx[n, c]
            branch = dresidual[n, c]
            for s in range(size):
                v = line[s]
                x_hat = (activate(v, before, parameter) - mu) * r
                dz = given[s] * _slope_behind(x_hat, gamma, beta, seen[s], after, adds, parameter)
                if len(adds):
                    branch[s] = dz
                out[s] = scale * (dz - shared - x_hat * slope) * differentiate(v, before, parameter)


@njit(**_OPTIONS)
def measure_rows(
    x: Any,  # [M, C]
    shift: Any,  # [C]
    sums: Any,  # [shares, 2, C], float64: of distances from shift, and of their squares
    before: Any,
    parameter: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Add up what the mean and the variance of every channel are made of, over the rows from start to stop."""
    channels = x.shape[1]
    totals, squares = sums[share, 0], sums[share, 1]
    run_total = np.empty(channels, np.float32)
    run_squares = np.empty(channels, np.float32)
    for at in range(start, stop, ROWS):
        run_total[:] = f32(0.0)
        run_squares[:] = f32(0.0)
        for m in range(at, min(at + ROWS, stop)):
            line = x[m]
            for c in range(channels):
                d = activate(line[c], before, parameter) - shift[c]
                run_total[c] += d
                run_squares[c] += d * d
        for c in range(channels):
            totals[c] += run_total[c]
            squares[c] += run_squares[c]


@njit(**_OPTIONS)
def forward_rows(
    x: Any,  # [M, C]
    residual: Any,  # [M, C]; x where nothing is added
    y: Any,  # [M, C]
    shift: Any,  # [C]
    centre: Any,  # [C]: mean less shift
    scale: Any,  # [C]
    bias: Any,  # [C]
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the outputs of the rows from start to stop."""
    channels = x.shape[1]
    for m in range(start, stop):
        line = x[m]
        added = residual[m]
        out = y[m]
        for c in range(channels):
            z = ((activate(line[c], before, parameter) - shift[c]) - centre[c]) * scale[c] + bias[c]
            if len(adds):
                z += added[c]
            out[c] = activate(z, after, parameter)


@njit(**_OPTIONS)
def sum_gradients_rows(
    dy: Any,  # [M, C]
    x: Any,  # [M, C]
    y: Any,  # [M, C]; read only where there is a residual
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    sums: Any,  # [shares, 2, C], float64: of gradients, and of gradients times x-hat
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Add up the gradients of beta and gamma over the rows from start to stop."""
    channels = x.shape[1]
    totals, alongs = sums[share, 0], sums[share, 1]
    run_total = np.empty(channels, np.float32)
    run_along = np.empty(channels, np.float32)
    for at in range(start, stop, ROWS):
        run_total[:] = f32(0.0)
        run_along[:] = f32(0.0)
        for m in range(at, min(at + ROWS, stop)):
            line = x[m]
            given = dy[m]
            seen = y[m]
            for c in range(channels):
                x_hat = (activate(line[c], before, parameter) - mean[c]) * rstd[c]
                dz = given[c] * _slope_behind(x_hat, weight[c], bias[c], seen[c], after, adds, parameter)
                run_total[c] += dz
                run_along[c] += dz * x_hat
        for c in range(channels):
            totals[c] += run_total[c]
            alongs[c] += run_along[c]


@njit(**_OPTIONS)
def backward_rows(
    dy: Any,  # [M, C]
    x: Any,  # [M, C]
    y: Any,  # [M, C]; read only where there is a residual
    dx: Any,  # [M, C]
    dresidual: Any,  # [M, C]; written only where there is a residual
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    shared: Any,  # [C]: mean of the gradients
    slope: Any,  # [C]: mean of the gradients times x-hat
    before: Any,
    after: Any,
    adds: Any,
    parameter: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the rows from start to stop."""
    channels = x.shape[1]
    for m in range(start, stop):
        line = x[m]
        given = dy[m]
        seen = y[m]
        out = dx[m]
        branch = dresidual[m]
        for c in range(channels):
            v = line[c]
            x_hat = (activate(v, before, parameter) - mean[c]) * rstd[c]
            dz = given[c] * _slope_behind(x_hat, weight[c], bias[c], seen[c], after, adds, parameter)
            if len(adds):
                branch[c] = dz
            step = rstd[c] * weight[c] * (dz - shared[c] - x_hat * slope[c])
            out[c] = step * differentiate(v, before, parameter)
