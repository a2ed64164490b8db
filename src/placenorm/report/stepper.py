"""The article's own example, step by step: made-up outputs of 100 neurons for 128 samples, and what the norm does.

The numbers are small enough to stand in a page, and are computed here, so that the page only draws them.
"""

import base64
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from placenorm.report.language import Language

SAMPLES: Final = 128
NEURONS: Final = 100
NEURON: Final = 7
"""The article's matrix, and the neuron that it follows; counted from 1."""

SEED: Final = 7

STEPS: Final = ("raw", "mean", "centred", "divided", "affine")

TENTHS: Final = 10
"""Outputs are whole tenths, so that one signed byte holds one."""

EPS: Final = 1e-5

_LARGEST = 127

_NEURON_MEAN, _NEURON_SD, _NEURON_GAMMA, _NEURON_BETA = 2.6, 1.8, 1.4, -0.8
"""Of neuron 7: far enough from 0 and 1 that every step is seen."""


@dataclass(frozen=True, slots=True)
class Example:
    """The matrix with what the norm takes from it and what it learned, one number a neuron each.

    Attributes:
        rows: raw outputs, a row a sample.
        means: mean of each column.
        sds: standard deviation of each column, sqrt(var + eps).
        gammas: scale of each neuron.
        betas: shift of each neuron.
    """

    rows: tuple[tuple[float, ...], ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    gammas: tuple[float, ...]
    betas: tuple[float, ...]

    def column(self, neuron: int, step: str) -> list[float]:
        """Return the outputs of a neuron, counted from 1, after a step."""
        place = neuron - 1
        raw = [row[place] for row in self.rows]
        if step in ("raw", "mean"):
            return raw
        centred = [value - self.means[place] for value in raw]
        if step == "centred":
            return centred
        divided = [value / self.sds[place] for value in centred]
        if step == "divided":
            return divided
        return [self.gammas[place] * value + self.betas[place] for value in divided]


def make_example() -> Example:
    """Return the matrix of the page, the same every time."""
    draw = random.Random(SEED)
    levels = [draw.gauss(0, 1.5) for _ in range(NEURONS)]
    spreads = [math.exp(draw.gauss(0, 0.4)) for _ in range(NEURONS)]
    gammas = [math.exp(draw.gauss(0, 0.35)) for _ in range(NEURONS)]
    betas = [draw.gauss(0, 0.8) for _ in range(NEURONS)]
    own = NEURON - 1
    levels[own], spreads[own], gammas[own], betas[own] = _NEURON_MEAN, _NEURON_SD, _NEURON_GAMMA, _NEURON_BETA
    rows = tuple(
        tuple(
            max(-_LARGEST, min(_LARGEST, round(TENTHS * draw.gauss(level, spread)))) / TENTHS
            for level, spread in zip(levels, spreads, strict=True)
        )
        for _ in range(SAMPLES)
    )
    columns = list(zip(*rows, strict=True))
    means = [math.fsum(column) / SAMPLES for column in columns]
    variances = [
        math.fsum((value - mean) ** 2 for value in column) / SAMPLES
        for column, mean in zip(columns, means, strict=True)
    ]
    sds = [math.sqrt(variance + EPS) for variance in variances]
    return Example(rows, tuple(means), tuple(sds), tuple(gammas), tuple(betas))


@dataclass(frozen=True, slots=True)
class Step:
    """One step as the page says it.

    Attributes:
        title: what is done.
        says: what that does to neuron 7, in numbers.
    """

    title: str
    says: str


def say_steps(example: Example, language: Language) -> list[Step]:
    """Return the steps in words."""
    steps = []
    for name in STEPS:
        column = example.column(NEURON, name)
        mean = math.fsum(column) / SAMPLES
        sd = math.sqrt(math.fsum((value - mean) ** 2 for value in column) / SAMPLES)
        first, second, third = (language.number(value, 2) for value in column[:3])
        says = language.say(
            f"step-{name}-says",
            samples=SAMPLES,
            neurons=NEURONS,
            neuron=NEURON,
            mean=language.number(mean, 2),
            sd=language.number(sd, 2),
            first=first,
            second=second,
            third=third,
            gamma=f"γ = {language.number(example.gammas[NEURON - 1], 2)}",
            beta=f"β = {language.number(example.betas[NEURON - 1], 2)}",
        )
        steps.append(Step(language.say(f"step-{name}"), says))
    return steps


def encode_example(example: Example, language: Language) -> dict[str, Any]:
    """Return what the page draws: raw outputs as bytes in base64, the other numbers as they are."""
    raw = bytes(round(TENTHS * value) % 256 for row in example.rows for value in row)
    return {
        "samples": SAMPLES,
        "neurons": NEURONS,
        "neuron": NEURON,
        "raw": base64.b64encode(raw).decode(),
        "means": _rounded(example.means),
        "sds": _rounded(example.sds),
        "gammas": _rounded(example.gammas),
        "betas": _rounded(example.betas),
        "digits": [language.number(digit, 0) for digit in range(10)],
        "words": {
            "mean": language.say("step-mean-mark"),
            "neuron": language.say("step-neuron", neuron=NEURON),
            "samples": language.say("step-samples"),
            "neurons": language.say("step-neurons"),
        },
    }


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 4) for number in numbers]
