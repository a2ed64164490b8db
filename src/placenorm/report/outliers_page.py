"""Outliers as one HTML file that loads nothing from anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass

from placenorm.facts.outliers import Outliers
from placenorm.report.language import Language
from placenorm.report.outliers_wording import (
    BASIS,
    SAMPLE_HEADS,
    SITE_HEADS,
    list_sample,
    list_site,
    say_headline,
    say_limit,
    say_reach,
)
from placenorm.report.pages import render_page


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample as an image.

    Attributes:
        png: the PNG file in base64; black is the sample's smallest value, white its largest.
        low: that smallest value; None where none is finite.
        high: that largest value; None where none is finite.
    """

    png: str
    low: float | None
    high: float | None


def render_outliers_page(facts: Outliers, pictures: Mapping[int, Picture], top: int) -> str:
    """Return the text of that page."""
    shown = facts.samples[:top]
    context = {
        "facts": facts,
        "headline": say_headline(facts),
        "limit": say_limit(facts),
        "notes": [*facts.notes, *say_reach(facts)],
        "pictures": [
            (sample, list_sample(sample), pictures[sample.index]) for sample in shown if sample.index in pictures
        ],
        "samples": [list_sample(sample) for sample in shown],
        "sample_heads": [head.capitalize() for head in SAMPLE_HEADS],
        "sites": [list_site(site) for site in facts.sites],
        "site_heads": [head[0].upper() + head[1:] for head in SITE_HEADS],
        "basis": BASIS,
    }
    return render_page("outliers.html.jinja", Language("en"), context, images=True)
