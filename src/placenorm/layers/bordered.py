"""Convolutions whose input has a shift per channel that its zero padding does not have, made up for on their output.

A conv whose input x was folded reads x - shift, and pads it with zeros as ever. Inside, the shift adds one number per
output channel, which is in the bias. Where the kernel reaches over the border, or between the places that a transposed
conv spreads its input to, fewer of its taps read the shift: there the output is corrected. The derivation is in
docs/maths/folding.md.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

_MOST_MAPS = 8
"""How many sizes of input a layer remembers its corrections for."""

_WHOLE: Final = 1 << 18
"""Outputs of fewer values are corrected as a whole: one small addition is then faster than four smaller ones."""

Step = tuple[int, int, int, int]
"""How a kernel walks along an axis: its size, its stride, its dilation, and how many zeros are padded in front."""

_CONVS: Final[tuple[Any, ...]] = (F.conv1d, F.conv2d, F.conv3d)
"""By rank, from one on."""

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
        whole: ``[C_out, *size]``: the correction for the size of input that the layer was told to keep; None before,
            and in copies. Compiled code reads it there; for every other size it computes a correction at each call.
    """

    taps: Tensor
    whole: Tensor | None
    _size: tuple[int, ...] | None
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
        if torch.compiler.is_exporting() and not self.transposed:
            correction = self._walk_over_ones(input.new_ones((1, 1, *inner)))
            return y + (correction if y.dim() == rank + 2 else correction.squeeze(0))
        if torch.compiler.is_compiling():
            known = self.whole if self._meets(inner) else None
            return y + (self._correct(inner, outer, y.dtype) if known is None else known.to(y.dtype))
        if torch._C._get_tracing_state() is not None or (torch.is_grad_enabled() and y.requires_grad):
            return y + self._correct(inner, outer, y.dtype)
        self._look_at_taps()
        key = (inner, outer, y.dtype, y.device, y.stride(-1) == 1)
        planned = self._maps.get(key)
        if planned is None:
            if len(self._maps) >= _MOST_MAPS:
                self._maps.clear()
            planned = self._maps[key] = self._plan(inner, outer, y)
        whole, strips = planned
        if y.numel() < _WHOLE or not strips:
            return y.add_(whole)
        for where, values in strips:
            y[where].add_(values)
        return y

    def forget_sizes(self) -> None:
        """Forget the corrections for sizes of input that the layer has met."""
        self._maps.clear()
        self._size, self.whole = None, None

    def keep_size(self, x: Tensor, y: Tensor) -> None:
        """Keep the correction for a size of input.

        Args:
            x: an input.
            y: what the layer gives for it.
        """
        rank = len(self.kernel_size)
        self._look_at_taps()
        with torch.no_grad():
            self._size = tuple(x.shape[-rank:])
            self.whole = self._correct(self._size, tuple(y.shape[-rank:]), y.dtype)

    def _look_at_taps(self) -> None:
        """Forget what was worked out from other taps."""
        if self._of[0] is not self.taps or self._of[1] != _count_writes(self.taps):
            self.forget_sizes()
            self._of = self.taps, _count_writes(self.taps)

    def _meets(self, inner: tuple[int, ...]) -> bool:
        """Whether compiled code is for the size of input that `whole` is for; a size that is free there is not."""
        from torch.fx.experimental.symbolic_shapes import statically_known_true  # compiled code has it; eager need not

        if self._size is None:
            return False
        same = [statically_known_true(one == other) for one, other in zip(inner, self._size, strict=True)]
        return all(same)

    def _walk_over_ones(self, ones: Tensor) -> Tensor:
        """Return the correction as the taps' own conv over a map of ones: few calls, for programs of free sizes.

        Args:
            ones: ``[1, 1, *size]``, of the input's size.
        """
        padding: Any = self.padding
        taps, whole = self.taps.unsqueeze(1), self.taps.flatten(1).sum(1)
        found: Tensor = _CONVS[ones.dim() - 3](
            ones, taps.to(ones.dtype), -whole.to(ones.dtype), self.stride, padding, self.dilation
        )
        return found

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
        buffers = {**self._buffers, "whole": None}
        return {**self.__dict__, "_buffers": buffers, "_size": None, "_maps": {}, "_of": (None, 0)}

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.forget_sizes()
        super()._load_from_state_dict(*args, **kwargs)


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
        beside = [1] * (read.dim() - 2)
        # no product of matrices: a compiler takes this into the addition to the output
        read = (read.unsqueeze(-1) * reach.T.reshape(reach.shape[1], *beside, count)).sum(1)
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
    conv.__dict__["_size"] = None
    conv.register_buffer("whole", None, persistent=False)
    conv.register_buffer("taps", taps.to(weight))


def watch_sizes(model: nn.Module, call: Callable[[], object]) -> None:
    """Let the convs of a model that `add_border` has changed keep the correction for the sizes of one call.

    Args:
        model: any model.
        call: calls it; it may put back what the call changes.
    """
    convs = [module for module in model.modules() if isinstance(module, _Bordered)]
    met: dict[_Bordered, tuple[Any, Tensor]] = {}

    def note(conv: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], y: Tensor) -> None:
        if isinstance(conv, _Bordered):
            met.setdefault(conv, ((*args, *kwargs.values())[0], y))

    handles = [conv.register_forward_hook(note, with_kwargs=True) for conv in convs]
    try:
        with torch.no_grad():
            call()
    finally:
        for handle in handles:
            handle.remove()
    for conv, (x, y) in met.items():
        conv.keep_size(x, y)


def is_bordered(module: nn.Module) -> bool:
    """Whether a module is a conv that `add_border` has changed."""
    return isinstance(module, _Bordered)
