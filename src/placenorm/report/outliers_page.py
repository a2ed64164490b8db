"""Outliers as one HTML file that loads nothing from anywhere."""

from collections.abc import Mapping
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from placenorm import __version__
from placenorm.facts.outliers import Outliers
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
from placenorm.report.sheet import make_content_policy, make_style, read_part


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
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    return environment.from_string(read_part("outliers.html.jinja")).render(
        facts=facts,
        headline=say_headline(facts),
        limit=say_limit(facts),
        notes=[*facts.notes, *say_reach(facts)],
        pictures=[
            (sample, list_sample(sample), pictures[sample.index]) for sample in shown if sample.index in pictures
        ],
        samples=[list_sample(sample) for sample in shown],
        sample_heads=[head.capitalize() for head in SAMPLE_HEADS],
        sites=[list_site(site) for site in facts.sites],
        site_heads=[head[0].upper() + head[1:] for head in SITE_HEADS],
        basis=BASIS,
        version=__version__,
        policy=f"{make_content_policy()}; img-src data:",
        style=Markup(make_style()),
    )
