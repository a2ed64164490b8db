"""The networks that the claims are put to: plain and residual, of any depth, activation and pool.

Weights are drawn as for the built-in networks (He initialisation, zero biases), so that a deep plain network without a
norm is not at chance for its initialisation alone; in a residual one every branch is divided by their number.
"""

import math
from collections.abc import Callable
from typing import Final, Literal

from torch import Tensor, nn

from placenorm.zoo.plain import init_he

ACTIVATIONS: Final[dict[str, Callable[[], nn.Module]]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}

MLP_WIDTH: Final = 64
"""Features of a hidden layer: a step of a network of ten takes about 1 ms on one core."""

CNN_WIDTH: Final = 16
"""Channels of a conv layer, for the same reason."""

Pool = Literal["max", "average"]


class ResidualLayer(nn.Module):
    """A layer whose input is added to a share of what its activation returns; nothing follows the sum.

    The shares of all layers add up to 1. With whole branches the signal would grow with every sum, since a ReLU's
    outputs have a positive mean: a hundred times and more in 20 layers, and norms would be compared with that.

    Args:
        weight: a weight op that keeps the shape.
        activation: what follows it on the branch.
        share: what the branch is multiplied by, 0 to 1; behind a norm where there is one.
    """

    def __init__(self, weight: nn.Module, activation: nn.Module, share: float) -> None:
        super().__init__()
        self.weight_op = weight
        self.activation = activation
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, of the shape of x."""
        branch: Tensor = self.activation(self.weight_op(x))
        return x + self.share * branch


def make_mlp(
    sample_shape: tuple[int, ...], outputs: int, depth: int, activation: str = "relu", *, residual: bool = False
) -> nn.Sequential:
    """Return linear layers with an activation each, and logits.

    Args:
        sample_shape: shape of one sample; flattened.
        outputs: number of logits.
        depth: number of hidden layers, 1 or more.
        activation: one of `ACTIVATIONS`.
        residual: whether every hidden layer but the first adds its input to its share of the output.
    """
    features = math.prod(sample_shape)
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(features, MLP_WIDTH), ACTIVATIONS[activation]()]
    for _ in range(depth - 1):
        pair = nn.Linear(MLP_WIDTH, MLP_WIDTH), ACTIVATIONS[activation]()
        layers += [ResidualLayer(*pair, share=1 / (depth - 1))] if residual else pair
    return _finish(layers, MLP_WIDTH, outputs)


def make_cnn(
    sample_shape: tuple[int, ...],
    outputs: int,
    depth: int,
    activation: str = "relu",
    *,
    residual: bool = False,
    pool: Pool = "max",
    pools: int = 2,
) -> nn.Sequential:
    """Return 3x3 convolutions with an activation each, 2x2 pools between, global average pooling, and logits.

    Args:
        sample_shape: shape of one image, ``[C, H, W]``.
        outputs: number of logits.
        depth: number of conv layers, 1 or more.
        activation: one of `ACTIVATIONS`.
        residual: whether every conv layer but the first adds its input to its share of the output.
        pool: which pools.
        pools: how many, spread evenly behind the conv layers; fewer where depth or image size leave no room.
    """
    channels, height, width = sample_shape
    pools = min(pools, depth, int(math.log2(min(height, width))))
    behind = {math.ceil(depth * place / pools) for place in range(1, pools + 1)} if pools else set()
    layers: list[nn.Module] = []
    for place in range(1, depth + 1):
        pair = nn.Conv2d(channels, CNN_WIDTH, kernel_size=3, padding=1), ACTIVATIONS[activation]()
        layers += [ResidualLayer(*pair, share=1 / (depth - 1))] if residual and place > 1 else pair
        channels = CNN_WIDTH
        if place in behind:
            layers.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return _finish(layers, CNN_WIDTH, outputs)


def _finish(layers: list[nn.Module], features: int, outputs: int) -> nn.Sequential:
    logits = nn.Linear(features, outputs)
    model = nn.Sequential(*layers, logits)
    init_he(model, logits)
    return model
