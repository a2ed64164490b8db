"""The gradient of a few parameters at every step: its course, and the steps at which it was far above the usual."""

import math
from collections import deque
from statistics import median
from typing import Final

from placenorm.facts.reading import GradientSpike, GradientStep
from placenorm.probe.thinning import ThinnedList

SPIKE_FACTOR: Final = 100.0
"""How far above the usual a gradient is a spike: from one batch to the next it varies by less than ten times."""

USUAL_STEPS: Final = 64
"""Steps whose median is the usual gradient."""

FIRST_STEPS: Final = 3
"""Steps before which nothing is usual yet, so that no spike can be told."""

LAST_STEPS: Final = 5
"""Steps whose median is the gradient at the end: a network that came back is soon seen to be back."""

MAX_SPIKES: Final = 100
"""Spikes that are kept, the first ones; all are counted."""

MAX_STEPS: Final = 1000
"""Steps that are kept of the course."""


class GradientTrack:
    """Takes in one norm a step, in constant memory."""

    def __init__(self) -> None:
        self.course: ThinnedList[GradientStep] = ThinnedList(MAX_STEPS)
        self.spikes: list[GradientSpike] = []
        self.spikes_seen = 0
        self._recent: deque[float] = deque(maxlen=USUAL_STEPS)
        self._inside = False

    @property
    def last(self) -> float | None:
        """Median of the last few steps; None before the first."""
        recent = list(self._recent)[-LAST_STEPS:]
        return median(recent) if recent else None

    def add(self, step: int, norm: float) -> None:
        """Take in the norm of a step."""
        finite = math.isfinite(norm)
        self.course.add(GradientStep(step, norm if finite else None))
        usual = median(self._recent) if len(self._recent) >= FIRST_STEPS else 0.0
        if not finite or norm > SPIKE_FACTOR * usual > 0:
            self._note_spike(step, norm if finite else None, usual)
        else:
            self._inside = False
        if finite:
            self._recent.append(norm)

    def _note_spike(self, step: int, peak: float | None, usual: float) -> None:
        if not self._inside:
            self._inside = True
            self.spikes_seen += 1
            if len(self.spikes) < MAX_SPIKES:
                self.spikes.append(GradientSpike(step, step, peak, usual))
        elif self.spikes_seen <= MAX_SPIKES:
            last = self.spikes[-1]
            highest = None if peak is None or last.peak is None else max(peak, last.peak)
            self.spikes[-1] = GradientSpike(last.step, step, highest, last.usual)
