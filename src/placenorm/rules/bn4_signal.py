"""BN4xx, the signal: units, gradients, outputs and distributions, as training shows them."""

from collections.abc import Iterator
from typing import Final

from placenorm.facts.finding import Figure, Fix, Severity
from placenorm.facts.reading import GradientSpike, History, Look, Reading
from placenorm.rules.evidence import DEAD_UNITS
from placenorm.rules.looks import (
    LATEST,
    latest_looks,
    middle,
    share_pct,
)
from placenorm.rules.rule import Hit, TrainingRule, say_blocks, say_count

DEAD_SHARE: Final = 0.1
"""From a tenth of dead units on a call is named: networks that train well have a few."""

LEAST_VALUES: Final = 100
"""Values a unit must have seen before it is called dead: one that is on for 5 % of the data is off in all of fewer."""

SAME_OUTPUT: Final = 1e-6
"""Spread of the output over samples, as a share of its size, up to which it does not depend on the input: eight
rounding errors of float32."""

STILL_LARGE: Final = 10.0
"""So many times the gradient of before a spike is no recovery: from one batch to the next it varies by less."""

DRIFT: Final = 0.5
"""Half a standard deviation from look to look is a distribution that moves."""

DRIFT_OVER_NOISE: Final = 3.0
"""How many times the drift that batches of this size show by chance it must be."""

LEAST_READINGS: Final = 8
"""Looks before which nothing is said about where a drift goes."""

SATURATED: Final = 0.5
"""From half of the values on a call is named."""

VANISHED: Final = 1e-3
"""Share of the usual gradient below which a network did not come back."""

SANTURKAR: Final = Figure(
    text="the shift of distributions as the cause of slow training is contested: noise put behind the norms made them "
    "shift more and hardly slowed training",
    setting="VGG, CIFAR-10",
    source="Santurkar et al. 2018",
    url="https://arxiv.org/abs/1805.11604",
    mark="abstract or excerpt",
)


def find_dying_units(history: History) -> Iterator[Hit]:
    """Yield a finding for the calls of ReLU-like activations whose units are dead.

    What it does:
        Counts the units of each call that no value of the last looks made active: at least a tenth of them, over at
        least 100 values a unit. Calls are kept apart: the first call of a shared ReLU is not hidden by the second. It
        looks at the true input of the activation, so what a norm does in front of it counts.

    Why it matters:
        Where no value makes a unit active its gradient is zero, and learning cannot bring it back on these data. Where
        all units of a call are dead nothing in front of it learns any more.

    When to ignore it:
        Where the network is far wider than the task needs, and its score is good.

    Example:
        linear, ReLU, at a learning rate of 1: the biases jump far below zero and stay there.

    Use instead:
        A lower learning rate, or a norm in front of the activation: there a unit is on for some of every batch, as
        long as beta and the spread allow (the article's A6).

    Fix safety:
        Both change training; dead units come back only in a fresh run.

    Evidence:
        Measured on an 8-layer MLP (docs/evidence.md, section 10).
    """
    wholly: list[Reading] = []
    partly: list[Reading] = []
    for reading in history.last_readings():
        activity = reading.activity
        if activity is None or not activity.dead or activity.window < min(LATEST, history.window):
            continue
        if activity.values * activity.window < LEAST_VALUES:
            continue
        if activity.dead == activity.units:
            wholly.append(reading)
        elif activity.dead >= DEAD_SHARE * activity.units:
            partly.append(reading)
    fix = Fix("Start anew with a lower learning rate, or with a norm in front of the activation.")
    if wholly:
        keys = tuple(reading.site for reading in wholly)
        yield Hit(
            keys,
            f"All units of {say_blocks(keys)} are dead: {_say_window(wholly)} none was active, so nothing in front of "
            f"it learns. {_say_course(history, wholly[0])}",
            _count_dead(wholly),
            fix,
            "error",
        )
    if partly:
        keys = tuple(reading.site for reading in partly)
        worst = max(partly, key=_dead_share)
        yield Hit(
            keys,
            f"Units are dead in {say_blocks(keys)}: up to {share_pct(_dead_share(worst))} ({worst.site}) were never "
            f"active {_say_window([worst])}. {_say_course(history, worst)}",
            _count_dead(partly),
            fix,
        )


def _dead_share(reading: Reading) -> float:
    activity = reading.activity
    return 0.0 if activity is None or activity.dead is None else activity.dead / activity.units


def _count_dead(readings: list[Reading]) -> dict[str, float]:
    return {f"dead share, {reading.site}": _dead_share(reading) for reading in readings}


def _say_window(readings: list[Reading]) -> str:
    looks = min(reading.activity.window for reading in readings if reading.activity is not None)
    return f"over the last {say_count(looks, 'look')}"


def _say_course(history: History, last: Reading) -> str:
    """Return how the dead units came about, from the looks that are kept."""
    readings = [reading for reading in history.readings_in()[last.site] if reading.activity is not None]
    first = readings[0]
    silent = None if first.activity is None else first.activity.silent
    if first is last or first.activity is None or silent is None:
        return ""
    before = silent / first.activity.units
    if before >= _dead_share(last):
        return f"They were silent from the first look on (step {first.step:,})."
    return (
        f"At step {first.step:,} {share_pct(before)} were silent, at step {last.step:,} {share_pct(_dead_share(last))}."
    )


def find_exploding_gradient(history: History) -> Iterator[Hit]:
    """Yield a finding where the gradient was far above the usual, and say whether the network came back.

    What it does:
        Reads the norm of the gradient of a few parameters at every step, looked at or not. A step with 100 times the
        median of the 64 steps before, or with a value that is no number, is a spike, and goes on while steps are so.
        The network came back if at the last look everything is a number, the output still depends on the input, and the
        gradient is alive and less than ten times what it was before.

    Why it matters:
        One such step can throw the weights to where units are dead and nothing is learned again (the article's A7).

    When to ignore it:
        Where the gradient is clipped before the optimizer uses it: it is read before that. With a gradient scaler, a
        few steps at the start whose gradients are no numbers are skipped on purpose.

    Example:
        A loss of -log p without a floor, one sample with p near 0.

    Use instead:
        Clip the gradient's norm, or keep the loss finite: a floor under p, a mean that cannot divide by zero.

    Fix safety:
        Clipping changes the steps that are clipped and no other.

    Evidence:
        The spike is measured; whether norms help to come back is a claim of the article that is to be measured.
    """
    if not history.spikes:
        return
    peaks = [spike for spike in history.spikes if spike.peak is not None]
    last = history.spikes[-1]
    until = last.step if last.last_step >= history.steps - 1 else last.last_step  # it may go on to the end
    after = [look for look in history.looks_in("training") if look.step > until]
    state, severity = _judge_recovery(history, last, after)
    steps = ", ".join(f"{spike.step:,}" for spike in history.spikes[:LATEST])
    more = history.spikes_seen - min(len(history.spikes), LATEST)
    evidence: dict[str, float] = {
        "spikes": history.spikes_seen,
        "first step": history.spikes[0].step,
        "usual norm": history.spikes[0].usual,
    }
    what = "held a value that is no number"
    if peaks:
        highest = max(peaks, key=lambda spike: spike.peak or 0.0)
        evidence["peak norm"] = highest.peak or 0.0
        factor = (highest.peak or 0.0) / highest.usual
        what = f"reached {highest.peak:.3g}, {factor:,.0f} times the usual {highest.usual:.3g}"
        if len(peaks) < len(history.spikes):
            what += ", and elsewhere held a value that is no number"
    if history.gradient_last is not None:
        evidence["norm at the end"] = history.gradient_last
    yield Hit(
        (),
        f"The gradient {what} (step {steps}{f' and {more:,} more' if more else ''}). {state}",
        evidence,
        Fix("Clip the norm of the gradient, and keep the loss finite where it divides or takes a logarithm or a root."),
        severity,
    )


def _judge_recovery(history: History, spike: GradientSpike, after: list[Look]) -> tuple[str, Severity]:
    """Return in a sentence whether the network came back after its last spike, and how bad it is."""
    if not after:
        return "There was no look after it, so whether the network came back is not known.", "warning"
    last = after[-1]
    gradient = history.gradient_last
    why = _say_broken(last)
    if not why and gradient is not None and gradient <= VANISHED * spike.usual:
        why = f"the gradient is {gradient:.3g}"
    if not why and gradient is not None and gradient > STILL_LARGE * spike.usual > 0:
        times = gradient / spike.usual
        return f"It has not settled: at the end the gradient is still {times:,.0f} times what it was before.", "warning"
    if not why:
        return f"The network came back: at step {last.step:,} its units, its output and its gradient are alive.", "info"
    # A look reads the forward pass: one at the step of the first spike saw the network as it was before.
    before = [look for look in history.looks_in("training") if look.step <= history.spikes[0].step]
    if before and _say_broken(before[-1]) == why:
        return f"At step {last.step:,} {why}, but so it was before the spike.", "warning"
    return f"The network did not come back: at step {last.step:,} {why}.", "error"


def _say_broken(look: Look) -> str:
    """Return why a network cannot learn as it is at a look; "" where nothing is to be seen."""
    broken = [reading.site for reading in look.readings if False in (reading.finite_before, reading.finite_after)]
    if broken:
        return f"{broken[0]} holds values that are no numbers"
    if _is_constant(look):
        return "the output no longer depends on the input"
    died = [r.site for r in look.readings if r.activity is not None and r.activity.silent == r.activity.units]
    return f"all units of {died[0]} are silent" if died else ""


def find_constant_output(history: History) -> Iterator[Hit]:
    """Yield a finding where the network returns the same for every sample.

    What it does:
        Compares the outputs for the samples of a batch: at the last looks they differ by less than a millionth of their
        size, all outputs of the network alike, although the inputs differ.

    Why it matters:
        The network has stopped to listen to its input; no metric can rise above chance, and no gradient tells the
        layers in front of the dead place anything.

    When to ignore it:
        Where the last layer starts at zero and has not been trained yet.

    Example:
        All units of one ReLU are dead, and behind it there is only the bias.

    Use instead:
        Start anew from before that step, with a lower learning rate or a clipped gradient.

    Fix safety:
        A fresh run.

    Evidence:
        The article's A7; arithmetic.
    """
    for mode in ("training", "evaluation"):
        looks = [look for look in latest_looks(history, mode) if look.output_spread is not None]
        if len(looks) >= 2 and all(_is_constant(look) for look in looks):
            spread = max(look.output_spread or 0.0 for look in looks)
            dead = [
                r.site for r in looks[-1].readings if r.activity is not None and r.activity.silent == r.activity.units
            ]
            where = f" All units of {dead[0]} are silent." if dead else ""
            yield Hit(
                ("output",),
                f"The output no longer depends on the input: at the last {say_count(len(looks), 'look')} in {mode} it "
                f"was the same for all samples of a batch.{where}",
                {"output spread": spread, "step": looks[0].step},
                Fix("Start anew from before that step, with a lower learning rate or a clipped gradient."),
            )
            return


def _is_constant(look: Look) -> bool:
    differs = look.input_spread is None or look.input_spread > SAME_OUTPUT
    return differs and look.output_spread is not None and look.output_spread <= SAME_OUTPUT


def find_unsettled_drift(history: History) -> Iterator[Hit]:
    """Yield a finding for the calls whose distribution keeps moving.

    What it does:
        Follows how far the output of each call moves from one look to the next, in standard deviations of the look
        before: root mean square over channels, of the mean and of the log of the deviation. It names calls that in the
        last quarter of the looks still move by half a deviation, three times what batches of this size do by chance,
        and at least half as far as in the first half.

    Why it matters:
        What the next layer is given changes from look to look, so it has to learn its task again (the article's A5).

    When to ignore it:
        While the learning rate is still rising, or where the score rises as well: that drift is the cause of slow
        training is contested. Where batches of several kinds take turns (real and made-up images in a discriminator):
        looks then see now one kind and now another; choose `every` so that they see one.

    Example:
        A deep network without norms, at a learning rate that is too high.

    Use instead:
        A lower learning rate towards the end, or a norm behind the call.

    Fix safety:
        Both change training.

    Evidence:
        Santurkar et al. 2018 speak against drift as the cause; the shift itself is measured.
    """
    found: list[tuple[str, float, float]] = []
    for site, readings in history.readings_in().items():
        if readings[0].kind not in ("norm", "activation", "pool"):
            continue
        sides = [reading.after for reading in readings if reading.after is not None]
        drifts = [side.drift for side in sides]
        if len(drifts) < LEAST_READINGS:
            continue
        late = middle(drifts[-(len(drifts) // 4) :])
        early = middle(drifts[: len(drifts) // 2])
        noise = middle([side.drift_noise for side in sides[-(len(sides) // 4) :]])
        if late is None or early is None or noise is None:
            continue
        if late >= max(DRIFT, DRIFT_OVER_NOISE * noise, early / 2):
            found.append((site, late, early))
    if found:
        found.sort(key=lambda each: -each[1])
        keys = tuple(site for site, _, _ in found)
        worst, late, early = found[0]
        yield Hit(
            keys,
            f"The distributions behind {say_blocks(keys)} do not settle: {worst} moves by {late:.2g} standard "
            f"deviations from look to look at the end, by {early:.2g} in the first half.",
            {f"drift, {each}": drift for each, drift, _ in found},
            Fix("Lower the learning rate towards the end, or put a norm behind the call."),
        )


def find_not_finite(history: History) -> Iterator[Hit]:
    """Yield a finding for the first call that had a value that is no number.

    What it does:
        Looks for NaN and infinities on both sides of every call that is read, in the order they run.

    Why it matters:
        Everything behind that call is no number either, and in training the running statistics of every norm behind
        it take it in and keep it.

    When to ignore it:
        Never.

    Example:
        A logarithm of zero in front of the network; weights that overflowed.

    Use instead:
        Mend the data, or what runs in front of the call; load a checkpoint from before, or measure the running
        statistics anew with `pn.recalibrate`.

    Fix safety:
        Measuring the statistics anew changes evaluation alone.

    Evidence:
        Arithmetic.
    """
    found = history.not_finite
    if found is None:
        return
    looks = max((site.not_finite for site in history.sites), default=0)
    where = f"the input of {found.site}" if found.entered else f"the output of {found.site}"
    if found.statistics:
        where = f"the running statistics of {found.site}"
    if found.kind in ("input", "output"):
        where = f"the network's {found.kind}"
    inside = found.kind not in ("input", "output") and not found.entered and not found.statistics
    hint = "; its input was all numbers" if inside else ""
    if found.statistics:
        hint = ", from a batch between two looks; in evaluation its output will be none"
    yield Hit(
        (found.site,),
        f"A value that is no number was first seen at step {found.step:,} in {found.mode}, in {where}{hint}.",
        {"step": found.step, "looks with such values": looks},
        Fix("Look at what runs in front of it at that step; then load a checkpoint from before."),
    )


def find_saturated_units(history: History) -> Iterator[Hit]:
    """Yield a finding for the calls of bounded activations that are mostly on their flat parts.

    What it does:
        Counts the values at which the slope of tanh, sigmoid, softsign, ReLU6 or hard sigmoid is below a hundredth of
        its maximum (the off side of ReLU6 is another matter): at least half of them at each of the last looks. The last
        call of the network is left out: it may well be sure of itself.

    Why it matters:
        Hardly any gradient passes there, so what is in front learns slowly or not at all.

    When to ignore it:
        At gates that are meant to be open or shut.

    Example:
        tanh behind a linear layer whose weights are drawn far too large.

    Use instead:
        Smaller initial weights, or a norm in front of the activation.

    Fix safety:
        Both change training.

    Evidence:
        The slopes are arithmetic.
    """
    looks = latest_looks(history)
    if len(looks) < LATEST:
        return
    calls = [reading.site for reading in looks[-1].readings if reading.kind in ("norm", "activation", "pool")]
    found: dict[str, float] = {}
    for site in calls[:-1]:
        shares = [
            reading.activity.saturated_share
            for look in looks
            for reading in look.readings
            if reading.site == site and reading.activity is not None
        ]
        known = [share for share in shares if share is not None]
        if len(known) == len(looks) and min(known) >= SATURATED:
            found[site] = known[-1]
    if found:
        worst = max(found, key=lambda site: found[site])
        yield Hit(
            tuple(found),
            f"Most values are on a flat part of {say_blocks(tuple(found))}: {share_pct(found[worst])} at {worst}, so "
            "hardly any gradient passes.",
            {f"saturated share, {site}": share for site, share in found.items()},
            Fix("Draw smaller initial weights, or put a norm in front of the activation."),
        )


DYING_UNITS: Final = TrainingRule("dying-units", "against", (DEAD_UNITS,), find_dying_units, "BN401", "warning")
EXPLODING_GRADIENT: Final = TrainingRule(
    "exploding-gradient", "against", (), find_exploding_gradient, "BN402", "warning"
)
CONSTANT_OUTPUT: Final = TrainingRule("constant-output", "against", (), find_constant_output, "BN403", "error")
UNSETTLED_DRIFT: Final = TrainingRule("unsettled-drift", "note", (SANTURKAR,), find_unsettled_drift, "BN404", "warning")
NOT_FINITE: Final = TrainingRule("not-finite", "against", (), find_not_finite, "BN405", "error")
SATURATED_UNITS: Final = TrainingRule("saturated-units", "against", (), find_saturated_units, "BN406", "warning")

SIGNAL_RULES: Final = (
    DYING_UNITS,
    EXPLODING_GRADIENT,
    CONSTANT_OUTPUT,
    UNSETTLED_DRIFT,
    NOT_FINITE,
    SATURATED_UNITS,
)
"""The rules of this file, in the order of their codes."""
