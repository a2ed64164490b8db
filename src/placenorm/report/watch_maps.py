"""What training did site by site, as charts: dead units and active values as heat maps, and the signal."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import altair as alt

from placenorm.facts.reading import Activity, History, Look
from placenorm.report.claim_charts import LegendEntry, widen_logs
from placenorm.report.language import Language
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
from placenorm.report.watch_wording import say_share

SAID: Final = 6
"""So many sites are named in the words that stand for a heat map."""

ROW_PX, CROWDED_ROW_PX = 20, 11
"""Height of a site's row, where there are few and where there are more than `CROWDED`."""

CROWDED: Final = 30

MOST_TICKS: Final = 7
LABEL_PX, LABEL_LETTERS = 135, 20
"""Room for the name of a site beside its row: of a longer one the end is shown, and all of it on hover."""

LEAST_TOP: Final = 0.05
"""End of the colours of dead shares where hardly any unit is dead."""

_FIRST, _LAST = "first", "last"
_SLOTS = {_FIRST: 2, _LAST: 1}


def draw_activity(history: History, language: Language, theme: Theme) -> tuple[Drawing, ...]:
    """Return the heat maps of dead units and of active values, over sites and looks; those with something to show."""
    looks = history.looks_in("training")
    sites = [site for site, readings in history.readings_in().items() if any(each.activity for each in readings)]
    shown = _keep_looks(looks, len(sites))
    maps = [
        _Heat("dead", LEAST_TOP, lambda activity: _say_dead(activity, language)),
        _Heat("active", 1.0, lambda activity: say_share(activity.active_share, language)),
    ]
    drawn = (_draw_heat(each, history, looks, shown, language, theme) for each in maps)
    return tuple(drawing for drawing in drawn if drawing is not None)


def draw_signal(history: History, language: Language, theme: Theme) -> Filtered:
    """Return mean and variance of every site's output, in the order they run, at the first look and at the last."""
    looks = [look for look in history.looks_in("training") if any(reading.after for reading in look.readings)]
    ends = {_FIRST: looks[0], _LAST: looks[-1]} if looks else {}
    if len(looks) == 1:
        del ends[_FIRST]
    drawn = (_draw_moment(name, ends, language, theme) for name in ("mean", "var"))
    legend = tuple(
        LegendEntry(name, language.say(f"watch-look-{name}", step=look.step), _SLOTS[name])
        for name, look in ends.items()
    )
    return Filtered(tuple(drawing for drawing in drawn if drawing is not None), legend)


# -- heat maps


@dataclass(frozen=True, slots=True)
class _Heat:
    """What a heat map shows.

    Attributes:
        name: of what: ``dead`` or ``active``.
        least_top: the colours end at this share at least.
        show: what is said of a cell.
    """

    name: str
    least_top: float
    show: Callable[[Activity], str]

    def share(self, activity: Activity, window: int) -> float | None:
        """Return the share that a cell stands for; None where it cannot be told."""
        if self.name == "active":
            return activity.active_share
        known = activity.dead is not None and activity.window >= window and activity.units
        return (activity.dead or 0) / activity.units if known else None


def _draw_heat(
    heat: _Heat, history: History, looks: Sequence[Look], shown: Sequence[Look], language: Language, theme: Theme
) -> Drawing | None:
    say, embed = language.say, language.embed
    cells = [
        (reading, activity, share)
        for look in shown
        for reading in look.readings
        if (activity := reading.activity) is not None and (share := heat.share(activity, history.window)) is not None
    ]
    if not cells:
        return None
    rows: list[Row] = [
        {"site": reading.site, "step": reading.step, "share": round(share, 4), "shown": heat.show(activity)}
        for reading, activity, share in cells
    ]
    last = {reading.site: (share, heat.show(activity)) for reading, activity, share in cells}
    order = [site for site in history.readings_in() if site in last]
    x = alt.X(
        "step:O",
        title=embed(say("watch-step")),
        axis=alt.Axis(
            values=_pick_ticks(sorted({reading.step for reading, _, _ in cells})),
            labelExpr="format(datum.value, ',')",
            labelAngle=0,
            labelOverlap="greedy",
        ),
    )
    top = max(heat.least_top, *(share for _, _, share in cells))
    title = say(f"watch-{heat.name}-legend")
    legend = alt.Legend(orient="bottom", title=None, format=".3~p", gradientLength=200, tickCount=3)
    colour = alt.Color("share:Q", scale=alt.Scale(scheme="viridis", domain=[0, top]), legend=legend)
    tooltip = [tip_site(language), tip_step(language), alt.Tooltip("shown:N", title=title)]
    layer = alt.Chart(inline(rows)).mark_rect().encode(x=x, y=_site_axis(order), color=colour, tooltip=tooltip)
    caption = say(f"watch-{heat.name}-caption", window=history.window)
    if len(shown) < len(looks):
        caption = f"{caption} {say('watch-thinned', made=len(looks), drawn=len(shown))}"
    return Drawing(
        name=heat.name,
        title=say(f"watch-{heat.name}-title"),
        caption=caption,
        alt=_say_heat(heat, last, language),
        spec=finish_spec([layer], _row_px(len(order)) * len(order), theme),
    )


def _say_heat(heat: _Heat, last: dict[str, tuple[float, str]], language: Language) -> str:
    """Return a heat map in words: its sites at the last look, of dead units those with most of them."""
    sites = list(last)
    if heat.name == "dead":
        sites = sorted((site for site in sites if last[site][0] > 0), key=lambda site: -last[site][0])
        if not sites:
            return language.say("watch-dead-none")
    said = [language.say("watch-row", name=site, value=last[site][1]) for site in sites[:SAID]]
    if len(sites) > SAID:
        said.append(language.say("chart-alt-more", rest=language.number(len(sites) - SAID, 0)))
    return language.say(f"watch-{heat.name}-alt", rows=language.chain(said))


def _say_dead(activity: Activity, language: Language) -> str:
    return language.say("watch-dead-units", dead=activity.dead or 0, units=activity.units)


# -- the signal through the network


def _draw_moment(name: str, ends: dict[str, Look], language: Language, theme: Theme) -> Drawing | None:
    say = language.say
    rows = list(_list_moments(name, ends, language))
    if not rows:
        return None
    sites = list(dict.fromkeys(row["site"] for row in rows))
    values = [row["value"] for row in rows]
    title = language.embed(say(f"watch-{name}-axis"))
    if name == "var":
        low, high = min(values), max(values)
        scale, axis = alt.Scale(type="log", domain=widen_logs(low, high)), make_log_axis(low, high, language)
    else:
        scale, axis = alt.Scale(nice=True, zero=True), ticks()
    base = filter_rows(rows).encode(
        x=alt.X("value:Q", title=title, scale=scale, axis=axis), y=_site_axis(sites), order="place:Q"
    )
    colour, shape = name_groups({group: _SLOTS[group] for group in ends}, theme)
    tooltip = [tip_site(language), tip_step(language), alt.Tooltip("shown:N", title=say(f"watch-{name}-axis"))]
    layers = [
        base.mark_line(strokeWidth=1.8).encode(color=colour),
        base.mark_point(filled=True, size=48, opacity=OPAQUE).encode(color=colour, shape=shape, tooltip=tooltip),
    ]
    lines = [shown for group in ends if (shown := [row["shown"] for row in rows if row["group"] == group])]
    first, last = lines[0], lines[-1]
    words = {"first": first[0], "first_end": first[-1], "last": last[0], "last_end": last[-1]}
    heading = say(f"watch-{name}-title")
    return Drawing(
        name=name,
        title=heading,
        caption=say(f"watch-{name}-caption"),
        alt=say("watch-signal-alt", title=heading, **words),
        spec=let_hide(finish_spec(layers, _row_px(len(sites)) * len(sites), theme)),
    )


def _list_moments(name: str, ends: dict[str, Look], language: Language) -> Iterator[Row]:
    """Yield a row for each site that has the moment, at each of the looks; on a logarithmic axis 0 has no place."""
    for group, look in ends.items():
        for place, reading in enumerate(look.readings):
            if reading.after is None:
                continue
            value = reading.after.mean if name == "mean" else reading.after.var
            if math.isfinite(value) and (name == "mean" or value > 0):
                row = {"site": reading.site, "place": place, "step": look.step, "group": group}
                yield {**row, "value": value, "shown": language.scientific(value)}


# -- what both share


def _keep_looks(looks: Sequence[Look], sites: int) -> list[Look]:
    """Return as many looks as a chart may have, evenly spread, the last among them."""
    stride = choose_stride(sites, len(looks))
    kept = list(looks[::stride])
    return kept if not looks or kept[-1] is looks[-1] else [*kept, looks[-1]]


def _pick_ticks(steps: Sequence[int]) -> list[int]:
    """Return steps evenly spread, as many as an axis of a phone has room for."""
    stride = -(-len(steps) // MOST_TICKS) or 1
    return list(steps[::stride])


def _site_axis(sites: Sequence[str]) -> alt.Y:
    end = f"length(datum.label) > {LABEL_LETTERS} ? '…' + slice(datum.label, {1 - LABEL_LETTERS}) : datum.label"
    axis = alt.Axis(labelExpr=end, labelLimit=LABEL_PX, labelOverlap="greedy", grid=False, domain=False, ticks=False)
    return alt.Y("site:N", sort=list(sites), title=None, axis=axis)


def _row_px(sites: int) -> int:
    return ROW_PX if sites <= CROWDED else CROWDED_ROW_PX
