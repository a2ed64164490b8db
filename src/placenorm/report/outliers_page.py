"""Outliers as one HTML file that loads nothing from anywhere, in the reader's language."""

from collections.abc import Mapping
from dataclasses import dataclass

from placenorm.facts.outliers import Outliers, OutlierSample
from placenorm.report.language import Language
from placenorm.report.outliers_chart import draw_excesses
from placenorm.report.outliers_wording import (
    list_sample,
    list_sample_heads,
    list_site,
    list_site_heads,
    say_headline,
    say_limit,
    say_reach,
)
from placenorm.report.pages import as_written, render_page
from placenorm.report.palette import PAGE
from placenorm.report.sheet import choose_font, read_part
from placenorm.report.vega import bundle_vega


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


def render_outliers_page(facts: Outliers, pictures: Mapping[int, Picture], top: int, language: Language) -> str:
    """Return the text of that page.

    Args:
        facts: what was found.
        pictures: samples as images, by their index.
        top: how many samples to show.
        language: of the reader; the facts' own notes are in English.
    """
    shown = facts.samples[:top]
    drawing = draw_excesses(facts, language, choose_font(PAGE, language))
    context = {
        "model": facts.model,
        "facts": [
            as_written(facts.model),
            language.say("outliers-samples", samples=len(facts.samples)),
            language.say("outliers-sites", sites=len(facts.sites)),
        ],
        "notes": facts.notes,
        "headline": say_headline(facts, language),
        "limit": say_limit(facts, language),
        "reach": say_reach(facts, language),
        "drawing": drawing,
        "pictures": [
            (
                language.say("outliers-picture", sample=sample.index),
                language.number(sample.index, 0),
                _say_picture(sample, pictures[sample.index], language),
                pictures[sample.index].png,
            )
            for sample in shown
            if sample.index in pictures
        ],
        "samples": [list_sample(sample, language) for sample in shown],
        "sample_heads": [_capitalise(head) for head in list_sample_heads(language)],
        "sites": [list_site(site, language) for site in facts.sites],
        "site_heads": [_capitalise(head) for head in list_site_heads(language)],
    }
    scripts = (*([bundle_vega()] if drawing else []), read_part("page.js"))
    charts = {drawing.name: drawing.spec} if drawing else {}
    return render_page("outliers.html.jinja", language, context, scripts=scripts, data={"charts": charts}, images=True)


def _capitalise(head: str) -> str:
    return head[0].upper() + head[1:]


def _say_picture(sample: OutlierSample, picture: Picture, language: Language) -> str:
    """Return what stands under a picture: where the sample is how far, how surprising, and the ends of its grey."""
    cells = list_sample(sample, language)
    told = {"surprise": cells[1], "site": cells[2], "distance": cells[3]}
    if picture.low is None or picture.high is None:
        return language.say("outliers-picture-not-finite", **told)
    low, high = (language.figures(f"{value:.3g}") for value in (picture.low, picture.high))
    return language.say("outliers-picture-place", **told, low=low, high=high)
