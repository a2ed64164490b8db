"""The colours of charts and pages: one fixed colour and one fixed mark per placement, in light and in dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours that a chart is drawn with.

    Attributes:
        ink: text that matters, and the marks that carry no placement.
        muted: axes and lesser text.
        grid: grid lines.
        band: the band of differences without practical meaning.
        surface: what lies behind the chart.
        font: font family.
        swatches: one colour a slot; `slots_of` says which placement has which.
    """

    ink: str
    muted: str
    grid: str
    band: str
    surface: str
    font: str
    swatches: tuple[str, ...]


# Okabe & Ito's colours (jfly.uni-koeln.de/color), which people with any colour vision can tell apart, made darker or
# lighter until each has a contrast of at least 3:1 on its surface (WCAG 2.2, 1.4.11).
LIGHT: Final = Theme(
    ink="#1b1f24",
    muted="#5a636e",
    grid="#e4e7eb",
    band="#e9ecf0",
    surface="#ffffff",
    font="Helvetica, Arial, Liberation Sans, sans-serif",
    swatches=("#6b7480", "#0072b2", "#d55e00", "#00866a", "#a84a8c", "#8a6d00", "#3a86c8", "#4b4fa8"),
)
DARK: Final = Theme(
    ink="#e8ebee",
    muted="#a0a9b4",
    grid="#2c333b",
    band="#262c34",
    surface="#15191e",
    font=LIGHT.font,
    swatches=("#a7b0bb", "#5ab4f0", "#ff8f4a", "#2fc79a", "#e48fc6", "#e0c04a", "#8cc4f4", "#9ea2f2"),
)

PAGE: Final = Theme(
    ink="var(--ink)",
    muted="var(--muted)",
    grid="var(--grid)",
    band="var(--band)",
    surface="var(--surface)",
    font="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif",
    swatches=tuple(f"var(--slot-{slot})" for slot in range(len(LIGHT.swatches))),
)
"""Colours by reference: the style sheet of the page fills them in, so that a chart follows light, dark and print."""

MARKS: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "stroke")
"""One mark a slot, so that a placement is known without its colour."""

MARK_PATHS: Final = {
    "circle": "M0,-8a8,8 0 1,0 0.01,0z",
    "square": "M-7.5,-7.5h15v15h-15z",
    "triangle-up": "M0,-8.5L9,7.5H-9z",
    "diamond": "M0,-10L9,0L0,10L-9,0z",
    "cross": "M-3,-9h6v6h6v6h-6v6h-6v-6h-6v-6h6z",
    "triangle-down": "M0,8.5L9,-7.5H-9z",
    "triangle-right": "M8.5,0L-7.5,9V-9z",
    "stroke": "M-9,-2.5h18v5h-18z",
}
"""The marks as paths in a box from -10 to 10, for legends outside of charts."""

_NAMED = ("none", "before-activation", "after-activation", "after-pool", "as-is")


def slots_of(names: Sequence[str]) -> dict[str, int]:
    """Return the slot of colour and mark of each variant.

    A named policy has the same slot in every report; the other variants share the slots that are left, in order.

    Args:
        names: the variants, in the order of the plan.
    """
    free = [slot for slot in range(len(MARKS)) if slot >= len(_NAMED)]
    slots = {name: _NAMED.index(name) for name in names if name in _NAMED}
    for place, name in enumerate(name for name in names if name not in slots):
        slots[name] = free[place % len(free)]
    return slots


@dataclass(frozen=True, slots=True)
class Badge:
    """How an outcome of a claim is drawn.

    Attributes:
        light: its colour on a light surface.
        dark: its colour on a dark one.
        mark: its shape as a path in a box from -1 to 1, so that it is known without its colour.
    """

    light: str
    dark: str
    mark: str


# Contrasts of at least 4.5:1 on the surfaces of both themes (WCAG 2.2, 1.4.3): the words stand in these colours too.
BADGES: Final = {
    "holds": Badge("#1a7f37", "#4cc26b", "M-.85,.05L-.55,-.25L-.2,.1L.55,-.7L.85,-.4L-.2,.7Z"),
    "holds-only-if": Badge("#8a6100", "#e0b341", "M-.85,0A.85,.85,0,0,0,.85,0ZM-.85,-.25H.85V-.45H-.85Z"),
    "does-not-hold": Badge(
        "#b8321f", "#ff8a75", "M-.7,-.4L-.4,-.7L0,-.3L.4,-.7L.7,-.4L.3,0L.7,.4L.4,.7L0,.3L-.4,.7L-.7,.4L-.3,0Z"
    ),
    "undecided": Badge("#5a636e", "#a0a9b4", "M-.85,-.17H.85V.17H-.85Z"),
}
"""By outcome, the best first."""

_FREE = (5, 4, 3, 6, 7, 0, 1, 2)
"""Slots of what is no placement, those first that hardly a placement of a claim has."""


def slots_of_groups(names: Sequence[str]) -> dict[str, int]:
    """Return the slot of each group of a chart: a placement has its own, as in every report, and nothing else has it.

    Args:
        names: the groups, in the order they are drawn.
    """
    slots = {name: _NAMED.index(name) for name in names if name in _NAMED}
    free = [slot for slot in _FREE if slot not in slots.values()] or list(_FREE)
    for place, name in enumerate(name for name in names if name not in slots):
        slots[name] = free[place % len(free)]
    return {name: slots[name] for name in names}
