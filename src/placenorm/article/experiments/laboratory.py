"""What all experiments of the claims share: the data of a seed, a network with its norms in place, and the loop."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from placenorm.data import (
    DataSource,
    Split,
    count_batches,
    count_samples,
    epoch_batches,
    eval_batches,
    fetch,
    split,
)
from placenorm.facts.claim import Number, Question
from placenorm.facts.placement import Placement
from placenorm.rewrite.norms import NormChoice
from placenorm.rewrite.placing import place_model

BATCH_SIZE: Final = 64
MOMENTUM: Final = 0.9
EVAL_BATCH: Final = 512

IMAGE_RANK: Final = 4
"""Axes of a batch of images."""

TRAINING_SEED: Final = 0xC1A1
"""Added to a trial's seed before training, so that training does not repeat the numbers that drew the weights."""


@dataclass(slots=True)
class Measured:
    """What an experiment gives: numbers by name, and what was measured again and again."""

    values: dict[str, Number]
    series: dict[str, tuple[Number, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One training step that is over.

    Attributes:
        number: steps so far, from 1.
        epoch: epoch that it belongs to, from 0.
        loss: its loss; it may be no finite number.
        last: whether it is the last of its epoch.
    """

    number: int
    epoch: int
    loss: float
    last: bool


class Laboratory:
    """Gives the experiments their data and networks.

    Args:
        source: the data; of classes.
        device: where networks run.
    """

    def __init__(self, source: DataSource, device: str = "cpu") -> None:
        self.source = source
        self.device = device
        self._split: tuple[int, Split] | None = None

    def parts(self, seed: int) -> Split:
        """Return the data of a seed, in three parts."""
        if self._split is None or self._split[0] != seed:
            self._split = seed, split(self.source, seed)
        return self._split[1]

    def samples(self, seed: int, count: int) -> tuple[Tensor, Tensor]:
        """Return the first training samples of a seed with their labels; fewer where there are not so many."""
        train = self.parts(seed).train
        x, y = fetch(train, range(min(count, count_samples(train))))
        return x.to(self.device), y.to(self.device)

    def batches(self, seed: int, epoch: int, batch_size: int = BATCH_SIZE) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the training batches of an epoch, in an order that only the seed and the epoch decide."""
        for x, y in epoch_batches(self.parts(seed).train, batch_size, seed, epoch):
            yield x.to(self.device), y.to(self.device)

    def place(self, model: nn.Module, placement: Placement, seed: int, norm: NormChoice = "torch") -> nn.Module:
        """Return the network with its norms in place, in training mode, on the device."""
        x, _ = self.samples(seed, 2)
        return place_model(model, x.cpu(), placement, norm=norm, prove=False).model.train().to(self.device)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, seed: int, *, test: bool = False) -> tuple[float, float]:
        """Return loss and accuracy (0 to 1) on the validation or test data, in evaluation mode.

        The network is in training mode afterwards.
        """
        parts = self.parts(seed)
        dataset = parts.test if test else parts.validation
        model.eval()
        loss, right = 0.0, 0
        for x, y in eval_batches(dataset, EVAL_BATCH):
            outputs, targets = model(x.to(self.device)), y.to(self.device)
            loss += float(F.cross_entropy(outputs, targets, reduction="sum"))
            right += int((outputs.argmax(1) == targets).sum())
        model.train()
        count = count_samples(dataset)
        return loss / count, right / count

    def train(self, model: nn.Module, optimizer: torch.optim.Optimizer, seed: int, epochs: int) -> Iterator[Step]:
        """Train with cross-entropy and yield every step when it is over; whoever reads may act between steps."""
        number = 0
        per_epoch = count_batches(count_samples(self.parts(seed).train), BATCH_SIZE)
        for epoch in range(epochs):
            for x, y in self.batches(seed, epoch):
                loss = take_step(model, optimizer, x, y)
                number += 1
                yield Step(number, epoch, loss, last=number % per_epoch == 0)

    @property
    def chance(self) -> float:
        """Accuracy of a network that learned nothing."""
        return 1.0 / self.source.outputs


def make_sgd(model: nn.Module, lr: float) -> torch.optim.SGD:
    """Return SGD with momentum for all parameters."""
    # foreach: to the last bit the same, and a step of twelve layers takes an eighth less on one core (torch 2.14).
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=MOMENTUM, foreach=True)


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """Take one training step with cross-entropy and return the loss."""
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


def build_plain_norm(channels: int, rank: int) -> nn.Module:
    """Return a norm without gamma and beta, for a tensor of this rank."""
    kind = nn.BatchNorm2d if rank == IMAGE_RANK else nn.BatchNorm1d
    return kind(channels, affine=False)


def seeded(question: Question) -> int:
    """Return the seed of the random states while a trial trains."""
    return TRAINING_SEED + question.seed
