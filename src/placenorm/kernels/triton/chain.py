"""The fused chains on a GPU: tensors in, tensors out, as `chain_reference` has them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor

from placenorm.kernels.activations import IDENTITY
from placenorm.kernels.chain import Chain
from placenorm.kernels.triton import chain_kernels as kernels
from placenorm.kernels.triton import launch
from placenorm.kernels.triton.launch import Launch, on_device_of
from placenorm.kernels.triton.tiles import Cut, cut, is_planes

BITS: Final = 8
"""Values whose bits share a byte."""

COMBINED: Final = {"PARTS": 1024, "CHANNELS": 4}
"""Tile of the kernels that add partial sums."""

TRACKED_AT_A_TIME: Final = 1024
"""Channels whose running statistics a step of the one program brings up to date."""


def chain_fwd(
    x: Tensor, residual: Tensor | None, weight: Tensor | None, bias: Tensor | None, eps: float, chain: Chain
) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
    """Return ``(y, bits, mean, var, rstd)`` as `chain_reference.chain_fwd`.

    Args:
        x: ``[N, C, S]``, float16, bfloat16 or float32, contiguous or with the channels last.
        residual: ``[N, C, S]`` in any layout.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
    """
    shape = cut(x)
    how = launch.SUM_VALUES
    with on_device_of(x):
        plan = _plan(shape, how, x.device)
        partial = make_partial(x, plan.partials)
        kernels.sum_values.start(
            plan.grid, how.warps, (x, partial), (float(chain.parameter), *shape.sizes),
            {"BEFORE": chain.before.name, **plan.constants},
        )  # fmt: skip
        mean, var, rstd = find_statistics(partial, plan.partials, x.shape[1], x.shape[0] * x.shape[2], eps)
        y, bits = apply_norm(x, residual, mean, rstd, weight, bias, chain)
    return y, bits, mean, var, rstd


def make_partial(x: Tensor, partials: int) -> Tensor:
    """Return room for so many partial sums, of two kinds, of every channel, and for its shift behind them."""
    return torch.empty((2 * partials + 1) * x.shape[1], dtype=torch.float32, device=x.device)


def find_statistics(
    partial: Tensor, partials: int, channels: int, count: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, biased variance and reciprocal standard deviation, ``[C]`` each.

    Args:
        partial: from `make_partial`: sums of the distances from the shift, of their squares, and the shift.
        partials: how many sums of a kind.
        channels: C.
        count: values of a channel that were added up.
        eps: what is added to the variance.
    """
    mean, var, rstd = (torch.empty(channels, dtype=torch.float32, device=partial.device) for _ in range(3))
    kernels.find_statistics.start(
        _cover(channels),
        launch.FEW_WARPS,
        (partial, mean, var, rstd),
        (partials, channels, float(count), float(eps)),
        COMBINED,
    )
    return mean, var, rstd


def apply_norm(
    x: Tensor,
    residual: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    chain: Chain,
) -> tuple[Tensor, Tensor | None]:
    """Return the output and, where there is a ReLU behind an addition and rows come in eights, its bits."""
    shape, how = cut(x), launch.APPLY_NORM
    plan = _plan(shape, how, x.device)
    y = torch.empty_like(x)
    size = count_bytes_of_bits(x, chain)
    bits = torch.empty(size, dtype=torch.uint8, device=x.device) if size else None
    added = None if residual is None else lay_out(residual, x)
    kernels.apply_norm.start(
        plan.grid, how.warps, (x, added, y, bits, mean, rstd, weight, bias), (float(chain.parameter), *shape.sizes),
        {"BEFORE": chain.before.name, "AFTER": chain.after.name, **plan.constants},
    )  # fmt: skip
    return y, bits


def chain_bwd(
    dy: Tensor,
    x: Tensor,
    told: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    chain: Chain,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Return ``(dx, dresidual, dweight, dbias)`` as `chain_reference.chain_bwd`.

    Args:
        dy: gradient of the output, ``[N, C, S]`` in any layout.
        x: as in `chain_fwd`.
        told: from `chain_fwd`, where there was a residual: the bits, or the output. None without a residual.
        mean: from `chain_fwd`.
        rstd: from `chain_fwd`.
        weight: as in `chain_fwd`.
        bias: as in `chain_fwd`.
        chain: as in `chain_fwd`.
    """
    shape, how = cut(x), launch.APPLY_GRADIENTS
    way = ""
    if told is not None and chain.after != IDENTITY:
        way = "bits" if told.dtype == torch.uint8 else "output"
    with on_device_of(x):
        dy = lay_out(dy, x)
        told = lay_out(told, x) if told is not None and way == "output" else told
        dweight, dbias = sum_gradients(dy, x, told, mean, rstd, weight, bias, chain, way)
        dx, dresidual = torch.empty_like(x), None if told is None else torch.empty_like(x)
        plan = _plan(shape, how, x.device)
        kernels.apply_gradients.start(
            plan.grid, how.warps, (dy, x, told, dx, dresidual, mean, rstd, weight, bias, dweight, dbias),
            (float(x.shape[0] * x.shape[2]), float(chain.parameter), *shape.sizes),
            {"BEFORE": chain.before.name, "AFTER": chain.after.name, "TOLD": way, **plan.constants},
        )  # fmt: skip
    return dx, dresidual, dweight, dbias


def sum_gradients(
    dy: Tensor,
    x: Tensor,
    told: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    chain: Chain,
    way: str = "",
) -> tuple[Tensor, Tensor]:
    """Return the gradients of gamma and beta, ``[C]`` each; dy lies as x does, way says how told tells."""
    shape, how = cut(x), launch.SUM_GRADIENTS
    plan, channels = _plan(shape, how, x.device), x.shape[1]
    partial = make_partial(x, plan.partials)
    kernels.sum_gradients.start(
        plan.grid, how.warps, (dy, x, told, partial, mean, rstd, weight, bias), (float(chain.parameter), *shape.sizes),
        {"BEFORE": chain.before.name, "AFTER": chain.after.name, "TOLD": way, **plan.constants},
    )  # fmt: skip
    dweight, dbias = (torch.empty(channels, dtype=torch.float32, device=x.device) for _ in range(2))
    kernels.find_parameter_gradients.start(
        _cover(channels), launch.FEW_WARPS, (partial, rstd, dweight, dbias), (plan.partials, channels), COMBINED
    )
    return dweight, dbias


def update_running(
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor | None,
    momentum: float | None,
    mean: Tensor,
    var: Tensor,
    count: int,
) -> None:
    """Count a batch and bring the running statistics up to date in place, float32, ``[C]``.

    Args:
        running_mean: changed in place.
        running_var: changed in place.
        num_batches_tracked: goes up by one; None where batches are not counted.
        momentum: weight of this batch; None for the average over all batches, which stays as it is without a count.
        mean: the batch's.
        var: the batch's biased variance.
        count: values of a channel.
    """
    averages = momentum is None
    share = 0.0 if momentum is None else float(momentum)
    with on_device_of(mean):
        kernels.update_running.start(
            (1, 1), launch.FEW_WARPS, (running_mean, running_var, num_batches_tracked, mean, var),
            (mean.numel(), share, count / max(count - 1, 1)), {"AVERAGES": averages, "CHANNELS": TRACKED_AT_A_TIME},
        )  # fmt: skip
    torch.autograd.graph.increment_version([running_mean, running_var])


def count_bytes_of_bits(x: Tensor, chain: Chain) -> int:
    """Return the bytes in which `chain_fwd` tells where a ReLU behind an addition is on; 0 where y tells.

    Rows must come in eights: else a byte would be written by two programs.
    """
    tells = chain.adds and chain.after != IDENTITY and cut(x).align % BITS == 0
    return x.numel() // BITS if tells else 0


def lay_out(y: Tensor, x: Tensor) -> Tensor:
    """Return a tensor ``[N, C, S]`` in the layout of another one of its shape."""
    if y.stride() == x.stride():
        return y
    return y.contiguous() if is_planes(x) else y.transpose(1, 2).contiguous().transpose(1, 2)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a kernel is started with.

    Attributes:
        grid: programs, and blocks.
        partials: partial sums of a kind and channel that it leaves.
        constants: what it is compiled for.
    """

    grid: tuple[int, int]
    partials: int
    constants: dict[str, Any]


def _plan(shape: Cut, how: Launch, device: torch.device) -> _Plan:
    return _plan_for(*shape.constants.values(), shape.rows, shape.blocks, shape.folds, how, device)


@lru_cache(maxsize=16384)
def _plan_for(
    planes: bool,
    full: bool,
    align: int,
    width: int,
    rows: int,
    blocks: int,
    folds: int,
    how: Launch,
    device: torch.device,
) -> _Plan:
    """Return the plan of a cut: a program goes through tiles of so many rows."""
    rows_a_tile = how.values // width
    programs = max(1, min(-(-rows // rows_a_tile), launch.count_programs(device, how) // blocks))
    constants = {"PLANES": planes, "FULL": full, "ALIGN": align, "WIDTH": width, "ROWS": rows_a_tile}
    return _Plan((programs, blocks), programs * folds, constants)


def _cover(channels: int) -> tuple[int, int]:
    return -(-channels // COMBINED["CHANNELS"]), 1
