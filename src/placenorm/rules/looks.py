"""What rules about training read a history with."""

from statistics import median
from typing import Final

from placenorm.facts.reading import History, Look, Mode

LATEST: Final = 3
"""Looks that have to agree on how a training stands: one may be an exception."""


def latest_looks(history: History, mode: Mode = "training") -> list[Look]:
    """Return the last few looks in a mode."""
    return history.looks_in(mode)[-LATEST:]


def middle(values: list[float | None]) -> float | None:
    """Return the median of the numbers among some values; None without any."""
    numbers = [value for value in values if value is not None]
    return median(numbers) if numbers else None


def share_pct(share: float) -> str:
    """Return a share, 0 to 1, in percent: ``12 %``, and never 100 % for less than all."""
    return (
        "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %" if share == 1 else f"{min(100 * share, 99):.0f} %"
    )
