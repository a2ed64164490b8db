"""How far the samples are, as one chart: sorted, with the furthest clean sample as the limit."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import altair as alt

from placenorm.facts.outliers import Outliers, OutlierSample
from placenorm.report.claim_charts import label_ticks, list_decades
from placenorm.report.language import Language
from placenorm.report.outliers_wording import list_sample, list_sample_heads
from placenorm.report.palette import Theme
from placenorm.report.vega import OPAQUE, Drawing, finish_spec, inline

ALL_OF: Final = 60
"""So many of the furthest samples are all drawn; behind them ever fewer, as their axis is logarithmic."""

DENSITY: Final = 1.03
"""Least factor between the places of two samples behind those."""

HEIGHT: Final = 260


def draw_excesses(facts: Outliers, language: Language, theme: Theme) -> Drawing | None:
    """Return the chart; None where hardly a sample has a finite place on it.

    Args:
        facts: what was found.
        language: of the reader.
        theme: the colours.
    """
    say, embed = language.say, language.embed
    ranked = [(rank, sample) for rank, sample in enumerate(facts.samples, start=1) if sample.excess is not None]
    if len(ranked) < 2:
        return None
    kept = _thin(ranked)
    limit = _find_limit(facts, [sample for _, sample in ranked])
    rows = [_make_row(rank, sample, facts, language) for rank, sample in kept]
    heads = list_sample_heads(language)
    places = list_decades(ranked[0][0], ranked[-1][0])
    x = alt.X(
        "rank:Q",
        title=embed(say("outliers-far-rank")),
        scale=alt.Scale(type="log", domain=[ranked[0][0], ranked[-1][0]], nice=False, padding=8),
        axis=label_ticks(places, [language.number(place, 0) for place in places], grid=False),
    )
    y = alt.Y("excess:Q", title=embed(say("outliers-far-excess")), scale=alt.Scale(zero=True, nice=True))
    fields = ("sample", "surprise", "site", "distance")
    base = alt.Chart(inline(rows)).encode(
        x=x, y=y, tooltip=[alt.Tooltip(f"{name}:N", title=head) for name, head in zip(fields, heads, strict=False)]
    )
    layers = [
        base.transform_filter("!datum.beyond").mark_point(
            filled=True, size=36, opacity=OPAQUE, color=theme.swatches[1]
        ),
        base.transform_filter("datum.beyond").mark_point(
            filled=True, shape="triangle-up", size=64, opacity=OPAQUE, color=theme.swatches[2]
        ),
    ]
    captions = [say("outliers-far-caption")]
    if limit is not None:
        captions.append(say("outliers-far-limit"))
        line = alt.Chart(inline([{"limit": limit, "words": embed(say("outliers-far-clean"))}])).encode(y="limit:Q")
        words = line.mark_text(align="right", dy=-8, fontSize=12, color=theme.muted)
        layers += [
            line.mark_rule(strokeDash=[4, 4], color=theme.muted),
            words.encode(x=alt.value("width"), text="words:N"),
        ]
    if len(kept) < len(facts.samples):
        captions.append(say("outliers-far-drawn", samples=len(facts.samples), drawn=len(kept)))
    first = ranked[0][1]
    return Drawing(
        name="far",
        title=say("outliers-far-title"),
        caption=" ".join(captions),
        alt=say(
            "outliers-far-alt",
            sample=first.index,
            site=first.site,
            excess=_excess_of(first),
            median=median(_excess_of(sample) for _, sample in ranked),
        ),
        spec=finish_spec(layers, HEIGHT, theme),
    )


def _excess_of(sample: OutlierSample) -> float:
    assert sample.excess is not None  # others have no place on the chart
    return sample.excess


def _is_beyond(sample: OutlierSample, facts: Outliers) -> bool:
    """Whether a sample is further out than every clean one; without clean data that cannot be."""
    return not facts.own and sample.surprise <= facts.least


def _find_limit(facts: Outliers, ranked: Sequence[OutlierSample]) -> float | None:
    """Return where the furthest clean sample lies: between the last that is beyond it and the first that is not.

    Returns:
        Half way between these two; None where one of them is not there.
    """
    beyond = sum(_is_beyond(sample, facts) for sample in ranked)
    if not 0 < beyond < len(ranked):
        return None
    return (_excess_of(ranked[beyond - 1]) + _excess_of(ranked[beyond])) / 2


def _make_row(rank: int, sample: OutlierSample, facts: Outliers, language: Language) -> dict[str, Any]:
    index, surprise, site, distance, *_ = list_sample(sample, language)
    told = {"sample": index, "surprise": surprise, "site": site, "distance": distance}
    return {"rank": rank, "excess": round(_excess_of(sample), 4), "beyond": _is_beyond(sample, facts), **told}


def _thin(ranked: Sequence[tuple[int, OutlierSample]]) -> list[tuple[int, OutlierSample]]:
    """Return the furthest samples, and of the others as many as can be told apart."""
    kept = list(ranked[:ALL_OF])
    for place in ranked[ALL_OF:]:
        if place[0] >= DENSITY * kept[-1][0]:
            kept.append(place)
    return kept
