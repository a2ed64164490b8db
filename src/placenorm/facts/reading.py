"""What was seen inside a network while it trained: readings per call and step, and all of them as one history.

A site is a call of a norm, an activation or a pool, under the key that the graph gives it: the module path (``path#2``
for the second call in one forward pass), or ``owner:relu_1`` for a functional one.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from placenorm.facts.finding import Finding
from placenorm.facts.graph import OpKind

Level = Literal["light", "standard", "full"]
"""How much is read: norms against their running statistics; activity and drift too; the shape of distributions too."""

LEVELS: tuple[Level, ...] = get_args(Level)

Mode = Literal["training", "evaluation"]
"""The mode that the network was in."""

GapCause = Literal["", "small-batch", "few-updates", "slow-momentum", "biased-variance", "frozen", "data-shift"]
"""Why batches and running statistics differ; "" where they hardly do.

- small-batch: mostly from batch to batch, in both directions, as few values make it.
- few-updates: the running statistics still hold much of what they started from.
- slow-momentum: the network moves faster than the running statistics follow.
- biased-variance: a batch is normalised by the variance divided by M, the running variance is divided by M - 1.
- frozen: the norm does not follow its batches.
- data-shift: evaluation reads other data than training, by more than training differs from the running statistics.
"""


@dataclass(frozen=True, slots=True)
class Moments:
    """The distribution on one side of a call: of each channel, then the mean over channels.

    Attributes:
        mean: mean of the channels' means.
        var: mean of the channels' biased variances.
        drift: how far the distribution moved since the last look in this mode, in standard deviations of that look:
            root mean square over channels of the change of the mean, and of the log of the standard deviations' ratio.
            A channel that hardly varies is measured in a tenth of the root mean square deviation of all.
            None at the first look and at level light.
        drift_noise: what `drift` would be by chance, from how much samples of one batch differ; None with one sample.
        skewness: median over channels of the skewness; None below level full, or where every channel is constant.
        excess_kurtosis: median over channels of the kurtosis less 3, so that a normal has 0; None as `skewness`.
        zero_share: share of values that are exactly zero, 0 to 1; None below level full.
    """

    mean: float
    var: float
    drift: float | None = None
    drift_noise: float | None = None
    skewness: float | None = None
    excess_kurtosis: float | None = None
    zero_share: float | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """What an activation lets through. A unit is a channel, or a feature of a linear layer.

    Attributes:
        units: number of units.
        values: values of each unit at this look.
        active_share: share of values at which the slope of a ReLU-like activation is not zero, 0 to 1; for other
            activations, of positive inputs.
        silent: units that no value of this look made active; None where the activation is not ReLU-like.
        dead: units that no value of the last `window` looks made active; None as `silent`.
        window: looks that `dead` rests on.
        saturated_share: share of values on a flat part that is not the off side of a ReLU: where the slope is below a
            hundredth of its maximum; None for activations without one.
    """

    units: int
    values: int
    active_share: float
    silent: int | None
    dead: int | None
    window: int
    saturated_share: float | None


@dataclass(frozen=True, slots=True)
class StatisticsGap:
    """The batch that a norm reads, against its running statistics before this call.

    Distances are in running standard deviations: the difference of the means, and half the log of the variances' ratio
    (which is the log of the standard deviations' ratio), root mean square over channels. Eps is in every variance.

    Attributes:
        values: values per channel, M.
        samples: samples in the batch.
        mean_gap: distance of the means at this look.
        log_var_ratio: median over channels of log(batch variance / running variance): above 0 the batch spreads more.
        noise: what `mean_gap` is by chance, from how much samples of this batch differ; None with one sample.
        systematic: the part of the distance that is the same at all looks of the window.
        random: the part that changes from look to look.
        looks: looks that the last two rest on.
        updates: batches that the running statistics have seen; None where nobody counts.
        left_share: share of their starting values that the running statistics still hold, 0 to 1; None as `updates`.
        momentum: share of the newest batch in the running statistics; None for a plain average of all batches.
        uses_batch: whether the norm normalises by its batch.
        cause: the likeliest reason for the gap.
    """

    values: int
    samples: int
    mean_gap: float
    log_var_ratio: float
    noise: float | None
    systematic: float
    random: float
    looks: int
    updates: int | None
    left_share: float | None
    momentum: float | None
    uses_batch: bool
    cause: GapCause


@dataclass(frozen=True, slots=True)
class Affine:
    """Gamma and beta of a norm, over channels.

    Attributes:
        gamma_mean: mean of gamma.
        gamma_least: smallest absolute gamma.
        gamma_largest: largest absolute gamma.
        beta_mean: mean of beta.
        beta_largest: largest absolute beta.
    """

    gamma_mean: float
    gamma_least: float
    gamma_largest: float
    beta_mean: float
    beta_largest: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at one site at one look.

    Attributes:
        step: training forwards before this one; in evaluation, before the forward that was looked at.
        mode: the mode of the network.
        site: key of the call.
        kind: its role: norm, activation or pool; input or output of the network.
        name: name of the module's class or of the function.
        before: its true input, before a call in place; None where it was not read or holds a value that is no number.
        after: its true output; None as `before`.
        finite_before: whether the input is all numbers; None where it was not read.
        finite_after: whether the output is all numbers; None where it was not read.
        activity: of an activation; None elsewhere and at level light.
        finite_statistics: whether the running statistics of a norm are all numbers; None elsewhere.
        gap: of a norm with running statistics; None elsewhere.
        affine: of a norm with gamma and beta; None elsewhere and at level light.
        gradient_norm: Euclidean norm of the loss's gradient for the output, over the whole batch; None where no
            gradient came or it is no number.
    """

    step: int
    mode: Mode
    site: str
    kind: OpKind
    name: str
    before: Moments | None = None
    after: Moments | None = None
    finite_before: bool | None = None
    finite_after: bool | None = None
    finite_statistics: bool | None = None
    activity: Activity | None = None
    gap: StatisticsGap | None = None
    affine: Affine | None = None
    gradient_norm: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """One forward pass that was looked at.

    Attributes:
        step: training forwards before this one.
        mode: the mode of the network.
        samples: size of the first axis of the network's output; 0 where it returned no tensor.
        input_spread: how much samples of the input differ: root mean square over places of the standard deviation over
            samples, as a share of the root mean square of the values; None with one sample, or nothing to compare.
        output_spread: the same of the output: 0 where it is the same for every sample.
        gradient_norm: Euclidean norm of the gradient of all parameters; None at level light, without a backward pass,
            or where it is no number.
        gradient_finite: whether the gradient of all parameters is all numbers; None where it was not read.
        readings: one for each call, in the order they ran.
    """

    step: int
    mode: Mode
    samples: int
    input_spread: float | None
    output_spread: float | None
    gradient_norm: float | None
    gradient_finite: bool | None
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class GradientStep:
    """The gradient at one step, of the few parameters that are checked at every step.

    Attributes:
        step: training forwards before this one.
        norm: Euclidean norm of their gradient; None where it is no number.
    """

    step: int
    norm: float | None


@dataclass(frozen=True, slots=True)
class GradientSpike:
    """One stretch of steps with a gradient far above the usual.

    Attributes:
        step: its first step.
        last_step: its last step.
        peak: the largest norm; None where a gradient is no number.
        usual: median of the norms before it.
    """

    step: int
    last_step: int
    peak: float | None
    usual: float


@dataclass(frozen=True, slots=True)
class NonFinite:
    """Where a value that is no number was seen first.

    Attributes:
        step: training forwards before that one.
        mode: the mode of the network.
        site: key of the first call, in the order they ran, that had one.
        kind: its role.
        entered: whether its input had one already.
        statistics: whether it is the running statistics of a norm that held one, and no value of the forward pass.
    """

    step: int
    mode: Mode
    site: str
    kind: OpKind
    entered: bool
    statistics: bool = False


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """All looks at one site in one mode, exact, however many readings were thinned out.

    Attributes:
        site: key of the call.
        mode: the mode of the network.
        kind: its role.
        name: name of the module's class or of the function.
        module: path of the module that makes the call; "" for a function.
        looks: how many looks there were.
        first_step: the step of the first.
        last_step: the step of the last.
        peak_drift: largest drift of the output; None where none was read.
        peak_drift_step: its step.
        most_dead: most dead units over a full window; None where none was read.
        most_dead_step: the first step with as many.
        peak_gradient: largest gradient norm for the output; None where none was read.
        peak_gradient_step: its step.
        least_values: fewest values per channel of a norm; None elsewhere.
        small_looks: looks at which a norm had a batch of at most two samples or two values per channel.
        not_finite: looks with a value that is no number.
        repeats: updates of the running statistics for each one that the watched calls explain; None where unknown.
    """

    site: str
    mode: Mode
    kind: OpKind
    name: str
    module: str
    looks: int
    first_step: int
    last_step: int
    peak_drift: float | None = None
    peak_drift_step: int | None = None
    most_dead: int | None = None
    most_dead_step: int | None = None
    peak_gradient: float | None = None
    peak_gradient_step: int | None = None
    least_values: int | None = None
    small_looks: int = 0
    not_finite: int = 0
    repeats: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was seen while a network was watched.

    Attributes:
        model: name of its class.
        level: how much was read.
        every: forwards from one look to the next, in either mode.
        window: looks that dead units and gaps rest on.
        steps: forwards in training mode.
        evaluations: forwards in evaluation mode.
        looks: what was seen, in order; where there were too many, every second, fourth, ... is kept, and the last.
        looks_made: how many looks there were.
        sites: a summary of each site and mode, in the order they first ran.
        gradients: the gradient step by step, thinned in the same way.
        gradient_of: how many parameters that gradient is of.
        gradient_last: median norm of the last steps; None without any.
        spikes: stretches of steps with a gradient far above the usual, at most `MAX_SPIKES`.
        spikes_seen: how many there were.
        not_finite: where a value that is no number was seen first; None if nowhere.
        unread: calls at sites that were too many to be read.
    """

    model: str
    level: Level
    every: int
    window: int
    steps: int
    evaluations: int
    looks: tuple[Look, ...] = ()
    looks_made: int = 0
    sites: tuple[SiteSummary, ...] = ()
    gradients: tuple[GradientStep, ...] = ()
    gradient_of: int = 0
    gradient_last: float | None = None
    spikes: tuple[GradientSpike, ...] = ()
    spikes_seen: int = 0
    not_finite: NonFinite | None = None
    unread: int = 0

    def looks_in(self, mode: Mode) -> list[Look]:
        """Return the looks in one mode, in order."""
        return [look for look in self.looks if look.mode == mode]

    def readings_in(self, mode: Mode = "training") -> dict[str, list[Reading]]:
        """Return the readings of every site in one mode, in order, by site in the order the sites first ran."""
        found: dict[str, list[Reading]] = {site.site: [] for site in self.sites if site.mode == mode}
        for look in self.looks_in(mode):
            for reading in look.readings:
                found.setdefault(reading.site, []).append(reading)
        return {site: readings for site, readings in found.items() if readings}

    def last_readings(self, mode: Mode = "training") -> list[Reading]:
        """Return the last reading of every site in one mode, in the order the sites first ran."""
        return [readings[-1] for readings in self.readings_in(mode).values()]


@dataclass(frozen=True, slots=True)
class Watched:
    """A training that was watched, and what the rules say of it.

    Attributes:
        history: everything that was seen.
        findings: what the rules found, the worst first.
    """

    history: History
    findings: tuple[Finding, ...]
