"""The experiment ``scene-shift``: the units A and B below a trained unit N are changed; how far does N move?

Units of the first layer are taken in pairs, A and B; the N's are the logits, the layers between stay as they are.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from placenorm.article.experiments.laboratory import Laboratory, Measured, make_sgd, seeded
from placenorm.article.experiments.scenes import (
    SAMPLES,
    build_scene,
    find_layer,
    find_logits,
    keep_buffers,
    look,
    measure_accuracy,
)
from placenorm.facts.claim import Number, Question
from placenorm.randomness import fix_seed

KIND: Final = "scene-shift"

RATE: Final = 0.03
EPOCHS: Final = 8

SIZES: Final = (0.1, 0.3, 1.0, 3.0)
LARGE: Final = 1.0
"""The size that the rule reads: A is e times as large and B as much smaller, or both move by a standard deviation in
opposite directions, or they are turned into each other by an eighth of a full turn."""

EIGHTH_TURN: Final = math.pi / 4

MOST_STEPS: Final = 200
"""As many as the whole training took, about: relearning longer than that is learning anew."""

BACK: Final = 0.01
"""N is back when its accuracy is within a point of what it was."""


def ask(seed: int, placement: str, depth: int) -> Question:
    """Return the question of one trained network, put to all changes."""
    return Question(KIND, {"depth": depth, "placement": placement, "lr": RATE, "epochs": EPOCHS}, seed)


def rescale(a: Tensor, b: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Return A larger and B smaller by the same factor, e for size 1."""
    return a * math.exp(size), b * math.exp(-size)


def shift(a: Tensor, b: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Return A higher and B lower by as many of their standard deviations over the batch."""
    return a + size * a.std(0), b - size * b.std(0)


def mix(a: Tensor, b: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """Return A and B turned into each other, by an eighth of a full turn for size 1."""
    turn = size * EIGHTH_TURN
    return math.cos(turn) * a - math.sin(turn) * b, math.sin(turn) * a + math.cos(turn) * b


Change = Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]]

CHANGES: Final[dict[str, Change]] = {"rescale": rescale, "shift": shift, "mix": mix}


def run(lab: Laboratory, question: Question) -> Measured:
    """Train a network, change A and B in each way, and return how far N moves and how soon it is back.

    Values: ``accuracy`` (on the samples that are looked at, in training mode, before any change; 0 to 1); for each
    change at size `LARGE`: ``moved_<change>`` and ``moved_eval_<change>`` (root mean square change of
    the logits over samples, in their own standard deviations before; with the batch's statistics, and in evaluation
    mode with the running ones), ``lost_<change>`` (accuracy that is lost at once, 0 to 1) and ``steps_<change>`` (steps
    until N, which alone learns, is within a point of its accuracy; `MOST_STEPS` if it never is).
    Series: ``size``, and ``moved_<change>`` at each.
    """
    model = build_scene(lab, question)
    values: dict[str, Number] = {}
    series: dict[str, tuple[Number, ...]] = {"size": SIZES}
    with fix_seed(seeded(question)):
        optimizer = make_sgd(model, float(question.factors["lr"]))
        for _ in lab.train(model, optimizer, question.seed, int(question.factors["epochs"])):
            pass
        x, y = lab.samples(question.seed, SAMPLES)
        before = {mode: look(model.train(mode), x) for mode in (True, False)}
        model.train()
        values["accuracy"] = accuracy = measure_accuracy(before[True], y)
        for name, change in CHANGES.items():
            moved = [_measure_move(model, x, before[True], change, size) for size in SIZES]
            series[f"moved_{name}"] = tuple(moved)
            values[f"moved_{name}"] = moved[SIZES.index(LARGE)]
            values[f"moved_eval_{name}"] = _measure_move(model.eval(), x, before[False], change, LARGE)
            model.train()
            with _changed(model, change, LARGE):
                values[f"lost_{name}"] = accuracy - measure_accuracy(look(model, x), y)
                values[f"steps_{name}"] = float(_relearn(lab, model, question, accuracy))
    return Measured(values, series)


@contextmanager
def _changed(model: nn.Sequential, change: Change, size: float) -> Iterator[None]:
    """Change what the first layer gives, before any norm, while the body runs."""
    linear, _ = find_layer(model, 1)

    def turn(_module: nn.Module, _args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        pair = change(output[:, ::2], output[:, 1::2], size)
        return torch.stack(pair, 2).flatten(1)

    handle = linear.register_forward_hook(turn, prepend=True)
    try:
        yield
    finally:
        handle.remove()


def _measure_move(model: nn.Sequential, x: Tensor, before: Tensor, change: Change, size: float) -> Number:
    """Return how far the logits move, in their own standard deviations; None for no number."""
    with _changed(model, change, size):
        after = look(model, x)
    moved = float((after - before).square().mean().sqrt() / before.var(0, correction=0).mean().sqrt())
    return moved if math.isfinite(moved) else None


def _relearn(lab: Laboratory, model: nn.Sequential, question: Question, accuracy: float) -> int:
    """Return the steps until the logits, which alone learn, are back; the network is as before afterwards."""
    logits = find_logits(model)
    held = {name: tensor.clone() for name, tensor in logits.state_dict().items()}
    optimizer = make_sgd(logits, float(question.factors["lr"]))
    x, y = lab.samples(question.seed, SAMPLES)
    steps, epoch = 0, int(question.factors["epochs"])
    with keep_buffers(model):
        with torch.no_grad():
            features = model[:-1](x)
        while steps < MOST_STEPS and measure_accuracy(logits(features), y) < accuracy - BACK:
            for batch_x, batch_y in lab.batches(question.seed, epoch):
                with torch.no_grad():
                    seen = model[:-1](batch_x)
                optimizer.zero_grad(set_to_none=True)
                F.cross_entropy(logits(seen), batch_y).backward()
                optimizer.step()
                steps += 1
                if steps >= MOST_STEPS or measure_accuracy(logits(features), y) >= accuracy - BACK:
                    break
            epoch += 1
    logits.load_state_dict(held)
    return steps
