"""A6: units that start negative keep N waiting until they wake; with batch norm no unit can be dead.

Question: When the units A, B, ... below N start negative, do they wake, and how soon? Does batch norm leave no dead
unit and each unit on for about half of the batch, before the activation and after it?

Design: The article's scene (experiment ``wake``): in a network of three layers the biases of half or of all units of
the second are lowered until the layer gives nothing but negative values; then it is trained for 12 epochs at rate 0.1.
Beside it the standard trainings (experiment ``training``) over depth and learning rate. Three arms: no norm, norm
before the activation, norm after it; the weights of a seed are the same in all arms.

Measure: *Asleep*: the share of the sleepers that none of 512 samples wakes when training is over, the worse of the two
scenes. *Dead*: the share of units that are off for all of 512 samples, in training mode, in the worst of a seed's
networks of the rule that did not diverge: those of `DEPTHS` hidden layers at the learning rates `SMALL` and `LARGE`, in
the short run and in the long one. *Active*: the share of values that are on, in training mode, the mean of those
networks. Beside them: the step at which half of the sleepers are awake, the shares in evaluation mode, and other depths
and rates.

Rule: Ten intervals: of each arm *asleep*, *dead*, and *dead* at the small rate alone; *active* before the activation.
The guarantee of an arm is *kept* if *asleep* and *dead* lie, with their whole intervals, at or below `FEW`; else *kept
in small steps* if *asleep* and *dead* at the small rate do; else *broken* if one of these two lies above; else *open*.
Where no seed has a single sleeper or dead unit the interval has no width: a seed looks at hundreds of units. "About
half" is right if *active* lies, with its whole interval, within `AROUND_HALF`. Without a norm *kept*: does not hold, as
there is nothing to be saved from. Else, with both norms *kept*: holds if "about half" is right, else holds only if
"about half" is not meant. Both *kept* at least *in small steps*: holds only if the steps are small. One of them so, the
other *broken*: holds only if the norm stands there (and the steps are small). Both *broken*: does not hold. Else, or
with fewer than three seeds: undecided.

Published: no figure for placements was found; beside ours stand an earlier check of our own (dead units in eight
layers, docs/evidence.md, section 10) and the reason of Ioffe & Szegedy 2015 for the place before the activation.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments import training, waking
from placenorm.article.experiments.scenes import NORMS, PLACEMENTS
from placenorm.article.statistics import (
    average_by_seed,
    choose,
    compare_arms,
    effect_of,
    effect_of_share,
    find_side,
    levels,
    mean_by,
    seeds_of,
)
from placenorm.facts.claim import Chart, Factor, Observation, Outcome, Point, Published, Question, Ruling

SLEEPING_SHARES: Final = (0.5, 1.0)

DEPTHS: Final = (2, 8, 20)
FULL_DEPTHS: Final = (1, 2, 4, 8, 12, 20)

SMALL, LARGE = 0.03, 0.3
"""A usual rate and the largest of the standard grid: large steps are what kills units."""

RATES: Final = (SMALL, LARGE)
FULL_RATES: Final = (0.01, SMALL, 0.1, LARGE)

FEW: Final = 0.01
"""Up to this share units count as none: of a layer of 64 it is not even one."""

AROUND_HALF: Final = (0.4, 0.6)
"""What "about half" means: nobody calls 30 % about half."""

COMPARISONS: Final = 10

Guarantee = Literal["kept", "small-steps", "broken", "open"]


def ask(scale: Scale) -> list[Question]:
    """Return the scenes and the trainings, each under every seed."""
    scenes = [
        waking.ask(seed, placement, share)
        for placement in PLACEMENTS
        for share in SLEEPING_SHARES
        for seed in range(scale.seeds)
    ]
    return scenes + [
        training.ask(seed, placement, rate, depth=int(depth))
        for placement in PLACEMENTS
        for depth in scale.pick(DEPTHS, FULL_DEPTHS)
        for rate in scale.pick(RATES, FULL_RATES)
        for seed in range(scale.seeds)
    ]


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    asleep = {arm: _worst(choose(observations, waking.KIND, placement=arm), "asleep_end") for arm in PLACEMENTS}
    trained = {
        arm: [
            each
            for depth in DEPTHS
            for rate in RATES
            for each in choose(observations, training.KIND, placement=arm, depth=depth, lr=rate)
        ]
        for arm in PLACEMENTS
    }
    dead = {arm: _worst(trained[arm], "dead_train") for arm in PLACEMENTS}
    calm = {arm: _worst(choose(trained[arm], lr=SMALL), "dead_train") for arm in PLACEMENTS}
    active = {arm: average_by_seed(trained[arm], lambda each: each.values["active_train"]) for arm in PLACEMENTS}
    guarantee = {arm: _check_guarantee(asleep[arm], dead[arm], calm[arm]) for arm in PLACEMENTS}
    before, after = NORMS
    share = list(active[before].values())
    at_least = find_side(share, AROUND_HALF[0], COMPARISONS) == "above"
    half = at_least and find_side(share, AROUND_HALF[1], COMPARISONS) == "below"
    outcome: Outcome = "undecided"
    variant = ""
    match guarantee["none"], guarantee[before], guarantee[after]:
        case "kept", _, _:
            outcome, variant = "does-not-hold", "no-need"
        case _, "kept", "kept":
            outcome, variant = ("holds", "") if half else ("holds-only-if", "share")
        case _, "kept" | "small-steps", "kept" | "small-steps":
            outcome, variant = "holds-only-if", "small-steps"
        case _, "kept" | "small-steps" as kept, "broken":
            outcome, variant = "holds-only-if", "before" if kept == "kept" else "before-small-steps"
        case _, "broken", "kept" | "small-steps" as kept:
            outcome, variant = "holds-only-if", "after" if kept == "kept" else "after-small-steps"
        case _, "broken", "broken":
            outcome, variant = "does-not-hold", "dead"
    effects = [
        effect_of_share(name, list(found[arm].values()), COMPARISONS, placement=arm)
        for name, found in (("asleep", asleep), ("dead-calm", calm), ("dead", dead))
        for arm in (before, after, "none")
    ]
    effects.append(effect_of_share("active", share, COMPARISONS, placement=before))
    price = compare_arms(dead[after], dead[before])
    effects.append(effect_of("price", price, "points", 100.0))
    evaluated = {arm: _worst(trained[arm], "dead_eval") for arm in PLACEMENTS}
    facts: dict[str, Factor] = {"seeds": len(seeds_of(observations)), "place": variant.split("-")[0] or "either"}
    for arm, word in (("none", "none"), (before, "before"), (after, "after")):
        for name, found in (
            ("asleep", asleep),
            ("dead", dead),
            ("calm", calm),
            ("deadeval", evaluated),
            ("active", active),
        ):
            facts[f"{name}_{word}"] = _percent(found[arm])
        facts[f"wake_{word}"] = _median_wake(choose(observations, waking.KIND, placement=arm, asleep=1.0))
    return Ruling(outcome, tuple(effects), facts, variant)


def _worst(observations: Sequence[Observation], value: str) -> dict[int, float]:
    """Return by seed the largest of a value, where it was measured."""
    found: dict[int, float] = {}
    for each in observations:
        number = each.values[value]
        if number is not None:
            found[each.question.seed] = max(number, found.get(each.question.seed, 0.0))
    return found


def _check_guarantee(asleep: Mapping[int, float], dead: Mapping[int, float], calm: Mapping[int, float]) -> Guarantee:
    scene, everywhere, slower = (find_side(list(each.values()), FEW, COMPARISONS) for each in (asleep, dead, calm))
    if scene == "below" and "below" in (everywhere, slower):
        return "kept" if everywhere == "below" else "small-steps"
    return "broken" if "above" in (scene, slower) else "open"


def _percent(shares: Mapping[int, float]) -> float:
    return round(100 * sum(shares.values()) / len(shares), 1) if shares else 0.0


def _median_wake(scenes: Sequence[Observation]) -> Factor:
    """Return the median over seeds of the step at which half of a sleeping layer was awake; ``at-once``, ``never``."""
    steps = sorted(float("inf") if (step := each.values["wake_step"]) is None else step for each in scenes)
    middle = steps[len(steps) // 2] if steps else float("inf")
    return "never" if middle == float("inf") else int(middle) or "at-once"


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return the sleepers over training, and dead and active shares over depth at the largest learning rate."""
    wake, dead, active = [], [], []
    for arm in PLACEMENTS:
        for share in levels(choose(observations, waking.KIND), "asleep"):
            scenes = choose(observations, waking.KIND, placement=arm, asleep=share)
            for place, step in enumerate(scenes[0].series["step"] if scenes else ()):
                heights = [height for each in scenes if (height := each.series["awake"][place]) is not None]
                if step is not None and heights:
                    panel = "all" if share == 1.0 else "half"
                    wake.append(Point(step, sum(heights) / len(heights), arm, panel=panel))
        trained = choose(observations, training.KIND, placement=arm)
        fastest = choose(trained, lr=max(levels(trained, "lr"), default=0.0))
        for mode, value in (("training", "dead_train"), ("evaluation", "dead_eval")):
            dead += _over_depth(fastest, value, arm, mode)
        active += _over_depth(fastest, "active_train", arm)
    return (
        Chart("A6-wake", "lines", tuple(wake), as_percent=True),
        Chart("A6-dead", "lines", tuple(dead), as_percent=True),
        Chart("A6-active", "lines", tuple(active), as_percent=True),
    )


def _over_depth(trained: Sequence[Observation], value: str, arm: str, panel: str = "") -> list[Point]:
    means = mean_by(trained, "depth", lambda each: each.values[value])
    return [Point(float(depth), mean, arm, low, high, panel=panel) for depth, (mean, low, high) in means.items()]


CLAIM = Claim(
    "A6",
    "dead-units",
    ask,
    judge,
    draw,
    published=(
        Published("A6-published-check", "placenorm, docs/evidence.md, section 10, 3 to 5 seeds"),
        Published(
            "A6-published-before",
            "Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.2",
            "https://arxiv.org/abs/1502.03167",
        ),
    ),
)
