"""A11: data are not Gaussian (they are discrete), yet we treat them so, and the normal's properties then hold.

Question: Once values are standardised, are they near enough to a normal for its properties to hold? How skewed, how
heavy-tailed are they before and after the norm, the activation and the pool, and how many are exactly zero?

Design: Plain networks (8 layers fully connected; 4 conv layers with two max pools, where samples are images) are
trained with the norm before and after each activation. Then 1,024 training samples (all, where there are fewer) go
through them once, in evaluation mode and float64, so that rounding changes nothing.

Measure: Of every channel the skewness and the excess kurtosis (0 for a normal), and the share of exact zeros. At a site
the median over channels of their sizes; channels that do not vary are left out. Skewness and kurtosis of a network are
means over the outputs of its norms. How far a norm changes them: largest difference between its input and its output.

Rule: For each network and placement, skewness and kurtosis have an interval over seeds; all of them share one error of
5 %. A placement *looks normal* if all its intervals end at or below `SKEWNESS` and `KURTOSIS`; it *does not* if one of
them begins above. Fewer than three seeds: undecided. Both placements look normal: holds. One does and the other does
not: holds only if the norm stands there. Neither does: does not hold. Else: undecided, and said so if it is certain
that values after the activation do not look normal.

Published: Ioffe & Szegedy 2015 and Goodfellow et al. (Deep Learning, 8.7.1) on shapes before and after the activation.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import Final

import torch
from torch import Tensor

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments.laboratory import Laboratory, Measured
from placenorm.article.experiments.scenes import NORMS
from placenorm.article.experiments.shapes import Shape, measure_shapes
from placenorm.article.experiments.trained import ask_networks, train_network
from placenorm.article.statistics import average_by_seed, choose, effect_of_share, estimate, largest, levels, seeds_of
from placenorm.facts.claim import (
    Chart,
    Effect,
    Factor,
    Number,
    Observation,
    Outcome,
    Point,
    Published,
    Question,
    Ruling,
)
from placenorm.facts.comparison import MIN_SEEDS

KIND: Final = "shape"

SKEWNESS: Final = 0.5
"""Below it a distribution is called nearly symmetric (Bulmer 1979, Principles of Statistics, p. 63)."""

KURTOSIS: Final = 1.0
"""Excess: six times the sampling error, sqrt(24 / n), that 1,000 values of a true normal have."""

SITES: Final = ("input", "norm-in", "norm-out", "activation", "pool")

MOST_SAMPLES: Final = 1024
"""Samples that shapes are read from: more would not change a median, and a batch of images in float64 has to fit."""


def ask(scale: Scale) -> list[Question]:
    """Return the networks that are looked into."""
    return ask_networks(scale, KIND)


def run(lab: Laboratory, question: Question) -> Measured:
    """Train a network and return the shapes of the distributions in it.

    Values: for each kind of site (``input``, ``norm-in``, ``norm-out``, ``activation``, ``pool``) ``skewness_<site>``,
    ``kurtosis_<site>``, ``zeros_<site>``, means over its sites, None where there is none; ``skewness_change``,
    ``kurtosis_change`` (by a norm, largest), ``constant`` (share of norms' channels that do not vary), ``levels``
    (different values that a feature of the input takes, median over those that vary).
    Series: the same three by site, in the order they run.
    """
    model = train_network(lab, question).double()
    x, _ = lab.samples(question.seed, MOST_SAMPLES)
    found = measure_shapes(model, x.double())
    values: dict[str, Number] = {
        "skewness_change": found.skewness_change,
        "kurtosis_change": found.kurtosis_change,
        "constant": found.constant,
        "levels": _count_levels(x),
    }
    series: dict[str, tuple[Number, ...]] = {}
    reads: dict[str, Callable[[Shape], Number]] = {
        "skewness": lambda shape: shape.skew,
        "kurtosis": lambda shape: shape.excess,
        "zeros": lambda shape: shape.zeros,
    }
    for site in SITES:
        for name, read in reads.items():
            series[f"{name}_{site}"] = tuple(read(shape) for shape in found.sites.get(site, []))
            known = [number for number in series[f"{name}_{site}"] if number is not None]
            values[f"{name}_{site}"] = fmean(known) if known else None
    return Measured(values, series)


def _count_levels(x: Tensor) -> float:
    counts = torch.tensor([len(feature.unique()) for feature in x.flatten(1).T], dtype=torch.float64)
    varying = counts[counts > 1]
    return float(varying.median()) if len(varying) else 1.0


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    observations = choose(observations, KIND)
    networks = list(dict.fromkeys(_network(each) for each in observations))
    seeds = len(seeds_of(observations))
    comparisons = 2 * len(NORMS) * len(networks)
    effects: list[Effect] = []
    looks: dict[str, str] = {}
    for placement in NORMS:
        ends = []
        for network, depth in networks:
            found = choose(observations, network=network, depth=depth, placement=placement)
            for name, margin in (("skewness", SKEWNESS), ("kurtosis", KURTOSIS)):
                numbers = _known(found, f"{name}_norm-out")
                measured = estimate(numbers, comparisons) if numbers else (0.0, None, None)
                where: dict[str, Factor] = {"placement": placement, "network": network, "depth": depth}
                effects.append(Effect(name, *measured, len(numbers), "", where))
                ends.append((*measured[1:], margin, len(numbers)))
        looks[placement] = _look(ends)
    outcome: Outcome
    variant = ""
    before, after = (looks[placement] for placement in NORMS)
    if before == after == "normal":
        outcome = "holds"
    elif before == after == "not":
        outcome = "does-not-hold"
    elif {before, after} == {"normal", "not"}:
        outcome, variant = "holds-only-if", next(name for name, look in looks.items() if look == "normal")
    else:
        outcome, variant = "undecided", "after-not" if after == "not" else ""
    change = max(largest(observations, f"{name}_change") for name in ("skewness", "kurtosis"))
    effects.append(Effect("change", change, None, None, seeds))
    facts: dict[str, Factor] = {"seeds": seeds, "skewness_margin": SKEWNESS, "kurtosis_margin": KURTOSIS}
    for placement, short in zip(NORMS, ("before", "after"), strict=True):
        found = choose(observations, placement=placement)
        for site in ("norm-in", "norm-out", "activation"):
            zeros = average_by_seed(found, partial(_value, f"zeros_{site}"))
            if zeros:
                effects.append(effect_of_share("zeros", list(zeros.values()), placement=placement, site=site))
        for name in ("skewness", "kurtosis"):
            facts[f"{name}_{short}"] = round(_mean(found, f"{name}_norm-out"), 2)
        facts[f"zeros_{short}"] = round(100 * _mean(found, "zeros_norm-in"))
    facts["levels"] = round(_mean(observations, "levels"))
    return Ruling(outcome, tuple(effects), facts, variant)


def _network(observation: Observation) -> tuple[Factor, Factor]:
    return observation.question.factors["network"], observation.question.factors["depth"]


def _value(name: str, observation: Observation) -> Number:
    return observation.values.get(name)


def _known(found: Sequence[Observation], name: str) -> list[float]:
    return [number for each in found if (number := each.values.get(name)) is not None]


def _mean(found: Sequence[Observation], name: str) -> float:
    numbers = _known(found, name)
    return fmean(numbers) if numbers else 0.0


def _look(ends: Sequence[tuple[Number, Number, float, int]]) -> str:
    """Return whether a placement looks ``normal``, does ``not``, or nobody knows; the rule's middle part."""
    known = [
        (low, high, margin)
        for low, high, margin, seeds in ends
        if low is not None and high is not None and seeds >= MIN_SEEDS
    ]
    if any(low > margin for low, _, margin in known):
        return "not"
    return "normal" if len(known) == len(ends) and all(high <= margin for _, high, margin in known) else ""


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return skewness and kurtosis after each norm, and zeros before and after it, by layer."""
    skewness, kurtosis, zeros = [], [], []
    for network, depth in dict.fromkeys(_network(each) for each in observations):
        for placement in levels(observations, "placement"):
            found = choose(observations, KIND, network=network, depth=depth, placement=placement)
            panel = f"{network}-{depth}"
            skewness += _line(found, "skewness_norm-out", str(placement), panel)
            kurtosis += _line(found, "kurtosis_norm-out", str(placement), panel)
            for site in ("norm-in", "norm-out", "activation"):
                zeros += _line(found, f"zeros_{site}", site, f"{panel}-{placement}")
    return (
        Chart("A11-skewness", "lines", tuple(skewness)),
        Chart("A11-kurtosis", "lines", tuple(kurtosis)),
        Chart("A11-zeros", "lines", tuple(zeros), as_percent=True),
    )


def _line(found: Sequence[Observation], name: str, group: str, panel: str) -> list[Point]:
    points = []
    for layer, numbers in enumerate(zip(*(each.series[name] for each in found), strict=True), start=1):
        known = [number for number in numbers if number is not None]
        if known:
            mean, low, high = estimate(known)
            points.append(Point(layer, mean, group, low, high, panel=panel))
    return points


CLAIM = Claim(
    "A11",
    "shape",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A11-published-before",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, quoted in keras#1802",
            "https://arxiv.org/abs/1502.03167",
        ),
        Published(
            "A11-published-after",
            "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.7.1",
            "https://www.deeplearningbook.org",
        ),
    ),
)
