"""Looks in, a history out, streaming: the memory does not grow with the number of steps."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Final

from placenorm.facts.reading import History, Level, Look, Mode, NonFinite, Reading
from placenorm.probe.gradients import GradientTrack
from placenorm.probe.looking import Array, OpenLook
from placenorm.probe.thinning import ThinnedList
from placenorm.probe.tracks import SideMemo, SiteTrack

MAX_READINGS: Final = 20_000
"""Readings that are kept in each mode, about 30 MB; looks are thinned to stay below."""

MAX_LOOKS: Final = 500
"""Looks that are kept in each mode, even of a small network: more cannot be told apart in a chart."""

LEAST_LOOKS: Final = 16
"""Looks that are kept even of a network with very many calls."""


class Ledger:
    """Makes facts of looks.

    Args:
        window: looks that dead units and gaps rest on.
    """

    def __init__(self, window: int) -> None:
        self.gradients = GradientTrack()
        self._window = window
        self._sites: dict[tuple[str, Mode], SiteTrack] = {}
        self._looks: dict[Mode, ThinnedList[Look]] = {
            "training": ThinnedList(MAX_LOOKS),
            "evaluation": ThinnedList(MAX_LOOKS),
        }
        self._not_finite: NonFinite | None = None
        self._unread = 0

    def add(self, look: OpenLook) -> Look:
        """Take in a look whose backward pass is over, if it had one, and return it as a fact."""
        fetched = look.fetch()
        calls = Counter(seen.path for seen in look.seen if seen.path)
        readings: list[Reading] = []
        memo: SideMemo = {}
        for seen in look.seen:
            track = self._track(seen.key, look.mode)
            readings.append(track.read(seen, fetched, memo, look.step, calls[seen.path]))
        gradient = fetched.gradient
        finite = None if gradient is None else math.isfinite(gradient)
        closed = Look(
            step=look.step,
            mode=look.mode,
            samples=look.samples,
            input_spread=_read_spread(look.input_spread, fetched.rows),
            output_spread=_read_spread(look.output_spread, fetched.rows),
            gradient_norm=gradient if finite else None,
            gradient_finite=finite,
            readings=tuple(readings),
        )
        if self._not_finite is None:
            self._not_finite = _find_not_finite(closed)
        self._unread += look.unread
        kept = self._looks[look.mode]
        kept.shrink(max(LEAST_LOOKS, MAX_READINGS // max(len(readings), 1)))
        kept.add(closed)
        return closed

    def close(
        self,
        model: str,
        level: Level,
        every: int,
        steps: int,
        evaluations: int,
        gradient_of: int,
    ) -> History:
        """Return everything so far as a fact.

        Args:
            model: name of the network's class.
            level: how much was read.
            every: forwards from one look to the next.
            steps: forwards in training mode so far.
            evaluations: forwards in evaluation mode so far.
            gradient_of: parameters that the gradient is checked of at every step.
        """
        looks = [look for kept in self._looks.values() for look in kept.items()]
        return History(
            model=model,
            level=level,
            every=every,
            window=self._window,
            steps=steps,
            evaluations=evaluations,
            looks=tuple(sorted(looks, key=lambda look: look.step)),
            looks_made=sum(kept.added for kept in self._looks.values()),
            sites=tuple(track.summary() for track in self._sites.values()),
            gradients=tuple(self.gradients.course.items()),
            gradient_of=gradient_of,
            gradient_last=self.gradients.last,
            spikes=tuple(self.gradients.spikes),
            spikes_seen=self.gradients.spikes_seen,
            not_finite=self._not_finite,
            unread=self._unread,
        )

    def _track(self, key: str, mode: Mode) -> SiteTrack:
        track = self._sites.get((key, mode))
        if track is None:
            training = None if mode == "training" else self._sites.get((key, "training"))
            track = self._sites[key, mode] = SiteTrack(mode, self._window, training)
        return track


def _read_spread(index: int | None, rows: list[Array]) -> float | None:
    if index is None:
        return None
    spread = float(rows[index].item())
    return spread if math.isfinite(spread) else None


def _find_not_finite(look: Look) -> NonFinite | None:
    def entered(readings: Iterable[Reading]) -> Iterable[NonFinite]:
        for reading in readings:
            if False in (reading.finite_before, reading.finite_after):
                entered = reading.finite_before is False
                yield NonFinite(look.step, look.mode, reading.site, reading.kind, entered)
        for reading in readings:
            if reading.finite_statistics is False:
                yield NonFinite(look.step, look.mode, reading.site, reading.kind, entered=False, statistics=True)

    return next(iter(entered(look.readings)), None)
