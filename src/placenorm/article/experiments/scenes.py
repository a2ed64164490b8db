"""What the article's scenes share: a placed network of linear layers, its parts, and looks that leave no trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn

from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.experiments.networks import make_mlp
from placenorm.facts.claim import Question
from placenorm.facts.placement import Placement
from placenorm.randomness import fix_seed

PLACEMENTS: Final = ("none", "before-activation", "after-activation")

NORMS: Final = PLACEMENTS[1:]

SAMPLES: Final = 512
"""Samples of a look: enough for shares of a point, few enough to look often."""


def build_scene(lab: Laboratory, question: Question) -> nn.Sequential:
    """Return the network of linear layers of a question with the factors ``depth`` and ``placement``.

    The weights of a seed are the same under every placement.
    """
    with fix_seed(question.seed):
        model = make_mlp(lab.source.sample_shape, lab.source.outputs, int(question.factors["depth"]))
        placement: Placement = str(question.factors["placement"])  # type: ignore[assignment]  # checked by `place`
        placed = lab.place(model, placement, question.seed)
    assert isinstance(placed, nn.Sequential)
    return placed


def find_layer(model: nn.Sequential, number: int) -> tuple[nn.Linear, nn.ReLU]:
    """Return a hidden layer's weight op and its activation; the first layer is number 1."""
    linears = [place for place, module in enumerate(model) if isinstance(module, nn.Linear)]
    linear, activation = model[linears[number - 1]], model[linears[number - 1] + 1]
    assert isinstance(linear, nn.Linear)
    assert isinstance(activation, nn.ReLU)
    return linear, activation


def find_logits(model: nn.Sequential) -> nn.Linear:
    """Return the last weight op."""
    logits = model[-1]
    assert isinstance(logits, nn.Linear)
    return logits


@contextmanager
def keep_buffers(model: nn.Module) -> Iterator[None]:
    """Run the body and put the running statistics back after, so that a look in training mode leaves no trace."""
    held = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        yield
    finally:
        for name, buffer in model.named_buffers():
            buffer.copy_(held[name])


@torch.no_grad()
def look(model: nn.Module, x: Tensor) -> Tensor:
    """Return the outputs for samples in the mode that the network is in; nothing in it changes."""
    with keep_buffers(model):
        outputs: Tensor = model(x)
    return outputs


def measure_accuracy(outputs: Tensor, y: Tensor) -> float:
    """Return the share of samples whose class has the largest logit, 0 to 1; logits that are no numbers are wrong."""
    right = (outputs.argmax(1) == y) & outputs.isfinite().all(1)
    return float(right.double().mean())


def is_finite(model: nn.Module) -> bool:
    """Whether all parameters are numbers."""
    return all(bool(parameter.isfinite().all()) for parameter in model.parameters())
