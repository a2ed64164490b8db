"""What is said about outliers, in the terminal and on the page."""

from placenorm.facts.outliers import THRESHOLD, Outliers, OutlierSample, OutlierSite
from placenorm.report.wording import count

NOT_FINITE = "not finite"

SAMPLE_HEADS = ("sample", "surprise", "site", "distance", "clean as far", "largest |z|")
SITE_HEADS = (
    "site",
    "layer",
    "distance 50 %",
    "90 %",
    "99 %",
    "largest",
    "|z| 99 %",
    "clean with |z| of 5",
    "|z| at most",
)

BASIS = (
    "Distance: from the mean of the clean samples, in their standard deviations; at the input that of the furthest "
    "value, at a norm and at input:channels the root mean square over the channels' means and spreads, made "
    "uncorrelated. Surprise: share of clean samples that are as far at their own furthest site, the sample counted in. "
    "Clean as far: share of clean samples that are at least as far at this site. z: value minus mean, over standard "
    "deviation, before gamma and beta."
)


def say_headline(facts: Outliers) -> str:
    """Return how many samples are beyond every clean one."""
    beyond = sum(sample.surprise <= facts.least for sample in facts.samples)
    if facts.own:
        return f"{count(len(facts.samples), 'sample')}, by how far they are from the others"
    return f"{beyond:,} of {count(len(facts.samples), 'sample')} are further out than every clean one"


def say_limit(facts: Outliers) -> str:
    """Return what so many clean samples cannot tell."""
    expected = "" if facts.own else f" As many of {len(facts.samples):,} good samples would be there by chance: "
    if expected:
        expected += f"{len(facts.samples) * facts.least:.2g}."
    kind = "samples" if facts.own else "clean samples"
    return (
        f"With {facts.clean:,} {kind} nothing rarer than 1 in {round(1 / facts.least):,} can be told; samples at that "
        f"limit stand in the order of their distances.{expected}"
    )


def say_reach(facts: Outliers) -> list[str]:
    """Return where the article's threshold cannot be reached, and why."""
    return [
        f"{site.key}: among {count(site.values or 0, 'value')} no |z| exceeds sqrt(n - 1) = {site.reach:.2f}, so that "
        f"{THRESHOLD:g} is out of reach there (it needs 26); distances are measured by the other samples and have no "
        "such bound."
        for site in facts.sites
        if site.out_of_reach
    ]


def list_sample(sample: OutlierSample) -> tuple[str, ...]:
    """Return a sample as cells under `SAMPLE_HEADS`."""
    return (
        f"{sample.index:,}",
        f"{sample.surprise:.2g}",
        sample.site,
        _number(sample.distance),
        f"{100 * sample.share:.3g} %",
        _number(sample.peak),
    )


def list_site(site: OutlierSite) -> tuple[str, ...]:
    """Return a site as cells under `SITE_HEADS`."""
    usual = site.distances
    return (
        site.key,
        site.layer,
        *map(_number, (usual.median, usual.high, usual.top, usual.largest, site.peaks.top)),
        f"{100 * site.beyond:.3g} %",
        "no bound" if site.reach is None else f"{site.reach:.2f}",
    )


def _number(value: float | None) -> str:
    return NOT_FINITE if value is None else f"{value:,.3g}" if abs(value) < 1e4 else f"{value:.1e}"
