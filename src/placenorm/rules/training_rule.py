"""What a rule about training is, and what such rules read a history with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from placenorm.facts.finding import Figure, Finding, Severity, Stance
from placenorm.facts.reading import History, Look, Mode
from placenorm.rules.rule import Hit

LATEST: Final = 3
"""Looks that have to agree on how a training stands: one may be an exception."""

LookBack = Callable[[History], Iterator[Hit]]
"""A history in; a hit out for each thing to say."""


@dataclass(frozen=True, slots=True)
class TrainingRule:
    """A named unit of knowledge about what training shows; as `Rule`, but of a history.

    Attributes:
        name: its name, which reads after "allow ...".
        stance: whether what it finds speaks against how the network trains, or only has to be known.
        figures: what it stands on.
        look: where it applies, and what it says there. Its docstring is the rule's page.
        code: its code, ``BN401``.
        severity: how bad it is, unless a hit says otherwise.
    """

    name: str
    stance: Stance
    figures: tuple[Figure, ...]
    look: LookBack
    code: str
    severity: Severity

    def find(self, history: History) -> Iterator[Finding]:
        """Yield what the rule finds in a history."""
        for hit in self.look(history):
            yield Finding(
                rule=self.name,
                sites=hit.sites,
                text=hit.text,
                stance=self.stance,
                figures=self.figures,
                code=self.code,
                severity=hit.severity or self.severity,
                evidence=dict(hit.evidence),
                fix=hit.fix,
            )


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
