"""A3: after normalising, the distance from 0 says how likely a value is an outlier; 5 is probably a recording error.

Question: How often are normalised values beyond 1, 2, 3 and 5 in trained networks, beside the normal table; do large
distances point at corrupted samples; and is a sample with a distance of 5 or more probably a corrupted one?

Design: Plain networks are trained with the norm before and after the activation. z is what the norm makes of its input
in evaluation, before gamma and beta; at the network's input each value is normalised by the training data. Tails: over
validation and test data. Corruption: of every test sample there is a copy with one value ten times too large, one with
5 % of its values at the largest, one ten times too bright and one ten times too dark; rates are those of a set in which
2 % of the samples are such copies. Counted distances (`pn.outliers`) are calibrated on the validation data. Beside it
one wild value among n, normalised by all n: how large can its distance become?

Measure: The share of values beyond 3 over the normal table's 0.27 %. The area under the ROC curve of a sample's largest
distance at any norm, mean over corruptions, and of the counted distance. The precision of "5 or more at some norm", P =
0.02 h / (0.02 h + 0.98 a), with the share of corrupted samples found h and of good samples flagged a, each the mean
over networks and corruptions; and that of a counted surprise of at most 1 %. All are means over networks by seed.
Beside them, not part of the rule: the same precision of single values at norms instead of samples.

Rule: Five intervals share one error of 5 %: the area, the two precisions, and the ratio of tails for each placement.
The distance *ranks* if the area's interval is above 0.5 + `AREA_MARGIN`. The *table fits* if both ratios' intervals lie
within 1 / `FACTOR` and `FACTOR`; it *fails* if one of them lies wholly outside. Five *is probably an error* if its
precision's interval is above 1/2; it *is probably none* if below. Fewer than three seeds, or fewer in which anything is
flagged: undecided. Ranks, table fits and five is probably an error: holds. Ranks, the table fails or five is probably
none, and the counted precision's interval is above 1/2: holds only if one counts. The area's interval ends at or below
0.5 + `AREA_MARGIN`, or the table fails or five is probably none while the counted precision's interval is below 1/2:
does not hold. Else: undecided; where the distance ranks and the table fails or five is probably none, only counting is
left open, and this is said.

Published: The normal table; the bound sqrt(n - 1) on the distance from the mean among n values (Samuelson 1968), in
standard deviations with the divisor n, which is a norm's.
"""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import Final

import torch
from torch import nn

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments.corruption import (
    BATCH,
    BY_COUNT,
    BY_NORMS,
    CORRUPTIONS,
    FAR,
    VALUES,
    WAYS,
    find_corrupted,
)
from placenorm.article.experiments.laboratory import Laboratory, Measured
from placenorm.article.experiments.scenes import NORMS
from placenorm.article.experiments.tails import measure_tails
from placenorm.article.experiments.trained import ask_networks, train_network
from placenorm.article.statistics import average_by_seed, choose, effect_of_share, estimate, largest, levels, seeds_of
from placenorm.data import count_samples, fetch
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
from placenorm.randomness import fix_seed

KIND: Final = "outliers"
LIMIT: Final = "outlier-limit"

NORMAL_TABLE: Final = {1: 0.3173105, 2: 0.0455003, 3: 0.0026998, 5: 5.733e-7}
"""How often a normal variable is further from its mean, in standard deviations: erfc(k / sqrt(2))."""

SHARE: Final = 0.02
"""Of samples that are corrupted."""

AREA_MARGIN: Final = 0.05
"""A twentieth above chance: below it, nobody finds anything by looking at the furthest samples first."""

FACTOR: Final = 2.0
"""A likelihood that is wrong twofold is still a likelihood."""

COMPARISONS: Final = 5

SIZES: Final = (2, 5, 10, 25, 26, 64, 128, 256, 1024)
WILD: Final = 1e9
"""The wild value, in standard deviations of the others: as good as infinite."""


def ask(scale: Scale) -> list[Question]:
    """Return the networks that are looked into, and the search for the largest distance."""
    return ask_networks(scale, KIND) + [Question(LIMIT, {}, seed) for seed in range(scale.seeds)]


def run(lab: Laboratory, question: Question) -> Measured:
    """Train a network and return its tails, and how well corrupted samples are found.

    Values: ``beyond_<k>_input``, ``beyond_<k>_norms`` (share of values; norms: mean over norms); for each way
    (``input``, ``norms``: the largest distance there; ``counted``: `pn.outliers`) ``alarm_<way>`` (share of good
    samples that it flags) and for each corruption ``area_<way>_<corruption>`` and ``hit_<way>_<corruption>``;
    ``alarm_values`` and ``hit_values_<corruption>`` (share of the values at norms that are beyond 5, test samples).
    Series: ``beyond_<k>`` at each norm, in the order they run.
    """
    model = train_network(lab, question)
    parts = lab.parts(question.seed)
    train, clean, test = (
        fetch(part, range(count_samples(part)))[0].to(lab.device)
        for part in (parts.train, parts.validation, parts.test)
    )
    tails = measure_tails(model, train, torch.cat([clean, test]), tuple(NORMAL_TABLE), BATCH)
    values = find_corrupted(model, train, clean, test, question.seed)
    for far, (at_input, at_norms) in tails.items():
        values[f"beyond_{far}_input"], values[f"beyond_{far}_norms"] = at_input, fmean(at_norms)
    return Measured(values, {f"beyond_{far}": tuple(at_norms) for far, (_, at_norms) in tails.items()})


def run_limit(lab: Laboratory, question: Question) -> Measured:
    """Return how large the distance of one wild value becomes among n values, normalised by a norm.

    Values: ``bound_error`` (largest distance from sqrt(n - 1), over n).
    Series: ``size``, ``largest``.
    """
    found: list[Number] = []
    with fix_seed(question.seed), torch.no_grad():
        for size in SIZES:
            x = torch.randn(size, 1, dtype=torch.float64)
            x[0] = WILD
            found.append(float(nn.BatchNorm1d(1, affine=False, dtype=torch.float64)(x)[0]))
    error = max(abs((each or 0.0) - (size - 1) ** 0.5) for each, size in zip(found, SIZES, strict=True))
    return Measured({"bound_error": error}, {"size": tuple(map(float, SIZES)), "largest": tuple(found)})


def _rates(observation: Observation, way: str) -> tuple[float, float]:
    """Return the share of corrupted samples that a way finds, mean over corruptions, and of good ones it flags."""
    hits = [observation.values[f"hit_{way}_{corruption}"] or 0.0 for corruption in CORRUPTIONS]
    return fmean(hits), observation.values[f"alarm_{way}"] or 0.0


def _precisions(observations: Sequence[Observation], way: str) -> dict[int, float]:
    """Return by seed the share of flagged samples that are corrupted; left out where nothing is flagged."""
    hits = average_by_seed(observations, lambda each: _rates(each, way)[0])
    alarms = average_by_seed(observations, lambda each: _rates(each, way)[1])
    return {
        seed: SHARE * hit / (SHARE * hit + (1 - SHARE) * alarms[seed])
        for seed, hit in hits.items()
        if hit > 0 or alarms[seed] > 0
    }


def _area(way: str, observation: Observation) -> float:
    return fmean(_area_of(way, corruption, observation) for corruption in CORRUPTIONS)


def _area_of(way: str, corruption: str, observation: Observation) -> float:
    return observation.values[f"area_{way}_{corruption}"] or 0.0


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    networks = choose(observations, KIND)

    def measure(found: Sequence[Observation], value: Callable[[Observation], Number]) -> tuple[float, Number, Number]:
        return estimate(list(average_by_seed(found, value).values()), COMPARISONS)

    area = {way: measure(networks, partial(_area, way)) for way in WAYS}
    by_seed = {way: list(_precisions(networks, way).values()) for way in (*WAYS, VALUES)}
    precision = {way: estimate(found, COMPARISONS) if found else (0.0, None, None) for way, found in by_seed.items()}
    ratio = {
        str(placement): measure(choose(networks, placement=placement), _exceed)
        for placement in levels(networks, "placement")
    }
    seeds = len(seeds_of(networks))
    outcome: Outcome = "undecided"
    variant = ""
    ends = [area[BY_NORMS], precision[BY_NORMS], precision[BY_COUNT], *ratio.values()]
    known = [(low, high) for _, low, high in ends if low is not None and high is not None]
    if (
        min(seeds, len(by_seed[BY_NORMS]), len(by_seed[BY_COUNT])) >= MIN_SEEDS
        and len(known) == len(ends)
        and len(ratio) == len(NORMS)
    ):
        outcome, variant = _decide(known[0], known[1], known[2], known[3:])
    effects = [Effect("area", *area[way], seeds, factors={"way": way}) for way in area]
    effects += [effect_of_share("precision", by_seed[way], COMPARISONS, way=way) for way in precision]
    effects += [Effect("tail-ratio", *ratio[name], seeds, "ratio", {"placement": name}) for name in ratio]
    for far in NORMAL_TABLE:
        shares = {"input": average_by_seed(networks, partial(_beyond, far, "input"))}
        for name in ratio:
            shares[name] = average_by_seed(choose(networks, placement=name), partial(_beyond, far, "norms"))
        effects += [
            effect_of_share("beyond", list(found.values()), COMPARISONS, far=far, site=site)
            for site, found in shares.items()
        ]
    bound = largest(choose(observations, LIMIT), "bound_error")
    effects.append(Effect("bound-error", bound, None, None, len(seeds_of(choose(observations, LIMIT)))))
    alarms = measure(networks, lambda each: each.values[f"alarm_{BY_NORMS}"])
    facts: dict[str, Factor] = {
        "seeds": seeds,
        "area": round(area[BY_NORMS][0], 2),
        "counted_area": round(area[BY_COUNT][0], 2),
        "precision": round(100 * precision[BY_NORMS][0]),
        "value_precision": round(100 * precision[VALUES][0]),
        "counted_precision": round(100 * precision[BY_COUNT][0]),
        "alarms": round(100 * alarms[0], 1),
        "ratio_before": round(ratio.get(NORMS[0], (0.0,))[0], 1),
        "ratio_after": round(ratio.get(NORMS[1], (0.0,))[0], 1),
        "least_values": next((size for size in SIZES if (size - 1) ** 0.5 >= FAR), 0),
    }
    return Ruling(outcome, tuple(effects), facts, variant)


Ends = tuple[float, float]


def _decide(area: Ends, five: Ends, counted: Ends, ratios: Sequence[Ends]) -> tuple[Outcome, str]:
    """Return the outcome and its variant, of intervals that are all known."""
    least = 0.5 + AREA_MARGIN
    fits = all(low >= 1 / FACTOR and high <= FACTOR for low, high in ratios)
    unlike = any(high < 1 / FACTOR or low > FACTOR for low, high in ratios) or five[1] < 0.5
    if area[0] > least and fits and five[0] > 0.5:
        return "holds", ""
    if area[0] > least and unlike and counted[0] > 0.5:
        return "holds-only-if", "counted"
    if area[1] <= least or (unlike and counted[1] < 0.5):
        return "does-not-hold", ""
    return "undecided", "unlike" if area[0] > least and unlike else ""


def _exceed(observation: Observation) -> float:
    return _beyond(3, "norms", observation) / NORMAL_TABLE[3]


def _beyond(far: int, site: str, observation: Observation) -> float:
    return observation.values[f"beyond_{far}_{site}"] or 0.0


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return the tails beside the normal table's, how well corruption is found, and the largest distance by n."""
    networks = choose(observations, KIND)
    tails = [Point(far, share, "normal") for far, share in NORMAL_TABLE.items()]
    for far in NORMAL_TABLE:
        tails.append(_mark(far, networks, partial(_beyond, far, "input"), "input"))
        tails += [
            _mark(far, choose(networks, placement=placement), partial(_beyond, far, "norms"), str(placement))
            for placement in levels(networks, "placement")
        ]
    found = [
        _mark(corruption, networks, partial(_area_of, way, corruption), way)
        for corruption in CORRUPTIONS
        for way in WAYS
    ]
    limits = [Point(size, (size - 1) ** 0.5, "bound") for size in SIZES]
    for each in choose(observations, LIMIT)[:1]:
        pairs = zip(each.series["size"], each.series["largest"], strict=True)
        limits += [Point(size, reached, "measured") for size, reached in pairs if size is not None]
    return (
        Chart("A3-tails", "lines", tuple(tails), log_y=True, as_percent=True),
        Chart("A3-found", "bars", tuple(found)),
        Chart("A3-limit", "lines", tuple(limits), log_x=True),
    )


def _mark(x: float | str, found: Sequence[Observation], value: Callable[[Observation], Number], group: str) -> Point:
    mean, low, high = estimate(list(average_by_seed(found, value).values()))
    # Nothing that far has no place on a logarithmic axis, and an interval cannot reach below nothing.
    return Point(x, mean or None, group, None if low is None or low <= 0 else low, high)


CLAIM = Claim(
    "A3",
    "outliers",
    ask,
    judge,
    draw,
    published=(
        Published("A3-published-table", "Normal distribution, 2 (1 - Phi(k))"),
        Published(
            "A3-published-bound", "Samuelson 1968, Journal of the American Statistical Association 63(324), 1522-1525"
        ),
    ),
)
