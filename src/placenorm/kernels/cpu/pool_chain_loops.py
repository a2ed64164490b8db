"""A max pool that keeps what won and where, and its backward, in both layouts: the loops.

Planes (``[N, C, H, W]``) are shared out by channel, rows (``[N, H, W, C]``) by sample. Windows of 2x2 and 3x3 that lie
inside the input are compared value by value in one loop, whose window and stride are part of an argument's type; that
loop runs along a slice with one axis, and vectorises. Other windows are met one position at a time.

Values may be multiplied by a sign to be compared, 1, 0 or -1: behind a norm with such a gamma the smallest wins, or the
first.
"""

from typing import Any, Final

import numpy as np

from placenorm.kernels.cpu.arithmetic import FASTMATH, INLINE, f32
from placenorm.kernels.cpu.compiling import njit

_OPTIONS: Final[dict[str, Any]] = {"nogil": True, "cache": True, "fastmath": FASTMATH, "error_model": "numpy"}

LOWEST: Final = f32(-np.inf)

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


@njit(**_OPTIONS)
def _compare_some(plane: Any, kernel: Any, top: int, left: int, sign: Any, signed: Any) -> Any:
    """Return the winner of a window that may lie partly outside, and its place; its corner is (top, left)."""
    above, beside = max(0, -top), max(0, -left)
    best, spot = LOWEST, np.int32(above * kernel[1] + beside)
    for i in range(above, min(kernel[0], plane.shape[0] - top)):
        for j in range(beside, min(kernel[1], plane.shape[1] - left)):
            best, spot = _meet(best, spot, _turn(plane[top + i, left + j], sign, signed), i * kernel[1] + j)
    return _turn(best, sign, signed), spot


@INLINE
def _count_inside(reach: int, stride: int, size: int, windows: int) -> int:
    """Return one more than the last window whose value at this offset from its corner is not behind the end."""
    return min(windows, (size - 1 - reach) // stride + 1) if size > reach else 0


@njit(**_OPTIONS)
def pool_plane(
    plane: Any,  # [H, W]
    winner: Any,  # [OH, OW]
    place: Any,  # [OH, OW], uint8
    sign: Any,  # what values are multiplied by to be compared
    signed: Any,  # one element where they are, else none
    window: Any,  # as many elements as a window of 2x2 or 3x3 is wide; empty for others
    step: Any,  # as many elements as the stride to the right
    kernel: Any,  # (height, width) of a window
    down: int,  # stride down
    padding: Any,  # (down, right)
) -> None:
    """Write the winners of one plane."""
    height, width = plane.shape
    columns, right = winner.shape[1], len(step)
    first = min(columns, -(-padding[1] // right))
    last = max(first, _count_inside(kernel[1] - 1 - padding[1], right, width, columns))
    for r in range(winner.shape[0]):
        best = winner[r]
        spot = place[r]
        top = r * down - padding[0]
        inside = len(window) > 0 and top >= 0 and top + kernel[0] <= height
        begin, end = (first, last) if inside else (0, 0)
        if inside:
            left = begin * right - padding[1]
            inner = best[begin:end]
            told = spot[begin:end]
            if len(window) == TWO:
                line_a, line_b = plane[top, left:], plane[top + 1, left:]
                for o in range(len(inner)):
                    v, k = _compare_two(line_a, line_b, o * right, 1, sign, signed)
                    inner[o] = v
                    told[o] = np.uint8(k)
            if len(window) == THREE:
                line_a, line_b, line_c = plane[top, left:], plane[top + 1, left:], plane[top + 2, left:]
                for o in range(len(inner)):
                    v, k = _compare_three(line_a, line_b, line_c, o * right, 1, sign, signed)
                    inner[o] = v
                    told[o] = np.uint8(k)
        for o in range(columns):
            if o < begin or o >= end:
                v, k = _compare_some(plane, kernel, top, o * right - padding[1], sign, signed)
                best[o] = v
                spot[o] = np.uint8(k)


@njit(**_OPTIONS)
def pool_planes(
    x: Any,  # [N, C, H, W]
    winner: Any,  # [N, C, OH, OW]
    place: Any,  # [N, C, OH, OW], uint8
    window: Any,
    step: Any,
    kernel: Any,
    down: int,
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the winners of the channels from start to stop."""
    for c in range(start, stop):
        for n in range(x.shape[0]):
            pool_plane(x[n, c], winner[n, c], place[n, c], f32(1.0), (), window, step, kernel, down, padding)


@njit(**_OPTIONS)
def unpool_planes(
    passed: Any,  # [N, C, OH, OW]: gradients of the winners
    place: Any,  # [N, C, OH, OW], uint8
    dx: Any,  # [N, C, H, W]
    kernel: Any,
    stride: Any,  # (down, right)
    padding: Any,
    share: int,
    start: int,
    stop: int,
) -> None:
    """Write the gradients of the channels from start to stop."""
    samples, _, _, width = dx.shape
    rows, columns = passed.shape[2], passed.shape[3]
    offsets = np.empty(kernel[0] * kernel[1], np.int64)
    for k in range(len(offsets)):
        offsets[k] = k // kernel[1] * width + k % kernel[1]
    for c in range(start, stop):
        for n in range(samples):
            out = dx[n, c].ravel()
            given = passed[n, c].ravel()
            spot = place[n, c].ravel()
            for s in range(len(out)):
                out[s] = f32(0.0)
            i = 0
            for r in range(rows):
                corner = (r * stride[0] - padding[0]) * width - padding[1]
                for _ in range(columns):
                    out[corner + offsets[spot[i]]] += given[i]
                    corner += stride[1]
                    i += 1


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
    top = row * stride[0] - padding[0]
    for o in range(winner.shape[0]):
        best = winner[o]
        spot = place[o]
        left = o * stride[1] - padding[1]
        inside = top >= 0 and top + kernel[0] <= height and left >= 0 and left + kernel[1] <= width
        if len(window) == TWO and inside:
            line_a = x[top, left : left + 2].ravel()
            line_b = x[top + 1, left : left + 2].ravel()
            for c in range(channels):
                v, k = _compare_two(line_a, line_b, c, channels, sign[c], signed)
                best[c] = v
                spot[c] = np.uint8(k)
        elif len(window) == THREE and inside:
            line_a = x[top, left : left + 3].ravel()
            line_b = x[top + 1, left : left + 3].ravel()
            line_c = x[top + 2, left : left + 3].ravel()
            for c in range(channels):
                v, k = _compare_three(line_a, line_b, line_c, c, channels, sign[c], signed)
                best[c] = v
                spot[c] = np.uint8(k)
        else:
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
