"""A training loop of your own: placenorm changes where the norms are, the rest is up to you.

    placenorm compare examples/my_net.py:Net --train examples/my_train.py:train

placenorm calls ``train`` once for each placement and seed, each in a process of its own.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

EPOCHS = 20
BATCH_SIZE = 64


def train(model: nn.Module, seed: int, report: Callable[[int, float], None]) -> float:
    """Train the model and return its accuracy on the test data.

    Args:
        model: the network, its norms already placed. Equal seeds bring equal weights wherever shapes agree.
        seed: draw all your randomness from it, so that every placement sees the same data in the same order.
        report: call it with the steps done so far and the validation accuracy; this draws the learning curves.
    """
    generator = torch.Generator().manual_seed(seed)
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0  # [1797, 1, 8, 8]
    y = torch.tensor(digits.target)
    test, validation, training = torch.randperm(len(x), generator=generator).split([360, 360, len(x) - 720])

    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    step = 0
    for _ in range(EPOCHS):
        model.train()
        order = training[torch.randperm(len(training), generator=generator)]
        for batch in order.split(BATCH_SIZE):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
        report(step, measure_accuracy(model, x[validation], y[validation]))
    return measure_accuracy(model, x[test], y[test])


def measure_accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share of samples (0 to 1) that the model puts into the right class."""
    model.eval()
    with torch.no_grad():
        return float((model(x).argmax(dim=1) == y).float().mean())
