"""The experiment ``wake``: units start negative before their ReLU; when do they wake, and what is learned meanwhile?

The article's N is the third layer, its A, B, ... are units of the second, and the first may move under them: with raw
data below, a unit without a gradient could never wake.
"""

from typing import Final

import torch
from torch import Tensor, nn

from placenorm.article.experiments.laboratory import Laboratory, Measured, make_sgd, seeded
from placenorm.article.experiments.scenes import SAMPLES, build_scene, find_layer, look
from placenorm.facts.claim import Number, Question
from placenorm.randomness import fix_seed

KIND: Final = "wake"

DEPTH: Final = 3
SLEEPING_LAYER: Final = 2

EPOCHS: Final = 12
"""As long as the trainings that the shares of dead units come from."""

RATE: Final = 0.1

DEPTH_OF_SLEEP: Final = 0.25
"""How far a sleeper's highest value lies below zero, in standard deviations of its values: a light sleep."""

FIRST_LOOKS: Final = (0, 1, 2, 4, 8)
"""Steps that are looked at in the first epoch, where a norm wakes units; then every epoch's end."""

HALF: Final = 0.5
"""Share of the sleepers that is awake when the layer counts as awake."""


def ask(seed: int, placement: str, asleep: float) -> Question:
    """Return the question of one scene.

    Args:
        seed: the seed.
        placement: name of a policy.
        asleep: share of the second layer's units that start asleep.
    """
    return Question(KIND, {"depth": DEPTH, "placement": placement, "asleep": asleep, "lr": RATE}, seed)


def run(lab: Laboratory, question: Question) -> Measured:
    """Train from a layer that sleeps and return how it wakes.

    Values: ``asleep_start`` and ``asleep_end`` (share of the sleepers that no sample wakes, in training mode, with the
    norm where it stands), ``below_zero`` (share of the sleepers whose layer gave negative values only: 1, or the scene
    would not be one), ``wake_step`` (first step looked at with half of them awake; None if never) and
    ``test_accuracy`` (0 to 1).
    Series: ``step`` and ``awake`` (share of the sleepers).
    """
    model = build_scene(lab, question)
    x, _ = lab.samples(question.seed, SAMPLES)
    linear, activation = find_layer(model, SLEEPING_LAYER)
    sleepers = round(float(question.factors["asleep"]) * linear.out_features)
    raw = _read(model, linear, x, raw=True)
    below = _put_to_sleep(linear, raw, sleepers)
    steps: list[Number] = []
    awake: list[Number] = []

    def note(step: int) -> None:
        values = _read(model, activation, x)[:, :sleepers]
        steps.append(step)
        awake.append(float((values > 0).any(0).double().mean()))

    with fix_seed(seeded(question)):
        note(0)
        optimizer = make_sgd(model, RATE)
        for step in lab.train(model, optimizer, question.seed, EPOCHS):
            if step.number in FIRST_LOOKS:
                note(step.number)
            if step.last:
                note(step.number)
        _, accuracy = lab.evaluate(model, question.seed, test=True)
    first = next((step for step, share in zip(steps, awake, strict=True) if share is not None and share >= HALF), None)
    values: dict[str, Number] = {
        "asleep_start": 1 - (awake[0] or 0.0),
        "asleep_end": 1 - (awake[-1] or 0.0),
        "below_zero": below,
        "wake_step": first,
        "test_accuracy": accuracy,
    }
    return Measured(values, {"step": tuple(steps), "awake": tuple(awake)})


@torch.no_grad()
def _put_to_sleep(linear: nn.Linear, raw: Tensor, sleepers: int) -> float:
    """Lower the biases of the first units until their values are negative, and return the share of which they are.

    A weight op that a norm follows has no bias; it is given one, so that the scene is the same everywhere.
    """
    drop = raw.amax(0) + DEPTH_OF_SLEEP * raw.std(0)
    drop[sleepers:] = 0.0
    bias = torch.zeros_like(drop) if linear.bias is None else linear.bias.detach()
    linear.bias = nn.Parameter(bias - drop)
    return float(((raw - drop)[:, :sleepers] < 0).all(0).double().mean())


def _read(model: nn.Module, module: nn.Module, x: Tensor, *, raw: bool = False) -> Tensor:
    """Return what a module reads for samples in training mode; with `raw` what it gives before any norm behind it."""
    seen: list[Tensor] = []
    if raw:
        handle = module.register_forward_hook(lambda _module, _args, output: seen.append(output), prepend=True)
    else:
        handle = module.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with handle:
        look(model, x)
    return seen[0]
