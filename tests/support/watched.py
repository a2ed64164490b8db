"""Small training loops that are watched, and networks with faults planted in them."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.facts.finding import Finding
from placenorm.verbs.watching import Probe

Break = Callable[[int, nn.Module, Tensor], Tensor]
"""What happens to the loss of a step."""


def batches(count: int, shape: tuple[int, ...], seed: int = 0, classes: int = 3) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches with something to learn: the class moves the mean of a sample."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        labels = torch.randint(0, classes, shape[:1], generator=generator)
        noise = torch.randn(shape, generator=generator)
        yield noise + labels.view(-1, *[1] * (len(shape) - 1)) - 1, labels


def train(
    model: nn.Module,
    steps: int,
    shape: tuple[int, ...],
    *,
    rate: float = 0.05,
    spoil: Break | None = None,
) -> None:
    """Train a classifier as anybody would."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    model.train()
    for step, (x, y) in enumerate(batches(steps, shape)):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        if spoil is not None:
            loss = spoil(step, model, loss)
        loss.backward()
        optimizer.step()


def watch_training(model: nn.Module, steps: int, shape: tuple[int, ...], **options: object) -> Probe:
    """Return the watch over such a training."""
    keys = ("every", "level", "window")
    watching = {"every": 2, **{key: options.pop(key) for key in keys if key in options}}
    with pn.watch(model, **watching) as probe:  # type: ignore[arg-type]
        train(model, steps, shape, **options)  # type: ignore[arg-type]
    return probe


def named(findings: tuple[Finding, ...], rule: str) -> list[Finding]:
    """Return the findings of one rule."""
    return [finding for finding in findings if finding.rule == rule]


class ConvNet(nn.Module):
    """conv, norm, ReLU twice, with a pool between; ReLUs are functions, one in place."""

    def __init__(self, channels: int = 8, momentum: float | None = 0.1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels, momentum=momentum)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels, momentum=momentum)
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x)), inplace=True), 2)
        x = torch.relu(self.norm2(self.conv2(x)))
        return self.head(x.mean((2, 3)))


class SharedReLU(nn.Module):
    """One ReLU, called twice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(6, 12)
        self.second = nn.Linear(12, 12)
        self.relu = nn.ReLU()
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.first(x))
        return self.head(self.relu(self.second(x)))


def perceptron(*, norm: bool = False, momentum: float = 0.1, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return linear, perhaps a norm, activation, twice, and a linear head, for ``[N, 6]``."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs in (6, 16):
        layers += [nn.Linear(inputs, 16), *([nn.BatchNorm1d(16, momentum=momentum)] if norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(16, 3))
