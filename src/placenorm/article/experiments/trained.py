"""Trained networks, for the claims that look into one."""

from dataclasses import replace
from typing import Final

from torch import nn

from placenorm.article.claim import Scale
from placenorm.article.experiments import training
from placenorm.article.experiments.laboratory import Laboratory, make_sgd, seeded
from placenorm.article.experiments.scenes import NORMS
from placenorm.facts.claim import Question
from placenorm.randomness import fix_seed

RATE: Final = 0.03
"""Learning rate: of the standard grid the one at which every placement trains at every depth asked for."""

MLP_DEPTHS, FULL_MLP_DEPTHS = (8,), (4, 8, 16)
CNN_DEPTH: Final = 4
"""Conv layers: two before the first pool and two before the second."""


def ask_networks(scale: Scale, kind: str) -> list[Question]:
    """Return the question of a kind for every network that is looked into, in pairs of placements."""
    shapes = [("mlp", int(depth)) for depth in scale.pick(MLP_DEPTHS, FULL_MLP_DEPTHS)]
    if scale.images:
        shapes.append(("cnn", CNN_DEPTH))
    return [
        replace(training.ask(seed, placement, RATE, network=network, depth=depth), kind=kind)
        for network, depth in shapes
        for placement in NORMS
        for seed in range(scale.seeds)
    ]


def train_network(lab: Laboratory, question: Question) -> nn.Module:
    """Return the network of a question, trained as the experiment ``training`` does it, in evaluation mode."""
    model = training.build(lab, question)
    optimizer = make_sgd(model, float(question.factors["lr"]))
    with fix_seed(seeded(question)):
        for _ in lab.train(model, optimizer, question.seed, int(question.factors["epochs"])):
            pass
    return model.eval()
