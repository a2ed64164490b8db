"""A5: N must learn again whenever A and B below it change; with batch norm it always sees the same distribution.

Question: When the units A and B that feed a trained unit N change, how far does N move, and how long must it learn
until it is back, with and without norm? Do the distributions within a network move less while it trains? And does
training still gain when that movement is put back behind the norm?

Design: The article's scene first (experiment ``scene-shift``): networks of one and of eight hidden layers, in the long
run of four and of twenty too, are trained for 8 epochs at rate 0.03; the first layer's units are pairs A and B, the
logits are the N's. Then A and B are rescaled (A times e, B by e), shifted (a standard deviation up and down), or mixed
(turned into each other by an eighth turn), and only the logits learn. Beside it trainings of 12 epochs at rate 0.03
with two and with eight hidden layers, in the long run with 4, 12 and 20 too (experiment ``drift``); those with eight
also with random shifts and factors behind every norm, new ones at each step (Santurkar 2018). Arms: no norm, norm
before the activation, norm after it.

Measure: *Moved*: the change of the logits in their own standard deviations, with the batch's statistics, the largest
over depths. A depth does not count under a seed where some arm has not learned: less than `TRAINED` of that seed's best
accuracy. *Drift*: how far the inputs of the weight ops move in four steps, in their own standard deviations, mean over
layers, and over the depths at which every arm of the seed gave a number. *Area*: the mean validation accuracy over
training with eight hidden layers. Beside them: steps until the accuracy is within a point of what it was (at most 200
are tried), and *moved* in evaluation mode.

Rule: 15 intervals: *moved* of three arms and three changes; the drift of no norm less that of each norm; the area of
each norm, without and with the random shifts, less that of no norm. N is *undisturbed* if *moved* lies, with its whole
interval, at or below `QUIET`, *disturbed* if above. Fewer than three seeds: undecided. N undisturbed by all three
changes without a norm: does not hold, there is no trouble. N undisturbed by all three with either norm, and both drifts
smaller than without: holds. Else, a change that disturbs N without a norm and not with one: holds only if the change is
such; with the norm before the activation undisturbed by rescaling and shifting and disturbed by mixing, this is said as
two moments. Else, N disturbed in all six cases with a norm: does not hold. Else: undecided. Told beside the verdict,
the *cause* of a norm's gain, where its area is larger than without a norm by more than may be chance or a point, and
the random shifts make more drift than there is without a norm: another if the area is larger with the random shifts
too; drift if it is then smaller or within a point; else open. The norms that are not open must agree.

Published: Santurkar et al. 2018: noise behind the norm does not hurt.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Final, Literal

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments import changes, drifting
from placenorm.article.experiments.scenes import NORMS, PLACEMENTS
from placenorm.article.statistics import (
    POINT,
    average_by_seed,
    choose,
    compare_arms,
    effect_of,
    effect_of_mean,
    estimate,
    find_side,
    levels,
    seeds_of,
    values_of,
)
from placenorm.facts.claim import Chart, Factor, Number, Observation, Outcome, Point, Published, Question, Ruling
from placenorm.facts.comparison import MIN_SEEDS, Pair

SCENE_DEPTHS: Final = (1, 8)
FULL_SCENE_DEPTHS: Final = (1, 4, 8, 20)
DRIFT_DEPTHS: Final = (2, 8)
FULL_DRIFT_DEPTHS: Final = (2, 4, 8, 12, 20)
NOISE_DEPTH: Final = 8
"""Where the norm gains, the random shifts are put behind it."""

QUIET: Final = 0.1
"""N is undisturbed if it moves by at most a tenth of its own standard deviation: that changes hardly any answer."""

TRAINED: Final = 0.5
"""Of the best accuracy under a seed: where less was learned, there is no trained N to disturb."""

COMPARISONS: Final = 15

CHANGES: Final = ("rescale", "shift", "mix")

Cause = Literal["drift", "other", "open"]


def ask(scale: Scale) -> list[Question]:
    """Return the scenes and the trainings, each under every seed."""
    seeds = range(scale.seeds)
    scenes = [
        changes.ask(seed, arm, int(depth))
        for arm in PLACEMENTS
        for depth in scale.pick(SCENE_DEPTHS, FULL_SCENE_DEPTHS)
        for seed in seeds
    ]
    trainings = [
        drifting.ask(seed, arm, int(depth))
        for arm in PLACEMENTS
        for depth in scale.pick(DRIFT_DEPTHS, FULL_DRIFT_DEPTHS)
        for seed in seeds
    ]
    return scenes + trainings + [drifting.ask(seed, arm, NOISE_DEPTH, noise=True) for arm in NORMS for seed in seeds]


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    scenes = _choose_trained(observations)
    moved = {(arm, change): _worst(scenes, arm, f"moved_{change}") for arm in PLACEMENTS for change in CHANGES}
    side = {key: find_side(list(values.values()), QUIET, COMPARISONS) for key, values in moved.items()}
    followed = _choose_complete(choose(observations, drifting.KIND, noise=False))
    drift = {
        arm: average_by_seed(choose(followed, placement=arm), lambda each: each.values["drift"]) for arm in PLACEMENTS
    }
    less = {arm: compare_arms(drift["none"], drift[arm], comparisons=COMPARISONS) for arm in NORMS}
    calmer = all(pair.word == "better" and pair.difference > 0 for pair in less.values())
    saved = [
        (arm, change)
        for arm in NORMS
        for change in CHANGES
        if side[arm, change] == "below" and side["none", change] == "above"
    ]
    before = NORMS[0]
    seeds = len(seeds_of(observations))
    outcome: Outcome = "undecided"
    variant = ""
    if seeds < MIN_SEEDS:
        pass
    elif all(side["none", change] == "below" for change in CHANGES):
        outcome, variant = "does-not-hold", "no-need"
    elif calmer and all(side[arm, change] == "below" for arm in NORMS for change in CHANGES):
        outcome = "holds"
    elif {(before, "rescale"), (before, "shift")} <= set(saved) and side[before, "mix"] == "above":
        outcome, variant = "holds-only-if", "moments"
    elif saved:
        outcome, variant = "holds-only-if", "some"
    elif all(side[arm, change] == "above" for arm in NORMS for change in CHANGES):
        outcome, variant = "does-not-hold", "disturbed"
    effects = [
        effect_of_mean(f"moved-{change}", list(moved[arm, change].values()), "sd", COMPARISONS, placement=arm)
        for change in CHANGES
        for arm in (*NORMS, "none")
    ]
    effects += [effect_of("drift", pair, "sd", placement=arm) for arm, pair in less.items()]
    gains = {(arm, noise): _compare_area(observations, arm, noise=noise) for noise in (False, True) for arm in NORMS}
    effects += [
        effect_of("area-noise" if noise else "area", pair, "points", 100.0, placement=arm)
        for (arm, noise), pair in gains.items()
    ]
    noisy = {arm: _mean(_read(observations, arm, "drift", noise=True)) for arm in NORMS}
    still = _mean(_read(observations, "none", "drift"))
    causes = {_find_cause(gains[arm, False], gains[arm, True], restless=noisy[arm] > still) for arm in NORMS} - {"open"}
    facts: dict[str, Factor] = {
        "seeds": seeds,
        "cause": causes.pop() if len(causes) == 1 else "open",
        "calmer": "yes" if calmer else "no",
    }
    for arm, word in zip(PLACEMENTS, ("none", "before", "after"), strict=True):
        for change in CHANGES:
            facts[f"{change}_{word}"] = round(_mean(moved[arm, change]), 2)
        facts[f"steps_{word}"] = _median_steps(_worst(scenes, arm, "steps_mix"))
        facts[f"eval_{word}"] = round(_mean(_worst(scenes, arm, "moved_eval_rescale")), 2)
        facts[f"drift_{word}"] = round(_mean(drift[arm]), 3)
        facts[f"area_{word}"] = round(100 * _mean(_read(observations, arm, "area")), 1)
        if arm in NORMS:
            facts[f"areanoise_{word}"] = round(100 * _mean(_read(observations, arm, "area", noise=True)), 1)
    return Ruling(outcome, tuple(effects), facts, variant)


def _choose_trained(observations: Sequence[Observation]) -> list[Observation]:
    """Return the scenes of the depths and seeds at which every arm had learned."""
    scenes = choose(observations, changes.KIND)
    best = {seed: max(_accuracy(each) for each in scenes if each.question.seed == seed) for seed in seeds_of(scenes)}
    idle = {_network(each) for each in scenes if _accuracy(each) < TRAINED * best[each.question.seed]}
    return [each for each in scenes if _network(each) not in idle]


def _choose_complete(trainings: Sequence[Observation]) -> list[Observation]:
    """Return the trainings of the depths and seeds at which every arm's drift is a number."""
    missing = {_network(each) for each in trainings if each.values["drift"] is None}
    return [each for each in trainings if _network(each) not in missing]


def _network(observation: Observation) -> tuple[Factor, int]:
    return observation.question.factors["depth"], observation.question.seed


def _accuracy(scene: Observation) -> float:
    return scene.values["accuracy"] or 0.0


def _median_steps(steps: Mapping[int, float]) -> Factor:
    """Return the median over seeds; ``never`` where it is as many as were tried."""
    middle = median(steps.values()) if steps else changes.MOST_STEPS
    return "never" if middle >= changes.MOST_STEPS else round(middle)


def _worst(scenes: Sequence[Observation], arm: str, value: str) -> dict[int, float]:
    """Return by seed the largest of a value over the depths of the scene."""
    found: dict[int, float] = {}
    for each in choose(scenes, placement=arm):
        number = each.values[value]
        if number is not None:
            found[each.question.seed] = max(number, found.get(each.question.seed, 0.0))
    return found


def _read(observations: Sequence[Observation], arm: str, value: str, *, noise: bool = False) -> dict[int, float]:
    """Return by seed a value of the trainings in which the noise may stand."""
    found = choose(observations, drifting.KIND, placement=arm, noise=noise, depth=NOISE_DEPTH)
    return values_of({each.question.seed: each for each in found}, value)


def _compare_area(observations: Sequence[Observation], arm: str, *, noise: bool) -> Pair:
    first, second = _read(observations, arm, "area", noise=noise), _read(observations, "none", "area")
    return compare_arms(first, second, comparisons=COMPARISONS, margin=POINT)


def _find_cause(gain: Pair, gain_with_noise: Pair, *, restless: bool) -> Cause:
    if gain.word != "better" or gain.difference <= 0 or not restless:
        return "open"
    if gain_with_noise.word == "better":
        return "other" if gain_with_noise.difference > 0 else "drift"
    return "drift" if gain_with_noise.word == "no practical difference" else "open"


def _mean(values: Mapping[int, float]) -> float:
    return fmean(values.values()) if values else 0.0


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return how far N moves by the size of the change, drift by layer, and the curves with and without the noise."""
    moved, drift, course = [], [], []
    scenes, trained = choose(observations, changes.KIND), choose(observations, drifting.KIND, depth=NOISE_DEPTH)
    deepest = max(levels(scenes, "depth"), default=0)
    for arm in PLACEMENTS:
        for change in CHANGES:
            moved += _trace(choose(scenes, placement=arm, depth=deepest), f"moved_{change}", "size", arm, change)
        for noise in (False, True):
            chosen = choose(trained, placement=arm, noise=noise)
            name = f"{arm}-noise" if noise else arm
            drift += _trace(chosen, "drift_by_layer", "", name)
            course += _trace(chosen, "val_accuracy", "step", name)
    return (
        Chart("A5-moved", "lines", tuple(moved), log_x=True),
        Chart("A5-drift", "lines", tuple(drift)),
        Chart("A5-course", "lines", tuple(course), as_percent=True),
    )


def _trace(chosen: Sequence[Observation], series: str, x: str, group: str, panel: str = "") -> list[Point]:
    """Return the mean of a series over seeds with its interval, over another series or the number of the layer."""
    points = []
    for place in range(len(chosen[0].series[series]) if chosen else 0):
        heights = [height for each in chosen if (height := each.series[series][place]) is not None]
        across = chosen[0].series[x][place] if x else float(place + 1)
        if heights and across is not None:
            points.append(Point(across, *_band(heights, group), panel=panel))
    return points


def _band(heights: Sequence[float], group: str) -> tuple[float, str, Number, Number]:
    mean, low, high = estimate(heights)
    return mean, group, low, high


CLAIM = Claim(
    "A5",
    "shift",
    ask,
    judge,
    draw,
    published=(
        Published(
            "A5-published-noise",
            "Santurkar et al. 2018, arXiv:1805.11604, abstract",
            "https://arxiv.org/abs/1805.11604",
        ),
    ),
)
