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
from placenorm.kernels.cpu.pool_chain_loops import (
    AT,
    LANES,
    find_corners,
    find_inside,
    find_offsets,
    make_room,
    pool_line,
    pool_plane,
)

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}


@njit(**_OPTIONS)
def average(line: Any) -> Any:
    """Return the mean of some values."""
    total = f32(0.0)
    for s in range(len(line)):
        total += line[s]
    return total / f32(len(line))


@njit(**_OPTIONS)
def pool_planes(
    x: Any,  # [P, H, W], P = N * C
    winner: Any,  # [P, OH, OW]
    place: Any,  # [P, OH, OW], uint8
    shift: Any,  # [C]
    sums: Any,  # [shares, 2, C], float64: of distances from shift, and of their squares
    sign: Any,  # [C], of gamma
    falls: Any,  # one element where the activation may fall, else none
    window: Any,
    step: Any,
    kernel: Any,
    down: int,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Add up what the statistics of some planes are made of, and write the winners where they are known."""
    _, height, width = x.shape
    size = height * width
    whole, room = x.ravel(), make_room(winner.shape[1], winner.shape[2])
    totals, squares = sums[share, 0], sums[share, 1]
    for p in range(start, stop):
        c = p % len(shift)
        plane, middle = whole[p * size :], shift[c]
        for at in range(0, size, RUN):
            run_total = f32(0.0)
            run_squares = f32(0.0)
            line = plane[at : min(at + RUN, size)]
            for s in range(len(line)):
                d = line[s] - middle
                run_total += d
                run_squares += d * d
            totals[c] += run_total
            squares[c] += run_squares
        if len(falls) == 0:
            pool_plane(
                plane, (height, width), winner[p], place[p], room, sign[c], (0,), window, step, kernel, down, padding
            )
            if sign[c] == f32(0.0):
                _pick(x[p], winner[p], place[p], len(step), kernel, down, padding)


@njit(**_OPTIONS)
def rank_planes(
    x: Any,  # [P, H, W]
    winner: Any,  # [P, OH, OW]
    place: Any,  # [P, OH, OW], uint8
    shift: Any,  # [C]
    centre: Any,  # [C]: mean less shift
    scale: Any,  # [C]
    bias: Any,  # [C]
    after: Any,
    slope: Any,
    window: Any,
    step: Any,
    kernel: Any,
    down: int,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the winners of some planes by what the activation makes of every value."""
    _, height, width = x.shape
    room = make_room(winner.shape[1], winner.shape[2])
    ranks = np.empty(height * width + 2 * LANES, np.float32)
    for p in range(start, stop):
        c = p % len(shift)
        middle, rest, factor, beta = shift[c], centre[c], scale[c], bias[c]
        values = x[p].ravel()
        for s in range(len(values)):
            ranks[s] = activate(((values[s] - middle) - rest) * factor + beta, after, slope)
        pool_plane(ranks, (height, width), winner[p], place[p], room, factor, (), window, step, kernel, down, padding)
        _pick(x[p], winner[p], place[p], len(step), kernel, down, padding)


@njit(**_OPTIONS)
def _pick(plane: Any, winner: Any, place: Any, right: int, kernel: Any, down: int, padding: Any) -> None:
    """Write the winners of a plane from their places."""
    for r in range(winner.shape[0]):
        for o in range(winner.shape[1]):
            k = int(place[r, o])
            row, column = r * down - padding[0] + k // kernel[1], o * right - padding[1] + k % kernel[1]
            winner[r, o] = plane[row, column]


@njit(**_OPTIONS)
def apply_planes(
    winner: Any,  # [P, S]
    y: Any,  # [P, S]
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
    """Write the outputs of the planes from start to stop."""
    for p in range(start, stop):
        c = p % len(shift)
        middle, rest, factor, beta = shift[c], centre[c], scale[c], bias[c]
        best, out = winner[p], y[p]
        for s in range(len(best)):
            out[s] = activate(((best[s] - middle) - rest) * factor + beta, after, slope)


@njit(**_OPTIONS)
def sum_gradients_planes(
    dy: Any,  # [P, S]
    winner: Any,  # [P, S]
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
    """Add up the gradients of beta and gamma over the planes from start to stop."""
    totals, alongs = sums[share, 0], sums[share, 1]
    for p in range(start, stop):
        c = p % len(mean)
        mu, r, gamma, beta = mean[c], rstd[c], weight[c], bias[c]
        for at in range(0, winner.shape[1], RUN):
            run_total = f32(0.0)
            run_along = f32(0.0)
            best, given = winner[p, at : at + RUN], dy[p, at : at + RUN]
            for s in range(len(best)):
                x_hat = (best[s] - mu) * r
                dz = given[s] * differentiate(x_hat * gamma + beta, after, slope)
                run_total += dz
                run_along += dz * x_hat
            totals[c] += run_total
            alongs[c] += run_along


@njit(**_OPTIONS)
def spread_planes(
    dy: Any,  # [P, OH, OW]
    x: Any,  # [P, H, W]
    winner: Any,  # [P, OH, OW]
    place: Any,  # [P, OH, OW], uint8
    dx: Any,  # [P, H, W]
    mean: Any,  # [C]
    rstd: Any,  # [C]
    weight: Any,  # [C]
    bias: Any,  # [C]
    shared: Any,  # [C]: mean of the gradients behind the norm
    tilt: Any,  # [C]: mean of the gradients times x-hat
    after: Any,
    slope: Any,
    kernel: Any,
    stride: Any,  # (down, right)
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the planes from start to stop."""
    _, rows, columns = winner.shape
    corners = find_corners(rows, columns, x.shape[2], stride, padding)
    offsets = find_offsets(kernel, x.shape[2])
    passed = np.empty(rows * columns, np.float32)
    for p in range(start, stop):
        c = p % len(mean)
        mu, r, gamma, beta, common, slant = mean[c], rstd[c], weight[c], bias[c], shared[c], tilt[c]
        scale = gamma * r
        values, out = x[p].ravel(), dx[p].ravel()
        for s in range(len(out)):
            out[s] = -(common + (values[s] - mu) * r * slant) * scale
        best, given, spot = winner[p].ravel(), dy[p].ravel(), place[p].ravel()
        for s in range(len(passed)):
            passed[s] = given[s] * differentiate((best[s] - mu) * r * gamma + beta, after, slope) * scale
        for s in range(len(passed)):
            out[np.uint32(corners[s] + offsets[spot[s]])] += passed[s]  # never less than 0: a winner lies inside


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
    passed = np.empty(columns * channels, np.float32)
    for n in range(start, stop):
        filled = 0
        for r in range(rows):
            top = r * stride[0] - padding[0]
            while filled < min(height, top + kernel[0]):
                _fill_line(x[n, filled], dx[n, filled], mean, rstd, weight, shared, tilt)
                filled += 1
            best, given, spot = winner[n, r].ravel(), dy[n, r].ravel(), place[n, r].ravel()
            for o in range(columns):
                at = AT(o * channels)
                for each in range(channels):
                    c = AT(each)
                    x_hat = (best[at + c] - mean[c]) * rstd[c]
                    dz = given[at + c] * differentiate(x_hat * weight[c] + bias[c], after, slope)
                    passed[at + c] = dz * rstd[c] * weight[c]
            for i in range(max(0, -top), min(kernel[0], height - top)):
                out = dx[n, top + i].ravel()
                for j in range(kernel[1]):
                    here = np.int32(i * kernel[1] + j)
                    first, last = find_inside(1, stride[1], padding[1] - j, width, columns)
                    for o in range(first, last):
                        at, to = AT(o * channels), AT((o * stride[1] - padding[1] + j) * channels)
                        for each in range(channels):
                            c = AT(each)
                            out[to + c] += passed[at + c] if np.int32(spot[at + c]) == here else f32(0.0)
        for h in range(filled, height):
            _fill_line(x[n, h], dx[n, h], mean, rstd, weight, shared, tilt)


@INLINE
def _fill_line(line: Any, out: Any, mean: Any, rstd: Any, weight: Any, shared: Any, tilt: Any) -> None:
    """Write what reaches a line's values through the statistics."""
    values, written = line.ravel(), out.ravel()
    for w in range(line.shape[0]):
        at = AT(w * line.shape[1])
        for each in range(line.shape[1]):
            c = AT(each)
            x_hat = (values[at + c] - mean[c]) * rstd[c]
            written[at + c] = -(shared[c] + x_hat * tilt[c]) * (rstd[c] * weight[c])
