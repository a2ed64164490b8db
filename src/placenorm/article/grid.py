"""The trainings that A4, A8 and A9 share: a network of linear layers over depth, each arm at a grid of learning rates.

Rates lie half a decade apart. Those of the short run were chosen on two pilot seeds of digits that no run uses (100 and
101), so that each arm's best rate is among them and the next one outside is worse; without a norm they lie half a
decade lower. The grid does not grow by itself as that of `compare` does: how often the lowest or the highest rate was
the best is told (`count_at_edge`).
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Final, Literal

from placenorm.article.claim import Scale
from placenorm.article.experiments import training
from placenorm.article.experiments.scenes import NORMS
from placenorm.article.statistics import best_by_seed, choose, levels, values_of
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
FULL_RATES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

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
    """Return of each seed the training at the rate where the other seeds have their largest mean area.

    Speed has a best rate of its own: by the loss at the end a slow training wins whenever it creeps a little lower.
    Chosen by its own area, a seed would report the largest of several noisy numbers, and the arm whose rates differ
    least would gain most by it. A single seed has no others and chooses by its own. Ties go to the lower rate.
    """
    by_rate: dict[float, dict[int, Observation]] = {}
    for each in choose(cell, placement=placement):
        by_rate.setdefault(float(each.question.factors["lr"]), {})[each.question.seed] = each
    seeds = sorted({seed for trained in by_rate.values() for seed in trained})

    def judge(rate: float, seed: int) -> float:
        others = [_read_area(each) for other, each in by_rate[rate].items() if other != seed or len(seeds) == 1]
        return fmean(others) if others else 0.0

    fastest: dict[int, Observation] = {}
    for seed in seeds:
        tried = [rate for rate in sorted(by_rate) if seed in by_rate[rate]]
        fastest[seed] = by_rate[max(tried, key=partial(judge, seed=seed))][seed]
    return fastest


def count_at_edge(cells: Iterable[Sequence[Observation]], placements: Sequence[str]) -> tuple[int, int]:
    """Return how many choices by loss fell on the lowest or the highest rate of their cell, and how many there were."""
    at_edge = total = 0
    for cell in cells:
        for placement in placements:
            arm = choose(cell, placement=placement)
            rates = [float(rate) for rate in levels(arm, "lr")]
            chosen = [float(each.question.factors["lr"]) for each in best_by_seed(arm).values()]
            at_edge += sum(rate in (min(rates), max(rates)) for rate in chosen)
            total += len(chosen)
    return at_edge, total


def read_best(cell: Iterable[Observation], placement: str, value: str) -> dict[int, float]:
    """Return a value by seed, each seed at its own best rate.

    That is `choose_fastest` for the area, and for all else the one with the lowest validation loss at the end
    (`best_by_seed`).
    """
    if value == AREA:
        return values_of(choose_fastest(cell, placement), value)
    return values_of(best_by_seed(choose(cell, placement=placement)), value)


def read_norms(cell: Sequence[Observation], value: str) -> dict[int, float]:
    """Return by seed the mean of a value over the norms before and after the activation, each at its own best rate."""
    return average([read_best(cell, placement, value) for placement in NORMS])


def _read_area(observation: Observation) -> float:
    return observation.values[AREA] or 0.0


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
