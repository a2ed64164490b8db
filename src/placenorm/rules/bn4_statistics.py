"""BN4xx, the statistics: norms against their running statistics, as training and evaluation show them."""

import math
from collections.abc import Iterator
from typing import Final

from placenorm.facts.finding import Fix
from placenorm.facts.reading import History, Mode, Moments, StatisticsGap
from placenorm.rules.evidence import GROUP_NORM_BATCH, MOMENTUM_CONVENTION, TWO_VALUES
from placenorm.rules.rule import Hit, TrainingRule, say_blocks, say_count

GAP: Final = 0.5
"""Half a running standard deviation: evaluation then normalises visibly otherwise than training did."""

GAP_UNREADY: Final = 0.25
"""The same where the statistics are known not to be there yet."""

FAST_MOMENTUM: Final = 0.5
"""From here on the running statistics rest on three batches or fewer: (2 - m) / m."""

REPEATED: Final = 1.5
"""Updates for each call that was watched from which on the norm runs again where nobody sees it."""

OFTEN: Final = 0.5
"""A share of the looks that is more than the short last batch of an epoch."""


def find_lagging_statistics(history: History) -> Iterator[Hit]:
    """Yield a finding for the norms whose running statistics are not what their batches are.

    What it does:
        Splits the distance between batches and running statistics over the last looks in a part that stays and a part
        that changes from batch to batch, both in running standard deviations, and names the cause of the part that
        stays: few updates for the momentum, so that more than 5 % of the starting values are left; a network that moves
        faster than the momentum follows; or few values per channel, where the batch is normalised by the variance
        divided by M and the running variance is divided by M - 1. With a momentum of 0.5 or more it names running
        statistics that jump with every batch.

    Why it matters:
        Evaluation uses the running statistics: it then computes another function than the one that was trained.

    When to ignore it:
        Early in training, if it goes on for at least 3 / momentum steps more. Where batches of several kinds take turns
        or a norm is shared: no speed is behind the gap then, and one norm for each kind is the cure.

    Example:
        20 steps at a momentum of 0.1: 12 % of the starting values are left. A momentum of 0.99, which in Keras is the
        share of the old ones and in torch that of the newest batch.

    Use instead:
        `pn.recalibrate` on training data before evaluation; a momentum of 0.1 or less and more steps.

    Fix safety:
        Measuring the statistics anew changes evaluation alone.

    Evidence:
        Arithmetic; the two conventions of momentum in torch and Keras.
    """
    gaps = _latest_gaps(history, "training")
    fix = Fix("Measure the running statistics anew with pn.recalibrate before evaluation.")
    early = [(s, g) for s, g in gaps if g.uses_batch and g.cause == "few-updates" and g.systematic > GAP_UNREADY]
    if early:
        site, gap = max(early, key=lambda each: each[1].left_share or 0.0)
        left = 100 * (gap.left_share or 0.0)
        yield Hit(
            tuple(site for site, _ in early),
            f"The running statistics of {_say_sites(early)} are not there yet: after "
            f"{say_count(gap.updates or 0, 'update')} at momentum {gap.momentum}, {left:.0f} % of their starting "
            f"values are left ({site}), and they are {gap.systematic:.2g} standard deviations from the batches.",
            {**_list_gaps(early), "updates": gap.updates or 0, "left share": gap.left_share or 0.0},
            fix,
        )
    slow = [(s, g) for s, g in gaps if g.uses_batch and g.cause == "slow-momentum" and g.systematic > GAP]
    if slow:
        site, gap = _largest(slow)
        yield Hit(
            tuple(site for site, _ in slow),
            f"The network moves faster than the running statistics of {_say_sites(slow)} follow: {site} is "
            f"{gap.systematic:.2g} standard deviations from its batches, look after look.",
            _list_gaps(slow),
            fix,
        )
    biased = [(s, g) for s, g in gaps if g.uses_batch and g.cause == "biased-variance"]
    if biased:
        site, gap = _largest(biased)
        yield Hit(
            tuple(site for site, _ in biased),
            f"With {say_count(gap.values, 'value')} per channel the variance that {_say_sites(biased)} divides a batch "
            f"by is {100 / gap.values:.0f} % smaller than what its running variance takes in, so evaluation scales "
            "otherwise than training.",
            {**_list_gaps(biased), "values": gap.values},
            Fix("Use larger batches, or a norm that takes no statistics over the batch."),
        )
    jumpy = [(s, g) for s, g in gaps if g.uses_batch and _jump(g) > GAP_UNREADY]
    if jumpy:
        site, gap = max(jumpy, key=lambda each: _jump(each[1]))
        momentum = gap.momentum or 0.0
        yield Hit(
            tuple(site for site, _ in jumpy),
            f"The running statistics of {_say_sites(jumpy)} are those of the last batch or two: at momentum {momentum} "
            f"they rest on {(2 - momentum) / momentum:.3g} batches, and jump by {_jump(gap):.2g} standard deviations.",
            {**{f"jump, {each}": _jump(g) for each, g in jumpy}, "momentum": momentum},
            Fix("Set momentum to 0.1 or less, and measure the running statistics anew with pn.recalibrate."),
        )


def _jump(gap: StatisticsGap) -> float:
    """Return how far running statistics jump from batch to batch, where they rest on few: in standard deviations.

    A batch differs from them by its own noise and theirs, m / (2 - m) of it (variances); theirs is m / 2 of the sum.
    """
    if gap.momentum is None or gap.momentum < FAST_MOMENTUM:
        return 0.0
    return gap.random * math.sqrt(gap.momentum / 2)


def find_shifted_evaluation(history: History) -> Iterator[Hit]:
    """Yield a finding where norms read other data in evaluation than in training.

    What it does:
        Compares what norms read in evaluation mode with their running statistics, and names those that are at least
        half a standard deviation away, and twice as far as their training batches were.

    Why it matters:
        The norms then normalise by statistics of other data, and what comes out has another mean and spread than
        anything the layers behind were trained on.

    When to ignore it:
        Where the evaluation data are another domain on purpose. Where they are sorted by class and `every` looks at the
        same batch each time: shuffle them, or choose `every` so that it does not divide their number.

    Example:
        Training images are scaled to mean 0, evaluation images are not. Or dropout in front of a norm, which changes
        the variance in training only.

    Use instead:
        The same preparation for both; dropout behind the last norm.

    Fix safety:
        Preparing evaluation data as training data were changes evaluation alone.

    Evidence:
        The gaps are measured.
    """
    found = [
        (site, gap)
        for site, gap in _latest_gaps(history, "evaluation")
        if gap.cause == "data-shift" and gap.systematic > GAP
    ]
    if not found:
        return
    site, gap = found[0]
    before = dict(_latest_gaps(history, "training"))
    trained = f", {before[site].systematic:.2g} in training" if site in before else ""
    yield Hit(
        tuple(each for each, _ in found),
        f"Evaluation reads other data than training did at {_say_sites(found)}: {site} is {gap.systematic:.2g} "
        f"standard deviations from its running statistics{trained}. {_say_input(history)}",
        _list_gaps(found),
        Fix("Prepare evaluation data as the training data were; look for dropout in front of the norm."),
    )


def _say_input(history: History) -> str:
    """Return whether the network's input differs between training and evaluation already."""
    sides: dict[Mode, Moments | None] = {}
    for mode in ("training", "evaluation"):
        inputs = [reading for reading in history.last_readings(mode) if reading.kind == "input"]
        sides[mode] = inputs[0].after if inputs else None
    trained, evaluated = sides["training"], sides["evaluation"]
    if trained is None or evaluated is None or trained.var <= 0:
        return "What the network itself was given was not read."
    scale = math.sqrt(trained.var)
    offset, stretch = abs(evaluated.mean - trained.mean) / scale, math.sqrt(evaluated.var) / scale
    if offset > GAP_UNREADY or not 1 / (1 + GAP_UNREADY) < stretch < 1 + GAP_UNREADY:
        return (
            f"The network's input differs already: mean {evaluated.mean:.3g} and standard deviation "
            f"{math.sqrt(evaluated.var):.3g} in evaluation, {trained.mean:.3g} and {scale:.3g} in training."
        )
    return "The network's input has the same mean and spread, so the difference arises inside."


def find_tiny_batch(history: History) -> Iterator[Hit]:
    """Yield a finding for the norms that train on batches of one or two.

    What it does:
        Counts the looks at which a norm that normalises by its batch had at most two samples, or at most two values per
        channel: at least half of all looks, so that a short last batch does not count.

    Why it matters:
        With two values per channel a norm returns +1 and -1, whatever they were; with two samples its statistics are
        mostly noise. Gradient accumulation does not help: the norm sees each small batch by itself.

    When to ignore it:
        Where the norm evaluates in training (it is frozen), for it then takes no statistics; the rule is silent there.

    Example:
        Training detection at two images a device.

    Use instead:
        Larger batches, synchronised norms over several devices, frozen norms, or a group norm.

    Fix safety:
        All of them change training.

    Evidence:
        Arithmetic; Wu & He 2018 at a batch of 2.
    """
    last = dict(_latest_gaps(history, "training"))
    found = {
        site.site: site.least_values or 0
        for site in history.sites
        if site.mode == "training"
        and site.kind == "norm"
        and site.small_looks >= max(1.0, OFTEN * site.looks)
        and (site.site not in last or last[site.site].uses_batch)
    }
    if found:
        keys = tuple(found)
        least = min(found.values())
        what = "at most two samples" if least > 2 else f"as few as {say_count(least, 'value')} per channel"
        effect = "its statistics are mostly noise" if least > 2 else "it returns +1 and -1 there, whatever they were"
        yield Hit(
            keys,
            f"The norm of {say_blocks(keys)} trains on {what}: {effect}.",
            {f"least values, {site}": values for site, values in found.items()},
            Fix("Use larger batches, synchronised or frozen norms, or a group norm."),
        )


def find_repeated_update(history: History) -> Iterator[Hit]:
    """Yield a finding for the norms whose running statistics move more than once for each call.

    What it does:
        Compares how many batches a norm has counted between two looks with how often it was called in a step.

    Why it matters:
        A block under activation checkpointing runs again in the backward pass, so the running statistics take in every
        batch twice: they follow the newest batches more closely than the momentum says.

    When to ignore it:
        Where parts of the network are also run outside of it on purpose, in training mode.

    Example:
        `torch.utils.checkpoint.checkpoint` around a block with norms.

    Use instead:
        A momentum of 1 - sqrt(1 - momentum) in such blocks: 0.051 for 0.1.

    Fix safety:
        It changes the running statistics, so evaluation alone.

    Evidence:
        pytorch issue 96136; the momentum is arithmetic.
    """
    found = {
        site.site: site.repeats
        for site in history.sites
        if site.mode == "training" and site.kind == "norm" and site.repeats is not None and site.repeats >= REPEATED
    }
    if not found:
        return
    keys = tuple(found)
    most = max(found.values())
    gaps = dict(_latest_gaps(history, "training"))
    momenta = [gaps[site].momentum for site in found if site in gaps]
    momentum = next((m for m in momenta if m is not None), None)
    instead = "" if momentum is None else f"; to make up for it set momentum to {1 - (1 - momentum) ** (1 / most):.2g}"
    yield Hit(
        keys,
        f"The running statistics of {say_blocks(keys)} move {most:.2g} times for each call in the forward pass: "
        f"activation checkpointing runs the norm again{instead}.",
        {f"updates per call, {site}": repeats for site, repeats in found.items()},
        Fix("Set momentum to 1 - (1 - momentum) ** (1 / updates per call) there, or keep norms out of checkpointing."),
    )


def find_drifted_frozen_norm(history: History) -> Iterator[Hit]:
    """Yield a finding for the norms that evaluate in training while their data have moved away.

    What it does:
        Looks for norms in evaluation mode inside a network in training mode whose batches are half a standard deviation
        or more from the running statistics, look after look.

    Why it matters:
        Such a norm no longer normalises: what it hands on has the mean and the spread that the layers in front of it
        happen to give.

    When to ignore it:
        In short fine-tuning at a low learning rate, where it is meant to stay what it was.

    Example:
        A pre-trained network whose norms are frozen and whose convolutions are trained on.

    Use instead:
        Freeze the layers in front as well, or let the norm follow its batches.

    Fix safety:
        Both change training.

    Evidence:
        The gap is measured.
    """
    found = [
        (site, gap) for site, gap in _latest_gaps(history, "training") if gap.cause == "frozen" and gap.systematic > GAP
    ]
    if found:
        site, gap = _largest(found)
        yield Hit(
            tuple(each for each, _ in found),
            f"The frozen statistics of {_say_sites(found)} no longer fit: {site} is {gap.systematic:.2g} standard "
            "deviations from what it reads in training.",
            _list_gaps(found),
            Fix("Freeze the layers in front of it as well, or let the norm train."),
        )


def _latest_gaps(history: History, mode: Mode) -> list[tuple[str, StatisticsGap]]:
    return [(reading.site, reading.gap) for reading in history.last_readings(mode) if reading.gap is not None]


def _largest(found: list[tuple[str, StatisticsGap]]) -> tuple[str, StatisticsGap]:
    return max(found, key=lambda each: each[1].systematic)


def _list_gaps(found: list[tuple[str, StatisticsGap]]) -> dict[str, float]:
    return {f"gap, {site}": gap.systematic for site, gap in found}


def _say_sites(found: list[tuple[str, StatisticsGap]]) -> str:
    return say_blocks(tuple(site for site, _ in found))


LAGGING_STATISTICS: Final = TrainingRule(
    "lagging-statistics", "against", (MOMENTUM_CONVENTION,), find_lagging_statistics, "BN407", "warning"
)
SHIFTED_EVALUATION: Final = TrainingRule(
    "shifted-evaluation", "against", (), find_shifted_evaluation, "BN408", "warning"
)
TINY_BATCH: Final = TrainingRule(
    "tiny-batch", "against", (TWO_VALUES, GROUP_NORM_BATCH), find_tiny_batch, "BN409", "warning"
)
REPEATED_UPDATE: Final = TrainingRule("repeated-update", "against", (), find_repeated_update, "BN410", "warning")
DRIFTED_FROZEN_NORM: Final = TrainingRule(
    "drifted-frozen-norm", "against", (), find_drifted_frozen_norm, "BN411", "warning"
)

TRAINED_STATISTICS_RULES: Final = (
    LAGGING_STATISTICS,
    SHIFTED_EVALUATION,
    TINY_BATCH,
    REPEATED_UPDATE,
    DRIFTED_FROZEN_NORM,
)
"""The rules of this file, in the order of their codes."""
