"""An activation and a max pool in front of a norm, in both layouts: the loops.

Planes (``[N, C, H, W]``) are shared out by channel, rows (``[N, H, W, C]``) by sample. A window's values are met one
window position at a time, with the row of windows, or the channels, as the inner loop: that one vectorises, and no
window needs a look at the edges, since each position has its own range of windows that it lies inside for.

Sums are taken of distances from a mean of a few values, and in runs, as in `chain_loops`.
"""

from typing import Any, Final

import numpy as np
from numba import njit

from placenorm.kernels.cpu.arithmetic import FASTMATH, activate, differentiate, f32

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}

LOWEST: Final = f32(-np.inf)


@njit(inline="always")
def _first(offset: int, stride: int) -> int:
    """Return the first window whose value at this offset from its corner is not before the input's begin."""
    return (stride - 1 - offset) // stride if offset < 0 else 0


@njit(inline="always")
def _last(offset: int, stride: int, size: int, windows: int) -> int:
    """Return one more than the last window whose value at this offset is not behind the input's end."""
    return min(windows, (size - 1 - offset) // stride + 1 if size - 1 - offset >= 0 else 0)


@njit(**_OPTIONS)
def pool_planes(
    x: Any,  # [N, C, H, W]
    winner: Any,  # [N, C, OH, OW]
    place: Any,  # [N, C, OH, OW], uint8
    y: Any,  # [N, C, OH, OW]
    mean: Any,  # [C]
    var: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    eps: float,
    kernel: Any,  # (height, width) of a window
    step: Any,  # () for a stride of 1 to the right, (0,) for 2
    down: int,  # stride down
    padding: Any,  # (down, right)
    before: Any,
    parameter: Any,
    start: int,
    stop: int,
) -> None:
    """Write winners, outputs and statistics of the channels from start to stop."""
    samples, _, height, width = x.shape
    rows, columns = y.shape[2], y.shape[3]
    stride = len(step) + 1
    values = samples * rows * columns
    for c in range(start, stop):
        for n in range(samples):
            for r in range(rows):
                best = winner[n, c, r]
                spot = place[n, c, r]
                for o in range(columns):
                    best[o] = LOWEST
                    spot[o] = 0
                for i in range(kernel[0]):
                    h = r * down + i - padding[0]
                    if h < 0 or h >= height:
                        continue
                    line = x[n, c, h]
                    for j in range(kernel[1]):
                        offset = j - padding[1]
                        here = np.uint8(i * kernel[1] + j)
                        for o in range(_first(offset, stride), _last(offset, stride, width, columns)):
                            v = line[o * stride + offset]
                            wins = (v > best[o]) | (v != v)
                            best[o] = v if wins else best[o]
                            spot[o] = here if wins else spot[o]
        shift = f32(0.0)
        for o in range(columns):
            shift += activate(winner[0, c, 0, o], before, parameter)
        shift = shift / f32(columns)
        total = np.float64(0.0)
        squares = np.float64(0.0)
        for n in range(samples):
            for r in range(rows):
                line = winner[n, c, r]
                run_total = f32(0.0)
                run_squares = f32(0.0)
                for o in range(columns):
                    d = activate(line[o], before, parameter) - shift
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
            for r in range(rows):
                line = winner[n, c, r]
                out = y[n, c, r]
                for o in range(columns):
                    out[o] = ((activate(line[o], before, parameter) - shift) - centre) * scale + beta


@njit(**_OPTIONS)
def unpool_planes(
    dy: Any,  # [N, C, OH, OW]
    winner: Any,  # [N, C, OH, OW]
    place: Any,  # [N, C, OH, OW], uint8
    dx: Any,  # [N, C, H, W]
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    dweight: Any,  # [C]
    dbias: Any,  # [C]
    kernel: Any,
    step: Any,
    down: int,
    padding: Any,
    before: Any,
    parameter: Any,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the channels from start to stop."""
    samples, _, height, width = dx.shape
    rows, columns = dy.shape[2], dy.shape[3]
    stride = len(step) + 1
    values = samples * rows * columns
    passed = np.empty(columns, np.float32)
    for c in range(start, stop):
        mu, r_std = mean[c], rstd[c]
        total = np.float64(0.0)
        along = np.float64(0.0)
        for n in range(samples):
            for r in range(rows):
                line = winner[n, c, r]
                given = dy[n, c, r]
                run_total = f32(0.0)
                run_along = f32(0.0)
                for o in range(columns):
                    run_total += given[o]
                    run_along += given[o] * ((activate(line[o], before, parameter) - mu) * r_std)
                total += run_total
                along += run_along
        dbias[c] = total
        dweight[c] = along
        scale = f32(weight[c] * r_std)
        shared = f32(total / values)
        slope = f32(along / values)
        for n in range(samples):
            for h in range(height):
                for w in range(width):
                    dx[n, c, h, w] = f32(0.0)
            for r in range(rows):
                line = winner[n, c, r]
                given = dy[n, c, r]
                spot = place[n, c, r]
                for o in range(columns):
                    v = line[o]
                    x_hat = (activate(v, before, parameter) - mu) * r_std
                    passed[o] = scale * (given[o] - shared - x_hat * slope) * differentiate(v, before, parameter)
                for i in range(kernel[0]):
                    h = r * down + i - padding[0]
                    if h < 0 or h >= height:
                        continue
                    out = dx[n, c, h]
                    for j in range(kernel[1]):
                        offset = j - padding[1]
                        here = np.uint8(i * kernel[1] + j)
                        for o in range(_first(offset, stride), _last(offset, stride, width, columns)):
                            out[o * stride + offset] += passed[o] if spot[o] == here else f32(0.0)


@njit(**_OPTIONS)
def pool_rows(
    x: Any,  # [N, H, W, C]
    winner: Any,  # [N, OH, OW, C]
    place: Any,  # [N, OH, OW, C], uint8
    kernel: Any,
    stride: Any,  # (down, right)
    padding: Any,
    start: int,
    stop: int,
) -> None:
    """Write the winners of the samples from start to stop."""
    _, height, width, channels = x.shape
    for n in range(start, stop):
        for r in range(winner.shape[1]):
            for o in range(winner.shape[2]):
                best = winner[n, r, o]
                spot = place[n, r, o]
                for c in range(channels):
                    best[c] = LOWEST
                    spot[c] = 0
                for i in range(kernel[0]):
                    h = r * stride[0] + i - padding[0]
                    if h < 0 or h >= height:
                        continue
                    for j in range(kernel[1]):
                        w = o * stride[1] + j - padding[1]
                        if w < 0 or w >= width:
                            continue
                        values = x[n, h, w]
                        here = np.uint8(i * kernel[1] + j)
                        for c in range(channels):
                            v = values[c]
                            wins = (v > best[c]) | (v != v)
                            best[c] = v if wins else best[c]
                            spot[c] = here if wins else spot[c]


@njit(**_OPTIONS)
def unpool_rows(
    passed: Any,  # [N, OH, OW, C]: gradients of the winners
    place: Any,  # [N, OH, OW, C], uint8
    dx: Any,  # [N, H, W, C]
    kernel: Any,
    stride: Any,
    padding: Any,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the samples from start to stop."""
    _, height, width, channels = dx.shape
    for n in range(start, stop):
        for h in range(height):
            for w in range(width):
                for c in range(channels):
                    dx[n, h, w, c] = f32(0.0)
        for r in range(passed.shape[1]):
            for o in range(passed.shape[2]):
                given = passed[n, r, o]
                spot = place[n, r, o]
                for i in range(kernel[0]):
                    h = r * stride[0] + i - padding[0]
                    if h < 0 or h >= height:
                        continue
                    for j in range(kernel[1]):
                        w = o * stride[1] + j - padding[1]
                        if w < 0 or w >= width:
                            continue
                        out = dx[n, h, w]
                        here = np.uint8(i * kernel[1] + j)
                        for c in range(channels):
                            out[c] += given[c] if spot[c] == here else f32(0.0)
