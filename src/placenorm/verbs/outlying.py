"""The verb `outliers`: which samples lie far from clean ones, where in the network, how far, how surprisingly."""

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from placenorm.errors import UsageError
from placenorm.facts.codec import dumps
from placenorm.facts.outliers import THRESHOLD, Outliers, OutlierSample, OutlierSite, Quantiles
from placenorm.graph.tracing import check_model
from placenorm.probe.measuring import check_batches, read_batches
from placenorm.probe.outlier_scores import (
    HIGH,
    SiteDistances,
    SiteMoments,
    count_as_far,
    measure_clean,
    measure_distances,
    measure_excess,
)
from placenorm.probe.outlier_sites import OutlierReader, list_inputs
from placenorm.report.forms import print_to_html, print_to_text, write_form
from placenorm.report.language import ENGLISH, Language
from placenorm.report.outliers import print_outliers
from placenorm.report.outliers_page import Picture, render_outliers_page

TABLE_WIDTH = 120

DATA, CLEAN = "data", "clean data"


@dataclass(frozen=True, slots=True)
class Outlying:
    """The samples of the data by how surprising they are, ready to be read.

    Attributes:
        facts: all of it, as facts.
        pictures: the most surprising samples as pictures, by their index; empty where they are no images.
        top: how many samples the table and the page show.
    """

    facts: Outliers
    pictures: dict[int, Picture]
    top: int

    @property
    def samples(self) -> tuple[OutlierSample, ...]:
        """All samples, the most surprising first."""
        return self.facts.samples

    @property
    def sites(self) -> tuple[OutlierSite, ...]:
        """Where they were looked at, and what is usual there."""
        return self.facts.sites

    def __str__(self) -> str:
        """Return what `table` returns."""
        return self.table()

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return print_to_html(lambda console: print_outliers(self.facts, self.top, console, ENGLISH), TABLE_WIDTH)

    def table(self, lang: str = "en") -> str:
        """Return the most surprising samples and the sites as text, for 120 columns.

        Args:
            lang: language of its sentences, ``en`` or ``fa`` (Persian).
        """
        language = Language(lang)
        return print_to_text(lambda console: print_outliers(self.facts, self.top, console, language), TABLE_WIDTH)

    def report(self, path: Path | str, *, lang: str = "en") -> Path:
        """Write what was found and return the path of the file.

        Args:
            path: a file that ends in .html (a page, with pictures of images), .json (all facts) or .txt (the table).
            lang: language of the reader, ``en`` or ``fa`` (Persian).

        Raises:
            UsageError: if the file has another ending, or there is no such language.
            StoreError: if it cannot be written.
        """
        language = Language(lang)
        forms = {
            ".html": lambda: render_outliers_page(self.facts, self.pictures, self.top, language),
            ".json": lambda: dumps(self.facts) + "\n",
            ".txt": lambda: self.table(lang),
        }
        return write_form(path, "outliers", forms)


def outliers(model: nn.Module, data: object, clean: object = None, *, top: int = 20) -> Outlying:
    """Return the samples of some data, the most surprising first, by their distances at each norm and at the input.

    What a distance means is counted on clean samples, not read off a normal table. At the input a sample is as far as
    its furthest value; at a norm, as the mean and the spread of its channels are together; in standard deviations of
    the clean samples. Its surprise is the share of clean samples that are as far at *their* furthest site: taking the
    worst of many sites is paid for. The model stays as it was.

    Args:
        model: the model, trained; it runs in evaluation mode.
        data: a tensor, or an iterable of batches in a fixed order, the input first in each; read more than once.
        clean: samples of the same kind that are known to be good, and best not trained on; read twice. None to take
            the data themselves, which a share of outliers in them blunts.
        top: how many samples the table, the page and its pictures show.

    Returns:
        All samples as facts, with ``.samples``, ``.table()`` and ``.report(path)``.

    Raises:
        DataError: if there are too few samples, the model does not run on them, or clean ones are not finite.
        ModelError: if the model is of a kind that cannot be looked into.
        UsageError: if the data can be read only once or are shuffled, or ``top`` is below 1.

    Example:
        >>> import torch, placenorm as pn
        >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU())
        >>> x = torch.linspace(-1, 1, 400).sin().reshape(100, 4)
        >>> x[42] = 50.0
        >>> worst = pn.outliers(net, x).samples[0]
        >>> worst.index, worst.surprise
        (42, 0.01)
    """
    check_model(model)
    if top < 1:
        raise UsageError(f"Cannot show the worst {top} samples: give a number of 1 or more as top.")
    for source, what in ((data, DATA), (clean, CLEAN)):
        if source is not None:
            _check_source(source, what)
    if isinstance(data, DataLoader) and isinstance(data.sampler, RandomSampler):
        raise UsageError(
            "Cannot say which samples of the data are outliers: their loader shuffles, so that an index would mean "
            "nothing; give a loader with shuffle=False."
        )
    reader = OutlierReader(model)
    with reader.attached():
        if clean is None:
            sites = measure_clean(reader, data, DATA, strict=False)
            usual = found = measure_distances(reader, data, sites, DATA, among=True)
        else:
            sites = measure_clean(reader, clean, CLEAN, strict=True)
            usual = measure_distances(reader, clean, sites, CLEAN, among=True)
            found = measure_distances(reader, data, sites, DATA, among=False)
    samples, counted = _rank(found, usual, own=clean is None)
    facts = Outliers(
        model=type(model).__name__,
        samples=samples,
        sites=tuple(_describe(key, site, usual[key]) for key, site in sites.items()),
        clean=counted,
        own=clean is None,
        notes=tuple(_list_notes(model, sites, reader.skipped, own=clean is None)),
    )
    return Outlying(facts, _draw(data, [sample.index for sample in samples[:top]]), top)


def _check_source(source: object, what: str) -> None:
    check_batches(source)
    if isinstance(source, Iterator):
        raise UsageError(
            f"Cannot read the {what} more than once: a {type(source).__name__} is used up after one pass; give a "
            "loader, a list of batches or a tensor."
        )


def _rank(
    found: dict[str, SiteDistances], usual: dict[str, SiteDistances], *, own: bool
) -> tuple[tuple[OutlierSample, ...], int]:
    """Return the samples, the most surprising first, and the number of samples that say how surprising they are."""
    keys = list(found)
    excesses = torch.stack([measure_excess(found[key].distances, usual[key].distances) for key in keys])
    common = torch.stack([measure_excess(usual[key].distances, usual[key].distances) for key in keys]).amax(0)
    common = common[common.isfinite()]
    worst, where = excesses.max(0)
    as_far = count_as_far(worst, common) + int(
        not own
    )  # the sample itself counts: among its own data it is there already
    surprise = as_far.clamp_min(1).double() / (len(common) + (not own))
    shares = torch.stack([_share(found[key].distances, usual[key].distances, own=own) for key in keys])
    # Infinite excesses tie: there, as anywhere, the sample that came first stands first.
    order = worst.sort(descending=True, stable=True).indices.tolist()
    samples = tuple(
        OutlierSample(
            index=index,
            site=keys[site],
            distance=_finite(found[keys[site]].distances[index]),
            share=float(shares[site, index]),
            peak=_finite(found[keys[site]].peaks[index]),
            surprise=float(surprise[index]),
            excess=_finite(worst[index]),
        )
        for index in order
        for site in (int(where[index]),)
    )
    return samples, len(common)


def _share(distances: Tensor, usual: Tensor, *, own: bool) -> Tensor:
    """Return the share of the clean samples, other than the sample itself, that are at least as far, ``[N]``."""
    usual = usual[usual.isfinite()]
    return (count_as_far(distances, usual) - int(own)).clamp_min(0).double() / (len(usual) - own)


def _finite(value: Tensor) -> float | None:
    return float(value) if bool(value.isfinite()) else None


def _describe(key: str, site: SiteMoments, usual: SiteDistances) -> OutlierSite:
    peaks = usual.peaks[usual.peaks.isfinite()]
    return OutlierSite(
        key=key,
        layer=site.layer,
        joint=site.joint,
        features=len(site.mean),
        clean=site.count,
        distances=_summarise(usual.distances),
        peaks=_summarise(peaks),
        beyond=float((peaks >= THRESHOLD).double().mean()),
        values=site.count if site.layer == "input" else site.values,
    )


def _summarise(values: Tensor) -> Quantiles:
    values = values[values.isfinite()]
    levels = torch.tensor([0.5, HIGH, 0.99, 1.0], dtype=values.dtype)
    return Quantiles(*values.quantile(levels).tolist())


def _list_notes(
    model: nn.Module, sites: dict[str, SiteMoments], skipped: dict[str, str], *, own: bool
) -> Iterable[str]:
    """Yield what a reader of the result has to know."""
    if own:
        yield (
            "The data say themselves what is usual, each sample measured by the others; outliers among them widen what "
            "is usual and blunt this, and some sample always comes first: give clean data where there are any."
        )
    if all(site.layer == "input" for site in sites.values()):
        yield f"{type(model).__name__} has no norm that ran: only its input was looked at."
    if all(site.layer != "input" for site in sites.values()):
        yield "The input was not looked at: it has no floating-point numbers."
    for key, why in skipped.items():
        yield f"{key} was not looked at: {why}."


def _draw(data: object, chosen: list[int]) -> dict[int, Picture]:
    """Return some samples of the data as pictures, by their index, where they are images ``[1|3, H, W]``."""
    pictures: dict[int, Picture] = {}
    start, wanted = 0, set(chosen)
    for inputs in read_batches(data):
        images = list_inputs(inputs)
        x = images.get("input")
        if x is None or x.dim() != 4 or x.shape[1] not in (1, 3) or not x.is_floating_point():
            return {}
        for index in sorted(wanted & set(range(start, start + len(x)))):
            pictures[index] = _make_picture(x[index - start].detach().double().cpu())
        start += len(x)
        if start > max(wanted):
            break
    return pictures


def _make_picture(x: Tensor) -> Picture:
    """Return an image, ``[1|3, H, W]``, as a PNG between its own smallest and largest value."""
    finite = x[x.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (None, None)
    levels = (
        ((x - (low or 0.0)) / ((high or 0.0) - (low or 0.0) or 1.0) * 255)
        .nan_to_num(nan=0.0, posinf=255.0, neginf=0.0)
        .clamp(0, 255)
    )
    pixels = levels.round().to(torch.uint8).permute(1, 2, 0).squeeze(2).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return Picture(base64.b64encode(file.getvalue()).decode(), low, high)
