"""The experiment ``pool-training``: a small convolutional network is trained with its norms at a position."""

import math
from typing import Final

from placenorm.article.experiments.laboratory import Laboratory, Measured, make_sgd, seeded
from placenorm.article.experiments.pool_networks import build_placed
from placenorm.article.experiments.training import HOPELESS
from placenorm.facts.claim import Question
from placenorm.randomness import fix_seed

KIND: Final = "pool-training"

EPOCHS: Final = 10


def ask(seed: int, position: str, lr: float, pool: str = "max") -> Question:
    """Return the question of one training.

    Args:
        seed: the seed.
        position: where the norms stand.
        lr: learning rate of SGD with momentum.
        pool: ``max`` or ``average``.
    """
    return Question(KIND, {"position": position, "pool": pool, "lr": lr, "epochs": EPOCHS}, seed)


def run(lab: Laboratory, question: Question) -> Measured:
    """Train and return what was reached.

    Values: ``test_accuracy`` (0 to 1; chance after divergence) and ``val_loss`` (None after divergence).
    """
    model = build_placed(lab, question)
    optimizer = make_sgd(model, float(question.factors["lr"]))
    with fix_seed(seeded(question)):
        for step in lab.train(model, optimizer, question.seed, int(question.factors["epochs"])):
            if not step.loss < HOPELESS:
                return Measured({"test_accuracy": lab.chance, "val_loss": None})
        loss, _ = lab.evaluate(model, question.seed)
        if not math.isfinite(loss):
            return Measured({"test_accuracy": lab.chance, "val_loss": None})
        _, accuracy = lab.evaluate(model, question.seed, test=True)
    return Measured({"test_accuracy": accuracy, "val_loss": loss})
