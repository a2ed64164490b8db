"""Networks that people really use, each with an example input that is small enough to be fast."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models.convmixer import ConvMixer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision import models

CLASSES = 10
FALLING_SHARE = 0.3
"""Share of the channels that get a negative gamma: enough that every norm has some."""


class UNet(nn.Module):
    """Two levels down and up again: transposed convs, skips by concatenation, dropout at the bottom."""

    class Twice(nn.Sequential):
        def __init__(self, channels: int, width: int) -> None:
            super().__init__(
                nn.Conv2d(channels, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )

    class Up(nn.Module):
        def __init__(self, channels: int, width: int) -> None:
            super().__init__()
            self.up = nn.ConvTranspose2d(channels, width, 2, stride=2, bias=False)
            self.norm = nn.BatchNorm2d(width)
            self.twice = UNet.Twice(2 * width, width)

        def forward(self, x: Tensor, skip: Tensor) -> Tensor:
            x = F.relu(self.norm(self.up(x)))
            return self.twice(torch.cat([skip, x], dim=1))

    def __init__(self) -> None:
        super().__init__()
        self.down1 = UNet.Twice(3, 8)
        self.down2 = UNet.Twice(8, 16)
        self.bottom = UNet.Twice(16, 32)
        self.dropout = nn.Dropout2d(0.2)
        self.up2 = UNet.Up(32, 16)
        self.up1 = UNet.Up(16, 8)
        self.head = nn.Conv2d(8, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down1(x)
        second = self.down2(F.max_pool2d(first, 2))
        x = self.dropout(self.bottom(F.max_pool2d(second, 2)))
        return self.head(self.up1(self.up2(x, second), first))


def make_mlp() -> nn.Module:
    """Return linear layers on [N, D], with norms before the activations."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(48, 32, bias=False),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(32, 32, bias=False),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, CLASSES),
    )


def make_vgg11_bn() -> nn.Module:
    """Return torchvision's vgg11_bn with a narrow classifier: its own is 120 million weights of plain linear layers."""
    features = models.vgg.make_layers(models.vgg.cfgs["A"], batch_norm=True)
    with torch.device("meta"):  # the classifier that it builds is thrown away
        model = models.VGG(nn.Sequential(), init_weights=False)
    model.features = features
    model.classifier = nn.Sequential(
        nn.Linear(512 * 7 * 7, 32),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(32, 32),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(32, CLASSES),
    )
    return model


@dataclass(frozen=True, slots=True)
class RealNetwork:
    """How to build a network, and the shape of what it is called with."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]

    def make(self) -> nn.Module:
        """Return the network as its library initialises it, every time with the same weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build()

    def draw_inputs(self, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return standard normal inputs."""
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


REAL = {
    "resnet18": RealNetwork(lambda: models.resnet18(num_classes=CLASSES), (2, 3, 64, 64)),
    "mobilenet_v3_small": RealNetwork(lambda: models.mobilenet_v3_small(num_classes=CLASSES), (2, 3, 64, 64)),
    "vgg11_bn": RealNetwork(make_vgg11_bn, (4, 3, 32, 32)),
    "densenet121": RealNetwork(lambda: models.densenet121(num_classes=CLASSES), (2, 3, 64, 64)),
    "googlenet": RealNetwork(
        lambda: models.googlenet(num_classes=CLASSES, aux_logits=True, init_weights=False), (2, 3, 64, 64)
    ),
    "efficientnet_b0": RealNetwork(lambda: timm.create_model("efficientnet_b0", num_classes=CLASSES), (2, 3, 64, 64)),
    "convmixer": RealNetwork(
        lambda: ConvMixer(64, 4, kernel_size=5, patch_size=4, num_classes=CLASSES), (2, 3, 32, 32)
    ),
    "xcit_nano": RealNetwork(lambda: timm.create_model("xcit_nano_12_p16_224", num_classes=CLASSES), (2, 3, 64, 64)),
    "unet": RealNetwork(UNet, (2, 3, 16, 16)),
    "mlp": RealNetwork(make_mlp, (8, 3, 4, 4)),
}
"""By name. GoogLeNet has auxiliary heads, which run in training only."""


def train_looking(model: nn.Module, seed: int) -> nn.Module:
    """Give all norms of a model what training leaves in them, and return it: gamma of both signs, beta, statistics."""
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator).to(like) * (high - low) + low

    with torch.no_grad():
        for norm in model.modules():
            if not isinstance(norm, _BatchNorm):
                continue
            falls = draw(norm.weight, 0.0, 1.0) < FALLING_SHARE
            norm.weight.copy_(draw(norm.weight, 0.5, 1.5) * torch.where(falls, -1.0, 1.0))
            norm.bias.copy_(draw(norm.bias, -0.5, 0.5))
            norm.running_mean.copy_(draw(norm.bias, -0.5, 0.5))  # type: ignore[union-attr]
            norm.running_var.copy_(draw(norm.bias, 0.5, 1.5))  # type: ignore[union-attr]
    return model


def tensors_of(output: Any) -> Iterator[Tensor]:
    """Yield the tensors that a network gives: GoogLeNet gives three while it trains."""
    if isinstance(output, Tensor):
        yield output
    else:
        for part in output:
            yield from tensors_of(part)
