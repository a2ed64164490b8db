"""Tensors as compiled code takes them: by address, since views of tensors cost more than a small norm.

A norm and its ReLU of 8x32x14x14 took torch 180 microseconds of one core in both directions, and ours 260, of which 30
were for views of tensors as arrays, and 40 for running statistics brought up to date by operators of torch.
"""

from typing import Any, Final

import numpy as np
import torch
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]  # numba names no exports
from numba.extending import intrinsic
from torch import Tensor

from placenorm.kernels.cpu.arithmetic import INLINE
from placenorm.kernels.running import Running

NOWHERE: Final = 0
"""The address of what is not there."""


def find_numbers(parameter: Tensor | None, channels: int) -> Tensor | None:
    """Return a parameter as kernels read it, which the caller keeps until they are done.

    Args:
        parameter: ``[C]``, or None.
        channels: C.

    Raises:
        RuntimeError: if it does not lie on the processor, or is not of this length.
    """
    if parameter is None:
        return None
    if not parameter.is_cpu or parameter.numel() != channels:
        raise RuntimeError(
            f"The norm's input has {channels} channels on the processor, and a parameter of it is "
            f"{list(parameter.shape)} on {parameter.device}; give one number for each channel, on the input's device."
        )
    plain = parameter.dtype is torch.float32 and parameter.is_contiguous()
    return parameter if plain else parameter.detach().float().contiguous()


def point(x: Tensor | None) -> int:
    """Return the address of a tensor's numbers."""
    return NOWHERE if x is None else x.data_ptr()


def make_numbers(channels: int) -> Tensor:
    """Return room for a number of every channel."""
    return torch.empty(channels, dtype=torch.float32, device="cpu")  # whatever torch's defaults are


def give(running: Running | None, channels: int) -> tuple[int, int, int]:
    """Return the addresses of running statistics that a kernel is to bring up to date: mean, variance, batches.

    All are `NOWHERE` where it is not; `Running.take` does it then.
    """
    if running is None:
        return NOWHERE, NOWHERE, NOWHERE
    mean, var, tracked = running.mean, running.var, running.tracked
    for each in (mean, var):
        plain = each.dtype is torch.float32 and each.is_contiguous() and each.is_cpu
        if not plain or each.numel() != channels or each.is_inference():
            return NOWHERE, NOWHERE, NOWHERE
    changed = [mean, var]
    if tracked is not None:
        if tracked.dtype is not torch.int64 or not tracked.is_cpu or tracked.numel() != 1 or tracked.is_inference():
            return NOWHERE, NOWHERE, NOWHERE
        changed.append(tracked)
    torch.autograd.graph.increment_version(changed)
    return mean.data_ptr(), var.data_ptr(), point(tracked)


def share_of(running: Running | None) -> float:
    """Return the weight of a batch in the running statistics."""
    return 0.0 if running is None else float(running.share)


def _type_pointer(typing: Any, address: Any) -> Any:
    """Return the signature of `_as_pointer`, and what writes its code."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())

    return types.voidptr(address), generate


_as_pointer: Final[Any] = intrinsic(_type_pointer)
"""Return an address as a pointer; for compiled code alone."""


@INLINE
def lend(address: Any, shape: Any) -> Any:
    """Return the float32 numbers at an address as an array, which owns nothing."""
    return carray(_as_pointer(address), shape, np.float32)


@INLINE
def lend_bytes(address: Any, shape: Any) -> Any:
    """Do as `lend`, of bytes."""
    return carray(_as_pointer(address), shape, np.uint8)


@INLINE
def lend_or_fill(address: Any, channels: Any, value: Any) -> Any:
    """Return the numbers at an address, ``[C]``; nowhere so many times the value."""
    if address == NOWHERE:
        return np.full(channels, value, np.float32)
    return lend(address, (channels,))


@INLINE
def count_batch(address: Any) -> None:
    """Add a batch to the number of them."""
    if address != NOWHERE:
        carray(_as_pointer(address), (1,), np.int64)[0] += 1
