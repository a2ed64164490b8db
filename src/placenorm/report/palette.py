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
