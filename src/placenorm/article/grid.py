"""The trainings that A4, A8 and A9 share: a network of linear layers over depth, each arm at a grid of learning rates.

Rates lie half a decade apart. Those of the short run were chosen on two pilot seeds of digits that no run uses (100 and
101), so that each arm's best rate is among them and the next one outside is worse; without a norm they lie half a
decade lower.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Final, Literal

from placenorm.claims.claim import Scale
from placenorm.claims.experiments import training
from placenorm.claims.experiments.scenes import NORMS
from placenorm.claims.statistics import best_by_seed, choose, levels, values_of
from placenorm.facts.claim import Factor, Observation, Question
from placenorm.facts.comparison import Pair

DEPTHS: Final = (1, 4, 8, 20)
FULL_DEPTHS: Final = (1, 2, 3, 4, 5, 6, 8, 12, 20)
"""Hidden layers. The article's 5 to 6 layers are 4 to 5 of them, since it is weight ops that are counted."""

RESIDUAL_DEPTHS: Final = (20,)
FULL_RESIDUAL_DEPTHS: Final = (4, 8, 12, 20)
"""A deep one first: residual connections are there for deep networks."""

RATES: Final = (0.01, 0.03, 0.1, 0.3)
BARE_RATES: Final = (0.003, 0.01, 0.03, 0.1)
RESIDUAL_RATES: Final = (0.03, 0.1, 0.3)
FULL_RATES: Final = (0.003, 0.01, 0.03, 0.1, 0.3)

AREA: Final = "area"
"""Name of the value that says how fast a training was."""

Word = Literal["more", "less", "same", "open"]
"""What an interval says of a difference, given a margin; see `find_word`."""


def count_layers(depth: Factor) -> int:
    """Return the weight ops on the longest path of a network with so many hidden layers: the logits are one more."""
    return int(depth) + 1


def ask_depths(scale: Scale, placements: Sequence[str]) -> list[Question]:
    """Return the trainings of plain networks over depth."""
    return [
        training.ask(seed, placement, rate, depth=int(depth))
        for placement in placements
        for depth in scale.pick(DEPTHS, FULL_DEPTHS)
        for rate in scale.pick(BARE_RATES if placement == "none" else RATES, FULL_RATES)
        for seed in range(scale.seeds)
    ]


def ask_residual(scale: Scale, placements: Sequence[str]) -> list[Question]:
    """Return the trainings of residual networks over depth."""
    return [
        training.ask(seed, placement, rate, depth=int(depth), residual=True)
        for placement in placements
        for depth in scale.pick(RESIDUAL_DEPTHS, FULL_RESIDUAL_DEPTHS)
        for rate in scale.pick(RESIDUAL_RATES, FULL_RATES)
        for seed in range(scale.seeds)
    ]


def choose_cell(
    observations: Iterable[Observation],
    depth: Factor,
    *,
    activation: str = "relu",
    residual: bool = False,
    affine: bool = True,
) -> list[Observation]:
    """Return the trainings of one network: all its placements, rates and seeds."""
    return choose(observations, training.KIND, depth=depth, activation=activation, residual=residual, affine=affine)


def list_depths(observations: Iterable[Observation], *, residual: bool = False) -> list[int]:
    """Return the depths of ReLU networks with and without a norm, from the shallowest."""
    found = choose(observations, training.KIND, activation="relu", residual=residual, affine=True)
    return sorted(int(depth) for depth in levels(found, "depth"))


def choose_fastest(cell: Iterable[Observation], placement: str) -> dict[int, Observation]:
    """Return of each seed the training with the largest area; ties go to the lower rate.

    Speed has a best rate of its own: by the loss at the end a slow training wins whenever it creeps a little lower.
    """
    fastest: dict[int, Observation] = {}
    for each in sorted(choose(cell, placement=placement), key=lambda each: float(each.question.factors["lr"])):
        seed = each.question.seed
        if seed not in fastest or (each.values[AREA] or 0.0) > (fastest[seed].values[AREA] or 0.0):
            fastest[seed] = each
    return fastest


def read_best(cell: Iterable[Observation], placement: str, value: str) -> dict[int, float]:
    """Return a value by seed, each seed at its own best rate.

    That is the one with the largest area for the area itself (`choose_fastest`), and the one with the lowest validation
    loss at the end for all else (`best_by_seed`).
    """
    if value == AREA:
        return values_of(choose_fastest(cell, placement), value)
    return values_of(best_by_seed(choose(cell, placement=placement)), value)


def read_norms(cell: Sequence[Observation], value: str) -> dict[int, float]:
    """Return by seed the mean of a value over the norms before and after the activation, each at its own best rate."""
    return average([read_best(cell, placement, value) for placement in NORMS])


def average(found: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the mean of some values by seed, over the seeds that all of them have."""
    shared = set.intersection(*(set(each) for each in found)) if found else set()
    return {seed: fmean(each[seed] for each in found) for seed in sorted(shared)}


def find_word(pair: Pair, margin: float) -> Word:
    """Return what a paired difference comes to.

    Returns:
        ``same`` if its interval lies within +-margin; ``more`` if the interval is above 0 and its mean above the
        margin; ``less`` if the interval is below 0 and its mean below -margin; else, and always with fewer than three
        seeds, ``open``.
    """
    if pair.word == "no practical difference":
        return "same"
    if pair.word == "better" and abs(pair.difference) > margin:
        return "more" if pair.difference > 0 else "less"
    return "open"
