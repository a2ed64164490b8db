"""A7: one batch with a nearly infinite gradient kills units; with batch norm, training can resume.

Question: After one step with a gradient of 1e3 to 1e6 times its usual size, or with a loss that is singular, which
placement gets back to where it was, how far and how fast, and from what size on does none?

Design: A network of four hidden layers is trained for 4 epochs at rate 0.03 by SGD with momentum 0.9, which carries a
wild gradient into the steps that follow. Then one step is wild: its gradient is multiplied by 1e3, 1e4, 1e5 or 1e6
(experiment ``spike``; 1 is the control), or its loss is a singular one (experiment ``singular-loss``): -log p at p =
1e-6 and a root at 1e-12, whose gradients are numbers; the root at 0, the mean over an empty mask and a NaN in one
sample, whose gradients are none; and that NaN with the step left out, as gradient scalers do. Then it is trained for 8
epochs more, in the long run for 32. Arms: no norm, norm before the activation, norm after it.

Measure: *Back*: the share of the validation accuracy above chance that the network had before the step and has again at
the end, in evaluation mode, 0 to 1. Beside it the same with the batch's statistics in place of the running ones, and
the first step looked at with 90 % of it.

Rule: The six wild steps whose gradients are numbers (four sizes, two losses) count, in three arms: 18 intervals. An arm
is *back* after a wild step if *back* lies, with its whole interval, above `BACK`; *not back* if at or below it; *learns
again* if above `AGAIN`; *dead* if at or below that. Fewer than three seeds: undecided. The arm without a norm *back*
after all six: does not hold, there is nothing to recover from. That arm *not back* somewhere, and both norms *back*
wherever it is *not back*: holds. Else, a norm *back* somewhere where that arm is *not back*: holds only if the step is
such a one. Else, a norm that *learns again* somewhere where that arm is *dead*: holds only if resuming need not mean
getting back. Else, both norms *dead* after all six: does not hold. Else: undecided. Where the gradient is no number is
told and does not count: the article speaks of a nearly infinite one. Shares move in steps of about a thousandth, one
sample of the validation data; that is the least spread to believe in.

Published: no measurement was found.
"""

from collections.abc import Sequence, Set
from statistics import fmean
from typing import Final, NamedTuple, get_args

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments.explosions import (
    BACK,
    EPOCHS_AFTER,
    FULL_EPOCHS_AFTER,
    SINGULAR,
    SPIKE,
    Loss,
    ask_singular,
    ask_spike,
)
from placenorm.article.experiments.scenes import NORMS, PLACEMENTS
from placenorm.article.statistics import choose, effect_of_share, estimate, find_side, levels, seeds_of
from placenorm.facts.claim import Chart, Effect, Factor, Observation, Outcome, Point, Question, Ruling
from placenorm.facts.comparison import MIN_SEEDS

CONTROL: Final = 1.0
TIMES: Final = (1e3, 1e4, 1e5, 1e6)
"""What the article's "nearly infinite" is taken to be."""

NEAR: Final[tuple[Loss, ...]] = ("log-near-zero", "root-near-zero")
"""Singular losses whose gradients are numbers."""

SKIPPED: Final[Loss] = "nan-batch-skipped"
NO_NUMBERS: Final[tuple[Loss, ...]] = ("root-at-zero", "empty-mask", "nan-batch")

AGAIN: Final = 0.1
"""Share of what had been learned above which a network learns again: a dead one is at 0, but for chance."""


QUANTUM: Final = 1e-3
"""About one sample of the validation data."""


class _Event(NamedTuple):
    kind: str
    factor: str
    level: Factor


EVENTS: Final = (
    *(_Event(SPIKE, "times", times) for times in TIMES),
    *(_Event(SINGULAR, "loss", loss) for loss in NEAR),
)

COMPARISONS: Final = len(EVENTS) * len(PLACEMENTS)


def ask(scale: Scale) -> list[Question]:
    """Return every wild step in every arm, each under every seed."""
    epochs = FULL_EPOCHS_AFTER if scale.full else EPOCHS_AFTER
    seeds = range(scale.seeds)
    spikes = [
        ask_spike(seed, arm, times, epochs=epochs)
        for arm in PLACEMENTS
        for times in (CONTROL, *TIMES)
        for seed in seeds
    ]
    return spikes + [
        ask_singular(seed, arm, loss, epochs=epochs) for arm in PLACEMENTS for loss in get_args(Loss) for seed in seeds
    ]


def judge(observations: Sequence[Observation]) -> Ruling:
    """Return what the rule in this file's first lines says."""
    back = {(event, arm): _read(observations, event, arm) for event in EVENTS for arm in PLACEMENTS}
    side = {key: find_side(values, BACK, COMPARISONS, QUANTUM) for key, values in back.items()}
    life = {key: find_side(values, AGAIN, COMPARISONS, QUANTUM) for key, values in back.items()}
    needed = [event for event in EVENTS if side[event, "none"] == "below"]
    saved = {arm: [event for event in needed if side[event, arm] == "above"] for arm in NORMS}
    revived = {
        arm: [event for event in needed if life[event, "none"] == "below" and life[event, arm] == "above"]
        for arm in NORMS
    }
    dead = {arm: [event for event in EVENTS if life[event, arm] == "below"] for arm in NORMS}
    seeds = len(seeds_of(observations))
    outcome: Outcome = "undecided"
    variant = ""
    if seeds < MIN_SEEDS:
        pass
    elif all(side[event, "none"] == "above" for event in EVENTS):
        outcome, variant = "does-not-hold", "no-need"
    elif needed and all(saved[arm] == needed for arm in NORMS):
        outcome = "holds"
    elif any(saved.values()):
        outcome, variant = "holds-only-if", "size"
    elif any(revived.values()):
        outcome, variant = "holds-only-if", "part"
    elif all(len(dead[arm]) == len(EVENTS) for arm in NORMS):
        outcome, variant = "does-not-hold", "dead"
    effects = tuple(_effect(event, arm, values) for (event, arm), values in back.items())
    lost = {event.level for event in EVENTS if all(side[event, arm] == "below" for arm in PLACEMENTS)}
    facts: dict[str, Factor] = {
        "seeds": seeds,
        "events": len(EVENTS),
        "epochs": next((int(each.question.factors["epochs"]) for each in observations), 0),
        "lost_from": _find_limit(lost),
    }
    for arm, word in zip(NORMS, ("before", "after"), strict=True):
        facts |= {
            f"saved_{word}": len(saved[arm]),
            f"revived_{word}": len(revived[arm]),
            f"killed_{word}": len(dead[arm]),
        }
    for arm, word in zip(PLACEMENTS, ("none", "before", "after"), strict=True):
        facts[f"least_{word}"] = _percent(back[EVENTS[0], arm])
        facts[f"most_{word}"] = _percent(back[EVENTS[len(TIMES) - 1], arm])
        none = [value for loss in NO_NUMBERS for value in _read(observations, _Event(SINGULAR, "loss", loss), arm)]
        facts[f"nan_{word}"] = _percent(none)
        skipped = choose(observations, SINGULAR, loss=SKIPPED, placement=arm)
        facts[f"skipped_{word}"] = _percent([each.values["back"] or 0.0 for each in skipped])
        facts[f"skippedbatch_{word}"] = _percent([each.values["back_batch"] or 0.0 for each in skipped])
    return Ruling(outcome, effects, facts, variant)


def _find_limit(lost: Set[Factor]) -> Factor:
    """Return the size from which on all are among those that were lost; ``never`` where the largest is not."""
    limit: Factor = "never"
    for times in reversed(TIMES):
        if times not in lost:
            break
        limit = int(times)
    return limit


def _read(observations: Sequence[Observation], event: _Event, arm: str) -> list[float]:
    """Return the share that came back after a wild step, one a seed."""
    found = choose(observations, event.kind, placement=arm, **{event.factor: event.level})
    return [each.values["back"] or 0.0 for each in found]


def _effect(event: _Event, arm: str, values: Sequence[float]) -> Effect:
    """Return the share that came back as an effect: ``back`` after a spike, ``back-<loss>`` after a loss."""
    if event.kind == SPIKE:
        times = int(float(event.level))
        return effect_of_share("back", values, COMPARISONS, QUANTUM, placement=arm, times=times)
    return effect_of_share(f"back-{event.level}", values, COMPARISONS, QUANTUM, placement=arm)


def _percent(values: Sequence[float]) -> float:
    return round(100 * fmean(values), 1) if values else 0.0


def draw(observations: Sequence[Observation]) -> tuple[Chart, ...]:
    """Return what came back over the size of the step and by loss, and the accuracy after the step."""
    back, losses, course = [], [], []
    for arm in PLACEMENTS:
        for times in levels(choose(observations, SPIKE), "times"):
            spikes = choose(observations, SPIKE, placement=arm, times=times)
            if not spikes:
                continue
            mean, low, high = estimate(_read(observations, _Event(SPIKE, "times", times), arm))
            back.append(Point(float(times), mean, arm, low, high))
            for place, step in enumerate(spikes[0].series["step"]):
                heights = [height for each in spikes if (height := each.series["accuracy"][place]) is not None]
                if step:  # a logarithmic axis has no 0
                    course.append(Point(step, fmean(heights), arm, panel=f"times-{int(float(times))}"))
        for loss in levels(choose(observations, SINGULAR), "loss"):
            values = _read(observations, _Event(SINGULAR, "loss", loss), arm)
            if values:
                mean, low, high = estimate(values)
                losses.append(Point(str(loss), mean, arm, low, high))
    return (
        Chart("A7-back", "lines", tuple(back), log_x=True, as_percent=True),
        Chart("A7-loss", "bars", tuple(losses), as_percent=True),
        Chart("A7-course", "lines", tuple(course), log_x=True, as_percent=True),
    )


CLAIM = Claim("A7", "recovery", ask, judge, draw)
