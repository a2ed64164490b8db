"""A8: shallow networks hardly gain from batch norm; in networks deeper than 5 to 6 layers use it.

Question: How much accuracy does a norm bring at which depth; is there a threshold, and is it at 5 to 6 layers? Is it
the same in residual networks?

Design: The trainings of A4 over depth, from one to twenty hidden layers, plain; and residual networks, in which every
hidden layer but the first adds its input to a share of what its branch returns (`ResidualLayer`, alike in every arm).
Layers are weight ops on the longest path: the hidden layers and the logits.

Measure: The *gain*: test accuracy when training is over with a norm (the mean of before and after the activation) minus
that without, each at the learning rate with the lowest validation loss of its seed, paired by seed. Beside it the gain
in area, as in A4. *Shallow* is the mean of the gains at all depths of at most `SHALLOW` layers; *deep* that of the
depths of more than `DEEP` layers, in plain and in residual networks each.

Rule: Three intervals share one error of 5 %: shallow, deep, and deep with residual connections. A network *gains* if
the interval is above 0 and the mean above one point; it *hardly gains* if the interval ends at or below one point; else
it is *open* (always with fewer than three seeds). Shallow hardly, deep gains: holds, but only without residual
connections if deep residual networks hardly gain. Shallow gains: does not hold, as there is no threshold. Deep hardly
gains: does not hold, as there is nothing to advise. Else undecided. Where the threshold lies is told, not decided: the
least depth from which on the mean gain is above one point, and the largest at which it is not; and how many of the
choices of a rate fell on the lowest or the highest that was tried, where a better one may lie outside.

Published: no threshold was found measured anywhere. Nearest: gcr's residual networks of 20 and 110 layers, where the
position of the norm matters in the deep one only; CaffeNet and GoogLeNet with and without norms.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments.scenes import NORMS, PLACEMENTS
from placenorm.article.grid import (
    ask_depths,
    ask_residual,
    average,
    choose_cell,
    count_at_edge,
    count_layers,
    find_word,
    list_depths,
    read_best,
    read_norms,
)
from placenorm.article.statistics import POINT, compare_arms, effect_of, seeds_of
from placenorm.facts.claim import Chart, Effect, Factor, Observation, Outcome, Point, Published, Question, Ruling
from placenorm.facts.comparison import MIN_SEEDS, Pair

SHALLOW: Final = 5
DEEP: Final = 6
"""The article's 5 to 6 layers: up to 5 a network is shallow, from 7 on deep, and 6 may be either."""

COMPARISONS: Final = 3

Gain = Literal["gains", "hardly", "open"]


def ask(scale: Scale) -> list[Question]:
    """Return the trainings over depth, plain and residual."""
    return ask_depths(scale, PLACEMENTS) + ask_residual(scale, PLACEMENTS)


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    parts = _list_parts(observations)
    pairs = {part: _compare(observations, *parts[part], "test_accuracy") for part in parts}
    words = {part: _find_gain(pair) for part, pair in pairs.items()}
    outcome: Outcome = "undecided"
    variant = ""
    match words["shallow"], words["deep"], words["residual"]:
        case "gains", _, _:
            outcome, variant = "does-not-hold", "everywhere"
        case _, "hardly", _:
            outcome, variant = "does-not-hold", "nowhere"
        case "hardly", "gains", "hardly":
            outcome, variant = "holds-only-if", "plain"
        case "hardly", "gains", residual:
            outcome, variant = "holds", "residual" if residual == "gains" else ""
    effects: list[Effect] = []
    facts: dict[str, Factor] = {"seeds": len(seeds_of(observations))}
    for part, pair in pairs.items():
        effects.append(effect_of("accuracy", pair, "points", 100.0, part=part))
        facts[f"{part}_gain"] = round(100 * pair.difference, 1)
        area = _compare(observations, *parts[part], "area")
        effects.append(effect_of("area", area, "points", 100.0, part=part))
        facts[f"{part}_area"] = round(100 * area.difference, 1)
    facts |= _tell_threshold(observations)
    cells = [
        choose_cell(observations, depth, residual=residual)
        for residual in (False, True)
        for depth in list_depths(observations, residual=residual)
    ]
    facts["at_edge"], facts["choices"] = count_at_edge(cells, PLACEMENTS)
    return Ruling(outcome, tuple(effects), facts, variant)


def _list_parts(observations: Sequence[Observation]) -> dict[str, tuple[list[int], bool]]:
    """Return the depths of each part of the rule, and whether its networks are residual."""
    plain, residual = list_depths(observations), list_depths(observations, residual=True)
    return {
        "shallow": ([depth for depth in plain if count_layers(depth) <= SHALLOW], False),
        "deep": ([depth for depth in plain if count_layers(depth) > DEEP], False),
        "residual": ([depth for depth in residual if count_layers(depth) > DEEP], True),
    }


def _compare(observations: Sequence[Observation], depths: Sequence[int], residual: bool, value: str) -> Pair:
    cells = [choose_cell(observations, depth, residual=residual) for depth in depths]
    return compare_arms(
        average([read_norms(cell, value) for cell in cells]),
        average([read_best(cell, "none", value) for cell in cells]),
        comparisons=COMPARISONS,
        margin=POINT,
    )


def _find_gain(pair: Pair) -> Gain:
    if find_word(pair, POINT) == "more":
        return "gains"
    return "hardly" if pair.seeds >= MIN_SEEDS and pair.high is not None and pair.high <= POINT else "open"


def _tell_threshold(observations: Sequence[Observation]) -> dict[str, Factor]:
    """Return between which depths the mean gain passes a point; ``from_layers`` is 0 where it is not above at last."""
    gains = {depth: _compare(observations, [depth], False, "test_accuracy") for depth in list_depths(observations)}
    return find_threshold({count_layers(depth): pair.difference for depth, pair in gains.items()})


def find_threshold(gains: Mapping[int, float]) -> dict[str, Factor]:
    """Return the least number of layers from which on every mean gain is above a point, and the next smaller one."""
    found: dict[str, Factor] = {"from_layers": 0, "until_layers": max(gains, default=0)}
    for layers in sorted(gains, reverse=True):
        if gains[layers] <= POINT:
            found["until_layers"] = layers
            break
        found["from_layers"], found["until_layers"] = layers, 0
    return found


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return the intervals of the rule, the gain over depth, and the accuracies that it is the difference of."""
    parts = _list_parts(observations)
    verdict, gains, heights = [], [], []
    for part, (depths, residual) in parts.items():
        for group, value in (("accuracy", "test_accuracy"), ("area", "area")):
            verdict.append(_mark(_compare(observations, depths, residual, value), part, group))
    for residual, panel in ((False, "plain"), (True, "residual")):
        for depth in list_depths(observations, residual=residual):
            cell = choose_cell(observations, depth, residual=residual)
            bare = read_best(cell, "none", "test_accuracy")
            for arm in NORMS:
                pair = compare_arms(read_best(cell, arm, "test_accuracy"), bare)
                low, high = (None if end is None else 100 * end for end in (pair.low, pair.high))
                gains.append(Point(count_layers(depth), 100 * pair.difference, arm, low, high, panel=panel))
            for arm in PLACEMENTS:
                reached = read_best(cell, arm, "test_accuracy").values()
                if reached:
                    heights.append(Point(count_layers(depth), sum(reached) / len(reached), arm, panel=panel))
    return (
        Chart("A8-parts", "dots", tuple(verdict)),
        Chart("A8-gain", "lines", tuple(gains)),
        Chart("A8-accuracy", "lines", tuple(heights), as_percent=True),
    )


def _mark(pair: Pair, row: str, group: str) -> Point:
    low, high = (None if end is None else 100 * end for end in (pair.low, pair.high))
    return Point(100 * pair.difference, row, group, low, high)


CLAIM = Claim(
    "A8",
    "depth",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A8-published-residual",
            "gcr/torch-residual-networks, README, CIFAR-10, one run each",
            "https://github.com/gcr/torch-residual-networks",
        ),
        Published(
            "A8-published-imagenet",
            "Mishkin, Sergievskiy & Matas, caffenet-benchmark, batchnorm.md, ImageNet at 128 pixels, one run each",
            "https://github.com/ducha-aiki/caffenet-benchmark",
        ),
    ),
)
