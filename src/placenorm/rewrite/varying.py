"""Random inputs like an example, of other sizes and spreads."""

import itertools
from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

from placenorm.graph.tracing import ExampleInputs, map_tensors
from placenorm.randomness import fix_seed

_MANY: Final = 9
"""Samples of a larger batch, for networks that do something else with many."""

_STEPS: Final = (
    (0.5, 0.75, 1, 1),
    (0.75, 0.5, 1, _MANY),
    (0.5, 0.75, 32, 1),
    (0.75, 0.5, 32, _MANY),
    (1.5, 1.25, 32, 1),
    (1.25, 1.5, 32, 2),
    (1.0, 1.0, 0, _MANY),
    (1.0, 1.0, 0, 1),
    (1.0, 1.0, 0, 3),
)
"""Height and width as shares of the example's, what they are a multiple of (odd numbers for 1), and samples.

Odd sizes come first, since forwards that ask for them go another way there; networks with five strides of 2 may take
multiples of 32 alone.
"""


def vary_inputs(inputs: ExampleInputs) -> Iterator[ExampleInputs]:
    """Yield random inputs like the example in other sizes and spreads: of images first, then of batches.

    A tensor of three axes may be an image ``[C, H, W]`` or a batch ``[N, C, S]``; it is taken for the one, then for the
    other.
    """
    of_three = any(len(size) == 3 for size in list_sizes(inputs))
    for step in range(len(_STEPS)):
        for single in (True, False) if of_three else (False,):
            seeds = itertools.count(step, len(_STEPS))
            yield map_tensors(lambda x, s=step, one=single, seeds=seeds: _redraw(x, s, next(seeds), one), inputs)  # type: ignore[misc]


def _redraw(x: Tensor, step: int, seed: int, single: bool) -> Tensor:
    """Return a random tensor of a step's size.

    Args:
        x: the example.
        step: which of the steps.
        seed: of its random numbers.
        single: whether three axes are those of one image.
    """
    if not x.is_floating_point():
        return x
    down, right, unit, samples = _STEPS[step]
    shape = list(x.shape)
    image = x.dim() > 3 or (x.dim() == 3 and single)
    if x.dim() > 2:
        shape[-1] = _resize(shape[-1], right, unit)
    if image:
        shape[-2] = _resize(shape[-2], down, unit)
    if x.dim() > 3 or (x.dim() > 1 and not image):
        shape[0] = samples
    with fix_seed(seed):
        spread = x.double().std().nan_to_num(1.0) if x.numel() > 1 else 1.0
        drawn = torch.randn(shape, dtype=torch.float64)
    mean = x.double().mean().nan_to_num(0.0)
    return (drawn * spread * (1.0 + step % 2) + mean + spread * (step % 2 - 0.5)).to(x)


def _resize(side: int, share: float, unit: int) -> int:
    if unit == 0:
        return side
    if unit == 1:
        return int(side * share) | 1
    return max(round(side * share / unit), 1) * unit


def list_sizes(inputs: ExampleInputs) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the inputs' tensors."""
    sizes: list[tuple[int, ...]] = []

    def note(x: Tensor) -> Tensor:
        sizes.append(tuple(x.shape))
        return x

    map_tensors(note, inputs)
    return tuple(sizes)


def tell_sizes(inputs: ExampleInputs) -> str:
    """Return the shapes of the inputs' tensors in words."""
    return ", ".join("x".join(map(str, size)) for size in list_sizes(inputs))
