"""A9: put the norm after the activation; before a ReLU every unit is off for half of the data, wanted or not.

Question: Is a network with its norms after the activation more accurate than one with its norms before, by activation,
with and without gamma and beta, by depth, plain and residual? And the article's reason: a unit that should be on for
10 % of the inputs, does the norm before its ReLU keep it on for about half of them, or does beta learn it?

Design: The trainings of A4 and A8 with norms before and after the activation; beside them, at `DEPTH` hidden layers,
other activations, and norms without gamma and beta. The reason has a scene of its own (experiment ``rare-feature``): a
unit must say whether a feature is there that 10 % of the inputs have, while what it sees is clean or noisy; without a
norm, with one before the ReLU, with and without gamma and beta, and with one after it.

Measure: In each of seven conditions (ReLU in shallow networks, the mean over depths of at most 5 layers; in deep ones,
of more than 6; in deep residual ones; without gamma and beta; ELU; tanh; GELU) the test accuracy after minus before,
each at the learning rate with the lowest validation loss of its seed, paired by seed; *overall* is the mean of the
seven. In the scene: the share of inputs at which the unit is on, minus the share at which it is on without a norm.

Rule: Ten intervals share one error of 5 %: the seven, overall, and in the noisy scene the unit with beta and the one
without. A difference is *after* if its interval is above 0 and its mean above one point, *before* the other way round,
*the same* if the interval lies within a point of 0, else *open* (always with fewer than three seeds). Overall after:
holds if no condition is before, else holds only except there. Overall not after, but some condition: holds only there.
No condition after, and overall before or the same: does not hold. Else undecided. The reason is told beside the verdict
and decides nothing: beta *learns* the share if the interval with beta lies within `SHARE_MARGIN` of 0; half is *forced*
without beta if that interval is above 0 and its mean above `SHARE_MARGIN`.

Published: Mishkin, Sergievskiy & Matas (CaffeNet, with and without gamma and beta, and GoogLeNet, where it reverses);
Raschka's NiN; Hustinx's OctaveCNN with PReLU; Kim, Kim & Kim 2023 on tanh.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Final

from placenorm.article.a08_depth import DEEP, SHALLOW
from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments import rare_feature, training
from placenorm.article.experiments.scenes import NORMS
from placenorm.article.grid import (
    FULL_RATES,
    Word,
    ask_depths,
    ask_residual,
    average,
    choose_cell,
    count_layers,
    find_word,
    list_depths,
    read_best,
)
from placenorm.article.statistics import POINT, choose, compare_arms, effect_of, estimate, levels, seeds_of, values_of
from placenorm.facts.claim import Chart, Factor, Observation, Outcome, Point, Published, Question, Ruling
from placenorm.facts.comparison import Pair

BEFORE, AFTER = NORMS

DEPTH: Final = 8
"""Hidden layers of the other activations: deeper than the 5 to 6 layers from which the article advises a norm."""

OTHERS: Final[dict[str, tuple[str, bool, tuple[float, ...]]]] = {
    "no-affine": ("relu", False, (0.03, 0.1, 0.3)),
    "elu": ("elu", True, (0.01, 0.03, 0.1)),
    "tanh": ("tanh", True, (0.01, 0.03, 0.1)),
    "gelu": ("gelu", True, (0.03, 0.1, 0.3)),
}
"""Activation, whether norms have gamma and beta, and the rates of the short run (best ones of a pilot between)."""

ARMS: Final = {
    "none": ("none", True),
    "before": (BEFORE, True),
    "before-plain": (BEFORE, False),
    "after": (AFTER, True),
}
"""Arms of the scene: placement, and whether the norm has gamma and beta."""

SHARE_MARGIN: Final = 0.05
"""Shares closer than this are the same: from 10 % to "about half" it is eight times as far."""

COMPARISONS: Final = 10


def ask(scale: Scale) -> list[Question]:
    """Return the trainings with norms before and after, and the scene."""
    seeds = range(scale.seeds)
    others = [
        training.ask(seed, placement, rate, depth=DEPTH, activation=activation, affine=affine)
        for activation, affine, rates in OTHERS.values()
        for placement in NORMS
        for rate in scale.pick(rates, FULL_RATES)
        for seed in seeds
    ]
    scenes = [
        rare_feature.ask(seed, scene, placement, affine=affine)
        for scene in rare_feature.NOISES
        for placement, affine in ARMS.values()
        for seed in seeds
    ]
    return ask_depths(scale, NORMS) + ask_residual(scale, NORMS) + others + scenes


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    arms = {name: _read_condition(observations, cells) for name, cells in _list_conditions(observations).items()}
    pairs = {name: _compare(*both) for name, both in arms.items()}
    words = {name: find_word(pair, POINT) for name, pair in pairs.items()}
    everywhere = _compare(
        average([after for after, _ in arms.values()]), average([before for _, before in arms.values()])
    )
    overall = find_word(everywhere, POINT)
    afters, befores = ([name for name, word in words.items() if word == wanted] for wanted in ("more", "less"))
    outcome: Outcome = "undecided"
    variant = ""
    if overall == "more":
        outcome, variant = ("holds-only-if", "except") if befores else ("holds", "")
    elif afters:
        outcome, variant = "holds-only-if", "some"
    elif overall in ("less", "same"):
        outcome, variant = "does-not-hold", {"less": "before", "same": "same"}[overall]
    shares = {arm: _read_share(observations, "noisy", arm) for arm in ARMS}
    learned, forced = (_compare(shares[arm], shares["none"], SHARE_MARGIN) for arm in ("before", "before-plain"))
    facts: dict[str, Factor] = {
        "seeds": len(seeds_of(observations)),
        "conditions": len(pairs),
        "after": len(afters),
        "before": len(befores),
        "overall": round(100 * everywhere.difference, 1),
        **_tell_extremes(pairs, afters, befores),
        "reason": _tell_reason(find_word(learned, SHARE_MARGIN), find_word(forced, SHARE_MARGIN)),
    }
    for arm, key in (("none", "none"), ("before", "before"), ("before-plain", "plain"), ("after", "behind")):
        facts[f"on_{key}"] = _percent(shares[arm])
        facts[f"clean_{key}"] = _percent(_read_share(observations, "clean", arm))
    effects = [effect_of("overall", everywhere, "points", 100.0)]
    effects += [effect_of("condition", pair, "points", 100.0, condition=name) for name, pair in pairs.items()]
    effects += [effect_of("share", learned, "points", 100.0, affine=True)]
    effects += [effect_of("share", forced, "points", 100.0, affine=False)]
    return Ruling(outcome, tuple(effects), facts, variant)


Cells = list[list[Observation]]


def _list_conditions(observations: Sequence[Observation]) -> dict[str, Cells]:
    """Return the trainings of each condition, those of each network together."""
    plain = {depth: choose_cell(observations, depth) for depth in list_depths(observations)}
    residual = {
        depth: choose_cell(observations, depth, residual=True) for depth in list_depths(observations, residual=True)
    }
    conditions: dict[str, Cells] = {
        "shallow": [cell for depth, cell in plain.items() if count_layers(depth) <= SHALLOW],
        "deep": [cell for depth, cell in plain.items() if count_layers(depth) > DEEP],
        "residual": [cell for depth, cell in residual.items() if count_layers(depth) > DEEP],
    }
    for name, (activation, affine, _) in OTHERS.items():
        conditions[name] = [choose_cell(observations, DEPTH, activation=activation, affine=affine)]
    return conditions


def _read_condition(observations: Sequence[Observation], cells: Cells) -> tuple[dict[int, float], dict[int, float]]:
    """Return the mean test accuracy over a condition's networks by seed, after and before."""
    after, before = (average([read_best(cell, arm, "test_accuracy") for cell in cells]) for arm in (AFTER, BEFORE))
    return after, before


def _compare(first: Mapping[int, float], second: Mapping[int, float], margin: float = POINT) -> Pair:
    return compare_arms(first, second, comparisons=COMPARISONS, margin=margin)


def _tell_extremes(pairs: Mapping[str, Pair], afters: Sequence[str], befores: Sequence[str]) -> dict[str, Factor]:
    """Return where after, and where before, is furthest ahead; of the decided conditions where there are any."""
    best = max(afters or pairs, key=lambda name: pairs[name].difference)
    worst = min(befores or pairs, key=lambda name: pairs[name].difference)
    return {
        "best": best,
        "best_gain": round(100 * pairs[best].difference, 1),
        "worst": worst,
        "worst_gain": round(100 * pairs[worst].difference, 1),
    }


def _tell_reason(learned: Word, forced: Word) -> str:
    """Return whether beta learns the share, and half is forced without it: ``both``, ``learned``, ``forced``, ..."""
    match learned, forced:
        case "same", "more":
            return "both"
        case "same", _:
            return "learned"
        case "more", "more":
            return "forced"
        case _:
            return "open"


def _read_share(observations: Sequence[Observation], scene: str, arm: str) -> dict[int, float]:
    placement, affine = ARMS[arm]
    found = choose(observations, rare_feature.KIND, scene=scene, placement=placement, affine=affine)
    return values_of({each.question.seed: each for each in found}, "on")


def _percent(shares: Mapping[int, float]) -> float:
    return round(100 * fmean(shares.values()), 1) if shares else 0.0


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return the difference by condition, by depth, and how often the unit of the scene is on."""
    conditions, depths, shares = [], [], []
    for name, cells in _list_conditions(observations).items():
        pair = _compare(*_read_condition(observations, cells))
        low, high = (None if end is None else 100 * end for end in (pair.low, pair.high))
        conditions.append(Point(100 * pair.difference, name, "", low, high))
    for residual, group in ((False, "plain"), (True, "residual")):
        for depth in list_depths(observations, residual=residual):
            cell = choose_cell(observations, depth, residual=residual)
            pair = compare_arms(*(read_best(cell, arm, "test_accuracy") for arm in (AFTER, BEFORE)))
            low, high = (None if end is None else 100 * end for end in (pair.low, pair.high))
            depths.append(Point(count_layers(depth), 100 * pair.difference, group, low, high))
    for scene in levels(choose(observations, rare_feature.KIND), "scene"):
        for arm in ARMS:
            found = list(_read_share(observations, str(scene), arm).values())
            if found:
                mean, low, high = estimate(found)
                shares.append(Point(str(scene), mean, arm, low, high))
    return (
        Chart("A9-conditions", "dots", tuple(conditions)),
        Chart("A9-depth", "lines", tuple(depths)),
        Chart("A9-share", "bars", tuple(shares), as_percent=True),
    )


CLAIM = Claim(
    "A9",
    "before-after",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A9-published-caffenet",
            "Mishkin, Sergievskiy & Matas, caffenet-benchmark, batchnorm.md, ImageNet at 128 pixels, one run each",
            "https://github.com/ducha-aiki/caffenet-benchmark",
        ),
        Published(
            "A9-published-googlenet",
            "Mishkin, Sergievskiy & Matas, caffenet-benchmark, batchnorm.md, ImageNet at 128 pixels, one run each",
            "https://github.com/ducha-aiki/caffenet-benchmark",
        ),
        Published(
            "A9-published-nin",
            "S. Raschka, rasbt/deeplearning-models, nin-cifar10_batchnorm.ipynb, one run each",
            "https://github.com/rasbt/deeplearning-models",
        ),
        Published(
            "A9-published-octave",
            "A. Hustinx, octconv.pytorch, issue 21, CIFAR-10, one run each",
            "https://github.com/d-li14/octconv.pytorch/issues/21",
        ),
        Published(
            "A9-published-tanh",
            "Kim, Kim & Kim 2023, Tanh Works Better With Asymmetry, NeurIPS, abstract",
            "https://papers.nips.cc/paper_files/paper/2023/hash/298281b9e89197195eb461e68ad20136-Abstract-Conference.html",
        ),
        Published(
            "A9-published-chollet",
            "F. Chollet, keras-team/keras, issue 1802, comment 187966878",
            "https://github.com/keras-team/keras/issues/1802#issuecomment-187966878",
        ),
    ),
)
