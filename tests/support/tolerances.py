"""The one table of tolerances, and the one way to hold a fast or an own path against truth and control."""

import torch
from torch import Tensor

CONTROL_FACTOR = 2.0
"""We may be this much worse than torch eager in the same dtype: rounding in another order, not another algorithm."""

FLOOR = {torch.float64: 1e-14, torch.float32: 5e-7, torch.float16: 1e-3, torch.bfloat16: 8e-3}
"""Relative error that is always allowed: about four units in the last place, one where the result is 16-bit."""


def assert_close_as_control(
    ours: Tensor, control: Tensor, truth: Tensor, what: str, *, scale: float | None = None, condition: float = 1.0
) -> None:
    """Fail unless ours is as near to the truth as the control is, up to the factor and the floor.

    Args:
        ours: the result under test; its dtype chooses the floor.
        control: torch eager in the target dtype.
        truth: the reference in float64 on the same input.
        what: name of the result, for the message.
        scale: size of the numbers that were added up where they cancel; the largest truth without.
        condition: how many times the input's own rounding is magnified (mean over standard deviation).
    """
    assert ours.shape == truth.shape, f"{what}: shape {tuple(ours.shape)}, truth has {tuple(truth.shape)}"
    assert ours.dtype == control.dtype, f"{what}: {ours.dtype}, torch gives {control.dtype}"
    if truth.numel() == 0:
        return
    finite = bool(truth.isfinite().all())
    assert not finite or bool(ours.isfinite().all()), f"{what}: not finite where the truth is"
    largest = max(float(truth.abs().max()), scale or 0.0)
    ours_error = float((ours.double() - truth).abs().max())
    control_error = float((control.double() - truth).abs().max())
    allowed = CONTROL_FACTOR * control_error + FLOOR[ours.dtype] * condition * largest
    assert ours_error <= allowed, f"{what}: error {ours_error:.3g}, control {control_error:.3g}, allowed {allowed:.3g}"
