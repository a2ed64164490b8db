"""What a rule is."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from placenorm.facts.finding import SEVERITIES, Figure, Finding, Fix, Severity, Stance
from placenorm.facts.reading import History
from placenorm.rules.layout import Layout


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that a rule has to say: where, what, the numbers it saw, how it is mended.

    Attributes:
        sites: keys of blocks or paths of modules; empty where it is about the whole network.
        text: what, where and why, in whole sentences.
        evidence: numbers, by name.
        fix: how it is mended; None where nothing has to be.
        severity: how bad it is here; None for what the rule says of itself.
    """

    sites: tuple[str, ...]
    text: str
    evidence: Mapping[str, float] = field(default_factory=dict)
    fix: Fix | None = None
    severity: Severity | None = None


Seen = TypeVar("Seen")


@dataclass(frozen=True)
class RuleOf(Generic[Seen]):
    """A named unit of knowledge about norms, decided by what it sees: a layout, or the history of a training.

    Attributes:
        name: its name, which reads after "allow ...".
        stance: whether what it finds speaks against a placement, for it, or only has to be known.
        figures: what it stands on.
        look: what it sees in; a hit out for each thing to say. Its docstring is the rule's page.
        code: its code, ``BN102``; "" for rules of `advise`, which are no faults.
        severity: how bad it is, unless a hit says otherwise.
    """

    name: str
    stance: Stance
    figures: tuple[Figure, ...]
    look: Callable[[Seen], Iterator[Hit]]
    code: str = ""
    severity: Severity = "info"

    def find(self, seen: Seen) -> Iterator[Finding]:
        """Yield what the rule finds in what it sees."""
        for hit in self.look(seen):
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


Rule = RuleOf[Layout]
"""A rule of `advise` and `check`: of a network as it stands."""

TrainingRule = RuleOf[History]
"""A rule of `watch`: of what training shows."""


def ask_rules(rules: Iterable[RuleOf[Seen]], seen: Seen) -> tuple[Finding, ...]:
    """Return what rules find in what they see, the worst first, in the order of their codes."""
    found = [finding for rule in rules for finding in rule.find(seen)]
    return tuple(sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.code)))


def say_count(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 block``, ``3 blocks``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say_blocks(keys: tuple[str, ...], shown: int = 3) -> str:
    """Return the keys of blocks as words, the first few of many: ``conv1, conv2, conv3 and 4 more``."""
    if len(keys) <= shown + 1:
        return ", ".join(keys)
    return f"{', '.join(keys[:shown])} and {len(keys) - shown} more"
