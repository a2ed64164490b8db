"""Data through a model in, one distance for each sample and site out, and what the distance is among clean samples."""

from dataclasses import dataclass

import torch
from torch import Tensor

from placenorm.errors import DataError
from placenorm.probe.measuring import read_batches
from placenorm.probe.outlier_sites import OutlierReader, SiteBatch, find_largest

FLOOR = 0.03
"""Least spread of a feature, beside the root mean square of its site's. A pixel that is black in all clean samples but
one would be the furthest feature of all samples otherwise. Chosen on corruptions that no table reports
(docs/outliers.md): 0.01 is as good, 0.3 is worse."""

ROUNDING = 1e-6
"""Spread that float32 rounding leaves of a constant, beside its size."""

TINY = 1e-12
"""Spread below which there is none, and the distance whose logarithm stands for that of 0."""

NORM_EPS = 1e-5
"""Added to a variance by a norm, unless it is told otherwise (``torch.nn.BatchNorm1d``)."""

LEAST_SHRINKAGE = 0.01
"""Of correlations towards 0, so that two features that always go together can still be told apart."""

LEAST_RANGE = 1e-3
"""Between the logarithms of the clean median and the clean 90 % quantile: one in a thousand in the distance."""

LEAST_CLEAN = 3
"""Clean samples: without the one that is measured, two are left, the fewest that have a spread."""

HIGH = 0.9
"""The quantile of the clean samples that an excess of 1 stands for; its error is small from 50 samples on."""


@dataclass(slots=True)
class SiteMoments:
    """What clean samples are like at one site.

    Attributes:
        layer: class of the norm; "input" for the network's input.
        joint: whether correlations between features count; where they are too many, each counts for itself.
        count: number of clean samples, n.
        mean: of each of D features, ``[D]``, float64.
        scatter: sum of products of distances from the mean, ``[D, D]``; of squares, ``[D]``, where not joint.
        values: fewest values that a mean and a variance behind ``|z|`` were taken over, the value itself among them;
            None where they were measured on other data.
    """

    layer: str
    joint: bool
    count: int
    mean: Tensor
    scatter: Tensor
    values: int | None = None
    _basis: tuple[Tensor, Tensor, float] | None = None

    @classmethod
    def start(cls, batch: SiteBatch) -> "SiteMoments":
        """Return the moments of no sample yet, of the kind that a batch has."""
        width = batch.features.shape[1]
        shape = (width, width) if batch.joint else (width,)
        return cls(batch.layer, batch.joint, 0, batch.features.new_zeros(width), batch.features.new_zeros(shape))

    def add(self, features: Tensor) -> None:
        """Take in the finite samples of a batch, ``[N, D]``.

        Source:
            Chan, Golub & LeVeque 1983, The American Statistician 37(3), 242-247, equation 2.1.
        """
        finite = features[features.isfinite().all(1)]
        new = len(finite)
        if not new:
            return
        mean = finite.mean(0)
        away, step, total = finite - mean, mean - self.mean, self.count + new
        self.scatter += away.T @ away if self.joint else away.square().sum(0)
        self.scatter += (torch.outer(step, step) if self.joint else step.square()) * (self.count * new / total)
        self.mean = self.mean + step * (new / total)
        self.count = total

    def differs(self, features: Tensor) -> bool:
        """Whether the features of a batch, ``[N, D]``, are not those of the batches before."""
        return self.mean.shape != features.shape[1:]

    def distances(self, features: Tensor, *, among: bool) -> Tensor:
        """Return how far samples are from the mean of the clean ones.

        Joint: the root mean square of the D features after they were made uncorrelated, by the clean samples'
        correlations, shrunk towards 0 (a Mahalanobis distance over sqrt(D)). Otherwise: the largest of them.

        Among n values no ``|z|`` exceeds sqrt(n - 1). So a clean sample is measured by the mean and the spread of the
        others: what it would be as a new sample. A spread is never taken to be smaller than `FLOOR` says.

        Args:
            features: ``[N, D]``.
            among: whether the samples are among the clean ones.

        Returns:
            Distances in standard deviations, ``[N]``, float64, infinite where a feature is not finite.

        Source:
            Lee et al. 2018, arXiv:1807.03888, section 2.1 (one class here, correlations and their shrinkage ours);
            leaving one out: derived in docs/maths/leaving_one_out.md.
        """
        away, count = features - self.mean, self.count
        if not self.joint:
            var = self._var
            if among:
                var = (count / (count - 1) * (var - away.square() / (count - 1))).clamp_min(0)
                away = away * (count / (count - 1))
            return find_largest(away / (var + self._floor.square()).sqrt())
        scale, root, shrinkage = self._find_basis()
        white = torch.linalg.solve_triangular(root, (away / scale).T, upper=False).T
        squares = white.square().sum(1)
        if among:
            pull = (1 - shrinkage) * count / (count - 1) ** 2
            squares = (count / (count - 1)) ** 2 * squares / (1 - pull * squares).clamp_min(TINY)
        return find_largest((squares / self.mean.numel()).sqrt()[:, None])

    def peaks(self, features: Tensor) -> Tensor:
        """Return the largest ``|z|``, as a norm would give it, of features that are values, ``[N, D]``."""
        return find_largest((features - self.mean) / (self._var + NORM_EPS).sqrt())

    @property
    def _var(self) -> Tensor:
        return (self.scatter.diagonal() if self.joint else self.scatter) / self.count

    @property
    def _floor(self) -> Tensor:
        return FLOOR * self._var.mean().sqrt() + ROUNDING * self.mean.abs() + TINY

    def _find_basis(self) -> tuple[Tensor, Tensor, float]:
        """Return the spread of each feature, the root of their shrunk correlations, and how much they were shrunk."""
        if self._basis is None:
            scale = (self._var + self._floor.square()).sqrt()
            related = self.scatter / (self.count - 1) / torch.outer(scale, scale)
            shrinkage = find_shrinkage(related, self.count)
            mixed = (1 - shrinkage) * related
            mixed.diagonal().add_(shrinkage)
            self._basis = scale, torch.linalg.cholesky(mixed), shrinkage
        return self._basis


@dataclass(frozen=True, slots=True)
class SiteDistances:
    """What was measured at one site.

    Attributes:
        distances: ``[N]``, in standard deviations of the clean samples; infinite where a value is not finite.
        peaks: the largest ``|z|`` of each sample, ``[N]``.
    """

    distances: Tensor
    peaks: Tensor


def find_shrinkage(covariance: Tensor, count: int) -> float:
    """Return the share of the identity that a covariance of so many samples is best mixed with (0.01 to 1).

    Args:
        covariance: ``[D, D]``, of features whose variance is about 1.
        count: number of samples.

    Source:
        Chen et al. 2010, arXiv:0907.4698, equation 23 (OAS).
    """
    width = len(covariance)
    trace, squares = float(covariance.trace()), float(covariance.square().sum())
    top = (1 - 2 / width) * squares + trace**2
    bottom = (count + 1 - 2 / width) * (squares - trace**2 / width)
    return min(max(top / bottom, LEAST_SHRINKAGE), 1.0) if bottom > 0 else 1.0


def measure_clean(reader: OutlierReader, data: object, what: str, *, strict: bool) -> dict[str, SiteMoments]:
    """Return what describes the clean samples at every site: the first of two passes.

    Args:
        reader: the reader, attached. An input whose samples come in several shapes is not compared place by place.
        data: a tensor, or an iterable of batches that can be read more than once.
        what: "data" or "clean data", for messages.
        strict: whether every sample has to be finite; otherwise those that are not are left out.

    Raises:
        DataError: if there are fewer than three samples, if one is not finite and must be, or as `OutlierReader.read`.
    """
    sites: dict[str, SiteMoments] = {}
    samples = 0
    for number, inputs in enumerate(read_batches(data), start=1):
        seen = reader.read(inputs, number, what)
        for key, each in seen.items():
            site = sites.setdefault(key, SiteMoments.start(each))
            if key in reader.skipped or site.differs(each.features):
                reader.skipped[key] = "its samples have several shapes"
                continue
            finite = each.features.isfinite().all(1)
            if strict and not bool(finite.all()):
                raise DataError(
                    f"Cannot calibrate on sample {samples + int((~finite).nonzero()[0])} of the {what}: it is not "
                    f"finite at {key}; leave it out, or give it among the data."
                )
            site.add(each.features)
            if each.values is not None:
                site.values = each.values if site.values is None else min(site.values, each.values)
        samples += reader.samples
    kept = {key: site for key, site in sites.items() if key not in reader.skipped}
    if samples and not kept:
        raise DataError(
            f"There is no site to compare samples at: {_say(reader.skipped)}; give a model with norms, or samples of "
            "one shape."
        )
    usable = min((site.count for site in kept.values()), default=0)
    if usable < LEAST_CLEAN:
        raise DataError(
            f"Cannot say what is usual by {usable} finite sample{'s' * (usable != 1)} of the {what}: a spread without "
            f"the sample that it measures needs at least {LEAST_CLEAN}; give more."
        )
    return kept


def measure_distances(
    reader: OutlierReader, data: object, sites: dict[str, SiteMoments], what: str, *, among: bool
) -> dict[str, SiteDistances]:
    """Return how far every sample is at every site: the second pass, or the only one over data that are not the clean.

    Args:
        reader: the reader, attached.
        data: a tensor, or an iterable of batches.
        sites: what the clean samples are like.
        what: "data" or "clean data", for messages.
        among: whether the data are the clean samples.

    Raises:
        DataError: if there is no sample, or a site that the clean samples went through is not on the way of these.
    """
    found: dict[str, list[SiteDistances]] = {key: [] for key in sites}
    for number, inputs in enumerate(read_batches(data), start=1):
        seen = reader.read(inputs, number, what)
        if not seen:
            continue
        for key, site in sites.items():
            each = seen.get(key)
            if each is None or site.differs(each.features):
                raise DataError(
                    f"Cannot compare batch {number} of the {what} with the clean data at {key}: "
                    + ("it does not run there" if each is None else "its samples have another shape")
                    + "; give samples of the kind that the clean data are of."
                )
            peaks = site.peaks(each.features) if each.peaks is None else each.peaks
            found[key].append(SiteDistances(site.distances(each.features, among=among).cpu(), peaks.cpu()))
    if not any(found.values()):
        raise DataError(f"There is no sample in the {what} to look for outliers in: give at least one batch.")
    return {
        key: SiteDistances(torch.cat([each.distances for each in parts]), torch.cat([each.peaks for each in parts]))
        for key, parts in found.items()
    }


def measure_excess(distances: Tensor, clean: Tensor) -> Tensor:
    """Return distances on a scale that sites share, and that goes on where no clean sample is.

    Args:
        distances: ``[N]``.
        clean: those of the clean samples, ``[M]``.

    Returns:
        The logarithm of the distance, 0 at the clean median and 1 at the clean 90 % quantile, ``[N]``.
    """
    usual = clean[clean.isfinite()].clamp_min(TINY).log()
    middle, high = usual.quantile(0.5), usual.quantile(HIGH)
    return (distances.clamp_min(TINY).log() - middle) / (high - middle).clamp_min(LEAST_RANGE)


def count_as_far(values: Tensor, clean: Tensor) -> Tensor:
    """Return how many clean values are at least as large as each value, ``[N]``, whole numbers."""
    ordered = clean.sort().values
    return len(ordered) - torch.searchsorted(ordered, values.contiguous(), right=False)


def _say(skipped: dict[str, str]) -> str:
    """Return why nothing can be compared."""
    reasons = [f"{key}: {why}" for key, why in skipped.items()]
    return ", ".join(reasons) or "the model has no norm, and its input is not of floating-point numbers"
