"""The built-in networks: plain, without norms, with He initialisation.

With torch's default initialisation a deep plain network stays at chance (its signal shrinks by about sqrt(6) a layer),
and a comparison of placements with `none` would be unfair.
"""

import math
from collections import OrderedDict

from torch import Tensor, nn

CNN_DEPTH = 8
"""Conv layers of ``cnn``: deeper than the 5 to 6 layers from which the article advises batch norm."""

CNN_WIDTHS = (16, 24, 32)
"""Channels of the three stages: small enough for a digits step of a few ms on one core."""

MLP_DEPTH = 6
"""Hidden layers of ``mlp``."""

MLP_WIDTH = 128
"""Features of each hidden layer."""

_SMALLEST_POOLED = 2
"""A 2x2 pool needs a map of at least this height and width."""


class PlainCnn(nn.Module):
    """3x3 convolutions with ReLU in up to three stages, max-pooled between, then global average pooling and logits.

    Args:
        sample_shape: shape of one image, ``[C, H, W]``.
        outputs: number of logits.
        depth: number of conv layers, at least 1; the earlier stages get the ones left over.
    """

    def __init__(self, sample_shape: tuple[int, int, int], outputs: int, depth: int = CNN_DEPTH) -> None:
        super().__init__()
        channels, height, width = sample_shape
        side = min(height, width)
        layers: list[nn.Module] = []
        for stage, stage_width in enumerate(CNN_WIDTHS):
            convs = depth // len(CNN_WIDTHS) + (stage < depth % len(CNN_WIDTHS))
            if stage > 0 and convs > 0 and side >= _SMALLEST_POOLED:
                layers.append(nn.MaxPool2d(2))
                side //= 2
            for _ in range(convs):
                layers += [nn.Conv2d(channels, stage_width, kernel_size=3, padding=1), nn.ReLU()]
                channels = stage_width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.logits = nn.Linear(channels, outputs)
        init_he(self, self.logits)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[N, outputs]`` for images ``[N, C, H, W]``."""
        x = self.features(x)
        x = self.flatten(self.pool(x))
        logits: Tensor = self.logits(x)
        return logits


class PlainMlp(nn.Module):
    """Linear layers with ReLU, then logits.

    Args:
        sample_shape: shape of one sample; more than one axis is flattened.
        outputs: number of logits.
        depth: number of hidden layers, at least 1.
    """

    def __init__(self, sample_shape: tuple[int, ...], outputs: int, depth: int = MLP_DEPTH) -> None:
        super().__init__()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if len(sample_shape) > 1:
            layers["flatten"] = nn.Flatten()
        features = math.prod(sample_shape)
        for index in range(depth):
            layers[f"linear{index}"] = nn.Linear(features, MLP_WIDTH)
            layers[f"relu{index}"] = nn.ReLU()
            features = MLP_WIDTH
        self.hidden = nn.Sequential(layers)
        self.logits = nn.Linear(features, outputs)
        init_he(self, self.logits)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``[N, outputs]`` for samples ``[N, *sample_shape]``."""
        logits: Tensor = self.logits(self.hidden(x))
        return logits


def init_he(model: nn.Module, logits: nn.Module) -> None:
    """Draw every conv and linear weight anew so that the signal keeps its size from layer to layer; zero biases.

    Args:
        model: the network; changed in place.
        logits: its last layer. No ReLU follows it, so its gain is 1 instead of sqrt(2).

    Source:
        He et al. 2015, arXiv:1502.01852, equation 10; ``torch.nn.init.kaiming_normal_``.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if module is logits else "relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
