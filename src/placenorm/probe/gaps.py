"""How a norm's batches differ from its running statistics, over a window of looks, and why."""

import math
from collections import deque
from typing import Final

import numpy as np

from placenorm.facts.reading import GapCause, Mode, StatisticsGap
from placenorm.probe.looking import Array, NormSettings, Side

LEAST_GAP: Final = 0.25
"""Below a quarter of a running standard deviation no cause is named."""

LEFT_SHARE: Final = 0.05
"""From this share of their starting values on, running statistics count as not yet there."""

_SHIFT_FACTOR = 2.0
"""How many times further from the running statistics evaluation data must be than training data."""


class GapTrack:
    """The gaps of one norm in one mode, in the memory of a window.

    Args:
        mode: the mode of the network.
        window: looks that are kept.
    """

    def __init__(self, mode: Mode, window: int) -> None:
        self.systematic = 0.0
        self._mode = mode
        self._gaps: deque[Array] = deque(maxlen=window)

    def add(
        self,
        moments: Array,
        running: Array,
        updates: float | None,
        norm: NormSettings,
        side: Side,
        training: "GapTrack | None",
    ) -> StatisticsGap | None:
        """Take in one look and return its gap; None where something is no number.

        Args:
            moments: mean, biased variance and variance between samples of each channel, ``[3, C]``.
            running: running mean and variance, ``[2, C]``.
            updates: batches that the running statistics have seen; None where nobody counts.
            norm: what the norm normalises with.
            side: how many values there were.
            training: the same norm in training; None for itself.
        """
        with np.errstate(all="ignore"):
            scale = np.sqrt(running[1] + norm.eps)
            offset = (moments[0] - running[0]) / scale
            spread = 0.5 * np.log((moments[1] + norm.eps) / (running[1] + norm.eps))
            error = moments[2] / max(side.samples - 1, 1) / scale**2
        if not math.isfinite(offset.sum() + spread.sum()):
            return None
        gap = np.stack([offset, spread])
        if self._gaps and self._gaps[-1].shape != gap.shape:
            self._gaps.clear()
        self._gaps.append(gap)
        noise = math.sqrt(error.sum() / len(error)) if side.samples > 1 else None
        self.systematic, random = self._split(noise)
        left = _left_share(updates, norm.momentum)
        return StatisticsGap(
            values=side.per_channel,
            samples=side.samples,
            mean_gap=math.sqrt(offset @ offset / len(offset)),
            log_var_ratio=2 * find_median(spread),
            noise=noise,
            systematic=self.systematic,
            random=random,
            looks=len(self._gaps),
            updates=None if updates is None else int(updates),
            left_share=left,
            momentum=norm.momentum,
            uses_batch=norm.uses_batch,
            cause=self._explain(random, left, norm, side, training),
        )

    def _split(self, noise: float | None) -> tuple[float, float]:
        """Return the part of the distance that stays from look to look, and the part that does not."""
        looks = np.stack(self._gaps)  # [K, 2, C]
        count, _, channels = looks.shape
        flat = looks.reshape(-1)
        total = float(flat @ flat) / (count * channels)
        if count == 1:  # what samples differ by makes the mean uncertain, and the spread half as much
            random = min(total, 1.5 * (noise or 0.0) ** 2)
            return math.sqrt(total - random), math.sqrt(random)
        mean = looks.sum(0).reshape(-1) / count
        same = float(mean @ mean) / channels
        random = max(total - same, 0.0) * count / (count - 1)
        return math.sqrt(max(same - random / count, 0.0)), math.sqrt(random)

    def _explain(
        self, random: float, left: float | None, norm: NormSettings, side: Side, training: "GapTrack | None"
    ) -> GapCause:
        same = self.systematic
        if self._mode == "training" and norm.uses_batch and random > max(same, LEAST_GAP):
            return "small-batch"
        if same < LEAST_GAP:
            return ""
        if self._mode == "training" and not norm.uses_batch:
            return "frozen"
        if training is not None and same > _SHIFT_FACTOR * training.systematic:
            return "data-shift"
        if left is not None and left > LEFT_SHARE:
            return "few-updates"
        if training is None and self._mode == "evaluation":
            return "data-shift"
        biased = 0.5 * math.log(side.per_channel / max(side.per_channel - 1, 1))
        return "biased-variance" if biased > same / 2 else "slow-momentum"


def find_median(x: Array) -> float:
    """Return the median of some numbers, ``[C]``, of an even number the upper: 20 times quicker than `np.median`."""
    return float(np.partition(x, len(x) // 2)[len(x) // 2])


def _left_share(updates: float | None, momentum: float | None) -> float | None:
    """Return the share of their starting values that running statistics still hold after some updates."""
    if updates is None:
        return None
    if momentum is None:
        return 0.0 if updates else 1.0
    return float((1 - momentum) ** updates)
