"""BN2xx: running statistics and modes that make evaluation differ from training. From what norms hold, and on data."""

import math
from collections.abc import Iterator

from placenorm.facts.finding import Fix
from placenorm.facts.state import NOISE, NormGap, NormState
from placenorm.rules.evidence import FROZEN_MOVES, GROUP_NORM_BATCH, MOMENTUM_CONVENTION, TWO_VALUES
from placenorm.rules.layout import Layout
from placenorm.rules.pooling import FEW_VALUES
from placenorm.rules.rule import Hit, Rule, say_blocks, say_count

LEFT_OF_START = 0.05
"""Share of the values that running statistics started with, mean 0 and variance 1, that may be left in them."""

FAST = 0.9
"""Momentum from which on running statistics are little more than those of the last batch, in torch's convention."""

MEAN_GAP = 0.5
"""Distance of means from running means, in running standard deviations, that is worth a warning: ReLU then switches
about one value in five the other way."""

VAR_SPREAD = 2.0
"""Factor between variances and running variances that is worth a warning: outputs are off by its root, 1.4."""


def find_bad_statistics(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm whose parameters or running statistics cannot be right.

    What it does:
        Looks for NaN and infinities in gamma, beta, running mean and variance, and for variances below zero.

    Why it matters:
        Every output of the network is then wrong in evaluation, whatever the input.

    When to ignore it:
        Never.

    Example:
        A checkpoint from a run that overflowed in half precision.

    Use instead:
        An older checkpoint, or `pn.recalibrate` where only the running statistics are hurt.

    Fix safety:
        Measuring the statistics anew changes evaluation alone.

    Evidence:
        Arithmetic.
    """
    for norm in layout.state.norms.values():
        if not norm.finite or norm.negative_var:
            what = "values that are not finite" if not norm.finite else "running variances below zero"
            yield Hit(
                (norm.path,),
                f"{norm.path} holds {what}, so what it evaluates to is wrong.",
                {"channels below zero": float(norm.negative_var)},
                Fix("Load an older checkpoint; if only its running statistics are hurt, call pn.recalibrate."),
            )


def find_never_updated(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that never ran in training while others did.

    What it does:
        Compares the counts of batches that the norms have seen.

    Why it matters:
        Its running statistics are still mean 0 and variance 1: evaluation does not normalise there.

    When to ignore it:
        Where that part of the network is new, and training goes on.

    Example:
        A head that was added to a trained network and evaluated at once.

    Use instead:
        `pn.recalibrate(model, data)`, or some training.

    Fix safety:
        Measuring the statistics anew changes evaluation alone.

    Evidence:
        torch's BatchNorm: num_batches_tracked.
    """
    counted = {norm.path: norm.updates for norm in layout.state.norms.values() if norm.updates is not None}
    most = max(counted.values(), default=0)
    for path, updates in counted.items():
        if most and not updates and layout.state.norms[path].fresh:
            yield Hit(
                (path,),
                f"{path} has seen no batch in training, while others have seen {most:,}: its running statistics are "
                "still mean 0 and variance 1.",
                {"most batches": float(most)},
                Fix("Measure its statistics with pn.recalibrate, or train on."),
            )


def find_fast_momentum(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm whose running statistics are little more than the last batch's.

    What it does:
        Looks for a momentum of 0.9 and more.

    Why it matters:
        In torch momentum is the share of the *newest* batch; in Keras it is that of the old ones. A model brought over
        with 0.99 evaluates with the statistics of one batch.

    When to ignore it:
        With a momentum of 1 on purpose, before statistics are measured on the whole data set as one batch.

    Example:
        nn.BatchNorm2d(8, momentum=0.99).

    Use instead:
        momentum=0.01.

    Fix safety:
        It changes what evaluation will be after more training; nothing at once.

    Evidence:
        The documentation of torch and of Keras; pytorch examples issue 289.
    """
    for norm in layout.state.norms.values():
        if norm.tracks and norm.momentum is not None and norm.momentum >= FAST:
            usual = f"{1 - norm.momentum:.3g}" if norm.momentum < 1 else "0.1"
            yield Hit(
                (norm.path,),
                f"{norm.path} has a momentum of {norm.momentum:g}, the share of the newest batch in torch: its running "
                "statistics are little more than those of the last batch.",
                {"momentum": norm.momentum},
                Fix(f"Build it with momentum={usual}, and measure its statistics with pn.recalibrate."),
            )


def find_unready_statistics(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for the norms that have seen too few batches for their momentum.

    What it does:
        Computes the share (1 - momentum)^batches of the starting values, mean 0 and variance 1, that is left in the
        running statistics, and speaks up above 5 %.

    Why it matters:
        Evaluation is off although training is fine, and gets better by itself: it looks like overfitting or a bug.

    When to ignore it:
        In the first epoch, if you do not evaluate.

    Example:
        momentum 0.001 after 500 steps: 61 % of the start is left.

    Use instead:
        A larger momentum, or `pn.recalibrate` before evaluating.

    Fix safety:
        Measuring the statistics anew changes evaluation alone.

    Evidence:
        Arithmetic: an exponential average.
    """
    alike: dict[tuple[int, float], list[str]] = {}
    for norm in layout.state.norms.values():
        if not norm.updates or not norm.tracks or norm.momentum is None or not 0 < norm.momentum < 1 or norm.measured:
            continue
        if (1 - norm.momentum) ** norm.updates > LEFT_OF_START:
            alike.setdefault((norm.updates, norm.momentum), []).append(norm.path)
    for (updates, momentum), paths in alike.items():
        left = (1 - momentum) ** updates
        enough = math.ceil(math.log(LEFT_OF_START) / math.log(1 - momentum))
        have = "has" if len(paths) == 1 else "have"
        yield Hit(
            tuple(paths),
            f"{say_blocks(tuple(paths))} {have} seen {_say_batches(updates)} at a momentum of {momentum:g}: "
            f"{100 * left:.0f} % of the running statistics are still mean 0 and variance 1.",
            {"share left": left, "batches": float(updates), "batches needed": float(enough)},
            Fix(f"Train for {enough:,} batches before evaluating, or measure the statistics with pn.recalibrate."),
        )


def find_still_channels(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm with channels whose running variance is below eps.

    What it does:
        Counts channels with a running variance below eps, in norms that have been trained.

    Why it matters:
        What such a channel reads hardly changes: it is dead, or so small that eps and not the variance scales it.

    When to ignore it:
        Where few of many channels are so, as in pruned networks.

    Example:
        A norm behind a ReLU that is dead in three channels.

    Use instead:
        Pruning them, a smaller learning rate, or the norm in front of the activation.

    Fix safety:
        Channels that are constant can be pruned without a change.

    Evidence:
        docs/evidence.md, section 10; pytorch issue 5410.
    """
    for norm in layout.state.norms.values():
        if norm.updates and norm.still:
            yield Hit(
                (norm.path,),
                f"{norm.path} has {say_count(norm.still, 'channel')} of {norm.channels} with a running variance below "
                f"eps ({norm.eps:g}): they are dead or nearly so.",
                {"channels": float(norm.still), "of": float(norm.channels)},
                Fix("Prune them, or look with pn.watch when they die."),
                severity="warning" if 2 * norm.still > norm.channels else None,
            )


def find_no_statistics(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that keeps no running statistics.

    What it does:
        Looks for track_running_stats=False.

    Why it matters:
        Such a norm normalises by its batch in evaluation too: the output of a sample hangs on its batch. It is often
        set to freeze a norm, and does the contrary.

    When to ignore it:
        Where batches in use are as in training, and as large.

    Example:
        nn.BatchNorm2d(8, track_running_stats=False).

    Use instead:
        track_running_stats=True; to freeze a norm, its eval() after every model.train().

    Fix safety:
        Running statistics have to be measured: `pn.recalibrate`.

    Evidence:
        The documentation of torch's BatchNorm; finetuning-scheduler issue 13.
    """
    for norm in layout.state.norms.values():
        if not norm.tracks:
            yield Hit(
                (norm.path,),
                f"{norm.path} keeps no running statistics, so in evaluation a sample's output hangs on its batch.",
                fix=Fix("Build it with track_running_stats=True, and measure its statistics with pn.recalibrate."),
            )


def find_frozen_that_moves(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm whose gamma and beta are frozen while its running statistics go on moving.

    What it does:
        In a network in training mode, looks for norms in training mode with parameters none of which learns.

    Why it matters:
        requires_grad=False stops the parameters, not the statistics: the "frozen" backbone drifts to the new data, and
        so does a teacher or an averaged copy that runs in training mode, under no_grad too.

    When to ignore it:
        Where the statistics are meant to adapt.

    Example:
        for p in backbone.parameters(): p.requires_grad = False; model.train().

    Use instead:
        norm.eval() for each of them, after every model.train().

    Fix safety:
        Training then uses the running statistics.

    Evidence:
        Lightning issue 15062; timm's freeze_batch_norm_2d.
    """
    for norm in layout.state.norms.values():
        if layout.state.training and norm.training and norm.tracks and norm.affine and not norm.learns:
            yield Hit(
                (norm.path,),
                f"The parameters of {norm.path} are frozen, and its running statistics move on with every batch.",
                fix=Fix(f"Call eval() on {norm.path} after every model.train()."),
            )


def find_mixed_modes(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that is in training mode in a network that evaluates.

    What it does:
        Compares the mode of each norm with that of the network.

    Why it matters:
        In evaluation it normalises by its batch, and every evaluation changes its running statistics.

    When to ignore it:
        Where uncertainty or adaptation at test time is meant.

    Example:
        model.eval(); model.head.train().

    Use instead:
        model.eval() last.

    Fix safety:
        Evaluation changes to what it should be.

    Evidence:
        The documentation of torch's BatchNorm.
    """
    for norm in layout.state.norms.values():
        if not layout.state.training and norm.training and norm.tracks:
            yield Hit(
                (norm.path,),
                f"{norm.path} is in training mode in a network that evaluates: it normalises by its batch, and each "
                "evaluation changes its running statistics.",
                fix=Fix("Call model.eval() last."),
            )


def find_large_eps(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm whose eps is larger than most of its variances.

    What it does:
        Compares eps with the median of the running variance, in norms that have been trained.

    Why it matters:
        eps and not the variance then sets the scale: the norm hardly normalises.

    When to ignore it:
        Where it is meant as a floor.

    Example:
        eps=1e-3 behind a layer whose outputs have a variance of 1e-4.

    Use instead:
        A smaller eps, or larger weights in front.

    Fix safety:
        It changes what the network computes.

    Evidence:
        Arithmetic.
    """
    for norm in layout.state.norms.values():
        if norm.updates and norm.median_var is not None and 0 <= norm.median_var < norm.eps:
            yield Hit(
                (norm.path,),
                f"The eps of {norm.path} ({norm.eps:g}) is larger than most of its running variances (median "
                f"{norm.median_var:.2g}), so it hardly normalises.",
                {"eps": norm.eps, "median variance": norm.median_var},
                Fix("Use a smaller eps, or look why the values there are so small."),
            )


# -- on data


def find_few_values_read(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that gets few values per channel in a batch of the data.

    What it does:
        Counts M, the values per channel of the smallest batch that each norm reads. One is an error, since training
        raises there; two are an error, since the output is +1 and -1; below 32 is a warning.

    Why it matters:
        Mean and variance of few values are noise, in training and in the running statistics.

    When to ignore it:
        Where the data given come in smaller batches than training does.

    Example:
        A last batch of one sample, without drop_last.

    Use instead:
        Larger batches, drop_last=True, a group norm, or a synchronised norm over devices.

    Fix safety:
        It changes how the network trains.

    Evidence:
        Wu & He 2018; docs/evidence.md, section 10.
    """
    for gap in layout.state.gaps.values():
        if gap.least_values >= FEW_VALUES or not gap.least_values:
            continue
        least = gap.least_values
        what = {1: "training raises an error there", 2: "the output is +1 and -1, whatever the values were"}.get(
            least, f"its mean is off by {1 / math.sqrt(least):.0%} of a standard deviation from batch to batch"
        )
        samples = math.ceil(FEW_VALUES / max(gap.places, 1))
        yield Hit(
            (gap.path,),
            f"{gap.path} reads {say_count(least, 'value')} per channel in the smallest batch: {what}.",
            {"values": float(least), "places": float(gap.places)},
            Fix(f"Give batches of {samples} samples and more, with drop_last=True, or use a group norm there."),
            severity="error" if least <= 2 else None,
        )


def find_misfit_statistics(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm whose running statistics are not those of the data.

    What it does:
        Lets the norms normalise by their batches, so that an error in one does not reach those behind it, and compares
        what each reads with its running statistics: the distance of the means in running standard deviations, and the
        factor between the variances. It allows three times what chance makes.

    Why it matters:
        Evaluation then normalises by the wrong values, and is worse than training.

    When to ignore it:
        Where the data given are not those that the network is evaluated on, or the network is not trained yet.

    Example:
        A backbone trained on other images; statistics averaged over weights (EMA) and not measured again.

    Use instead:
        `pn.recalibrate(model, data)`.

    Fix safety:
        Measuring the statistics anew changes evaluation alone.

    Evidence:
        Wu & Johnson 2021, arXiv:2105.07576, section 3.
    """
    for gap in layout.state.gaps.values():
        state = layout.state.norms[gap.path]
        if not state.tracks or not state.finite or not gap.finite or state.fresh:
            continue
        far = gap.mean_gap > max(MEAN_GAP, NOISE * gap.mean_noise)
        if far or gap.var_spread > max(VAR_SPREAD, gap.var_noise):
            yield Hit(
                (gap.path,),
                f"The running statistics of {gap.path} are not those of these data: the means are off by "
                f"{gap.mean_gap:.2g} standard deviations, the variances by a factor of {gap.var_spread:.2g}; "
                f"{_explain(state, gap)}.",
                {"mean gap": gap.mean_gap, "by chance": gap.mean_noise, "variance factor": gap.var_spread},
                Fix("Measure its statistics with pn.recalibrate, on the data that it is used on."),
            )


def find_constant_channels(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for each norm that reads channels with one value throughout the data.

    What it does:
        Compares the smallest and the largest value of each channel over all data.

    Why it matters:
        Nothing that such a channel could tell reaches the rest: it is dead, or its input is constant.

    When to ignore it:
        Where the data given are few or all alike.

    Example:
        A norm behind a ReLU that is dead in some channels.

    Use instead:
        A smaller learning rate, the norm in front of the activation, or pruning.

    Fix safety:
        Channels that are constant can be pruned without a change.

    Evidence:
        docs/evidence.md, section 10.
    """
    for gap in layout.state.gaps.values():
        channels = layout.state.norms[gap.path].channels
        if gap.constant and gap.finite and gap.least_values > 1:
            yield Hit(
                (gap.path,),
                f"{gap.path} has one value throughout the data in {gap.constant} of its {channels} channels.",
                {"channels": float(gap.constant), "of": float(channels)},
                Fix("Look with pn.watch when they die; prune them, or lower the learning rate."),
                severity="warning" if 2 * gap.constant > channels else None,
            )


def find_no_numbers(layout: Layout) -> Iterator[Hit]:
    """Yield a finding for the first norm that reads values that are not finite.

    What it does:
        Looks for NaN and infinities in what the norms read, in the order in which they run; those behind only inherit.

    Why it matters:
        One such value makes mean and variance of its channel NaN, and with them the whole batch.

    When to ignore it:
        Never.

    Example:
        A log of zero in front of the network; float16 beyond 65,504.

    Use instead:
        Data without such values, or float32 there.

    Fix safety:
        Nothing that was right changes.

    Evidence:
        Arithmetic.
    """
    order = dict.fromkeys(op.module for op in layout.graph.norms)
    bad = [path for path in order if path in layout.state.gaps and not layout.state.gaps[path].finite]
    if bad:
        behind = f"; {say_blocks(tuple(map(str, bad[1:])))} inherit them" if len(bad) > 1 else ""
        yield Hit(
            (str(bad[0]),),
            f"{bad[0]} reads values that are not finite on these data{behind}.",
            {"norms": float(len(bad))},
            Fix("Look for NaN or infinities in the data, and for overflow in the layers in front of it."),
        )


def _say_batches(count: int) -> str:
    return f"{count:,} batch{'' if count == 1 else 'es'}"


def _explain(state: NormState, gap: NormGap) -> str:
    """Return the likeliest reason why running statistics do not fit."""
    if state.momentum is not None and state.updates and (1 - state.momentum) ** state.updates > LEFT_OF_START:
        return f"it has seen {_say_batches(state.updates)} only, too few for its momentum of {state.momentum:g}"
    if state.momentum is not None and state.momentum >= FAST:
        return f"at a momentum of {state.momentum:g} they are those of the last batch"
    if gap.least_values < FEW_VALUES:
        return f"with {say_count(gap.least_values, 'value')} per channel in a batch they are noise"
    return "they are from other data, or from other weights"


BAD_STATISTICS = Rule("bad-statistics", "against", (), find_bad_statistics, "BN201", "error")
NEVER_UPDATED = Rule("never-updated", "against", (), find_never_updated, "BN202", "warning")
FAST_MOMENTUM = Rule("fast-momentum", "against", (MOMENTUM_CONVENTION,), find_fast_momentum, "BN203", "warning")
UNREADY_STATISTICS = Rule("unready-statistics", "against", (), find_unready_statistics, "BN204", "warning")
STILL_CHANNELS = Rule("still-channels", "note", (), find_still_channels, "BN205", "info")
NO_STATISTICS = Rule("no-statistics", "against", (), find_no_statistics, "BN206", "info")
FROZEN_THAT_MOVES = Rule("frozen-that-moves", "against", (FROZEN_MOVES,), find_frozen_that_moves, "BN207", "warning")
MIXED_MODES = Rule("mixed-modes", "against", (), find_mixed_modes, "BN208", "warning")
LARGE_EPS = Rule("large-eps", "against", (), find_large_eps, "BN209", "warning")
FEW_VALUES_READ = Rule(
    "few-values-read", "against", (TWO_VALUES, GROUP_NORM_BATCH), find_few_values_read, "BN210", "warning"
)
MISFIT_STATISTICS = Rule("misfit-statistics", "against", (), find_misfit_statistics, "BN211", "warning")
CONSTANT_CHANNELS = Rule("constant-channels", "note", (), find_constant_channels, "BN212", "info")
NO_NUMBERS = Rule("no-numbers", "against", (), find_no_numbers, "BN213", "error")

STATISTICS_RULES = (
    BAD_STATISTICS,
    NEVER_UPDATED,
    FAST_MOMENTUM,
    UNREADY_STATISTICS,
    STILL_CHANNELS,
    NO_STATISTICS,
    FROZEN_THAT_MOVES,
    MIXED_MODES,
    LARGE_EPS,
    FEW_VALUES_READ,
    MISFIT_STATISTICS,
    CONSTANT_CHANNELS,
    NO_NUMBERS,
)
"""In the order of their codes."""
