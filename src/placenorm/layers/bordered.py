"""Convolutions whose input has a shift per channel that its zero padding does not have, made up for on their output.

A conv whose input x was folded reads x - shift, and pads it with zeros as ever. Inside, the shift adds one number per
output channel, which is in the bias. Where the kernel reaches over the border, or between the places that a transposed
conv spreads its input to, fewer of its taps read the shift: there the output is corrected. The derivation is in
docs/maths/folding.md.
"""

from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

_MOST_MAPS = 8
"""How many sizes of input a layer remembers its corrections for."""

_WHOLE: Final = 1 << 18
"""Outputs of fewer values are corrected as a whole: one small addition is then faster than four smaller ones."""

Step = tuple[int, int, int, int]
"""How a kernel walks along an axis: its size, its stride, its dilation, and how many zeros are padded in front."""

_NARROW: Final = 1 / 8
"""Share of the output up to which its border is corrected in strips, and not the whole map at once. Measured on one
thread of an EPYC, batch 8, whole against strips: 75 and 91 us at 14 % (128 channels of 28 x 28), 150 and 74 us at 7 %
(64 channels of 56 x 56).
"""


class _Bordered(_ConvNd):
    """A conv that knows what a shift of its input adds through every tap.

    Attributes:
        taps: ``[C_out, *kernel]``: what each tap adds where it reads the input and not the padding; their sum is in
            the bias already.
    """

    taps: Tensor
    _maps: dict[Any, tuple[Tensor, list[tuple[Any, Tensor]]]]
    _of: tuple[Tensor, int]

    def forward(self, input: Tensor, *more: Any, **named: Any) -> Tensor:  # noqa: A002 - torch's name
        """Return the conv's output, corrected at the border.

        Args:
            input: ``[N, C_in, *]`` or ``[C_in, *]``.
            more: what else torch's layer takes.
            named: the same, by name.
        """
        y: Tensor = super().forward(input, *more, **named)
        if isinstance(input, fx.Proxy):
            return add_correction(y, input, self.taps, self._steps(), self.transposed)
        rank = len(self.kernel_size)
        inner, outer = tuple(input.shape[-rank:]), tuple(y.shape[-rank:])
        traced = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
        if traced or (torch.is_grad_enabled() and y.requires_grad):
            return y + self._correct(inner, outer, y.dtype)
        if self._of[0] is not self.taps or self._of[1] != _count_writes(self.taps):
            self._of = self.taps, _count_writes(self.taps)
            self._maps.clear()
        key = (inner, outer, y.dtype, y.device, y.stride(-1) == 1)
        known = self._maps.get(key)
        if known is None:
            if len(self._maps) >= _MOST_MAPS:
                self._maps.clear()
            known = self._maps[key] = self._plan(inner, outer, y)
        whole, strips = known
        if y.numel() < _WHOLE or not strips:
            return y.add_(whole)
        for where, values in strips:
            y[where].add_(values)
        return y

    def _plan(self, inner: tuple[int, ...], outer: tuple[int, ...], y: Tensor) -> tuple[Tensor, list[Any]]:
        """Return the correction, and its parts at the border where the inside needs none."""
        with torch.no_grad():
            whole = self._correct(inner, outer, y.dtype)
            if y.dim() == 4 and y.stride(1) == 1:
                whole = whole.unsqueeze(0).contiguous(memory_format=torch.channels_last).squeeze(0)
            strips: list[tuple[Any, Tensor]] = []
            inside: list[slice] = []
            for axis, (size, count, step) in enumerate(zip(inner, outer, self._steps(), strict=True)):
                full = _reach(size, count, step, self.transposed, whole.device).all(1).nonzero().flatten().tolist()
                if not full or full != list(range(full[0], full[-1] + 1)):
                    return whole, []
                rest = [slice(None)] * (len(outer) - axis - 1)
                for part in (slice(0, full[0]), slice(full[-1] + 1, count)):
                    if part.stop > part.start:
                        where = (..., *inside, part, *rest)
                        strips.append((where, whole[where].contiguous()))
                inside.append(slice(full[0], full[-1] + 1))
            if sum(values.numel() for _, values in strips) > _NARROW * whole.numel():
                return whole, []
            return whole, strips

    def _correct(self, inner: tuple[int, ...], outer: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return find_correction(self.taps, inner, outer, self._steps(), self.transposed).to(dtype)

    def _steps(self) -> tuple[Step, ...]:
        """Return how the kernel walks, axis by axis."""
        if isinstance(self.padding, str):
            pads = self._reversed_padding_repeated_twice[-2::-2]
        else:
            pads = [int(pad) for pad in self.padding]
        return tuple(zip(self.kernel_size, self.stride, self.dilation, pads, strict=True))

    def __getstate__(self) -> dict[str, Any]:
        """Return what is copied and stored."""
        return {**self.__dict__, "_maps": {}, "_of": (None, 0)}


def find_correction(
    taps: Tensor, inner: tuple[int, ...], outer: tuple[int, ...], steps: tuple[Step, ...], transposed: bool
) -> Tensor:
    """Return what an output lacks, ``[C_out, *outer]``: minus the taps that do not read the input.

    Args:
        taps: ``[C_out, *kernel]``: what each tap adds where it reads the input.
        inner: size of the input.
        outer: size of the output.
        steps: how the kernel walks, axis by axis.
        transposed: whether the conv is.
    """
    read = taps
    for size, count, step in zip(inner, outer, steps, strict=True):
        reach = _reach(size, count, step, transposed, taps.device).to(read)
        read = torch.tensordot(read, reach, dims=([1], [1]))
    whole = taps.flatten(1).sum(1).view(-1, *(1 for _ in outer))
    return read - whole


def add_correction(y: Tensor, x: Tensor, taps: Tensor, steps: tuple[Step, ...], transposed: bool) -> Tensor:
    """Return a conv's output, corrected at the border: one op in a symbolic trace.

    Args:
        y: the output, ``[N, C_out, *]`` or ``[C_out, *]``.
        x: the input.
        taps: ``[C_out, *kernel]``.
        steps: how the kernel walks, axis by axis.
        transposed: whether the conv is.
    """
    rank = len(steps)
    inner, outer = tuple(x.shape[-rank:]), tuple(y.shape[-rank:])
    return y + find_correction(taps, inner, outer, steps, transposed).to(y.dtype)


fx.wrap("add_correction")


def _reach(size: int, count: int, step: Step, transposed: bool, device: torch.device) -> Tensor:
    """Return which taps read the input at each place of the output along an axis, ``[count, kernel]``."""
    kernel, stride, dilation, pad = step
    place = torch.arange(count, device=device).unsqueeze(1)
    tap = torch.arange(kernel, device=device) * dilation
    if transposed:
        spread = place + pad - tap
        return (spread >= 0) & (spread < size * stride) & (spread % stride == 0)
    read = place * stride - pad + tap
    return (read >= 0) & (read < size)


def _count_writes(tensor: Tensor) -> int:
    """Return how often a tensor was written to in place; 0 where nobody counts."""
    return 0 if tensor.is_inference() else tensor._version


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
    conv.__dict__["_of"] = (None, 0)
    conv.register_buffer("taps", taps.to(weight))


def is_bordered(module: nn.Module) -> bool:
    """Whether a module is a conv that `add_border` has changed."""
    return isinstance(module, _Bordered)
