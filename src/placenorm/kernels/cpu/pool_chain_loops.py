"""A max pool that keeps what won and where, and its backward, in both layouts: the loops.

Planes (``[P, H, W]``) are gone through in the order of memory, rows (``[N, H, W, C]``) by sample. Windows of 2x2 and of
3x3 that lie inside the input are compared value by value in one loop, whose window and stride are part of an argument's
type, and which vectorises. Other windows are met one position at a time.

Values may be multiplied by a sign to be compared, 1, 0 or -1: behind a norm with such a gamma the smallest wins, or the
first.
"""

from typing import Any, Final

import numpy as np

from placenorm.kernels.cpu.arithmetic import FASTMATH, INLINE, f32
from placenorm.kernels.cpu.compiling import njit

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}

LOWEST: Final = f32(-np.inf)

LANES: Final = 16
"""Windows of a plane that are compared at a time: a loop whose length is known vectorises however short rows are."""

AT: Final = np.uint64
"""Of an index that numba need not compare with 0. What all addresses must be compared for, so that a loop vectorises,
is then compared once for the loop around it too."""

TWO, THREE = 2, 3


@INLINE
def _turn(v: Any, sign: Any, signed: Any) -> Any:
    """Return what is compared of a value, or the value of what was compared."""
    return v * sign if len(signed) else v


@INLINE
def _meet(best: Any, spot: Any, v: Any, here: int) -> Any:
    """Return the largest value and its place after one more; the first of equals stays, NaN wins."""
    wins = (v > best) | (v != v)
    return v if wins else best, np.int32(here) if wins else spot


@INLINE
def _compare_two(a: Any, b: Any, at: int, right: int, sign: Any, signed: Any) -> Any:
    """Return the winner of a 2x2 window, and its place; a and b are its rows."""
    v0, v1 = _turn(a[at], sign, signed), _turn(a[at + right], sign, signed)
    v2, v3 = _turn(b[at], sign, signed), _turn(b[at + right], sign, signed)
    best, spot = _meet(v0, np.int32(0), v1, 1)
    best, spot = _meet(best, spot, v2, 2)
    best, spot = _meet(best, spot, v3, 3)
    return _turn(best, sign, signed), spot


@INLINE
def _compare_three(a: Any, b: Any, c: Any, at: int, right: int, sign: Any, signed: Any) -> Any:
    """Return the winner of a 3x3 window, and its place; a, b and c are its rows."""
    best, spot = _meet(_turn(a[at], sign, signed), np.int32(0), _turn(a[at + right], sign, signed), 1)
    best, spot = _meet(best, spot, _turn(a[at + 2 * right], sign, signed), 2)
    best, spot = _meet(best, spot, _turn(b[at], sign, signed), 3)
    best, spot = _meet(best, spot, _turn(b[at + right], sign, signed), 4)
    best, spot = _meet(best, spot, _turn(b[at + 2 * right], sign, signed), 5)
    best, spot = _meet(best, spot, _turn(c[at], sign, signed), 6)
    best, spot = _meet(best, spot, _turn(c[at + right], sign, signed), 7)
    best, spot = _meet(best, spot, _turn(c[at + 2 * right], sign, signed), 8)
    return _turn(best, sign, signed), spot


@INLINE
def _compare_lanes(
    plane: Any, at: int, width: int, right: int, best: Any, spot: Any, sign: Any, signed: Any, window: Any
) -> None:
    """Write the winners of LANES windows inside a plane, side by side, the first of which has its corner at `at`."""
    line_a, line_b = plane[at:], plane[at + width :]
    if len(window) == TWO:
        for o in range(LANES):
            v, k = _compare_two(line_a, line_b, o * right, 1, sign, signed)
            best[o] = v
            spot[o] = np.uint8(k)
    if len(window) == THREE:
        line_c = plane[at + 2 * width :]
        for o in range(LANES):
            v, k = _compare_three(line_a, line_b, line_c, o * right, 1, sign, signed)
            best[o] = v
            spot[o] = np.uint8(k)


@njit(**_OPTIONS)
def _compare_some(plane: Any, height: int, width: int, kernel: Any, top: int, left: int, sign: Any, signed: Any) -> Any:
    """Return the winner of a window that may lie partly outside, and its place; its corner is (top, left)."""
    above, beside = max(0, -top), max(0, -left)
    best, spot = LOWEST, np.int32(above * kernel[1] + beside)
    for i in range(above, min(kernel[0], height - top)):
        for j in range(beside, min(kernel[1], width - left)):
            v = _turn(plane[(top + i) * width + left + j], sign, signed)
            best, spot = _meet(best, spot, v, i * kernel[1] + j)
    return _turn(best, sign, signed), spot


@INLINE
def find_inside(kernel: int, stride: int, padding: int, size: int, windows: int) -> Any:
    """Return the first window along an axis that lies inside, and one more than the last."""
    first = min(windows, max(0, -(-padding // stride)))
    reach = kernel - 1 - padding
    return first, max(first, min(windows, (size - 1 - reach) // stride + 1 if size > reach else 0))


@njit(**_OPTIONS)
def make_room(rows: int, columns: int) -> Any:
    """Return what `pool_plane` writes winners and places to before they are copied."""
    values = rows * columns + LANES
    return np.empty(values, np.float32), np.empty(values, np.uint8)


@njit(**_OPTIONS)
def pool_plane(
    plane: Any,  # [H * W] and whatever lies behind it, which may be read
    size: Any,  # (H, W)
    winner: Any,  # [OH, OW]
    place: Any,  # [OH, OW], uint8
    room: Any,  # of `make_room`
    sign: Any,  # what values are multiplied by to be compared
    signed: Any,  # one element where they are, else none
    window: Any,  # as many elements as a window of 2x2 or 3x3 is wide; empty for others
    step: Any,  # as many elements as the stride to the right
    kernel: Any,  # (height, width) of a window
    down: int,  # stride down
    padding: Any,  # (down, right)
) -> None:
    """Write the winners of one plane.

    Of the windows that lie inside LANES are compared at a time, the last of a row together with what lies behind it,
    where there is so much: the next row writes over what they give.
    """
    height, width = size
    rows, columns = winner.shape
    right = len(step)
    best, spot = room
    first, last = find_inside(kernel[1], right, padding[1], width, columns)
    lanes = -(-(last - first) // LANES) * LANES
    reach = (kernel[0] - 1) * width + (lanes - 1) * right + kernel[1]
    for r in range(rows):
        top, begin, end = r * down - padding[0], 0, 0
        at, to = top * width + first * right - padding[1], r * columns + first
        inside = len(window) > 0 and top >= 0 and top + kernel[0] <= height
        if inside and at + reach <= len(plane):
            begin, end = first, last
            for o in range(0, lanes, LANES):
                _compare_lanes(
                    plane, at + o * right, width, right, best[to + o :], spot[to + o :], sign, signed, window
                )
        for edge in (range(begin), range(end, columns)):
            for o in edge:
                left = o * right - padding[1]
                v, k = _compare_some(plane, height, width, kernel, top, left, sign, signed)
                best[r * columns + o] = v
                spot[r * columns + o] = np.uint8(k)
    winners, places = winner.ravel(), place.ravel()
    for i in range(len(winners)):
        winners[i] = best[i]
    for i in range(len(winners)):
        places[i] = spot[i]


@njit(**_OPTIONS)
def pool_planes(
    x: Any,  # [P, H, W]
    winner: Any,  # [P, OH, OW]
    place: Any,  # [P, OH, OW], uint8
    window: Any,
    step: Any,
    kernel: Any,
    down: int,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the winners of the planes from start to stop."""
    _, height, width = x.shape
    room = make_room(winner.shape[1], winner.shape[2])
    whole = x.ravel()
    for p in range(start, stop):
        plane = whole[p * height * width :]
        pool_plane(plane, (height, width), winner[p], place[p], room, f32(1.0), (), window, step, kernel, down, padding)


@njit(**_OPTIONS)
def find_corners(rows: int, columns: int, width: int, stride: Any, padding: Any) -> Any:
    """Return where the windows of a plane begin, ``[OH * OW]``, int32; less than 0 where that is outside."""
    corners = np.empty(rows * columns, np.int32)
    for r in range(rows):
        for o in range(columns):
            corners[r * columns + o] = (r * stride[0] - padding[0]) * width + o * stride[1] - padding[1]
    return corners


@njit(**_OPTIONS)
def find_offsets(kernel: Any, width: int) -> Any:
    """Return how far from its corner each place of a window lies, int32."""
    offsets = np.empty(kernel[0] * kernel[1], np.int32)
    for k in range(len(offsets)):
        offsets[k] = k // kernel[1] * width + k % kernel[1]
    return offsets


@njit(**_OPTIONS)
def unpool_planes(
    passed: Any,  # [P, OH, OW]: gradients of the winners
    place: Any,  # [P, OH, OW], uint8
    dx: Any,  # [P, H, W]
    kernel: Any,
    stride: Any,  # (down, right)
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the planes from start to stop."""
    width = dx.shape[2]
    corners = find_corners(passed.shape[1], passed.shape[2], width, stride, padding)
    offsets = find_offsets(kernel, width)
    for p in range(start, stop):
        out, given, spot = dx[p].ravel(), passed[p].ravel(), place[p].ravel()
        for s in range(len(out)):
            out[s] = f32(0.0)
        for i in range(len(given)):
            out[np.uint32(corners[i] + offsets[spot[i]])] += given[i]  # never less than 0: a winner lies inside


@njit(**_OPTIONS)
def pool_line(
    x: Any,  # [H, W, C]
    winner: Any,  # [OW, C]
    place: Any,  # [OW, C], uint8
    row: int,  # of the windows
    sign: Any,  # [C]
    signed: Any,
    window: Any,
    kernel: Any,
    stride: Any,  # (down, right)
    padding: Any,
) -> None:
    """Write the winners of one row of windows."""
    height, width, channels = x.shape
    columns = winner.shape[0]
    top = row * stride[0] - padding[0]
    best, spot = winner.ravel(), place.ravel()
    first, last = 0, 0
    if len(window) > 0 and top >= 0 and top + kernel[0] <= height:
        first, last = find_inside(kernel[1], stride[1], padding[1], width, columns)
        line_a, line_b, line_c = x[top].ravel(), x[top + 1].ravel(), x[top + len(window) - 1].ravel()
        right = AT(channels)
        for o in range(first, last):
            at, to = AT((o * stride[1] - padding[1]) * channels), AT(o * channels)
            for each in range(channels):
                c = AT(each)
                if len(window) == TWO:
                    v, k = _compare_two(line_a, line_b, at + c, right, sign[c], signed)
                else:
                    v, k = _compare_three(line_a, line_b, line_c, at + c, right, sign[c], signed)
                best[to + c] = v
                spot[to + c] = np.uint8(k)
    for edge in (range(first), range(last, columns)):
        for o in edge:
            left = o * stride[1] - padding[1]
            _meet_line(x, winner[o], place[o], top, left, sign, signed, kernel)


@njit(**_OPTIONS)
def _meet_line(x: Any, best: Any, spot: Any, top: int, left: int, sign: Any, signed: Any, kernel: Any) -> None:
    """Write the winners of a window that may lie partly outside."""
    height, width, channels = x.shape
    above, beside = max(0, -top), max(0, -left)
    for c in range(channels):
        best[c] = LOWEST
        spot[c] = np.uint8(above * kernel[1] + beside)
    for i in range(above, min(kernel[0], height - top)):
        for j in range(beside, min(kernel[1], width - left)):
            values = x[top + i, left + j]
            for c in range(channels):
                v, k = _meet(best[c], np.int32(spot[c]), _turn(values[c], sign[c], signed), i * kernel[1] + j)
                best[c] = v
                spot[c] = np.uint8(k)
    for c in range(channels):
        best[c] = _turn(best[c], sign[c], signed)


@njit(**_OPTIONS)
def pool_rows(
    x: Any,  # [N, H, W, C]
    winner: Any,  # [N, OH, OW, C]
    place: Any,  # [N, OH, OW, C], uint8
    window: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the winners of the samples from start to stop."""
    for n in range(start, stop):
        for r in range(winner.shape[1]):
            pool_line(x[n], winner[n, r], place[n, r], r, x[n, 0, 0], (), window, kernel, stride, padding)


@njit(**_OPTIONS)
def unpool_rows(
    passed: Any,  # [N, OH, OW, C]: gradients of the winners
    place: Any,  # [N, OH, OW, C], uint8
    dx: Any,  # [N, H, W, C]
    tiles: Any,  # one element where windows are 2x2 and tile the input without padding, else none
    kernel: Any,
    stride: Any,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the samples from start to stop."""
    _, height, width, channels = dx.shape
    rows, columns = passed.shape[1], passed.shape[2]
    for n in range(start, stop):
        for h in range(height):
            for w in range(2 * columns if len(tiles) and h < 2 * rows else 0, width):
                dx[n, h, w][:] = f32(0.0)
        for r in range(rows):
            for o in range(columns):
                given = passed[n, r, o]
                spot = place[n, r, o]
                top, left = r * stride[0] - padding[0], o * stride[1] - padding[1]
                for i in range(max(0, -top), min(kernel[0], height - top)):
                    for j in range(max(0, -left), min(kernel[1], width - left)):
                        out = dx[n, top + i, left + j]
                        here = np.int32(i * kernel[1] + j)
                        for c in range(channels):
                            part = given[c] if np.int32(spot[c]) == here else f32(0.0)
                            out[c] = part if len(tiles) else out[c] + part
