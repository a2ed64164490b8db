"""The experiment ``drift``: how far the distributions in front of the weight ops move while a network trains.

With the factor ``noise`` the drift is put back: behind every norm each channel is shifted and scaled by random amounts
that are drawn anew at every step, so that the next layer never sees the same distribution twice.
"""

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from placenorm.article.experiments.laboratory import Laboratory, Measured, make_sgd, seeded
from placenorm.article.experiments.scenes import SAMPLES, build_scene, look
from placenorm.facts.claim import Factor, Number, Question
from placenorm.randomness import fix_seed

KIND: Final = "drift"

RATE: Final = 0.03
EPOCHS: Final = 12

EVERY: Final = 4
"""Steps from one look to the next: far enough apart to move, near enough for many looks."""

LEAST: Final = 0.1
"""Share of the features' root mean square deviation that one is measured in at least."""

TINY: Final = 1e-12
"""In place of a deviation where no feature varies at all."""

SHIFT_NOISE: Final = 0.5
"""Largest shift behind a norm, in the standard deviations that it makes: half a unit's own spread."""

SCALE_NOISE: Final = 1.5
"""Largest factor behind a norm, and one over the smallest."""


def ask(seed: int, placement: str, depth: int, *, noise: bool = False) -> Question:
    """Return the question of one training; with `noise` the drift is put back behind every norm."""
    factors: dict[str, Factor] = {"depth": depth, "placement": placement, "noise": noise, "lr": RATE, "epochs": EPOCHS}
    return Question(KIND, factors, seed)


def run(lab: Laboratory, question: Question) -> Measured:
    """Train and return how far the distributions in front of the weight ops moved.

    Values: ``drift`` and ``drift_deepest`` (mean over looks, and over layers or in front of the logits, of how far the
    inputs of a weight op moved in `EVERY` steps, in their own standard deviations, on the same samples; None if it is
    no number), ``area`` (mean validation accuracy over training, 0 to 1) and ``test_accuracy``.
    Series: ``drift_by_layer`` (in front of the second weight op, the third, ..., the logits), ``val_accuracy`` and
    ``step`` at each epoch's end.
    """
    model = build_scene(lab, question)
    accuracy: list[Number] = []
    steps: list[Number] = []
    with fix_seed(seeded(question)):
        if question.factors["noise"]:
            put_back(model)
        optimizer = make_sgd(model, float(question.factors["lr"]))
        x, _ = lab.samples(question.seed, SAMPLES)
        looks = [_read_inputs(model, x)]
        for step in lab.train(model, optimizer, question.seed, int(question.factors["epochs"])):
            if step.number % EVERY == 0:
                looks.append(_read_inputs(model, x))
            if step.last:
                steps.append(step.number)
                accuracy.append(lab.evaluate(model, question.seed)[1])
        _, test = lab.evaluate(model, question.seed, test=True)
    by_layer = [
        statistics.fmean(_measure_drift(old, new) for old, new in pairwise(layer)) for layer in zip(*looks, strict=True)
    ]
    values: dict[str, Number] = {
        "drift": _finite(statistics.fmean(by_layer)),
        "drift_deepest": _finite(by_layer[-1]),
        "area": statistics.fmean(height for height in accuracy if height is not None),
        "test_accuracy": test,
    }
    series = {
        "drift_by_layer": tuple(map(_finite, by_layer)),
        "val_accuracy": tuple(accuracy),
        "step": tuple(steps),
    }
    return Measured(values, series)


def put_back(model: nn.Module) -> None:
    """Let every norm's outputs be shifted and scaled by amounts of the step's own, a pair for each channel.

    Evaluation is without them, as it is without dropout.
    """

    def disturb(module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not module.training:
            return output
        shape = [1, output.shape[1], *(1 for _ in output.shape[2:])]
        draw = 2 * torch.rand([2, *shape], device=output.device) - 1
        return output * SCALE_NOISE ** draw[0] + SHIFT_NOISE * draw[1]

    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.register_forward_hook(disturb)


@dataclass(frozen=True, slots=True)
class _Spread:
    """Mean and standard deviation of what a weight op reads, per feature, ``[D]`` each."""

    mean: Tensor
    std: Tensor


def _read_inputs(model: nn.Sequential, x: Tensor) -> list[_Spread]:
    """Return the distributions in front of each weight op but the first, in training mode; nothing in it changes."""
    found: list[_Spread] = []

    def read(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        found.append(_Spread(args[0].mean(0), args[0].std(0, correction=0)))

    linears = [module for module in model if isinstance(module, nn.Linear)]
    handles = [linear.register_forward_pre_hook(read) for linear in linears[1:]]
    try:
        look(model, x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _measure_drift(old: _Spread, new: _Spread) -> float:
    """Return how far a distribution moved, in standard deviations, as `placenorm.watch` does it.

    Root mean square over features of the change of the mean and of the log of the deviations' ratio; a feature that
    hardly varies is measured in a tenth of what all vary.
    """
    least = max(LEAST * float(old.std.square().mean().sqrt()), TINY)
    unit, spread = old.std.clamp(min=least), new.std.clamp(min=least)
    moved = ((new.mean - old.mean) / unit).square() + (spread / unit).log().square()
    return float(moved.mean().sqrt())


def _finite(value: float) -> Number:
    return value if math.isfinite(value) else None
