"""Which samples of the data lie far from the others, where in the network, how far, and how surprising that is."""

import math
from dataclasses import dataclass

THRESHOLD = 5.0
"""The distance from 0 at which the article suspects an error in recording (A3)."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """How far clean samples are from 0 at a site.

    Attributes:
        median: half of the clean samples are at most so far.
        high: 90 % of them are.
        top: 99 % of them are.
        largest: all of them are.
    """

    median: float
    high: float
    top: float
    largest: float


@dataclass(frozen=True, slots=True)
class OutlierSite:
    """A place where samples were looked at, and what is usual there.

    Attributes:
        key: the norm's path, ``path#2`` for its second call in one pass; ``input`` and ``input:channels`` for what the
            network is given.
        layer: class of the norm; "input" for the network's input.
        features: number of numbers that describe a sample there.
        joint: whether the distance is the root mean square of all of them, made uncorrelated; otherwise it is that of
            the furthest one.
        clean: number of clean samples that say what is usual.
        distances: distances of the clean samples, each measured by the others.
        peaks: largest ``|z|`` of the clean samples: in standard deviations of the norm's running statistics, or at
            the input of the clean samples themselves.
        beyond: share of the clean samples that hold a ``|z|`` of 5 or more (0 to 1).
        values: number of values behind each mean and variance that z is taken by, where these hold the value itself;
            None where they were measured on other data (running statistics), so that nothing bounds z.
    """

    key: str
    layer: str
    features: int
    joint: bool
    clean: int
    distances: Quantiles
    peaks: Quantiles
    beyond: float
    values: int | None

    @property
    def reach(self) -> float | None:
        """The largest ``|z|`` that there can be, sqrt(n - 1) among n values; None where nothing bounds it."""
        return None if self.values is None else reach_of(self.values)

    @property
    def out_of_reach(self) -> bool:
        """Whether a ``|z|`` of 5 cannot occur, whatever is in the data."""
        return self.reach is not None and self.reach < THRESHOLD


@dataclass(frozen=True, slots=True)
class OutlierSample:
    """One sample, at the site where it is furthest from what is usual.

    Attributes:
        index: its place in the order in which the data came, from 0.
        site: key of that site.
        distance: how far it is there, in standard deviations of the clean samples; None where it is not finite.
        share: share of the clean samples that are at least as far there (0 to 1).
        peak: the largest ``|z|`` of one of its values there; None where it is not finite.
        surprise: share of clean samples that are at least as far at *their* furthest site, this one counted in: never
            below 1/(n + 1) for n clean samples (0 to 1).
        excess: what the samples are sorted by, also where none of the clean ones is as far: the logarithm of the
            distance, 0 at the clean median of its site and 1 at the clean 90 % quantile; None where it is not finite.
    """

    index: int
    site: str
    distance: float | None
    share: float
    peak: float | None
    surprise: float
    excess: float | None


@dataclass(frozen=True, slots=True)
class Outliers:
    """The samples of the data by how surprising they are.

    Attributes:
        model: name of the network.
        samples: all samples, the most surprising first.
        sites: where they were looked at, in the order they run.
        clean: number of clean samples that the surprise is counted among.
        own: whether these were the data themselves, for want of clean ones.
        notes: what else is to be known, in whole sentences.
    """

    model: str
    samples: tuple[OutlierSample, ...]
    sites: tuple[OutlierSite, ...]
    clean: int
    own: bool
    notes: tuple[str, ...]

    @property
    def least(self) -> float:
        """The smallest surprise that so many clean samples can vouch for."""
        return 1 / (self.clean + (not self.own))


def reach_of(values: int) -> float:
    """Return how far from 0 one of some values can be, at most, after they were standardised by themselves.

    Args:
        values: how many there are, n, the value itself among them.

    Returns:
        sqrt(n - 1), in standard deviations (biased, as a norm takes them); 0 where there is none.

    Source:
        Samuelson 1968, Journal of the American Statistical Association 63(324), 1522-1525.
    """
    return math.sqrt(max(values - 1, 0))
