"""The fused chains on what one program can hold of a channel: read once, in one start for each direction."""

import triton
import triton.language as tl

from placenorm.kernels.triton.arithmetic import activate
from placenorm.kernels.triton.chain_kernels import (
    SIZES,
    find_gradient,
    load_affine,
    scale_affine,
    store_statistics,
    write_gradients,
    write_output,
)
from placenorm.kernels.triton.launch import Kernel
from placenorm.kernels.triton.tiles import add_up, find_channel, find_inside, locate


@Kernel
@triton.jit(do_not_specialize=SIZES)
def norm_held(
    x_ptr: tl.tensor,
    residual_ptr: tl.tensor,
    y_ptr: tl.tensor,
    bits_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    var_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_var_ptr: tl.tensor,
    tracked_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    eps: tl.tensor,
    share: tl.tensor,
    parameter: tl.tensor,
    rows: tl.tensor,
    units: tl.tensor,
    total: tl.tensor,
    samples: tl.tensor,
    channels: tl.tensor,
    positions: tl.tensor,
    folds: tl.tensor,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    PLANES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGN: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    """Find the statistics of a block, and write its output and bits, as `sum_values` and `apply_norm` do."""
    channel, inside = find_channel(channels, PLANES, WIDTH), find_inside(channels, PLANES, WIDTH)
    row = tl.arange(0, ROWS)[:, None]
    offset, valid = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH)
    u = activate(tl.load(x_ptr + offset, valid, 0.0).to(tl.float32), BEFORE, parameter)
    count = samples.to(tl.float32) * positions
    near = add_up(tl.where(valid, u, 0.0), PLANES) / count
    away = tl.where(valid, u - near, 0.0)
    rest = add_up(away, PLANES) / count  # what the first sum has lost of a mean that is far from 0
    mean = near + rest
    var = add_up(away * away, PLANES) / count - rest * rest
    var = tl.where(var < 0.0, 0.0, var)  # written so that NaN stays
    rstd = store_statistics(
        mean, var, mean_ptr, var_ptr, rstd_ptr, running_mean_ptr, running_var_ptr, channel, inside, count, eps, share
    )
    if tracked_ptr is not None:
        if tl.program_id(1) == 0:
            tl.atomic_add(tracked_ptr, 1)
    scale, beta = scale_affine(rstd, weight_ptr, bias_ptr, channel)
    write_output(
        (u - mean) * scale + beta, residual_ptr, y_ptr, bits_ptr, parameter, row, rows, units, total, channels, offset,
        valid, AFTER, PLANES, FULL, ALIGN, WIDTH,
    )  # fmt: skip


@Kernel
@triton.jit(do_not_specialize=SIZES)
def differentiate_held(
    dy_ptr: tl.tensor,
    x_ptr: tl.tensor,
    told_ptr: tl.tensor,
    dx_ptr: tl.tensor,
    dresidual_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    dweight_ptr: tl.tensor,
    dbias_ptr: tl.tensor,
    parameter: tl.tensor,
    rows: tl.tensor,
    units: tl.tensor,
    total: tl.tensor,
    samples: tl.tensor,
    channels: tl.tensor,
    positions: tl.tensor,
    folds: tl.tensor,
    BEFORE: tl.constexpr,
    AFTER: tl.constexpr,
    TOLD: tl.constexpr,
    PLANES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGN: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    """Write all gradients of a block, as `sum_gradients` and `apply_gradients` do."""
    channel, inside = find_channel(channels, PLANES, WIDTH), find_inside(channels, PLANES, WIDTH)
    mean, rstd, scale, beta = load_affine(mean_ptr, rstd_ptr, weight_ptr, bias_ptr, channel)
    row = tl.arange(0, ROWS)[:, None]
    offset, valid = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH)
    dy = tl.load(dy_ptr + offset, valid, 0.0).to(tl.float32)
    x = tl.load(x_ptr + offset, valid, 0.0).to(tl.float32)
    away = activate(x, BEFORE, parameter) - mean
    dz = find_gradient(
        dy, away * scale + beta, told_ptr, parameter, row, rows, units, total, channels, AFTER, TOLD, PLANES, FULL,
        ALIGN, WIDTH,
    )  # fmt: skip
    dz = tl.where(valid, dz, 0.0)
    dbias, dweight = add_up(dz, PLANES), add_up(dz * away, PLANES) * rstd
    tl.store(dbias_ptr + channel, dbias, inside)
    tl.store(dweight_ptr + channel, dweight, inside)
    count = samples.to(tl.float32) * positions
    shared, slope = dbias / count, dweight * rstd / count
    write_gradients(dz, x, away, shared, slope, scale, dx_ptr, dresidual_ptr, parameter, offset, valid, BEFORE)
