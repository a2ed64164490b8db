"""The fused chains on a GPU: one sweep that sums over the batch, one that applies what the sums come to.

Every program leaves partial sums, and the one that ends last adds them up, in a fixed order, so that results do not
change from run to run. The second sweep begins where the first one ended: what is still in the cache need not be read
again.
"""

from typing import Any, Final

import triton
import triton.language as tl

from placenorm.kernels.triton.arithmetic import activate, differentiate
from placenorm.kernels.triton.launch import Kernel
from placenorm.kernels.triton.tiles import add_up, find_channel, find_partial, find_share, locate

SIZES: Final = ["rows", "units", "total", "samples", "channels", "positions", "folds"]
"""What no kernel is compiled anew for; ALIGN says all that a compiler can use."""

SAMPLED = tl.constexpr(16)
"""Values of a channel that its shift is the mean of."""

AT_A_TIME = tl.constexpr(4096)
"""Partial sums of a kind that the last program reads at a time."""


@triton.jit
def find_shift(
    x_ptr: tl.tensor,
    channel: tl.tensor,
    samples: tl.tensor,
    channels: tl.tensor,
    positions: tl.tensor,
    parameter: tl.tensor,
    PLANES: tl.constexpr,
    BEFORE: tl.constexpr,
) -> Any:
    """Return what a channel's values are measured from, in the shape of channel: the mean of some, spread over all.

    Values near their mean can be squared and added without loss, whatever the mean is.
    """
    values = samples.to(tl.int64) * positions
    index = tl.arange(0, SAMPLED)[:, None].to(tl.int64) * values // SAMPLED
    if PLANES:
        offset = (index // positions * channels + channel) * positions + index % positions
    else:
        offset = index * channels + channel
    u = activate(tl.load(x_ptr + offset).to(tl.float32), BEFORE, parameter)
    return tl.sum(u, 0, keep_dims=True) / SAMPLED


@Kernel
@triton.jit(do_not_specialize=SIZES)
def sum_values(
    x_ptr: tl.tensor,
    partial_ptr: tl.tensor,
    counter_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    var_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_var_ptr: tl.tensor,
    tracked_ptr: tl.tensor,
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
    PLANES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGN: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    STAGES: tl.constexpr,
) -> None:
    """Add up the activated values and their squares, from the channel's shift, and find the statistics."""
    channel = find_channel(channels, PLANES, WIDTH)
    shift = find_shift(x_ptr, channel, samples, channels, positions, parameter, PLANES, BEFORE)
    first = tl.zeros([ROWS, WIDTH], tl.float32)
    second = tl.zeros([ROWS, WIDTH], tl.float32)
    for tile in tl.range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0), num_stages=STAGES):
        row = tile * ROWS + tl.arange(0, ROWS)[:, None]
        offset, valid = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH)
        u = activate(tl.load(x_ptr + offset, valid, 0.0).to(tl.float32), BEFORE, parameter)
        away = tl.where(valid, u - shift, 0.0)
        first += away
        second += away * away
    place, stride, inside = find_partial(units, channels, PLANES, ALIGN, WIDTH)
    if tl.program_id(0) == 0:
        tl.store(partial_ptr + 2 * stride + channel, shift)
    tl.store(partial_ptr + place, add_up(first, PLANES), inside)
    tl.store(partial_ptr + stride + place, add_up(second, PLANES), inside)
    if ends_last(counter_ptr, folds):
        count = samples.to(tl.float32) * positions
        partials = tl.num_programs(0) * folds
        start, stop = find_share(channels, folds, PLANES, WIDTH)
        if tracked_ptr is not None:
            if start == 0:
                tl.atomic_add(tracked_ptr, 1)
        for at in range(start, stop, channel.shape[1]):
            chosen = at + tl.arange(0, channel.shape[1])[None, :]
            find_statistics(
                partial_ptr, mean_ptr, var_ptr, rstd_ptr, running_mean_ptr, running_var_ptr, chosen, partials,
                channels, count, eps, share,
            )  # fmt: skip


@triton.jit
def ends_last(counter_ptr: tl.tensor, folds: tl.tensor) -> Any:
    """Return whether all other programs have stored their sums: those of the block, or all where positions are folded.

    The counters are 0 before and after.
    """
    place, programs = tl.program_id(1), tl.num_programs(0)
    if folds > 1:
        place, programs = 0, programs * tl.num_programs(1)
    tl.debug_barrier()  # every thread's stores come before the ticket
    last = tl.atomic_add(counter_ptr + place, 1, sem="acq_rel", scope="gpu") == programs - 1
    if last:
        tl.store(counter_ptr + place, 0)
    return last


@triton.jit
def add_partials(partial_ptr: tl.tensor, channel: tl.tensor, partials: tl.tensor, channels: tl.tensor) -> Any:
    """Return the two sums of channels ``[1, CHANNELS]`` from the partial ones, ``[2, partials, C]``."""
    PARTS: tl.constexpr = AT_A_TIME // channel.shape[1]
    first = tl.zeros([PARTS, channel.shape[1]], tl.float32)
    second = tl.zeros([PARTS, channel.shape[1]], tl.float32)
    for start in range(0, partials, PARTS):
        part = start + tl.arange(0, PARTS)[:, None]
        inside = (part < partials) & (channel < channels)
        place = partial_ptr + part * channels + channel
        first += tl.load(place, inside, 0.0, cache_modifier=".cg")  # another program wrote them a moment ago
        second += tl.load(place + partials * channels, inside, 0.0, cache_modifier=".cg")
    return tl.sum(first, 0, keep_dims=True), tl.sum(second, 0, keep_dims=True)


@triton.jit
def find_statistics(
    partial_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    var_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_var_ptr: tl.tensor,
    channel: tl.tensor,
    partials: tl.tensor,
    channels: tl.tensor,
    count: tl.tensor,
    eps: tl.tensor,
    share: tl.tensor,
) -> None:
    """Make mean, biased variance and rstd of the sums, and mix them into the running statistics where there are some.

    Args:
        partial_ptr: sums of distances from the shift and of their squares, ``[2, partials, C]``, and the shift.
        mean_ptr: ``[C]``.
        var_ptr: ``[C]``.
        rstd_ptr: ``[C]``.
        running_mean_ptr: ``[C]``; None for nothing.
        running_var_ptr: unbiased, ``[C]``; None for nothing.
        channel: which channels, ``[1, CHANNELS]``.
        partials: how many sums of a kind.
        channels: C.
        count: values of a channel.
        eps: what is added to the variance.
        share: of this batch in the running statistics.
    """
    inside = channel < channels
    first, second = add_partials(partial_ptr, channel, partials, channels)
    away = first / count
    mean = tl.load(partial_ptr + 2 * partials * channels + channel, inside, 0.0, cache_modifier=".cg") + away
    var = second / count - away * away
    var = tl.where(var < 0.0, 0.0, var)  # written so that NaN stays
    store_statistics(
        mean, var, mean_ptr, var_ptr, rstd_ptr, running_mean_ptr, running_var_ptr, channel, inside, count, eps, share
    )


@triton.jit
def store_statistics(
    mean: tl.tensor,
    var: tl.tensor,
    mean_ptr: tl.tensor,
    var_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    running_mean_ptr: tl.tensor,
    running_var_ptr: tl.tensor,
    channel: tl.tensor,
    inside: tl.tensor,
    count: tl.tensor,
    eps: tl.tensor,
    share: tl.tensor,
) -> Any:
    """Write the statistics of channels, mix them into the running ones where there are some, and return rstd."""
    rstd = 1.0 / tl.sqrt(var + eps)
    tl.store(mean_ptr + channel, mean, inside)
    tl.store(var_ptr + channel, var, inside)
    tl.store(rstd_ptr + channel, rstd, inside)
    if running_mean_ptr is not None:
        unbiased = var * (count / tl.maximum(count - 1.0, 1.0))
        old_mean, old_var = tl.load(running_mean_ptr + channel, inside), tl.load(running_var_ptr + channel, inside)
        tl.store(running_mean_ptr + channel, (1.0 - share) * old_mean + share * mean, inside)
        tl.store(running_var_ptr + channel, (1.0 - share) * old_var + share * unbiased, inside)
    return rstd


@triton.jit
def load_affine(
    mean_ptr: tl.tensor, rstd_ptr: tl.tensor, weight_ptr: tl.tensor, bias_ptr: tl.tensor, channel: tl.tensor
) -> Any:
    """Return mean, rstd, gamma times rstd, and beta, in the shape of channel; gamma is 1 and beta 0 where None."""
    mean, rstd = tl.load(mean_ptr + channel), tl.load(rstd_ptr + channel)
    scale, beta = scale_affine(rstd, weight_ptr, bias_ptr, channel)
    return mean, rstd, scale, beta


@triton.jit
def scale_affine(rstd: tl.tensor, weight_ptr: tl.tensor, bias_ptr: tl.tensor, channel: tl.tensor) -> Any:
    """Return gamma times rstd, and beta, in the shape of channel; gamma is 1 and beta 0 where None."""
    scale = rstd
    if weight_ptr is not None:
        scale = rstd * tl.load(weight_ptr + channel).to(tl.float32)
    beta = tl.zeros_like(rstd)
    if bias_ptr is not None:
        beta = tl.load(bias_ptr + channel).to(tl.float32)
    return scale, beta


@Kernel
@triton.jit(do_not_specialize=SIZES)
def apply_norm(
    x_ptr: tl.tensor,
    residual_ptr: tl.tensor,
    y_ptr: tl.tensor,
    bits_ptr: tl.tensor,
    mean_ptr: tl.tensor,
    rstd_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
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
    STAGES: tl.constexpr,
) -> None:
    """Write the output, and one bit for each value that says where the activation behind an addition is on."""
    channel = find_channel(channels, PLANES, WIDTH)
    mean, _, scale, beta = load_affine(mean_ptr, rstd_ptr, weight_ptr, bias_ptr, channel)
    tiles = tl.cdiv(rows, ROWS)
    for step in tl.range(tl.program_id(0), tiles, tl.num_programs(0), num_stages=STAGES):
        row = (tiles - 1 - step) * ROWS + tl.arange(0, ROWS)[:, None]
        offset, valid = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH)
        x = tl.load(x_ptr + offset, valid, 0.0, eviction_policy="evict_first").to(tl.float32)
        write_output(
            (activate(x, BEFORE, parameter) - mean) * scale + beta, residual_ptr, y_ptr, bits_ptr, parameter,
            row, rows, units, total, channels, offset, valid, AFTER, PLANES, FULL, ALIGN, WIDTH,
        )  # fmt: skip


@triton.jit
def write_output(
    z: tl.tensor,
    residual_ptr: tl.tensor,
    y_ptr: tl.tensor,
    bits_ptr: tl.tensor,
    parameter: tl.tensor,
    row: tl.tensor,
    rows: tl.tensor,
    units: tl.tensor,
    total: tl.tensor,
    channels: tl.tensor,
    offset: tl.tensor,
    valid: tl.tensor,
    AFTER: tl.constexpr,
    PLANES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGN: tl.constexpr,
    WIDTH: tl.constexpr,
) -> None:
    """Write what becomes of a tile of normalised values, and the bits of those that are on where they are wanted."""
    ROWS: tl.constexpr = row.shape[0]
    if residual_ptr is not None:
        z += tl.load(residual_ptr + offset, valid, 0.0, eviction_policy="evict_first").to(tl.float32)
    if bits_ptr is not None:
        on = tl.where(z <= 0.0, 0, 1) << (tl.arange(0, WIDTH) % 8)[None, :]
        packed = tl.sum(tl.reshape(on, [ROWS, WIDTH // 8, 8]), 2).to(tl.uint8)
        byte, there = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN // 8, WIDTH // 8)
        tl.store(bits_ptr + byte, packed, there)
    tl.store(y_ptr + offset, activate(z, AFTER, parameter).to(y_ptr.dtype.element_ty), valid)


@triton.jit
def load_on(
    told_ptr: tl.tensor,
    row: tl.tensor,
    rows: tl.tensor,
    units: tl.tensor,
    total: tl.tensor,
    channels: tl.tensor,
    PLANES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGN: tl.constexpr,
    WIDTH: tl.constexpr,
    TOLD: tl.constexpr,
) -> Any:
    """Return where a ReLU was on, ``[ROWS, WIDTH]``, as bits of `apply_norm` or the output tell."""
    ROWS: tl.constexpr = row.shape[0]
    if TOLD == "bits":
        byte, there = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN // 8, WIDTH // 8)
        bits = tl.load(told_ptr + byte, there, 0).to(tl.int32)
        each = tl.reshape(tl.broadcast_to(bits[:, :, None], [ROWS, WIDTH // 8, 8]), [ROWS, WIDTH])
        return ((each >> (tl.arange(0, WIDTH) % 8)[None, :]) & 1) != 0
    else:
        offset, valid = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH)
        return (tl.load(told_ptr + offset, valid, 0.0).to(tl.float32) <= 0.0) == 0


@triton.jit
def find_gradient(
    dy: tl.tensor,
    z: tl.tensor,
    told_ptr: tl.tensor,
    parameter: tl.tensor,
    row: tl.tensor,
    rows: tl.tensor,
    units: tl.tensor,
    total: tl.tensor,
    channels: tl.tensor,
    AFTER: tl.constexpr,
    TOLD: tl.constexpr,
    PLANES: tl.constexpr,
    FULL: tl.constexpr,
    ALIGN: tl.constexpr,
    WIDTH: tl.constexpr,
) -> Any:
    """Return the gradient behind the norm from that of the output, of a tile; z is what the activation was given."""
    if TOLD != "":
        on = load_on(told_ptr, row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH, TOLD)
        return tl.where(on, dy, 0.0)
    elif AFTER != "identity":
        return dy * differentiate(z, AFTER, parameter)
    else:
        return dy


@Kernel
@triton.jit(do_not_specialize=SIZES)
def sum_gradients(
    dy_ptr: tl.tensor,
    x_ptr: tl.tensor,
    told_ptr: tl.tensor,
    partial_ptr: tl.tensor,
    counter_ptr: tl.tensor,
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
    STAGES: tl.constexpr,
) -> None:
    """Add up the gradients behind the norm, and their products with the values' distances from the mean.

    They come to the gradients of beta and gamma.
    """
    channel = find_channel(channels, PLANES, WIDTH)
    mean, _, scale, beta = load_affine(mean_ptr, rstd_ptr, weight_ptr, bias_ptr, channel)
    first = tl.zeros([ROWS, WIDTH], tl.float32)
    second = tl.zeros([ROWS, WIDTH], tl.float32)
    for tile in tl.range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0), num_stages=STAGES):
        row = tile * ROWS + tl.arange(0, ROWS)[:, None]
        offset, valid = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH)
        dy = tl.load(dy_ptr + offset, valid, 0.0).to(tl.float32)
        u = activate(tl.load(x_ptr + offset, valid, 0.0).to(tl.float32), BEFORE, parameter)
        dz = find_gradient(
            dy, (u - mean) * scale + beta, told_ptr, parameter, row, rows, units, total, channels, AFTER, TOLD, PLANES,
            FULL, ALIGN, WIDTH,
        )  # fmt: skip
        dz = tl.where(valid, dz, 0.0)
        first += dz
        second += dz * (u - mean)
    place, stride, inside = find_partial(units, channels, PLANES, ALIGN, WIDTH)
    tl.store(partial_ptr + place, add_up(first, PLANES), inside)
    tl.store(partial_ptr + stride + place, add_up(second, PLANES), inside)
    if ends_last(counter_ptr, folds):
        start, stop = find_share(channels, folds, PLANES, WIDTH)
        for at in range(start, stop, channel.shape[1]):
            chosen = at + tl.arange(0, channel.shape[1])[None, :]
            inside = chosen < channels
            shared, slope = add_partials(partial_ptr, chosen, tl.num_programs(0) * folds, channels)
            tl.store(dbias_ptr + chosen, shared, inside)
            tl.store(dweight_ptr + chosen, slope * tl.load(rstd_ptr + chosen, inside, 0.0), inside)


@triton.jit
def load_corrections(
    dweight_ptr: tl.tensor, dbias_ptr: tl.tensor, rstd: tl.tensor, channel: tl.tensor, count: tl.tensor
) -> Any:
    """Return what the norm takes off a gradient: of every value alike, and of every distance from the mean."""
    return tl.load(dbias_ptr + channel) / count, tl.load(dweight_ptr + channel) * rstd / count


@Kernel
@triton.jit(do_not_specialize=SIZES)
def apply_gradients(
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
    count: tl.tensor,
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
    STAGES: tl.constexpr,
) -> None:
    """Write the gradients of the input and, where there was one, of the residual; count is values a channel."""
    channel = find_channel(channels, PLANES, WIDTH)
    mean, rstd, scale, beta = load_affine(mean_ptr, rstd_ptr, weight_ptr, bias_ptr, channel)
    shared, slope = load_corrections(dweight_ptr, dbias_ptr, rstd, channel, count)
    tiles = tl.cdiv(rows, ROWS)
    for step in tl.range(tl.program_id(0), tiles, tl.num_programs(0), num_stages=STAGES):
        row = (tiles - 1 - step) * ROWS + tl.arange(0, ROWS)[:, None]
        offset, valid = locate(row, rows, units, total, channels, PLANES, FULL, ALIGN, WIDTH)
        dy = tl.load(dy_ptr + offset, valid, 0.0, eviction_policy="evict_first").to(tl.float32)
        x = tl.load(x_ptr + offset, valid, 0.0, eviction_policy="evict_first").to(tl.float32)
        u = activate(x, BEFORE, parameter)
        dz = find_gradient(
            dy, (u - mean) * scale + beta, told_ptr, parameter, row, rows, units, total, channels, AFTER, TOLD, PLANES,
            FULL, ALIGN, WIDTH,
        )  # fmt: skip
        write_gradients(dz, x, u - mean, shared, slope, scale, dx_ptr, dresidual_ptr, parameter, offset, valid, BEFORE)


@triton.jit
def write_gradients(
    dz: tl.tensor,
    x: tl.tensor,
    away: tl.tensor,
    shared: tl.tensor,
    slope: tl.tensor,
    scale: tl.tensor,
    dx_ptr: tl.tensor,
    dresidual_ptr: tl.tensor,
    parameter: tl.tensor,
    offset: tl.tensor,
    valid: tl.tensor,
    BEFORE: tl.constexpr,
) -> None:
    """Write the gradients of a tile: dz behind the norm, away from the mean, and what `load_corrections` returns."""
    if dresidual_ptr is not None:
        tl.store(dresidual_ptr + offset, dz.to(dresidual_ptr.dtype.element_ty), valid)
    du = (dz - shared - away * slope) * scale
    if BEFORE != "identity":
        du = du * differentiate(x, BEFORE, parameter)
    tl.store(dx_ptr + offset, du.to(dx_ptr.dtype.element_ty), valid)
