"""Charts of a comparison, as Vega-Lite specifications with their titles and their descriptions.

Every chart is one view without facets, so that it can take the width of what holds it, down to a phone's.
Names are written above their rows and not beside the axis, for the same reason.
"""

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median

import altair as alt

from placenorm.facts.comparison import Answer, Comparison, Pair, Summary, Verdict
from placenorm.facts.trial import TrialResult
from placenorm.report.language import ENGLISH, Language
from placenorm.report.palette import Theme
from placenorm.report.titles import Clock, Curve, caption_curve, tags_of, title_curve, title_differences
from placenorm.report.vega import (
    OPAQUE,
    Drawing,
    Row,
    colour_of,
    colour_of_winner,
    finish_spec,
    inline,
    make_room,
    name_rows,
    shape_of,
    ticks,
    tip,
    value_axis,
)
from placenorm.report.wording import (
    Units,
    count_seeds,
    describe_word,
    find_baseline,
    format_seconds,
    orient_pairs,
    say_count,
    units_of,
)

MAX_POINTS = 120
"""Points of one curve; more cannot be told apart on a page, and make it large."""

MAX_DOTS = 150
"""Dots of one placement; more lie on each other, and 10,000 take a page longer to draw than everything else on it."""

ROW = 58
"""Height of a row with a line of text above its marks, in pixels."""

STRIP = 22
"""Height of the strip in a row of a forest plot, behind the interval: the margin, and 0. Names stay clear of it."""

STRIP_DOWN = 17
"""How far below the middle of its row that strip stands, in pixels."""

GAP = "\u2003"
"""Between a number and a name: an em space, as SVG makes one of several plain ones."""

_LOG_RATIO = 20.0  # losses that span more than this are read on a logarithmic axis


def draw_scores(comparison: Comparison, verdict: Verdict, theme: Theme, language: Language = ENGLISH) -> Drawing:
    """Return the chart of test metrics: each seed a dot, the mean with its interval, best first."""
    units, metric, embed = units_of(comparison, language), comparison.metric, language.embed
    order = _best_first(verdict.summaries, higher=metric.higher_is_better)
    rows: list[Row] = []
    for summary in order:
        tags = tags_of(comparison, verdict, summary.variant, language)
        rows.append(
            {
                "variant": summary.variant,
                "line": embed(f"{units.level(summary.metric)}{GAP}{_label(comparison, summary.variant)}"),
                "tags": embed(" · ".join(tags)),
                "mean": _scaled(summary.metric, units),
                "shown": units.level(summary.metric),
                "interval": units.interval(summary.metric_low, summary.metric_high),
                "low": _scaled(units.bound_level(summary.metric_low), units),
                "high": _scaled(units.bound_level(summary.metric_high), units),
            }
        )
    seeds: list[Row] = [
        {
            "variant": trial.key.variant,
            "seed": trial.key.seed,
            "value": _scaled(trial.test_metric, units),
            "shown": units.level(trial.test_metric),
        }
        for trial in _thin(trial for trial in comparison.chosen if trial.test_metric is not None)
    ]
    head = units.head(language.say("compare-measure-final", metric=metric.name))
    axis = embed(language.say("draw-higher" if metric.higher_is_better else "draw-lower", what=head))
    y = alt.Y("variant:N", sort=[row["variant"] for row in rows], axis=None)
    colour = colour_of(comparison, theme)
    words = alt.Chart(inline(make_room(rows))).encode(y=y)
    layers = [
        *name_rows(words, theme),
        alt.Chart(inline(seeds))
        .mark_point(filled=True, size=42, opacity=0.4, yOffset=6)
        .encode(
            x=value_axis("value", axis),
            y=y,
            color=colour,
            tooltip=[
                tip("variant:N", "variant", language),
                tip("seed:Q", "seed", language),
                alt.Tooltip("shown:N", title=metric.name),
            ],
        ),
        *(
            alt.Chart(inline(bars))
            .mark_rule(strokeWidth=3, yOffset=6)
            .encode(x="low:Q", x2="high:Q", y=y, color=colour)
            for bars in _with_interval(rows)
        ),
        words.mark_point(
            filled=True, size=150, opacity=OPAQUE, stroke=theme.surface, strokeWidth=1.5, yOffset=6
        ).encode(
            x="mean:Q",
            color=colour,
            shape=shape_of(comparison),
            tooltip=[
                tip("variant:N", "variant", language),
                alt.Tooltip("shown:N", title=language.say("draw-tip-mean", what=metric.name)),
                tip("interval:N", "interval", language),
            ],
        ),
    ]
    best = order[0]
    return Drawing(
        name="scores",
        title=language.say("draw-scores-title", metric=metric.name),
        caption=_caption_dots(
            language.say("draw-scores-caption", seeds=say_count("seeds", count_seeds(comparison), language)),
            len(seeds) < sum(trial.test_metric is not None for trial in comparison.chosen),
            language,
        ),
        alt=language.say(
            "draw-scores-alt",
            metric=metric.name,
            rows="; ".join(_say_level(comparison, row, units) for row in order),
            best=best.variant,
        ),
        spec=finish_spec(layers, ROW * len(rows), theme),
    )


def draw_curves(
    comparison: Comparison,
    theme: Theme,
    language: Language = ENGLISH,
    *,
    curve: Curve = "val_metric",
    clock: Clock = "step",
    height: int = 320,
    legend: bool = False,
) -> Drawing | None:
    """Return the learning curves: the mean over seeds, and a band from the lowest to the highest seed.

    Args:
        comparison: the comparison; one without a verdict is drawn as far as it got.
        theme: the colours.
        language: of the reader.
        curve: what is drawn over the clock.
        clock: training steps, or seconds spent in them.
        height: height of the chart, in pixels.
        legend: whether the chart says itself which line is which.

    Returns:
        The chart, or None where nothing was recorded.
    """
    metric, verdict, embed = comparison.metric, comparison.verdict, language.embed
    units = units_of(comparison, language)
    factor = units.factor if curve == "val_metric" else 1.0
    rows = [
        row
        for variant in comparison.variants
        for row in _average(_trials_of(comparison, variant.name), variant.name, curve, factor)
    ]
    if not rows:
        return None
    what = units.head(language.say("draw-validation", metric=metric.name))
    if curve == "val_loss":
        what = language.say("draw-loss")
    x_title = language.say(f"draw-{clock}")
    scale = alt.Scale(zero=False, nice=True)
    if curve == "val_loss" and _spans_decades(rows):
        scale, what = alt.Scale(type="log", nice=False), language.say("draw-log", what=what)
    shown = alt.Chart(inline(rows))
    if not legend:  # then buttons beside the chart say which lines are hidden
        shown = shown.transform_filter("indexof(hidden, datum.variant) < 0")
    base = shown.encode(
        x=alt.X(f"{clock}:Q", title=embed(x_title), scale=alt.Scale(zero=True, nice=False), axis=ticks()),
        color=colour_of(comparison, theme, legend=legend),
    )
    layers = [
        base.mark_area(opacity=0.14).encode(y=alt.Y("low:Q", title=embed(what), scale=scale), y2="high:Q"),
        base.mark_line(strokeWidth=2.2, interpolate="monotone").encode(y="mean:Q"),
        base.mark_point(filled=True, size=44, opacity=OPAQUE).encode(
            y="mean:Q",
            shape=shape_of(comparison, legend=legend),
            tooltip=[
                tip("variant:N", "variant", language),
                tip("step:Q", "step", language, format=","),
                tip("time_s:Q", "seconds", language, format=".3~g"),
                alt.Tooltip("mean:Q", title=language.say("draw-tip-mean", what=what), format=".4~g"),
                tip("seeds:Q", "seeds", language),
            ],
        ),
    ]
    if curve == "val_metric" and verdict is not None and verdict.target is not None:
        mark = [
            {
                "target": verdict.target * factor,
                "words": embed(language.say("draw-target", level=units.level(verdict.target))),
            }
        ]
        goal = alt.Chart(inline(mark)).encode(y="target:Q")
        away = -8 if metric.higher_is_better else 12  # where the curves start on the other side
        layers += [
            goal.mark_rule(strokeDash=[4, 4], color=theme.muted),
            goal.mark_text(align="left", dx=4, dy=away, fontSize=12, color=theme.muted).encode(
                x=alt.value(0), text="words:N"
            ),
        ]
    spec = finish_spec(layers, height, theme)
    if not legend:
        spec["params"] = [{"name": "hidden", "value": []}]
    return Drawing(
        name=f"curve-{curve}-{clock}".replace("_", "-"),
        title=title_curve(comparison, curve, clock, language),
        caption=caption_curve(what, curve, clock, language),
        alt=language.say(
            "draw-curve-alt",
            what=what,
            clock=x_title,
            rows="; ".join(
                f"{row['variant']} {language.figures(format(row['mean'], '.4g'))}" for row in _last_rows(rows)
            ),
        ),
        spec=spec,
    )


def draw_differences(
    comparison: Comparison, answer: Answer, theme: Theme, language: Language = ENGLISH
) -> Drawing | None:
    """Return the forest plot of one question: every pair with its interval, its word, and the margin around 0.

    Returns:
        The chart, or None where there is no pair.
    """
    if not answer.pairs:
        return None
    units = units_of(comparison, language)
    pairs = orient_pairs(answer.pairs, find_baseline(comparison))
    margin = answer.margin * units.factor
    rows = [
        {**_pair_row(pair, place, units, language), "margin_low": -margin, "margin_high": margin, "zero": 0.0}
        for place, pair in enumerate(pairs)
    ]
    y = alt.Y("place:O", axis=None)
    base = alt.Chart(inline(rows)).encode(y=y)
    colour = colour_of_winner(comparison, theme)
    axis = language.embed(language.say("draw-differences-axis", unit=units.difference))
    layers = [
        base.mark_rule(color=theme.band, strokeWidth=STRIP, yOffset=STRIP_DOWN).encode(
            x=value_axis("margin_low", axis), x2="margin_high:Q"
        ),
        base.mark_tick(color=theme.muted, thickness=1, size=STRIP, opacity=OPAQUE, yOffset=STRIP_DOWN).encode(
            x="zero:Q"
        ),
        base.mark_text(
            align="left", dy=-20, fontSize=13, fontWeight=600, color=theme.ink, limit=alt.ExprRef("width")
        ).encode(x=alt.value(0), text="line:N"),
        base.mark_text(align="left", dy=-4, fontSize=12, color=theme.muted, limit=alt.ExprRef("width")).encode(
            x=alt.value(0), text="words:N"
        ),
        *(
            alt.Chart(inline(bars))
            .mark_rule(strokeWidth=3, yOffset=STRIP_DOWN)
            .encode(x="low:Q", x2="high:Q", y=y, color=colour)
            for bars in _with_interval(rows)
        ),
        base.mark_point(
            shape="diamond",
            filled=True,
            size=150,
            opacity=OPAQUE,
            stroke=theme.surface,
            strokeWidth=1.5,
            yOffset=STRIP_DOWN,
        ).encode(
            x="difference:Q",
            color=colour,
            tooltip=[tip("line:N", "pair", language), tip("words:N", "difference", language)],
        ),
    ]
    question = "final" if answer.question == "final" else "speed"
    return Drawing(
        name=f"differences-{question}",
        title=title_differences(comparison, answer, language),
        caption=language.say(
            "draw-differences-caption",
            measure=answer.measure,
            margin=units.margin(answer.margin),
            confidence=language.figures(f"{100 * answer.confidence:g}"),
        ),
        alt=language.say(
            "draw-differences-alt",
            measure=answer.measure,
            unit=units.difference,
            rows="; ".join(f"{_say_pair(pair, language)} {_say_difference(pair, units, language)}" for pair in pairs),
        ),
        spec=finish_spec(layers, (ROW + 10) * len(rows), theme),
    )


def draw_step_times(comparison: Comparison, theme: Theme, language: Language = ENGLISH) -> Drawing | None:
    """Return the wall time of one training step: each trial a dot, the time in the table a bar.

    Returns:
        The chart, or None where no trial was timed.
    """
    times: dict[str, list[float]] = {}
    for trial in comparison.trials:
        times.setdefault(trial.key.variant, []).append(trial.step_time_ms)
    if not times:
        return None
    variants = [variant for variant in comparison.variants if variant.name in times]
    middles = {name: median(values) for name, values in times.items()}
    rows_of_table = () if comparison.verdict is None else comparison.verdict.summaries
    middles |= {row.variant: row.step_time_ms for row in rows_of_table if row.variant in middles and row.step_time_ms}
    said = {
        name: language.say("draw-times-line", time=language.figures(format_seconds(middle)))
        for name, middle in middles.items()
    }
    rows: list[Row] = [
        {
            "variant": variant.name,
            "line": language.embed(f"{said[variant.name]}{GAP}{variant.label}"),
            "tags": language.embed(
                language.say("draw-times-share", share=language.figures(f"{variant.cost.norm_share_pct:.0f}"))
            ),
            "median": middles[variant.name],
            "shown": said[variant.name],
            "zero": 0.0,
        }
        for variant in variants
    ]
    dots = [
        {
            "variant": trial.key.variant,
            "time_ms": trial.step_time_ms,
            "seed": trial.key.seed,
            "rate": None if trial.key.lr is None else language.figures(f"{trial.key.lr:.3g}"),
            "shown": language.say("draw-times-line", time=language.figures(format_seconds(trial.step_time_ms))),
        }
        for trial in _thin(comparison.trials)
    ]
    y = alt.Y("variant:N", sort=[variant.name for variant in variants], axis=None)
    colour = colour_of(comparison, theme)
    base = alt.Chart(inline(make_room(rows))).encode(y=y)
    layers = [
        *name_rows(base, theme),
        base.mark_rule(strokeWidth=8, opacity=0.35, yOffset=6).encode(
            x=alt.X(
                "zero:Q",
                title=language.embed(language.say("draw-times-axis")),
                scale=alt.Scale(zero=True),
                axis=ticks(grid=False),
            ),
            x2="median:Q",
            color=colour,
            tooltip=[tip("variant:N", "variant", language), tip("shown:N", "step-time", language)],
        ),
        alt.Chart(inline(dots))
        .mark_point(filled=True, size=34, opacity=0.6, yOffset=6)
        .encode(
            x="time_ms:Q",
            y=y,
            color=colour,
            shape=shape_of(comparison),
            tooltip=[
                tip("variant:N", "variant", language),
                tip("seed:Q", "seed", language),
                tip("rate:N", "rate", language),
                tip("shown:N", "step-time", language),
            ],
        ),
    ]
    return Drawing(
        name="step-times",
        title=language.say("draw-times-title"),
        caption=_caption_dots(language.say("draw-times-caption"), len(dots) < len(comparison.trials), language),
        alt=language.say(
            "draw-times-alt", rows="; ".join(f"{said[variant.name]} {variant.label}" for variant in variants)
        ),
        spec=finish_spec(layers, ROW * len(rows), theme),
    )


def _thin(trials: Iterable[TrialResult]) -> list[TrialResult]:
    """Return at most so many trials of each variant as can be told apart, evenly spaced in their order."""
    by_variant: dict[str, list[TrialResult]] = {}
    for trial in trials:
        by_variant.setdefault(trial.key.variant, []).append(trial)
    return [trial for arm in by_variant.values() for trial in arm[:: math.ceil(len(arm) / MAX_DOTS)]]


def _caption_dots(caption: str, thinned: bool, language: Language) -> str:
    return language.say("draw-thinned", caption=caption, most=MAX_DOTS) if thinned else caption


def _pair_row(pair: Pair, place: int, units: Units, language: Language) -> Row:
    return {
        "place": place,
        "line": language.embed(_say_pair(pair, language)),
        "words": language.embed(_say_difference(pair, units, language)),
        "winner": pair.winner or "",
        "difference": pair.difference * units.factor,
        "low": _scaled(units.bound_gap(pair.low), units),
        "high": _scaled(units.bound_gap(pair.high), units),
    }


def _say_pair(pair: Pair, language: Language) -> str:
    return language.say("draw-pair", first=pair.first, second=pair.second)


def _say_difference(pair: Pair, units: Units, language: Language) -> str:
    interval = units.gap_interval(pair.low, pair.high)
    return f"{describe_word(pair, language)}: {units.gap(pair.difference)}" + (f" [{interval}]" if interval else "")


def _average(trials: Iterable[TrialResult], variant: str, curve: Curve, factor: float) -> list[Row]:
    """Return the mean, the lowest and the highest value over the seeds, at every step that was recorded."""
    at: dict[int, list[tuple[float, float]]] = {}
    for trial in trials:
        for record in trial.epochs:
            value = record.val_metric if curve == "val_metric" else record.val_loss
            if value is not None:
                at.setdefault(record.step, []).append((record.time_s, value * factor))
    steps = sorted(at)
    stride = math.ceil(len(steps) / MAX_POINTS) if steps else 1
    kept = steps[::-1][::stride][::-1]  # counted from the end: the last point is the one that people read
    return [
        {
            "variant": variant,
            "step": step,
            "time_s": fmean(time for time, _ in at[step]),
            "mean": fmean(value for _, value in at[step]),
            "low": min(value for _, value in at[step]),
            "high": max(value for _, value in at[step]),
            "seeds": len(at[step]),
        }
        for step in kept
    ]


def _trials_of(comparison: Comparison, variant: str) -> list[TrialResult]:
    return [trial for trial in comparison.chosen if trial.key.variant == variant]


def _spans_decades(rows: Sequence[Row]) -> bool:
    least = min(float(row["low"]) for row in rows)
    return least > 0.0 and max(float(row["high"]) for row in rows) / least > _LOG_RATIO


def _last_rows(rows: Sequence[Row]) -> list[Row]:
    return list({row["variant"]: row for row in rows}.values())


def _best_first(rows: Sequence[Summary], *, higher: bool) -> list[Summary]:
    sign = -1.0 if higher else 1.0
    return sorted(rows, key=lambda row: math.inf if row.metric is None else sign * row.metric)


def _label(comparison: Comparison, name: str) -> str:
    return next(variant.label for variant in comparison.variants if variant.name == name)


def _say_level(comparison: Comparison, row: Summary, units: Units) -> str:
    interval = units.interval(row.metric_low, row.metric_high)
    return f"{_label(comparison, row.variant)} {units.level(row.metric)}" + (f" ({interval})" if interval else "")


def _with_interval(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows that have an interval as the one layer they make; no layer without any (Vega warns of those)."""
    bars = [row for row in rows if row["low"] is not None and row["high"] is not None]
    return [bars] if bars else []


def _scaled(value: float | None, units: Units) -> float | None:
    return None if value is None else value * units.factor
