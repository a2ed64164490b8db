"""Small networks of the kinds that users write."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGES = torch.linspace(-1, 1, 8 * 1 * 8 * 8).reshape(8, 1, 8, 8)


class ModuleNet(nn.Module):
    """Everything is a module, in a Sequential, with norms before the activations."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1, bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class FunctionalNet(nn.Module):
    """Activations are functions, one pool serves twice, the forward has an optional argument."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(6 * 4, 5)
        self.fc2 = nn.Linear(5, 3)

    def forward(self, x: Tensor, scale: float | None = None) -> Tensor:
        if scale is not None:
            x = x * scale
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.relu(self.fc1(x.view(x.size(0), -1)))
        x = F.dropout(x, 0.5, training=self.training)
        return self.fc2(x)


class NestedNet(nn.Module):
    """Blocks are modules of the user's own, the activation stands in their forward."""

    class Block(nn.Module):
        def __init__(self, channels: int, width: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(width)

        def forward(self, x: Tensor) -> Tensor:
            return F.relu(self.bn(self.conv(x)))

    def __init__(self) -> None:
        super().__init__()
        self.first = NestedNet.Block(1, 4)
        self.pool = nn.MaxPool2d(2)
        self.second = NestedNet.Block(4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.pool(self.first(x))).mean((2, 3)))


class PlainMlp(nn.Module):
    """Linear layers on [N, D], without norms."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ResidualNet(nn.Module):
    """A block whose branch has no activation of its own before the add."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem_bn(self.stem(x)))
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.head(self.relu(x + y).mean((2, 3)))


ALL = {net.__name__: net for net in (ModuleNet, FunctionalNet, NestedNet, PlainMlp, ResidualNet)}
