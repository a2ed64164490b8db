"""The fused chains on a GPU: tensors in, tensors out, as `chain_reference` has them, of any rank."""

from typing import Any, Final

import torch
from torch import Tensor

from placenorm.kernels.activations import IDENTITY
from placenorm.kernels.chain import Chain
from placenorm.kernels.running import Running, share_of
from placenorm.kernels.triton import chain_kernels as kernels
from placenorm.kernels.triton import held_kernels, launch
from placenorm.kernels.triton.launch import Kernel, Launch, Plan, on_device_of
from placenorm.kernels.triton.tiles import Cut, cut, cut_held

BITS: Final = 8
"""Values whose bits share a byte."""


def chain_fwd(
    x: Tensor,
    residual: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    chain: Chain,
    running: Running | None = None,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor, Tensor]:
    """Return ``(y, bits, mean, var, rstd)`` as `chain_reference.chain_fwd`.

    Args:
        x: ``[N, C, *]``, float16, bfloat16 or float32, contiguous or with the channels last.
        residual: of the shape of x, in any layout.
        weight: ``[C]``.
        bias: ``[C]``.
        eps: what is added to the variance.
        chain: what is fused with the norm.
        running: brought up to date in place.
    """
    with on_device_of(x):
        plan = plan_held(held_kernels.norm_held, x, chain.before.name, chain.after.name)
        if plan is None:
            mean, var, rstd = find_moments(x, eps, chain, running)
            y, bits = apply_norm(x, residual, mean, rstd, weight, bias, chain)
        else:
            mean, var, rstd = make_statistics(x)
            y, residual, bits = _make_outputs(x, residual, chain)
            held_kernels.norm_held.start(
                plan,
                (x, residual, y, bits, mean, var, rstd, *give(running), weight, bias),
                float(eps), share_of(running), float(chain.parameter),
            )  # fmt: skip
    return y, bits, mean, var, rstd


def find_moments(x: Tensor, eps: float, chain: Chain, running: Running | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, biased variance and rstd of what reaches the norm, ``[C]`` each, and mix in the running ones."""
    plan = _plan(kernels.sum_values, launch.SUM_VALUES, x, chain.before.name)
    room = launch.find_room(x, plan)
    mean, var, rstd = make_statistics(x)
    kernels.sum_values.start(
        plan,
        (x, room.partial, room.counters, mean, var, rstd, *give(running)),
        float(eps), share_of(running), float(chain.parameter),
    )  # fmt: skip
    return mean, var, rstd


def make_statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return room for three numbers of every channel."""
    first = torch.empty(x.shape[1], dtype=torch.float32, device=x.device)
    return first, torch.empty_like(first), torch.empty_like(first)


def give(running: Running | None) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return what a kernel is to bring up to date; autograd is told that it will have changed."""
    if running is None:
        return None, None, None
    torch.autograd.graph.increment_version([running.mean, running.var])
    return running.mean, running.var, running.tracked


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
    plan = _plan(kernels.apply_norm, launch.APPLY_NORM, x, chain.before.name, chain.after.name)
    y, residual, bits = _make_outputs(x, residual, chain)
    kernels.apply_norm.start(plan, (x, residual, y, bits, mean, rstd, weight, bias), float(chain.parameter))
    return y, bits


def _make_outputs(x: Tensor, residual: Tensor | None, chain: Chain) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return room for the output, the residual laid out like it, and room for the bits where they are written."""
    y, bits = torch.empty_like(x), None
    if residual is not None:
        residual = lay_out(residual, x)
        size = count_bytes_of_bits(x, chain)
        bits = torch.empty(size, dtype=torch.uint8, device=x.device) if size else None
    return y, residual, bits


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
        dy: gradient of the output, of the shape of x, in any layout.
        x: as in `chain_fwd`.
        told: from `chain_fwd`, where there was a residual: the bits, or the output. None without a residual.
        mean: from `chain_fwd`.
        rstd: from `chain_fwd`.
        weight: as in `chain_fwd`.
        bias: as in `chain_fwd`.
        chain: as in `chain_fwd`.
    """
    way, dresidual = "", None
    with on_device_of(x):
        dy = lay_out(dy, x)
        if told is not None:
            dresidual = torch.empty_like(x)
            if chain.after != IDENTITY:
                way = "bits" if told.dtype == torch.uint8 else "output"
                told = told if way == "bits" else lay_out(told, x)
        dx = torch.empty_like(x)
        before, after = chain.before.name, chain.after.name
        plan = plan_held(held_kernels.differentiate_held, x, before, after, way)
        if plan is None:
            dweight, dbias = sum_gradients(dy, x, told, mean, rstd, weight, bias, chain, way)
            plan = _plan(kernels.apply_gradients, launch.APPLY_GRADIENTS, x, before, after, way)
            kernels.apply_gradients.start(
                plan, (dy, x, told, dx, dresidual, mean, rstd, weight, bias, dweight, dbias),
                float(x.numel() // x.shape[1]), float(chain.parameter),
            )  # fmt: skip
        else:
            dweight, dbias = torch.empty_like(mean), torch.empty_like(mean)
            held_kernels.differentiate_held.start(
                plan, (dy, x, told, dx, dresidual, mean, rstd, weight, bias, dweight, dbias), float(chain.parameter)
            )
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
    plan = _plan(kernels.sum_gradients, launch.SUM_GRADIENTS, x, chain.before.name, chain.after.name, way)
    room = launch.find_room(x, plan)
    dweight, dbias = torch.empty_like(mean), torch.empty_like(mean)
    kernels.sum_gradients.start(
        plan,
        (dy, x, told, room.partial, room.counters, mean, rstd, weight, bias, dweight, dbias),
        float(chain.parameter),
    )  # fmt: skip
    return dweight, dbias


def count_bytes_of_bits(x: Tensor, chain: Chain) -> int:
    """Return the bytes in which `chain_fwd` tells where a ReLU behind an addition is on; 0 where y tells.

    Rows must come in eights: else a byte would be written by two programs.
    """
    values = x.numel()
    length = values // (x.shape[0] * x.shape[1]) if x.is_contiguous() else values
    tells = chain.adds and chain.after != IDENTITY and (length if length > 1 else values) % BITS == 0
    return values // BITS if tells else 0


def lay_out(y: Tensor, x: Tensor) -> Tensor:
    """Return a tensor in the layout of another one of its shape."""
    return y if y.stride() == x.stride() else torch.empty_like(x).copy_(y)


NAMES: Final = ("BEFORE", "AFTER", "TOLD")
"""What a kernel is compiled for by name; some take the first alone, or the first two."""


def _plan(kernel: Kernel, how: Launch, x: Tensor, *names: str) -> Plan:
    """Return what a kernel is started with: a program goes through tiles of so many rows.

    Args:
        kernel: of `chain_kernels`.
        how: its tiles and programs.
        x: input, ``[N, C, *]``.
        names: of `NAMES`, as many as the kernel takes.
    """
    key = kernel, how, x.shape, x.is_contiguous(), x.get_device(), names
    plan = _PLANS.get(key)
    if plan is None:
        shape = cut(x)
        rows = how.values // shape.width
        programs = max(1, min(-(-shape.rows // rows), launch.count_programs(x.device, how) // shape.blocks))
        constants = _list_constants(shape, how, names) | {"STAGES": how.stages}
        plan = Plan((programs, shape.blocks), programs * shape.folds, how.warps, shape.sizes, constants)
        _PLANS[key] = plan
    return plan


def plan_held(kernel: Kernel, x: Tensor, *names: str) -> Plan | None:
    """Return what a kernel that holds its block is started with; None where the block is too large to be held.

    Args:
        kernel: of `held_kernels`.
        x: as for `_plan`.
        names: as for `_plan`.
    """
    key = kernel, launch.HELD[-1], x.shape, x.is_contiguous(), x.get_device(), names
    plan = _HELD_PLANS.get(key, _UNKNOWN)
    if plan is _UNKNOWN:
        plan = _HELD_PLANS[key] = _make_held_plan(x, names)
    return plan


def _make_held_plan(x: Tensor, names: tuple[str, ...]) -> Plan | None:
    largest = launch.HELD[-1]
    shape = cut_held(x, largest.values, launch.count_programs(x.device, largest))
    if shape is None:
        return None
    how = next(each for each in launch.HELD if each.values >= shape.rows * shape.width)
    return Plan((1, shape.blocks), 0, how.warps, shape.sizes, _list_constants(shape, how, names))


def _list_constants(shape: Cut, how: Launch, names: tuple[str, ...]) -> dict[str, Any]:
    return dict(zip(NAMES, names, strict=False)) | shape.constants | {"ROWS": how.values // shape.width}


_PLANS: dict[tuple[object, ...], Plan] = {}
_HELD_PLANS: dict[tuple[object, ...], Plan | None] = {}
_UNKNOWN: Final = Plan((0, 0), 0, 0, (), {})
