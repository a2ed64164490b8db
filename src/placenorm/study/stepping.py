"""How a trial computes a step: the type of autocast, and the scaling of gradients that float16 needs."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""What autocast computes in; None for no autocast. Parameters stay as the model has them."""

_LOW = (torch.bfloat16, torch.float16)


class Stepper:
    """Takes steps of an optimizer in a precision.

    Args:
        precision: one of `PRECISIONS`.
        device: where the model is.
        optimizer: what takes the steps.
    """

    def __init__(self, precision: str, device: str, optimizer: torch.optim.Optimizer) -> None:
        self._dtype, self._kind = PRECISIONS[precision], torch.device(device).type
        self._optimizer = optimizer
        self._scaler = torch.amp.GradScaler(self._kind) if self._dtype is torch.float16 else None

    def autocast(self) -> AbstractContextManager[object]:
        """Return the block in which the model runs."""
        return nullcontext() if self._dtype is None else torch.autocast(self._kind, dtype=self._dtype)

    def step(self, loss: Tensor) -> bool:
        """Go backwards and take a step; return whether it was taken.

        In float16 gradients are scaled up on their way, and a step whose gradients overflow is left out, with a smaller
        scale from then on, as torch's own recipe does.
        """
        self._optimizer.zero_grad(set_to_none=True)
        if self._scaler is None:
            loss.backward()
            self._optimizer.step()
            return True
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimizer)
        before = self._scaler.get_scale()
        self._scaler.update()
        return self._scaler.get_scale() >= before

    def dump(self) -> dict[str, Any] | None:
        """Return its state, as plain values."""
        return None if self._scaler is None else self._scaler.state_dict()

    def load(self, dumped: dict[str, Any] | None) -> None:
        """Go on from what `dump` gave."""
        if self._scaler is not None and dumped is not None:
            self._scaler.load_state_dict(dumped)


def widen(outputs: Tensor) -> Tensor:
    """Return outputs of autocast as float32, in which losses and metrics are taken; others as they are."""
    return outputs.float() if outputs.dtype in _LOW else outputs
