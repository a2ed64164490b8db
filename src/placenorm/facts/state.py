"""What norms and their neighbours hold, as plain values: settings, statistics, what an optimizer does with them."""

import math
from dataclasses import dataclass, field

NOISE = 3.0
"""So many times the distance that chance alone makes, before a gap counts."""


@dataclass(frozen=True, slots=True)
class NormState:
    """One norm layer as it is now.

    Attributes:
        path: path of the module.
        layer: name of its class.
        channels: number of channels.
        eps: what is added to the variance.
        momentum: share of the newest batch in the running statistics; None for a plain average of all batches.
        affine: whether it has gamma and beta.
        tracks: whether it keeps running statistics.
        training: whether it normalises by its batch, and moves its running statistics.
        learns: whether gamma or beta has a gradient.
        dtype: type of gamma or of the statistics, in torch's word (``float32``); "" where it has neither.
        updates: batches that its running statistics have seen; None where it does not count.
        finite: whether gamma, beta and the running statistics are numbers; True on the meta device.
        negative_var: channels whose running variance is below zero.
        still: channels whose running variance is below eps.
        median_var: median of the running variance; None without values.
        zero_gammas: channels whose gamma is exactly zero.
        measured: whether `pn.recalibrate` measured the running statistics, as a plain average, and they stand since.
        fresh: whether the running statistics are those that a norm starts with, mean 0 and variance 1.
        decay: largest weight decay that the optimizer has for gamma or beta; None without an optimizer.
        optimized: whether the optimizer holds gamma and beta; None without an optimizer.
    """

    path: str
    layer: str
    channels: int
    eps: float
    momentum: float | None
    affine: bool
    tracks: bool
    training: bool
    learns: bool
    dtype: str
    updates: int | None
    finite: bool = True
    negative_var: int = 0
    still: int = 0
    median_var: float | None = None
    zero_gammas: int = 0
    fresh: bool = False
    measured: bool = False
    decay: float | None = None
    optimized: bool | None = None


@dataclass(frozen=True, slots=True)
class LayerState:
    """One other layer as it is now.

    Attributes:
        path: path of the module.
        layer: name of its class.
        bias: whether it has a bias.
        dropped: share of the values that it drops in training; 0.0 for what drops nothing.
    """

    path: str
    layer: str
    bias: bool = False
    dropped: float = 0.0


@dataclass(frozen=True, slots=True)
class NormGap:
    """What one norm reads on data, against what its running statistics say.

    Attributes:
        path: path of the module.
        batches: how many batches it saw.
        least_values: the fewest values per channel that a batch had.
        places: values per channel of one sample.
        finite: whether all that it read are numbers.
        mean_gap: distance of the means from the running means, root mean square over channels, in running standard
            deviations.
        mean_noise: what `mean_gap` would be on average if the data were those that the statistics are from.
        var_ratio: median over channels of the data's variance (plus eps) over the running variance (plus eps).
        var_spread: median over channels of the variances' ratio or its inverse, whichever is larger: 1 where all agree.
        constant: channels that have one value throughout the data.
        samples: how many samples it saw.
    """

    path: str
    batches: int
    least_values: int
    places: int
    finite: bool
    mean_gap: float
    mean_noise: float
    var_ratio: float
    var_spread: float
    constant: int
    samples: int = 0

    @property
    def var_noise(self) -> float:
        """The factor that chance alone may make of a variance of so many samples, where the places of one are alike."""
        return math.exp(NOISE * math.sqrt(2 / (self.samples - 1))) if self.samples > 1 else math.inf


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What a network holds beside its graph.

    Attributes:
        norms: its norms, by path.
        layers: its weight ops and dropouts, by path.
        gaps: what its norms read on data, by path; empty where there are none.
        batches: how many batches of data were looked at.
        training: whether the network is in training mode.
        wrapped: name of the wrapper for several devices it came in; "" without one.
    """

    norms: dict[str, NormState] = field(default_factory=dict)
    layers: dict[str, LayerState] = field(default_factory=dict)
    gaps: dict[str, NormGap] = field(default_factory=dict)
    batches: int = 0
    training: bool = False
    wrapped: str = ""
