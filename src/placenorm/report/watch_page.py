"""A training that was watched, as one HTML file that loads nothing from anywhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from placenorm.facts.reading import History, Watched
from placenorm.report.findings import SHOWN_SITES
from placenorm.report.language import Language
from placenorm.report.pages import render_page
from placenorm.report.sheet import read_part
from placenorm.report.watch_wording import (
    NORM_BASIS,
    NORM_HEADS,
    SHAPE_BASIS,
    SHAPE_HEADS,
    SITE_BASIS,
    SITE_HEADS,
    list_norms,
    list_shapes,
    list_sites,
    say_headline,
    say_watched,
)

WIDTH: Final = 1000
HEIGHT: Final = 220
"""Size of the box that a course is drawn in; it takes the width of the page."""

MAX_POINTS: Final = 300
"""Points of one course; more cannot be told apart on a page."""

_LEAST = 1e-30
"""What stands for zero on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Course:
    """A number over the steps, as an SVG path on a logarithmic axis.

    Attributes:
        title: what it is, with its unit.
        words: the same in words and numbers, for people who do not see it.
        path: the line, in a box of `WIDTH` by `HEIGHT`.
        marks: places of what is to be marked, from the left.
        low: the smallest value.
        high: the largest value.
        first: the first step.
        last: the last step.
    """

    title: str
    words: str
    path: str
    marks: tuple[float, ...]
    low: str
    high: str
    first: str
    last: str


def render_watch_page(watched: Watched) -> str:
    """Return the text of that page."""
    history = watched.history
    context = {
        "history": history,
        "findings": watched.findings,
        "shown_sites": SHOWN_SITES,
        "headline": say_headline(watched),
        "looked": say_watched(history),
        "courses": list_courses(history),
        "tables": [
            ("Every site", SITE_BASIS, SITE_HEADS, list_sites(history)),
            ("Norms against their running statistics", NORM_BASIS, NORM_HEADS, list_norms(history)),
            ("Shape: normalised is not normal", SHAPE_BASIS, SHAPE_HEADS, list_shapes(history)),
        ],
        "width": WIDTH,
        "height": HEIGHT,
    }
    scripts = (read_part("page.js"),)
    return render_page("watch.html.jinja", Language("en"), context, scripts=scripts, data={"charts": {}})


def list_courses(history: History) -> list[Course]:
    """Return the courses that the page draws: the gradient, the largest drift, the dead units."""
    looks = history.looks_in("training")
    gradients = [(step.step, step.norm) for step in history.gradients if step.norm is not None]
    drifts = [
        (look.step, max((r.after.drift for r in look.readings if r.after and r.after.drift is not None), default=None))
        for look in looks
    ]
    drawn = [
        _draw(
            f"Gradient of {history.gradient_of:,} of the network's parameters, Euclidean norm",
            gradients,
            [spike.step for spike in history.spikes],
        ),
        _draw(
            "Largest drift of a site since the look before, in standard deviations",
            [(step, drift) for step, drift in drifts if drift is not None],
        ),
    ]
    return [course for course in drawn if course is not None]


def _draw(title: str, points: Sequence[tuple[int, float]], marked: Sequence[int] = ()) -> Course | None:
    """Return a course; None where there are too few points for a line."""
    if len(points) < 2:
        return None
    # Of neighbours the highest is kept, so that no spike is lost.
    stride = -(-len(points) // MAX_POINTS)
    kept = [max(points[at : at + stride], key=lambda point: point[1]) for at in range(0, len(points), stride)]
    logs = [math.log10(max(value, _LEAST)) for _, value in kept]
    first, last = points[0][0], points[-1][0]
    low, high = min(logs), max(logs)
    across, up = max(last - first, 1), (high - low) or 1.0
    spots = [
        (WIDTH * (step - first) / across, HEIGHT * (1 - (log - low) / up))
        for (step, _), log in zip(kept, logs, strict=True)
    ]
    values = [value for _, value in points]
    return Course(
        title=title,
        words=f"from {values[0]:.3g} at step {first:,} to {values[-1]:.3g} at step {last:,}, at most {max(values):.3g}",
        path="M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in spots),
        marks=tuple(round(WIDTH * (step - first) / across, 1) for step in marked if first <= step <= last),
        low=f"{min(values):.3g}",
        high=f"{max(values):.3g}",
        first=f"{first:,}",
        last=f"{last:,}",
    )
