"""A norm with an activation and a max pool behind it, and the way back, in both layouts: the loops.

Where the activation never falls, gamma's sign alone says which value of a window wins, so that sums and winners come of
one sweep. Elsewhere the statistics come first, and activated values are compared.

The layouts, windows and inner loops are those of `pool_chain_loops`, the sums those of `chain_loops`.
"""

from typing import Any, Final

import numpy as np

from placenorm.kernels.cpu.arithmetic import FASTMATH, INLINE, activate, differentiate, f32
from placenorm.kernels.cpu.chain_loops import ROWS, RUN
from placenorm.kernels.cpu.compiling import njit
from placenorm.kernels.cpu.pool_chain_loops import pool_line, pool_plane

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}


@njit(**_OPTIONS)
def forward_planes(
    x: Any,  # [N, C, H, W]
    winner: Any,  # [N, C, OH, OW]
    place: Any,  # [N, C, OH, OW], uint8
    y: Any,  # [N, C, OH, OW]
    mean: Any,  # [C]
    var: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    eps: float,
    after: Any,
    falls: Any,  # one element where the activation may fall, else none
    slope: Any,  # parameter of the activation
    window: Any,
    step: Any,
    kernel: Any,
    down: int,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the outputs, the winners and the statistics of the channels from start to stop."""
    samples, _, height, width = x.shape
    size = height * width
    ranks = np.empty((height, width) if len(falls) else (1, 1), np.float32)
    for c in range(start, stop):
        beta, sign = bias[c], f32(np.sign(weight[c]))
        line = x[0, c].ravel()[:RUN]
        first = f32(0.0)
        for s in range(len(line)):
            first += line[s]
        shift = first / f32(len(line))
        total = np.float64(0.0)
        squares = np.float64(0.0)
        for n in range(samples):
            flat = x[n, c].ravel()
            for at in range(0, size, RUN):
                run_total = f32(0.0)
                run_squares = f32(0.0)
                line = flat[at : at + RUN]
                for s in range(len(line)):
                    d = line[s] - shift
                    run_total += d
                    run_squares += d * d
                total += run_total
                squares += run_squares
            if len(falls) == 0:
                pool_plane(x[n, c], winner[n, c], place[n, c], sign, (0,), window, step, kernel, down, padding)
        rest = total / (samples * size)
        spread = max(squares / (samples * size) - rest * rest, 0.0)
        mean[c] = shift + rest
        var[c] = spread
        scale = f32(weight[c] / np.sqrt(spread + eps))
        centre = f32(rest)
        for n in range(samples):
            if len(falls):
                line, out = x[n, c].ravel(), ranks.ravel()
                for s in range(size):
                    out[s] = activate(((line[s] - shift) - centre) * scale + beta, after, slope)
                pool_plane(ranks, winner[n, c], place[n, c], sign, (), window, step, kernel, down, padding)
            if len(falls) > 0 or sign == f32(0.0):
                _pick(x[n, c], winner[n, c], place[n, c], len(step), kernel, down, padding)
            best, out = winner[n, c].ravel(), y[n, c].ravel()
            for s in range(len(best)):
                out[s] = activate(((best[s] - shift) - centre) * scale + beta, after, slope)


@njit(**_OPTIONS)
def _pick(plane: Any, winner: Any, place: Any, right: int, kernel: Any, down: int, padding: Any) -> None:
    """Write the winners of a plane from their places."""
    for r in range(winner.shape[0]):
        for o in range(winner.shape[1]):
            k = int(place[r, o])
            row, column = r * down - padding[0] + k // kernel[1], o * right - padding[1] + k % kernel[1]
            winner[r, o] = plane[row, column]


@njit(**_OPTIONS)
def backward_planes(
    dy: Any,  # [N, C, OH, OW]
    x: Any,  # [N, C, H, W]
    winner: Any,  # [N, C, OH, OW]
    place: Any,  # [N, C, OH, OW], uint8
    dx: Any,  # [N, C, H, W]
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    dweight: Any,  # [C]
    dbias: Any,  # [C]
    after: Any,
    slope: Any,
    tiles: Any,  # one element where windows are 2x2 and tile the input without padding, else none
    kernel: Any,
    stride: Any,  # (down, right)
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the channels from start to stop."""
    samples, _, height, width = x.shape
    rows, columns = winner.shape[2], winner.shape[3]
    values = samples * height * width
    passed = np.empty(columns, np.float32)
    for c in range(start, stop):
        mu, r, gamma, beta = mean[c], rstd[c], weight[c], bias[c]
        total = np.float64(0.0)
        along = np.float64(0.0)
        for n in range(samples):
            whole, upstream = winner[n, c].ravel(), dy[n, c].ravel()
            for at in range(0, rows * columns, RUN):
                run_total = f32(0.0)
                run_along = f32(0.0)
                best, given = whole[at : at + RUN], upstream[at : at + RUN]
                for s in range(len(best)):
                    x_hat = (best[s] - mu) * r
                    dz = given[s] * differentiate(x_hat * gamma + beta, after, slope)
                    run_total += dz
                    run_along += dz * x_hat
                total += run_total
                along += run_along
        dbias[c] = total
        dweight[c] = along
        scale = f32(gamma * r)
        shared = f32(total / values)
        tilt = f32(along / values)
        for n in range(samples):
            plane, out = x[n, c], dx[n, c]
            for h in range(2 * rows if len(tiles) else 0, height):
                _fill(plane[h], out[h], mu, r, scale, shared, tilt)
            for row in range(rows):
                best, given, spot = winner[n, c, row], dy[n, c, row], place[n, c, row]
                for o in range(columns):
                    dz = given[o] * differentiate((best[o] - mu) * r * gamma + beta, after, slope)
                    passed[o] = dz if len(tiles) else dz * scale
                if len(tiles):
                    _spread(passed, spot, plane[2 * row], out[2 * row], 0, mu, r, scale, shared, tilt)
                    _spread(passed, spot, plane[2 * row + 1], out[2 * row + 1], 2, mu, r, scale, shared, tilt)
                else:
                    for o in range(columns):
                        k = int(spot[o])
                        h = row * stride[0] - padding[0] + k // kernel[1]
                        out[h, o * stride[1] - padding[1] + k % kernel[1]] += passed[o]


@INLINE
def _fill(line: Any, out: Any, mu: Any, r: Any, scale: Any, shared: Any, tilt: Any) -> None:
    """Write what reaches every value through the statistics."""
    for s in range(len(out)):
        out[s] = -(shared + (line[s] - mu) * r * tilt) * scale


@INLINE
def _spread(
    passed: Any, spot: Any, line: Any, out: Any, above: int, mu: Any, r: Any, scale: Any, shared: Any, tilt: Any
) -> None:
    """Write one row of the input's gradient, where windows of 2x2 tile it; `above` is the place of its first value."""
    columns = len(passed)
    for o in range(columns):
        k = np.int32(spot[o])
        left = passed[o] if k == above else f32(0.0)
        right = passed[o] if k == above + 1 else f32(0.0)
        out[2 * o] = (left - shared - (line[2 * o] - mu) * r * tilt) * scale
        out[2 * o + 1] = (right - shared - (line[2 * o + 1] - mu) * r * tilt) * scale
    _fill(line[2 * columns :], out[2 * columns :], mu, r, scale, shared, tilt)


@njit(**_OPTIONS)
def pool_rows(
    x: Any,  # [N, H, W, C]
    winner: Any,  # [N, OH, OW, C]
    place: Any,  # [N, OH, OW, C], uint8
    shift: Any,  # [C]
    sums: Any,  # [shares, 2, C], float64: of distances from shift, and of their squares
    sign: Any,  # [C], of gamma
    falls: Any,
    window: Any,
    kernel: Any,
    stride: Any,  # (down, right)
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Add up what the statistics of some samples are made of, and write the winners where they are known."""
    _, height, _, channels = x.shape
    run = np.zeros((2, channels), np.float32)
    held = 0
    for n in range(start, stop):
        measured = 0
        for r in range(0 if len(falls) else winner.shape[1]):
            while measured < min(height, r * stride[0] - padding[0] + kernel[0]):  # it is pooled next
                held = _measure_line(x[n, measured], shift, run, held, sums[share])
                measured += 1
            pool_line(x[n], winner[n, r], place[n, r], r, sign, (0,), window, kernel, stride, padding)
            for c in range(channels):
                if sign[c] == f32(0.0):
                    _pick_line(x[n], winner[n, r], place[n, r], r, c, kernel, stride, padding)
        for h in range(measured, height):
            held = _measure_line(x[n, h], shift, run, held, sums[share])
    _add_up(run, sums[share])


@njit(**_OPTIONS)
def rank_rows(
    x: Any,  # [N, H, W, C]
    winner: Any,  # [N, OH, OW, C]
    place: Any,  # [N, OH, OW, C], uint8
    shift: Any,  # [C]
    centre: Any,  # [C]: mean less shift
    scale: Any,  # [C]
    bias: Any,  # [C]
    after: Any,
    slope: Any,
    window: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the winners of the samples from start to stop, by what the activation makes of every value."""
    _, height, width, channels = x.shape
    ranks = np.empty((height, width, channels), np.float32)
    for n in range(start, stop):
        for h in range(height):
            for w in range(width):
                values, out = x[n, h, w], ranks[h, w]
                for c in range(channels):
                    z = ((values[c] - shift[c]) - centre[c]) * scale[c] + bias[c]
                    out[c] = activate(z, after, slope)
        for r in range(winner.shape[1]):
            pool_line(ranks, winner[n, r], place[n, r], r, scale, (), window, kernel, stride, padding)
            for c in range(channels):
                _pick_line(x[n], winner[n, r], place[n, r], r, c, kernel, stride, padding)


@njit(**_OPTIONS)
def _pick_line(x: Any, winner: Any, place: Any, row: int, channel: int, kernel: Any, stride: Any, padding: Any) -> None:
    """Write the winners of a channel in a row of windows from their places."""
    for o in range(winner.shape[0]):
        k = int(place[o, channel])
        h, w = row * stride[0] - padding[0] + k // kernel[1], o * stride[1] - padding[1] + k % kernel[1]
        winner[o, channel] = x[h, w, channel]


@njit(**_OPTIONS)
def apply_rows(
    winner: Any,  # [M, C]
    y: Any,  # [M, C]
    shift: Any,  # [C]
    centre: Any,  # [C]: mean less shift
    scale: Any,  # [C]
    bias: Any,  # [C]
    after: Any,
    slope: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the outputs of the rows from start to stop."""
    for m in range(start, stop):
        best, out = winner[m], y[m]
        for c in range(len(best)):
            out[c] = activate(((best[c] - shift[c]) - centre[c]) * scale[c] + bias[c], after, slope)


@INLINE
def _measure_line(line: Any, shift: Any, run: Any, held: int, sums: Any) -> int:
    """Add a line's values to those of the run, whose rows so far are held, and begin a new one where it is long."""
    total, squares = run[0], run[1]
    for w in range(line.shape[0]):
        values = line[w]
        for c in range(len(values)):
            d = values[c] - shift[c]
            total[c] += d
            squares[c] += d * d
        held += 1
        if held == ROWS:
            _add_up(run, sums)
            held = 0
    return held


@INLINE
def _add_up(run: Any, sums: Any) -> None:
    """Add a run to the sums, and make it empty."""
    for c in range(run.shape[1]):
        sums[0, c] += run[0, c]
        sums[1, c] += run[1, c]
    run[:] = f32(0.0)


@njit(**_OPTIONS)
def sum_gradients_rows(
    dy: Any,  # [M, C]
    winner: Any,  # [M, C]
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    sums: Any,  # [shares, 2, C], float64: of gradients, and of gradients times x-hat
    after: Any,
    slope: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Add up the gradients of beta and gamma over the rows from start to stop."""
    channels = winner.shape[1]
    run = np.zeros((2, channels), np.float32)
    total, along = run[0], run[1]
    for at in range(start, stop, ROWS):
        for m in range(at, min(at + ROWS, stop)):
            best, given = winner[m], dy[m]
            for c in range(channels):
                x_hat = (best[c] - mean[c]) * rstd[c]
                dz = given[c] * differentiate(x_hat * weight[c] + bias[c], after, slope)
                total[c] += dz
                along[c] += dz * x_hat
        _add_up(run, sums[share])


@njit(**_OPTIONS)
def spread_rows(
    dy: Any,  # [N, OH, OW, C]
    x: Any,  # [N, H, W, C]
    winner: Any,  # [N, OH, OW, C]
    place: Any,  # [N, OH, OW, C], uint8
    dx: Any,  # [N, H, W, C]
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    shared: Any,  # [C]: mean of the gradients behind the norm
    tilt: Any,  # [C]: mean of the gradients times x-hat
    after: Any,
    slope: Any,
    tiles: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the samples from start to stop."""
    _, height, width, channels = dx.shape
    rows, columns = winner.shape[1], winner.shape[2]
    passed = np.empty(channels, np.float32)
    for n in range(start, stop):
        filled = 0
        for r in range(rows):
            top = r * stride[0] - padding[0]
            while filled < min(height, top + kernel[0]):
                _fill_line(
                    x[n, filled], dx[n, filled], 2 * columns if len(tiles) else 0, mean, rstd, weight, shared, tilt
                )
                filled += 1
            for o in range(columns):
                best, given, spot = winner[n, r, o], dy[n, r, o], place[n, r, o]
                left = o * stride[1] - padding[1]
                for c in range(channels):
                    dz = given[c] * differentiate((best[c] - mean[c]) * rstd[c] * weight[c] + bias[c], after, slope)
                    passed[c] = dz if len(tiles) else dz * rstd[c] * weight[c]
                for i in range(max(0, -top), min(kernel[0], height - top)):
                    for j in range(max(0, -left), min(kernel[1], width - left)):
                        values, out = x[n, top + i, left + j], dx[n, top + i, left + j]
                        here = np.int32(i * kernel[1] + j)
                        for c in range(channels):
                            part = passed[c] if np.int32(spot[c]) == here else f32(0.0)
                            if len(tiles):
                                x_hat = (values[c] - mean[c]) * rstd[c]
                                out[c] = (part - shared[c] - x_hat * tilt[c]) * (rstd[c] * weight[c])
                            else:
                                out[c] += part
        for h in range(filled, height):
            _fill_line(x[n, h], dx[n, h], 0, mean, rstd, weight, shared, tilt)


@INLINE
def _fill_line(line: Any, out: Any, first: int, mean: Any, rstd: Any, weight: Any, shared: Any, tilt: Any) -> None:
    """Write what reaches a line's values, from the first of them on, through the statistics."""
    for w in range(first, line.shape[0]):
        values, written = line[w], out[w]
        for c in range(len(values)):
            x_hat = (values[c] - mean[c]) * rstd[c]
            written[c] = -(shared[c] + x_hat * tilt[c]) * (rstd[c] * weight[c])
