"""What a rule has to say about a network, and the published figures that it stands on."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from placenorm.facts.placement import Position

Mark = Literal["primary source", "full text", "abstract or excerpt", "own measurement"]
"""How far a figure was followed: read in the author's own file, in the paper, in an excerpt, or measured by us."""

Stance = Literal["against", "for", "note"]
"""Whether a finding speaks against the placement looked at, for it, or only has to be known."""


Severity = Literal["error", "warning", "info"]
"""How bad it is: wrong results; worse results than need be; good to know."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that was published or measured, with all that it needs to be read.

    Attributes:
        text: the figure in words, units included.
        setting: what it was measured on, and how often.
        source: who published it, where.
        url: an address of the source; "" for our own.
        mark: how far it was followed.
    """

    text: str
    setting: str
    source: str
    url: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Fix:
    """How what a finding names is mended.

    Attributes:
        text: what to do, in one sentence.
        placement: positions by block key that do it, for `place`; empty where it is no matter of places.
        exact: whether placing with `preserve` keeps what the network computes in evaluation, so that it is safe.
    """

    text: str
    placement: dict[str, Position] = field(default_factory=dict)
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says about a network.

    Attributes:
        rule: name of the rule.
        sites: keys of the blocks, or paths of the modules, it applies to; empty where it is about the whole network.
        text: what, where and why, in whole sentences.
        stance: whether it speaks against the placement looked at, for it, or only has to be known.
        figures: what it stands on.
        code: the rule's code (``BN102``); "" for the rules of `advise`, which have none.
        severity: how bad it is.
        evidence: the numbers it saw, by name.
        fix: how it is mended; None where nothing has to be.
    """

    rule: str
    sites: tuple[str, ...]
    text: str
    stance: Stance
    figures: tuple[Figure, ...] = ()
    code: str = ""
    severity: Severity = "info"
    evidence: dict[str, float] = field(default_factory=dict)
    fix: Fix | None = None
