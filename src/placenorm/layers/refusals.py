"""What a norm refuses: with torch's classes of errors, and in torch's words where they are as clear as ours."""

from collections.abc import Mapping

import torch
from torch import Tensor

from placenorm.kernels import reference


def check_input(x: Tensor, owned: Mapping[str, Tensor | None], eps: float) -> None:
    """Refuse an input that does not fit the layer.

    Args:
        x: ``[N, C, *]``.
        owned: parameters and buffers of the layer by name, ``[C]`` each.
        eps: what is added to the variance.

    Raises:
        ValueError: if eps is negative.
        NotImplementedError: if x is not floating point.
        RuntimeError: if the number of channels, the dtype or the device does not fit.
    """
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if not x.is_floating_point():
        raise NotImplementedError(f"Cannot take batch norm of {x.dtype}: it is not floating point; cast it first.")
    check_channels(x, owned)
    for name, tensor in owned.items():
        if tensor is None:
            continue
        if tensor.dtype != x.dtype and tensor.dtype != reference.widened(x.dtype):
            raise RuntimeError(
                f"Cannot take batch norm of {x.dtype} with {name} in {tensor.dtype}: mixed dtype means a 16-bit input "
                "with float32 parameters and buffers, nothing else; cast the input or the layer."
            )
        if tensor.device != x.device:
            raise RuntimeError(
                f"Cannot take batch norm of an input on {x.device} with {name} on {tensor.device}; move one of them."
            )


def check_channels(x: Tensor, owned: Mapping[str, Tensor | None]) -> None:
    """Refuse an input ``[N, C, *]`` with another number of channels than the layer's parameters and buffers have.

    Raises:
        RuntimeError: it has.
    """
    for name, tensor in owned.items():
        if tensor is not None and tensor.numel() != x.shape[1]:
            raise RuntimeError(f"{name} should contain {x.shape[1]} elements not {tensor.numel()}")


def check_alone(residual: Tensor | None, mask: Tensor | None) -> None:
    """Refuse what a norm with a pool does not take.

    Raises:
        ValueError: there is a residual or a mask.
    """
    if residual is not None or mask is not None:
        raise ValueError("A norm with a pool takes no residual and no mask; make the pool a layer of its own.")


def check_values(x: Tensor, eps: float, together: int, positions: int) -> None:
    """Refuse a batch whose own statistics say nothing.

    Args:
        x: ``[N, C, *]``.
        eps: what is added to the variance.
        together: how many samples are normalised together; the last ones may be fewer.
        positions: values of a channel in a sample that reach the norm.

    Raises:
        ValueError: if a channel has one value, or eps is not positive.
    """
    samples = x.shape[0]
    last = samples % together or min(together, samples)
    if min(last, together) * positions == 1:
        of = f" for virtual batches of {together} samples, one of which has one value" if together < samples else ""
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}{of}")
    if eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")


def check_residual(residual: Tensor, x: Tensor) -> None:
    """Refuse a residual that cannot be added to the norm's output as it is.

    Raises:
        TypeError: if it is no tensor.
        RuntimeError: if its shape, dtype or device is not that of x.
    """
    if not isinstance(residual, Tensor):
        raise TypeError(f"Cannot add {type(residual).__name__} behind a norm; give a tensor of the output's shape.")
    for what, mine, wanted in (
        ("shape", tuple(residual.shape), tuple(x.shape)),
        ("dtype", residual.dtype, x.dtype),
        ("device", residual.device, x.device),
    ):
        if mine != wanted:
            raise RuntimeError(
                f"Cannot add a residual of {what} {mine} behind a norm of {what} {wanted}; make it the same."
            )


def view_mask(mask: Tensor, x: Tensor) -> Tensor:
    """Return a mask ``[N, *]`` with an axis for the channels, ``[N, 1, *]``.

    Raises:
        TypeError: if it is no tensor.
        RuntimeError: if it is not boolean, is elsewhere than x, or does not expand to ``[N, *]``.
    """
    if not isinstance(mask, Tensor):
        raise TypeError(f"Cannot mask by {type(mask).__name__}; give a boolean tensor, True where a position counts.")
    wanted = (x.shape[0], *x.shape[2:])
    if mask.dtype != torch.bool:
        raise RuntimeError(f"A mask is boolean, True where a position counts; this is {mask.dtype}: compare it first.")
    if mask.device != x.device:
        raise RuntimeError(f"Cannot mask an input on {x.device} by a mask on {mask.device}; move one of them.")
    fits = mask.dim() <= len(wanted) and all(
        have in (1, want) for have, want in zip(reversed(mask.shape), reversed(wanted), strict=False)
    )
    if not fits:
        raise RuntimeError(f"Cannot mask {tuple(x.shape)} by {tuple(mask.shape)}; a mask expands to {wanted}.")
    return mask.expand(wanted).unsqueeze(1)


def check_marks(marks: Tensor, together: int) -> None:
    """Refuse a mask that leaves a batch whose own statistics say nothing; while torch.compile traces, nobody knows.

    Args:
        marks: of `view_mask`, ``[N, 1, *]``.
        together: how many samples are normalised together; the last ones may be fewer.

    Raises:
        ValueError: if fewer than two positions count that are normalised together.
    """
    if torch.compiler.is_compiling():
        return
    values: list[int] = marks.flatten(1).sum(1).tolist()
    for start in range(0, len(values), together):
        part = values[start : start + together]
        if sum(part) < 2:
            batch = f"samples {start} to {start + len(part) - 1}, a virtual batch" if together < len(values) else "it"
            raise ValueError(
                f"Expected more than 1 value per channel when training, got a mask with {sum(part)} in {batch}; "
                "leave these samples out."
            )
