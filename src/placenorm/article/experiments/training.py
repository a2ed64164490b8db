"""The experiment ``training``: one network is trained, and what a claim may want to know of it is written down.

Several claims ask for the same trials; each is run once.
"""

import math
import statistics
import time
from typing import Final

from torch import nn

from placenorm.article.experiments.laboratory import Laboratory, Measured, build_plain_norm, make_sgd, seeded
from placenorm.article.experiments.networks import make_cnn, make_mlp
from placenorm.article.experiments.scenes import keep_buffers
from placenorm.facts.claim import Number, Question
from placenorm.facts.placement import Placement
from placenorm.graph.vocabulary import RELU_LIKE
from placenorm.probe.watching import Watcher
from placenorm.randomness import fix_seed

KIND: Final = "training"

EPOCHS: Final = 12
"""About 200 steps on the embedded digits: every network that trains at all is above 90 % by then."""

HOPELESS: Final = 1e4
"""A loss above this is as good as infinite: the network computes nothing any more."""

UNIT_SAMPLES: Final = 512
"""Training samples that active and dead shares are read from: enough for shares of a point."""


def ask(
    seed: int,
    placement: str,
    lr: float,
    *,
    network: str = "mlp",
    depth: int = 8,
    activation: str = "relu",
    residual: bool = False,
    affine: bool = True,
    epochs: int = EPOCHS,
) -> Question:
    """Return the question of one training.

    Args:
        seed: the seed.
        placement: name of a policy.
        lr: learning rate of SGD with momentum 0.9.
        network: ``mlp`` or ``cnn``.
        depth: hidden or conv layers.
        activation: ``relu``, ``elu``, ``tanh`` or ``gelu``.
        residual: whether layers add their input to their output.
        affine: whether norms have gamma and beta.
        epochs: passes over the training data.
    """
    return Question(
        KIND,
        {
            "network": network,
            "depth": depth,
            "activation": activation,
            "residual": residual,
            "placement": placement,
            "affine": affine,
            "lr": lr,
            "epochs": epochs,
        },
        seed,
    )


def build(lab: Laboratory, question: Question) -> nn.Module:
    """Return the network of a question: the same weights for every placement of a seed, wherever shapes agree."""
    factors = question.factors
    make = make_cnn if factors["network"] == "cnn" else make_mlp
    with fix_seed(question.seed):
        model = make(
            lab.source.sample_shape,
            lab.source.outputs,
            int(factors["depth"]),
            str(factors["activation"]),
            residual=bool(factors["residual"]),
        )
        placement: Placement = str(factors["placement"])  # type: ignore[assignment]  # checked by `place`
        return lab.place(model, placement, question.seed, "torch" if factors["affine"] else build_plain_norm)


def run(lab: Laboratory, question: Question) -> Measured:
    """Train and return what was measured.

    Values: ``test_accuracy`` (0 to 1, when training is over; chance after divergence), ``val_loss`` (when training is
    over; None after divergence), ``area`` (mean over the epochs of the validation accuracy after each, chance from
    divergence on), ``diverged`` (0 or 1: a loss above `HOPELESS`, or none that is a number), ``step_time_ms`` (median
    of the training steps), and of the ReLU-like activations ``active_train``, ``dead_train``, ``active_eval`` and
    ``dead_eval``, in training and in evaluation mode, each the mean over layers of `_measure_units` (None after
    divergence, and where the network has no such activation).
    Series: ``step``, ``val_accuracy`` and ``train_loss`` (mean over the steps of the epoch) at the end of each epoch,
    where ``val_accuracy`` goes on at chance after divergence and the others end; ``active_by_layer`` and
    ``dead_by_layer``, in evaluation mode.
    """
    model = build(lab, question)
    epochs, lr = int(question.factors["epochs"]), float(question.factors["lr"])
    optimizer = make_sgd(model, lr)
    steps: list[Number] = []
    accuracy: list[Number] = []
    losses: list[Number] = []
    recent: list[float] = []
    times: list[float] = []
    diverged, val_loss = False, math.inf
    with fix_seed(seeded(question)):
        started = time.perf_counter()
        for step in lab.train(model, optimizer, question.seed, epochs):
            times.append(1000 * (time.perf_counter() - started))
            recent.append(step.loss)
            diverged = not step.loss < HOPELESS
            if step.last or diverged:
                val_loss, reached = (math.inf, lab.chance) if diverged else lab.evaluate(model, question.seed)
                diverged = diverged or not math.isfinite(val_loss)
                steps.append(step.number)
                accuracy.append(lab.chance if diverged else reached)
                losses.append(None if diverged else statistics.fmean(recent))
                recent.clear()
            if diverged:
                break
            started = time.perf_counter()
        accuracy += [lab.chance] * (epochs - len(accuracy))
        test = lab.chance if diverged else lab.evaluate(model, question.seed, test=True)[1]
        shares = {} if diverged else _measure_units(lab, model, question)
    known = [value for value in accuracy if value is not None]
    values: dict[str, Number] = {
        "test_accuracy": test,
        "val_loss": None if diverged else val_loss,
        "area": statistics.fmean(known),
        "diverged": float(diverged),
        "step_time_ms": statistics.median(times),
    }
    series: dict[str, tuple[Number, ...]] = {
        "step": tuple(steps),
        "val_accuracy": tuple(accuracy),
        "train_loss": tuple(losses),
    }
    for mode, short in (("training", "train"), ("evaluation", "eval")):
        active, dead = shares.get(mode, ((), ()))
        values[f"active_{short}"] = statistics.fmean(active) if active else None
        values[f"dead_{short}"] = statistics.fmean(dead) if dead else None
        if mode == "evaluation":
            series["active_by_layer"], series["dead_by_layer"] = active, dead
    return Measured(values, series)


def _measure_units(
    lab: Laboratory, model: nn.Module, question: Question
) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Return by mode the shares of active values and of dead units, each by layer; the network stays as it is.

    In both modes the first `UNIT_SAMPLES` training samples of the seed are read, as one batch: in training mode norms
    take that batch's statistics, in evaluation mode their running ones. A unit is dead if none of its values is active.
    """
    found: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    x, _ = lab.samples(question.seed, UNIT_SAMPLES)
    for mode in ("training", "evaluation"):
        model.train(mode == "training")
        with keep_buffers(model), Watcher(model, every=1, level="standard", window=1) as watcher:
            model(x)
        look = watcher.history().looks[-1]
        activities = [
            reading.activity for reading in look.readings if reading.activity is not None and reading.name in RELU_LIKE
        ]
        found[mode] = (
            tuple(activity.active_share for activity in activities),
            tuple((activity.dead or 0) / activity.units for activity in activities),
        )
    return found
