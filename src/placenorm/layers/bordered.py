"""Convolutions whose input has a shift per channel that its zero padding does not have, made up for on their output.

A conv whose input x was folded reads x - shift, and pads it with zeros as ever. Inside, the shift adds one number per
output channel, which is in the bias. Where the kernel reaches over the border, or between the places that a transposed
conv spreads its input to, fewer of its taps read the shift: there the output is corrected. The derivation is in
docs/maths/folding.md.
"""

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

_MOST_MAPS = 8
"""How many sizes of input a layer remembers its corrections for."""

_WHOLE: Final = 1 << 18
"""Outputs of fewer values are corrected as a whole: one small addition is then faster than four smaller ones."""


class _Bordered(_ConvNd):
    """A conv that knows what a shift of its input adds through every tap.

    Attributes:
        taps: ``[C_out, *kernel]``: what each tap adds where it reads the input and not the padding; their sum is in
            the bias already.
    """

    taps: Tensor
    _maps: dict[Any, tuple[Tensor, list[tuple[Any, Tensor]]]]

    def forward(self, input: Tensor, *more: Any) -> Tensor:  # noqa: A002 - torch's name
        """Return the conv's output, corrected at the border.

        Args:
            input: ``[N, C_in, *]`` or ``[C_in, *]``.
            more: what else torch's layer takes.
        """
        y: Tensor = super().forward(input, *more)
        rank = len(self.kernel_size)
        inner, outer = tuple(input.shape[-rank:]), tuple(y.shape[-rank:])
        traced = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
        if traced or (torch.is_grad_enabled() and y.requires_grad):
            return y + self._correct(inner, outer, y.dtype)
        key = (inner, outer, y.dtype, y.device, self.taps._version, y.stride(-1) == 1)
        known = self._maps.get(key)
        if known is None:
            if len(self._maps) >= _MOST_MAPS:
                self._maps.clear()
            known = self._maps[key] = self._plan(inner, outer, y)
        whole, strips = known
        if y.numel() < _WHOLE or not strips:
            return y.add_(whole)
        for where, values in strips:
            y[where] += values
        return y

    def _plan(self, inner: tuple[int, ...], outer: tuple[int, ...], y: Tensor) -> tuple[Tensor, list[Any]]:
        """Return the correction, and its parts at the border where the inside needs none."""
        with torch.no_grad():
            whole = self._correct(inner, outer, y.dtype)
            if y.dim() == 4 and y.stride(1) == 1:
                whole = whole.unsqueeze(0).contiguous(memory_format=torch.channels_last).squeeze(0)
            strips: list[tuple[Any, Tensor]] = []
            inside: list[slice] = []
            for axis, (size, count) in enumerate(zip(inner, outer, strict=True)):
                full = self._reach(axis, size, count).all(1).nonzero().flatten().tolist()
                if not full or full != list(range(full[0], full[-1] + 1)):
                    return whole, []
                rest = [slice(None)] * (len(outer) - axis - 1)
                for part in (slice(0, full[0]), slice(full[-1] + 1, count)):
                    if part.stop > part.start:
                        where = (..., *inside, part, *rest)
                        strips.append((where, whole[where].contiguous()))
                inside.append(slice(full[0], full[-1] + 1))
            return whole, strips

    def _correct(self, inner: tuple[int, ...], outer: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return what the output lacks, ``[C_out, *outer]``: minus the taps that do not read the input."""
        read = self.taps
        for axis, (size, count) in enumerate(zip(inner, outer, strict=True)):
            reach = self._reach(axis, size, count).to(read)
            read = torch.tensordot(read, reach, dims=([1], [1]))
        whole = self.taps.flatten(1).sum(1).view(-1, *(1 for _ in outer))
        return (read - whole).to(dtype)

    def _reach(self, axis: int, size: int, count: int) -> Tensor:
        """Return which taps read the input at each place of the output along an axis, ``[count, kernel]``."""
        place = torch.arange(count, device=self.taps.device).unsqueeze(1)
        tap = torch.arange(self.kernel_size[axis], device=self.taps.device) * self.dilation[axis]
        stride = self.stride[axis]
        if self.transposed:
            spread = place + self._pads(axis) - tap
            return (spread >= 0) & (spread < size * stride) & (spread % stride == 0)
        read = place * stride - self._pads(axis) + tap
        return (read >= 0) & (read < size)

    def _pads(self, axis: int) -> int:
        """Return how many zeros are padded in front along an axis."""
        if isinstance(self.padding, str):
            behind_first = self._reversed_padding_repeated_twice
            return behind_first[2 * (len(self.kernel_size) - 1 - axis)]
        return int(self.padding[axis])

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and stored."""
        return {**self.__dict__, "_maps": {}}


class BorderedConv1d(_Bordered, nn.Conv1d):
    """A `torch.nn.Conv1d` that makes up for a shift of its input; `add_border` makes it."""


class BorderedConv2d(_Bordered, nn.Conv2d):
    """A `torch.nn.Conv2d` that makes up for a shift of its input; `add_border` makes it."""


class BorderedConv3d(_Bordered, nn.Conv3d):
    """A `torch.nn.Conv3d` that makes up for a shift of its input; `add_border` makes it."""


class BorderedConvTranspose1d(_Bordered, nn.ConvTranspose1d):
    """A `torch.nn.ConvTranspose1d` that makes up for a shift of its input; `add_border` makes it."""


class BorderedConvTranspose2d(_Bordered, nn.ConvTranspose2d):
    """A `torch.nn.ConvTranspose2d` that makes up for a shift of its input; `add_border` makes it."""


class BorderedConvTranspose3d(_Bordered, nn.ConvTranspose3d):
    """A `torch.nn.ConvTranspose3d` that makes up for a shift of its input; `add_border` makes it."""


_OF: Final[dict[type[nn.Module], type[_Bordered]]] = {
    nn.Conv1d: BorderedConv1d,
    nn.Conv2d: BorderedConv2d,
    nn.Conv3d: BorderedConv3d,
    nn.ConvTranspose1d: BorderedConvTranspose1d,
    nn.ConvTranspose2d: BorderedConvTranspose2d,
    nn.ConvTranspose3d: BorderedConvTranspose3d,
}


def add_border(conv: nn.Module, taps: Tensor) -> None:
    """Let a conv make up at its border for a shift of its input, in place.

    Args:
        conv: one of torch's own convs, with a bias that holds the sum of the taps.
        taps: ``[C_out, *kernel]``: what each tap adds where it reads the input.

    Raises:
        TypeError: if it is none of torch's own convs.
    """
    kind = _OF.get(type(conv))
    if kind is None:
        raise TypeError(f"Only torch's own convs take a border, and this is a {type(conv).__name__}.")
    weight: Any = conv.weight
    conv.__class__ = kind
    conv.__dict__["_maps"] = {}
    conv.register_buffer("taps", taps.to(weight))


def is_bordered(module: nn.Module) -> bool:
    """Whether a module is a conv that `add_border` has changed."""
    return isinstance(module, _Bordered)
