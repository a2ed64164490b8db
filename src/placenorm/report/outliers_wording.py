"""What is said about outliers, in the terminal and on the page."""

from placenorm.facts.outliers import THRESHOLD, Outliers, OutlierSample, OutlierSite
from placenorm.report.language import Language

_SAMPLE_HEADS = ("sample", "surprise", "site", "distance", "as-far", "peak")
_SITE_HEADS = ("site", "layer", "median", "high", "top", "largest", "peaks", "beyond", "reach")


def list_sample_heads(language: Language) -> tuple[str, ...]:
    """Return the heads of the columns of `list_sample`."""
    return tuple(language.say(f"outliers-head-{head}") for head in _SAMPLE_HEADS)


def list_site_heads(language: Language) -> tuple[str, ...]:
    """Return the heads of the columns of `list_site`."""
    return tuple(language.say(f"outliers-head-{head}") for head in _SITE_HEADS)


def say_headline(facts: Outliers, language: Language) -> str:
    """Return how many samples are beyond every clean one."""
    samples = len(facts.samples)
    if facts.own:
        return language.say("outliers-headline-own", samples=samples)
    beyond = sum(sample.surprise <= facts.least for sample in facts.samples)
    return language.say("outliers-headline", samples=samples, beyond=beyond)


def say_limit(facts: Outliers, language: Language) -> str:
    """Return what so many clean samples cannot tell."""
    rarest = round(1 / facts.least)
    if facts.own:
        return language.say("outliers-limit-own", clean=facts.clean, rarest=rarest)
    samples = len(facts.samples)
    expected = language.figures(f"{samples * facts.least:.2g}")
    return language.say("outliers-limit", clean=facts.clean, rarest=rarest, samples=samples, expected=expected)


def say_reach(facts: Outliers, language: Language) -> list[str]:
    """Return where the article's threshold cannot be reached, and why."""
    return [
        language.say(
            "outliers-reach",
            site=site.key,
            values=site.values or 0,
            reach=language.figures(f"{site.reach:.2f}"),
            threshold=round(THRESHOLD),
        )
        for site in facts.sites
        if site.out_of_reach
    ]


def list_sample(sample: OutlierSample, language: Language) -> tuple[str, ...]:
    """Return a sample as cells under `list_sample_heads`."""
    return (
        language.number(sample.index, 0),
        language.figures(f"{sample.surprise:.2g}"),
        sample.site,
        _say_value(sample.distance, language),
        _say_share(sample.share, language),
        _say_value(sample.peak, language),
    )


def list_site(site: OutlierSite, language: Language) -> tuple[str, ...]:
    """Return a site as cells under `list_site_heads`."""
    usual = site.distances
    reach = language.say("outliers-no-bound") if site.reach is None else language.figures(f"{site.reach:.2f}")
    numbers = (usual.median, usual.high, usual.top, usual.largest, site.peaks.top)
    cells = (_say_value(value, language) for value in numbers)
    return (site.key, site.layer, *cells, _say_share(site.beyond, language), reach)


def _say_value(value: float | None, language: Language) -> str:
    """Return a number with three digits that count; None is one that is not finite."""
    if value is None:
        return language.say("outliers-not-finite")
    return language.figures(f"{value:,.3g}" if abs(value) < 1e4 else f"{value:.1e}")


def _say_share(share: float, language: Language) -> str:
    return language.say("outliers-percent", share=language.figures(f"{100 * share:.3g}"))
