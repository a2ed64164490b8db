"""What is kept of one site from look to look, and the reading that the next look makes of it."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from placenorm.facts.reading import Activity, Affine, Mode, Moments, Reading, SiteSummary, StatisticsGap
from placenorm.graph.vocabulary import RELU_LIKE, activation_name
from placenorm.probe.gaps import GapTrack, find_median
from placenorm.probe.looking import Array, FetchedLook, Seen, Side

SMALL_BATCH: Final = 2
"""Samples of a batch, or values per channel, up to which a norm has next to nothing to take statistics of."""

_LEAST_STD, _LEAST_SHARE = 0.1, 1e-3
"""Shares of a site's root mean square deviation, and of its root mean square: a channel that varies less is measured in
that, or a channel that hardly varies at all would make any drift a large one."""

_NORMAL_KURTOSIS = 3.0


@dataclass(slots=True)
class _Peak:
    """The largest value so far, and the step that had it first."""

    value: float | None = None
    step: int | None = None

    def add(self, value: float | None, step: int) -> None:
        if value is not None and (self.value is None or value > self.value):
            self.value, self.step = value, step


@dataclass(slots=True)
class _OldSide:
    """One side of a site as it was at the last look: ``[C]`` each; the error of the mean, None with one sample."""

    mean: Array
    std: Array
    error: Array | None


SideMemo = dict[int, tuple[Moments | None, _OldSide | None]]
"""What was read of each side of a look: what one call returned is what the next one read."""


class SiteTrack:
    """One site in one mode.

    Args:
        mode: the mode of the network.
        window: looks that dead units and gaps rest on.
        training: the same site in training; None for itself, or where it never ran there.
    """

    def __init__(self, mode: Mode, window: int, training: "SiteTrack | None" = None) -> None:
        self.gaps = GapTrack(mode, window)
        self._mode = mode
        self._window = window
        self._training = training
        self._sides: dict[str, _OldSide] = {}
        self._silent_for: Array | None = None
        self._seen: Seen | None = None
        self._looks = 0
        self._steps: tuple[int, int] = (0, 0)
        self._drift, self._dead, self._gradient = _Peak(), _Peak(), _Peak()
        self._least_values: int | None = None
        self._small_looks = 0
        self._not_finite = 0
        self._updates: list[tuple[int, float]] = []
        self._calls = 1

    def read(self, seen: Seen, look: FetchedLook, memo: SideMemo, step: int, calls: int) -> Reading:
        """Take in one call and return its reading.

        Args:
            seen: the call.
            look: what its look gathered.
            memo: what its look has read so far; filled.
            step: training forwards before it.
            calls: calls of the same module in this forward pass.
        """
        before, finite_before = self._read_side("before", seen.before, look, memo)
        after, finite_after = self._read_side("after", seen.after, look, memo)
        activity = self._read_activity(seen, look.rows) if finite_before else None
        reading = Reading(
            step=step,
            mode=self._mode,
            site=seen.key,
            kind=seen.kind,
            name=seen.name,
            before=before,
            after=after,
            finite_before=finite_before,
            finite_after=finite_after,
            finite_statistics=_read_finite_statistics(seen, look.rows),
            activity=activity,
            gap=self._read_gap(seen, look, step, calls),
            affine=_read_affine(seen, look.rows),
            gradient_norm=_finite(look.gradients.get(seen.key, math.nan)),
        )
        self._summarise(seen, reading, step)
        return reading

    def summary(self) -> SiteSummary:
        """Return all looks in short."""
        assert self._seen is not None
        return SiteSummary(
            site=self._seen.key,
            mode=self._mode,
            kind=self._seen.kind,
            name=self._seen.name,
            module=self._seen.path,
            looks=self._looks,
            first_step=self._steps[0],
            last_step=self._steps[1],
            peak_drift=self._drift.value,
            peak_drift_step=self._drift.step,
            most_dead=None if self._dead.value is None else int(self._dead.value),
            most_dead_step=self._dead.step,
            peak_gradient=self._gradient.value,
            peak_gradient_step=self._gradient.step,
            least_values=self._least_values,
            small_looks=self._small_looks,
            not_finite=self._not_finite,
            repeats=self._count_repeats(),
        )

    # -- one reading

    def _read_side(
        self, name: str, side: Side | None, look: FetchedLook, memo: SideMemo
    ) -> tuple[Moments | None, bool | None]:
        """Return the moments of one side, and whether they are numbers."""
        if side is None:
            return None, None
        if side.index not in memo:
            memo[side.index] = _read_moments(look, side, self._sides.get(name))
        moments, now = memo[side.index]
        if now is None:
            return None, False
        self._sides[name] = now
        return moments, True

    def _read_activity(self, seen: Seen, rows: list[Array]) -> Activity | None:
        if seen.activity is None or seen.before is None:
            return None
        shares = rows[seen.activity]
        units = shares.shape[1]
        silent = dead = None
        window = min(self._looks + 1, self._window)
        if activation_name(seen.name) in RELU_LIKE:
            quiet = shares[0] == 0
            if self._silent_for is None or self._silent_for.shape != quiet.shape:
                self._silent_for = np.zeros(units, dtype=np.int64)
            self._silent_for = np.where(quiet, self._silent_for + 1, 0)
            silent, dead = int(quiet.sum()), int((self._silent_for >= window).sum())
        saturated = float(shares[1].sum()) / units if len(shares) > 1 else None
        return Activity(
            units=units,
            values=seen.before.per_channel,
            active_share=float(shares[0].sum()) / units,
            silent=silent,
            dead=dead,
            window=window,
            saturated_share=saturated,
        )

    def _read_gap(self, seen: Seen, look: FetchedLook, step: int, calls: int) -> StatisticsGap | None:
        norm, side = seen.norm, seen.before
        if norm is None or side is None:
            return None
        self._least_values = min(side.per_channel, self._least_values or side.per_channel)
        self._small_looks += min(side.samples, side.per_channel) <= SMALL_BATCH
        updates = None if norm.updates is None else float(look.rows[norm.updates].item())
        if updates is not None and norm.uses_batch and seen.key == seen.path:
            self._updates = [*self._updates[:1], (step, updates)]
            self._calls = max(self._calls, calls)
        if norm.running is None:
            return None
        training = None if self._training is None else self._training.gaps
        return self.gaps.add(look.sides[side.index], look.rows[norm.running], updates, norm, side, training)

    # -- all readings

    def _summarise(self, seen: Seen, reading: Reading, step: int) -> None:
        self._seen = seen
        self._steps = (step if self._looks == 0 else self._steps[0], step)
        self._looks += 1
        self._not_finite += False in (reading.finite_before, reading.finite_after)
        self._drift.add(reading.after.drift if reading.after else None, step)
        if reading.activity is not None and reading.activity.window == self._window:
            self._dead.add(reading.activity.dead, step)
        self._gradient.add(reading.gradient_norm, step)

    def _count_repeats(self) -> float | None:
        """Return how many updates the running statistics had for each that the watched calls explain."""
        if len(self._updates) < 2 or self._updates[1][0] <= self._updates[0][0]:
            return None
        (first_step, first), (last_step, last) = self._updates
        return (last - first) / ((last_step - first_step) * self._calls)


def _read_moments(look: FetchedLook, side: Side, old: _OldSide | None) -> tuple[Moments | None, _OldSide | None]:
    """Return the moments of one side, and what the next look needs of it; nothing where a value is no number."""
    mean, var, between = look.sides[side.index]
    size = len(mean)
    total, spread = mean.sum(), var.sum()
    if not math.isfinite(total + spread):
        return None, None
    now = _OldSide(mean, np.sqrt(var), between / (side.samples - 1) if side.samples > 1 else None)
    drift, noise = (None, None) if old is None or len(old.mean) != size else _measure_drift(old, now)
    moments = Moments(float(total) / size, float(spread) / size, drift, noise)
    if side.shape is not None:
        shape = look.rows[side.shape]
        varies = var > 0
        skewness, kurtosis = map(find_median, shape[:2, varies]) if varies.any() else (math.nan, math.nan)
        moments = replace(
            moments,
            skewness=_finite(skewness),
            excess_kurtosis=_finite(kurtosis - _NORMAL_KURTOSIS),
            zero_share=_finite(shape[2].mean()),
        )
    return moments, now


def _measure_drift(old: _OldSide, new: _OldSide) -> tuple[float | None, float | None]:
    """Return how far a side moved since the last look, and how far it would by chance."""
    size = len(old.mean)
    size_std, size_mean = math.sqrt(old.std @ old.std / size), math.sqrt(old.mean @ old.mean / size)
    least = max(_LEAST_STD * size_std, _LEAST_SHARE * size_mean) or 1.0
    unit, spread = np.maximum(old.std, least), np.maximum(new.std, least)
    offset, stretch = (new.mean - old.mean) / unit, np.log(spread / unit)
    drift = _finite(math.sqrt((offset @ offset + stretch @ stretch) / size))
    if old.error is None or new.error is None:
        return drift, None
    # Samples that differ make the mean uncertain, and the log of a normal's deviation half as much (variances).
    return drift, _finite(math.sqrt(1.5 * ((old.error + new.error) / unit**2).sum() / size))


def _read_finite_statistics(seen: Seen, rows: list[Array]) -> bool | None:
    """Return whether the running statistics of a norm are all numbers; None where there are none."""
    if seen.norm is None or seen.norm.running is None:
        return None
    return bool(np.isfinite(rows[seen.norm.running]).all())


def _read_affine(seen: Seen, rows: list[Array]) -> Affine | None:
    if seen.norm is None or seen.norm.affine is None:
        return None
    gamma, beta = rows[seen.norm.affine]
    gamma_sum, beta_sum = float(gamma.sum()), float(beta.sum())
    if not math.isfinite(gamma_sum + beta_sum):
        return None
    size = np.abs(gamma)
    return Affine(
        gamma_mean=gamma_sum / len(gamma),
        gamma_least=float(size.min()),
        gamma_largest=float(size.max()),
        beta_mean=beta_sum / len(beta),
        beta_largest=float(np.abs(beta).max()),
    )


def _finite(value: float) -> float | None:
    """Return a number of Python's own; None for what is no number."""
    return float(value) if math.isfinite(value) else None
