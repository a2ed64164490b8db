"""What the bench of layers times: ops as torch's layers and as ours, shapes of known networks, the least traffic."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from placenorm.layers import BatchNorm2d, MaxPool


@dataclass(frozen=True, slots=True)
class Op:
    """A norm and its neighbours.

    Attributes:
        name: its parts in the order that they run.
        build: our layer, from C.
        compose: the same by torch's operators, from torch's norm, the input and the residual.
        forward_units: least traffic of the forward, in reads and writes of the input, from the bytes of a value.
        backward_units: the same of the backward.
        adds: whether there is a residual.
        flips: whether rounding decides, for a few values, if a ReLU is on or which of a window is the largest.
    """

    name: str
    build: Callable[[int], BatchNorm2d]
    compose: Callable[[nn.BatchNorm2d, Tensor, Tensor], Tensor]
    forward_units: Callable[[int], float] = lambda size: 3
    backward_units: Callable[[int], float] = lambda size: 5
    adds: bool = False
    flips: bool = False


LEFT: Final = 4
"""Input values for each that a 2x2 pool leaves."""

POOL: Final = MaxPool((2, 2), (2, 2))

OPS: Final[dict[str, Op]] = {
    op.name: op
    for op in (
        Op("norm", BatchNorm2d, lambda norm, x, r: norm(x)),
        Op("relu-norm", lambda c: BatchNorm2d(c, before="relu"), lambda norm, x, r: norm(F.relu(x))),
        Op("silu-norm", lambda c: BatchNorm2d(c, before="silu"), lambda norm, x, r: norm(F.silu(x))),
        Op("norm-relu", lambda c: BatchNorm2d(c, after="relu"), lambda norm, x, r: F.relu(norm(x)), flips=True),
        Op("norm-add", BatchNorm2d, lambda norm, x, r: norm(x) + r, lambda size: 4, adds=True),
        Op(
            "norm-add-relu",
            lambda c: BatchNorm2d(c, after="relu"),
            lambda norm, x, r: F.relu(norm(x) + r),
            lambda size: 4,
            lambda size: 6 + 3 / (8 * size),
            adds=True,
            flips=True,
        ),
        Op(
            "relu-maxpool-norm",
            lambda c: BatchNorm2d(c, before="relu", pool=POOL),
            lambda norm, x, r: norm(F.max_pool2d(F.relu(x), 2)),
            lambda size: 1 + (3 + 1 / size) / LEFT,
            lambda size: 1 + (4 + 1 / size) / LEFT,
            flips=True,
        ),
        Op(
            "norm-relu-maxpool",
            lambda c: BatchNorm2d(c, after="relu", pool_after=POOL),
            lambda norm, x, r: F.max_pool2d(F.relu(norm(x)), 2),
            lambda size: 1 + (3 + 1 / size) / LEFT,
            lambda size: 2 + (4 + 1 / size) / LEFT,
            flips=True,
        ),
    )
}
"""By name. The floors are derived in docs/performance.md, that of norm-relu-maxpool in docs/decisions/0010."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape and where it is from.

    Attributes:
        layer: a layer of a known network.
        size: ``[N, C, H, W]``.
    """

    layer: str
    size: tuple[int, int, int, int]


SHAPES: Final[dict[str, tuple[Shape, ...]]] = {
    "cpu": (
        Shape("resnet50 layer1, bn1", (64, 64, 56, 56)),
        Shape("resnet20 on CIFAR-10, layer2", (128, 32, 28, 28)),
        Shape("resnet50 layer3, bn2", (32, 256, 14, 14)),
        Shape("mobilenet_v3_large features.4", (16, 72, 28, 28)),
        Shape("small: launch-bound", (8, 32, 14, 14)),
        Shape("vgg11_bn features.1, huge", (16, 64, 224, 224)),
    ),
    "cuda": (
        Shape("resnet50 layer1, bn1", (256, 64, 56, 56)),
        Shape("resnet50 bn1", (128, 64, 112, 112)),
        Shape("resnet50 layer4, bn2", (256, 512, 14, 14)),
        Shape("mobilenet_v3_large features.4", (256, 72, 28, 28)),
        Shape("small: launch-bound", (16, 64, 14, 14)),
        Shape("vgg11_bn features.1, huge", (64, 64, 224, 224)),
    ),
}
"""By the kind of device."""

LAYOUTS: Final = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
