"""What training did step by step, as charts: the gradient with its spikes, and the drift of every site."""

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import altair as alt

from placenorm.facts.reading import History, Reading
from placenorm.report.claim_charts import LegendEntry, widen_logs
from placenorm.report.language import Language
from placenorm.report.pages import as_written
from placenorm.report.palette import Theme
from placenorm.report.vega import OPAQUE, Drawing, finish_spec, inline, ticks
from placenorm.report.watch_axes import (
    Filtered,
    Row,
    choose_stride,
    filter_rows,
    let_hide,
    make_log_axis,
    name_groups,
    tip_site,
    tip_step,
)
from placenorm.report.watch_wording import say_number

MAX_POINTS: Final = 300
"""Points of the gradient's course; more cannot be told apart on a page."""

FLOOR: Final = 0.01
"""Drifts below this stand at the foot of their chart: the output of a norm drifts by next to nothing."""

COLOURED: Final = 6
"""So many sites have a colour and a mark of their own, those that drift most."""

HEIGHT: Final = 260
"""Height of a chart, in pixels."""

_OTHERS = ""

T = TypeVar("T")


def draw_gradient(history: History, language: Language, theme: Theme) -> Drawing | None:
    """Return the gradient's norm over the steps with its spikes marked; None where there are too few points."""
    say, embed = language.say, language.embed
    points = [(step.step, step.norm) for step in history.gradients if step.norm is not None]
    positive = [norm for _, norm in points if norm > 0]
    if len(points) < 2 or not positive:
        return None
    kept = _keep_highest(points, -(-len(points) // MAX_POINTS), lambda point: point[1])
    rows = [{"step": step, "norm": max(norm, min(positive)), "shown": language.scientific(norm)} for step, norm in kept]
    spikes = [
        {
            "step": spike.step,
            "steps": say("watch-spike-range", first=spike.step, last=spike.last_step),
            "peak": say("watch-no-number") if spike.peak is None else language.scientific(spike.peak),
            "usual": language.scientific(spike.usual),
        }
        for spike in history.spikes
    ]
    low, high = min(positive), max(positive)
    y = alt.Y(
        "norm:Q",
        title=embed(say("watch-gradient-norm")),
        scale=alt.Scale(type="log", domain=widen_logs(low, high), nice=False),
        axis=make_log_axis(low, high, language),
    )
    x = _step_axis(history, language)
    base = alt.Chart(inline(rows)).encode(x=x, y=y)
    marked = alt.Chart(inline(spikes)).encode(
        x=x,
        tooltip=[
            alt.Tooltip("steps:N", title=say("watch-spike-steps")),
            alt.Tooltip("peak:N", title=say("watch-spike-peak")),
            alt.Tooltip("usual:N", title=say("watch-spike-usual")),
        ],
    )
    layers = [
        *([marked.mark_rule(strokeDash=[4, 4], strokeWidth=2, color=theme.swatches[2])] if spikes else []),
        base.mark_line(strokeWidth=2, color=theme.swatches[1]),
        base.mark_point(filled=True, size=24, opacity=OPAQUE, color=theme.swatches[1]).encode(
            tooltip=[tip_step(language), alt.Tooltip("shown:N", title=say("watch-gradient-norm"))]
        ),
    ]
    if spikes:
        mark = marked.mark_point(shape="triangle-down", filled=True, size=110, opacity=OPAQUE, color=theme.swatches[2])
        layers.append(mark.encode(y=alt.value(6)))
    (start, first), (end, last) = points[0], points[-1]
    course = say(
        "watch-gradient-course",
        first=say_number(first, language),
        start=start,
        last=say_number(last, language),
        end=end,
        most=say_number(max(norm for _, norm in points), language),
    )
    title = say("watch-gradient-title", parameters=history.gradient_of)
    caption = say("watch-gradient-caption-spikes" if spikes else "watch-gradient-caption", course=course)
    return Drawing("gradient", title, caption, f"{title}: {caption}", finish_spec(layers, HEIGHT, theme))


def draw_drift(history: History, language: Language, theme: Theme) -> Filtered:
    """Return the drift of every site over the steps; the sites that drift most have colours."""
    say = language.say
    found = {
        site: known
        for site, readings in history.readings_in().items()
        if (known := [reading for reading in readings if math.isfinite(_drift_of(reading))])
    }
    if not found:
        return Filtered((), ())
    stride = choose_stride(len(found), max(map(len, found.values())))
    peaks = {site: max(map(_drift_of, readings)) for site, readings in found.items()}
    coloured = sorted(peaks, key=lambda site: -peaks[site])[:COLOURED]
    rows = [
        _drift_row(reading, site if site in coloured else _OTHERS, language)
        for site, readings in found.items()
        for reading in _keep_highest(readings, stride, _drift_of)
    ]
    top = max(*peaks.values(), 10 * FLOOR)
    y = alt.Y(
        "drift:Q",
        title=language.embed(say("watch-drift-axis")),
        scale=alt.Scale(type="log", domain=[FLOOR, top * 1.1], nice=False),
        axis=make_log_axis(FLOOR, top, language),
    )
    slots = {site: slot for slot, site in enumerate(coloured, start=1)}
    colour, shape = name_groups(slots, theme)
    tooltip = [
        tip_site(language),
        tip_step(language),
        alt.Tooltip("shown:N", title=say("watch-drift-axis")),
        alt.Tooltip("noise:N", title=say("watch-drift-noise")),
    ]
    base = filter_rows(rows).encode(x=_step_axis(history, language), y=y, detail="site:N")
    others = base.transform_filter(f"datum.group === '{_OTHERS}'")
    named = base.transform_filter(f"datum.group !== '{_OTHERS}'").encode(color=colour)
    layers = [
        others.mark_line(strokeWidth=1, color=theme.muted, opacity=0.45),
        others.mark_point(filled=True, size=12, color=theme.muted, opacity=0.6).encode(tooltip=tooltip),
        named.mark_line(strokeWidth=2),
        named.mark_point(filled=True, size=44, opacity=OPAQUE).encode(shape=shape, tooltip=tooltip),
    ]
    legend = [LegendEntry(site, as_written(site), slot) for site, slot in slots.items()]
    if len(found) > len(coloured):
        legend.append(LegendEntry(_OTHERS, say("watch-drift-others", sites=len(found) - len(coloured)), 0))
    caption = say("watch-drift-caption", sites=len(coloured), floor=language.number(FLOOR, 2))
    said = [say("watch-row", name=site, value=say_number(peaks[site], language)) for site in coloured]
    drawing = Drawing(
        name="drift",
        title=say("watch-drift-title"),
        caption=caption,
        alt=say("watch-drift-alt", rows=language.join(said)),
        spec=let_hide(finish_spec(layers, HEIGHT, theme)),
    )
    return Filtered((drawing,), tuple(legend))


def _drift_of(reading: Reading) -> float:
    """Return the drift of an output; NaN where it was not read."""
    drift = None if reading.after is None else reading.after.drift
    return math.nan if drift is None else drift


def _drift_row(reading: Reading, group: str, language: Language) -> Row:
    drift = _drift_of(reading)
    noise = None if reading.after is None else reading.after.drift_noise
    return {
        "site": reading.site,
        "step": reading.step,
        "drift": max(drift, FLOOR),
        "shown": language.scientific(drift),
        "noise": say_number(noise, language),
        "group": group,
    }


def _keep_highest(items: Sequence[T], stride: int, height: Callable[[T], float]) -> list[T]:
    """Return of so many neighbours each the highest, so that no peak is lost."""
    return [max(items[at : at + stride], key=height) for at in range(0, len(items), stride)]


def _step_axis(history: History, language: Language) -> alt.X:
    scale = alt.Scale(domain=[0, max(history.steps - 1, 1)], nice=False)
    return alt.X("step:Q", title=language.embed(language.say("watch-step")), scale=scale, axis=ticks(grid=False))
