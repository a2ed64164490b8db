"""Critical values that hold at every number of seeds at once, so that a comparison may be looked at after each.

A look at n seeds calls two arms different where Student's |t| of their paired differences is above c(n). The c(n) are
such that the chance to cross any of them, ever, is the error that was asked for. How, step by step:

* t is a function of the cosine between the differences and (1, ..., 1). Where the differences are Gaussian with mean 0,
  the cosine knows nothing of their spread, and given the cosine at n seeds, those before it are a chain of their own:
  the last difference is one coordinate of a point on a sphere.
* So the chance of having stayed inside at all earlier looks, given the cosine now, is an integral over that coordinate
  of the same chance one seed earlier: a recursion in one dimension, done by quadrature to five digits.
* c(n) is where the chance to be inside before and outside now is what the schedule gives to that look.

The derivation and the choice of the schedule: docs/decisions/0014-stopping-early.md. The slow twin, which goes through
the same chain forwards on a plain grid, is in tests/unit/study/test_sequential.py.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial.chebyshev import chebval, chebvander
from numpy.polynomial.legendre import leggauss
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr, stdtrit

from placenorm.facts.comparison import MIN_SEEDS

PLANNED_SHARE = 0.9
"""Share of the error that is spent by the last planned look; the rest is for seeds that are added, however many."""

LATENESS = 2.5
"""Power with which the error is spent up to there: more is kept for the late looks, where the spread is known better.

Both are rows of the table of schedules in docs/decisions/0014-stopping-early.md.
"""

LEAST_SPENT = 1e-9
"""The first look is where this much of a chance to err is due: before, no difference would be large enough."""

_TURNS = 50
_PRECISION = 1e-10
_FAR = 9.0  # standard deviations of a Gaussian, beyond which nothing is left in double precision

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How much of an error the looks up to a number of seeds may spend. It never ends.

    Attributes:
        planned: seeds that were planned, at least `MIN_SEEDS`.
        share: share of the error (0 to 1) that is spent by then.
        lateness: power with which it is spent up to there.
    """

    planned: int
    share: float = PLANNED_SHARE
    lateness: float = LATENESS

    def spent(self, seeds: int) -> float:
        """Return the share of the error (0 to 1) that is spent by the look at a number of seeds."""
        if seeds >= self.planned:
            return 1.0 - (1.0 - self.share) * self.planned / seeds
        before = MIN_SEEDS - 1
        return self.share * float((max(0.0, seeds - before) / (self.planned - before)) ** self.lateness)


def _place_between_0_and_1(count: int) -> tuple[Values, Values]:
    """Places and weights of Gauss and Legendre."""
    places, weights = leggauss(count)
    return (1 + places) / 2, weights / 2


_INNER_PLACES, _INNER_WEIGHTS = _place_between_0_and_1(32)
_TAIL_PLACES, _TAIL_WEIGHTS = _place_between_0_and_1(16)
_NODES = np.cos(np.pi * (np.arange(32) + 0.5) / 32)
_FIT = np.linalg.inv(chebvander(_NODES, 31))
_TURNED = np.sqrt((1 + _NODES) / 2)  # an even function of x is one of 2 x^2 - 1


def critical_repeated(seeds: int, error: float, planned: int) -> float:
    """Return the critical value of |t| for a mean over seeds that is looked at after every seed, for ever.

    Args:
        seeds: seeds at this look.
        error: chance that any look, at whatever number of seeds, is above its critical value though the mean is 0.
        planned: seeds that were planned, at least `MIN_SEEDS`: most of the error is spent by then.

    Returns:
        The critical value; infinity at a look at which nothing may be decided, as below `MIN_SEEDS`.

    Source:
        Error spending, Lan & DeMets 1983, Biometrika 70; for Student's t derived in
        docs/decisions/0014-stopping-early.md.
    """
    return find_critical(seeds, error, Schedule(max(planned, MIN_SEEDS)))


def find_critical(seeds: int, error: float, schedule: Schedule) -> float:
    """Return the critical value of a schedule; the rest is as in `critical_repeated`."""
    return math.inf if seeds < MIN_SEEDS else _boundary(error, schedule).at(seeds)


@cache
def _boundary(error: float, schedule: Schedule) -> "_Boundary":
    return _Boundary(error, schedule)


class _Boundary:
    """The critical values of one error and one schedule, found as far as they were asked for."""

    def __init__(self, error: float, schedule: Schedule) -> None:
        self._error, self._schedule = error, schedule
        self._criticals = [math.inf] * MIN_SEEDS  # by the number of seeds
        self._spent = 0.0
        self._edge = 1.0  # of the cosine at the last look
        self._inside: Values | None = None  # coefficients of the chance to be inside until then, given the cosine

    def at(self, seeds: int) -> float:
        while len(self._criticals) <= seeds:
            self._look(len(self._criticals))
        return self._criticals[seeds]

    def _look(self, seeds: int) -> None:
        due = self._error * self._schedule.spent(seeds) - self._spent
        if self._inside is None and due < LEAST_SPENT:
            self._criticals.append(math.inf)
            return
        critical = -float(stdtrit(seeds - 1, self._find_tail(seeds, due / 2)))
        edge = float(_cosine(np.asarray(critical), seeds))
        self._inside, self._edge = _FIT @ self._stay(np.sin(_TURNED * np.arcsin(edge)), seeds), edge
        self._spent += due
        self._criticals.append(critical)

    def _find_tail(self, seeds: int, due: float) -> float:
        """The upper tail of t in which the chance to be, and to have been inside at all looks before, is what is due.

        Newton's method on the chance between the largest t that can be reached from inside, and this tail.
        """
        if self._inside is None:
            return due
        least = _tail(self._reach(seeds), seeds)
        tail = max(least + due, float(stdtr(seeds - 1, -self._criticals[-1])))
        for _ in range(_TURNS):
            width = tail - least
            tails = least + width * np.append(_TAIL_PLACES**2, 1.0)
            inside = self._stay(_cosine(-stdtrit(seeds - 1, tails), seeds), seeds)
            crossed = width * float((2 * _TAIL_PLACES * _TAIL_WEIGHTS) @ inside[:-1])
            step = (due - crossed) / float(inside[-1])
            tail += step
            if abs(step) < _PRECISION * width:
                break
        return tail

    def _reach(self, seeds: int) -> float:
        """The largest cosine that can follow one inside of the last edge."""
        return math.sqrt((1 + (seeds - 1) * self._edge**2) / seeds)

    def _stay(self, cosines: Values, seeds: int) -> Values:
        """The chance to have been inside at every look before this one, given the cosine [K] at this one."""
        if self._inside is None:
            return np.ones_like(cosines)
        before = seeds - 1
        centre, width = cosines / np.sqrt(seeds), np.sqrt((1 - cosines**2) * before / seeds)
        # The last difference is centre + width sin(angle), in units of the length of all; inside is a quadratic's.
        scaled, reach = cosines * np.sqrt(seeds), before * self._edge**2
        root = np.sqrt(np.maximum(reach * (1 + reach - scaled**2), 0.0))
        far = min(_FAR / math.sqrt(before), math.pi / 2)
        low, high = (
            np.clip(np.arcsin(np.clip((end / (1 + reach) - centre) / width, -1, 1)), -far, far)
            for end in (scaled - root, scaled + root)
        )
        angles = low[:, None] + (high - low)[:, None] * _INNER_PLACES
        last = centre[:, None] + width[:, None] * np.sin(angles)
        cosines_before = (scaled[:, None] - last) / np.sqrt(before * (1 - last**2))
        turned = np.arcsin(np.clip(cosines_before, -1, 1)) / math.asin(self._edge)
        height = math.exp(gammaln(before / 2) - gammaln((before - 1) / 2)) / math.sqrt(math.pi)
        density = height * np.cos(angles) ** (before - 2)
        inside: Values = (high - low) * ((chebval(2 * turned**2 - 1, self._inside) * density) @ _INNER_WEIGHTS)
        return inside


def _cosine(t: Values, seeds: int) -> Values:
    return t / np.sqrt(seeds - 1 + t**2)


def _tail(cosine: float, seeds: int) -> float:
    """The chance that the cosine of so many Gaussian differences is larger."""
    return float(stdtr(seeds - 1, -cosine * math.sqrt((seeds - 1) / (1 - cosine**2))))
