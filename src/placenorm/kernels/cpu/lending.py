"""Tensors as compiled code takes them: by address, since views of tensors cost more than a small norm.

A ReLU and a norm of 8x32x14x14 took ours 131 microseconds of one core forward and 132 back, where torch takes 80 and
97. By address, and with the running statistics brought up to date in the kernel, it is 89 and 100.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]  # numba names no exports
from numba.extending import intrinsic
from torch import Tensor

from placenorm.kernels.cpu.arithmetic import INLINE
from placenorm.kernels.cpu.memory import empty_strided
from placenorm.kernels.running import Running

NOWHERE: Final = 0
"""The address of what is not there."""


def find_address(x: Tensor) -> int:
    """Return where the numbers of a tensor lie.

    Raises:
        RuntimeError: if they lie nowhere, as those of a subclass that wraps others, or their signs are to be turned.
    """
    address = x.data_ptr()
    if (address == NOWHERE and x.numel()) or x.is_neg():
        raise RuntimeError(
            f"The norm was given a {type(x).__name__} of shape {list(x.shape)} whose numbers are not in memory as they "
            "are, so that its kernels cannot read it; give a plain tensor that holds its own numbers."
        )
    return address


def find_numbers(parameter: Tensor | None, channels: int) -> Tensor | None:
    """Return a parameter, or numbers of the channels, as kernels read it; the caller keeps it until they are done.

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


def point(numbers: Tensor | None) -> int:
    """Return the address of numbers that may not be there."""
    return NOWHERE if numbers is None else find_address(numbers)


def lay_out(y: Tensor, shape: Sequence[int], stride: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return a tensor of the processor of some shape, layout and type: the given one, if it is so, or a copy."""
    if y.stride() == stride and y.shape == shape and y.dtype is dtype and y.is_cpu:
        return y
    return empty_strided(shape, stride, dtype).copy_(y)


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
    if not (_is_plain(mean, torch.float32, channels) and _is_plain(var, torch.float32, channels)):
        return NOWHERE, NOWHERE, NOWHERE
    if tracked is None:
        torch.autograd.graph.increment_version([mean, var])
        return mean.data_ptr(), var.data_ptr(), NOWHERE
    if not _is_plain(tracked, torch.int64, 1):
        return NOWHERE, NOWHERE, NOWHERE
    torch.autograd.graph.increment_version([mean, var, tracked])
    return mean.data_ptr(), var.data_ptr(), tracked.data_ptr()


def _is_plain(x: Tensor, dtype: torch.dtype, values: int) -> bool:
    """Whether so many numbers of a type lie one behind the other at an address."""
    return (
        x.dtype is dtype
        and x.is_cpu
        and x.numel() == values
        and x.is_contiguous()
        and x.data_ptr() != NOWHERE
        and not x.is_neg()
        and not x.is_inference()
    )


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
