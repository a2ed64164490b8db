"""What a rule has to say about a network, and the published figures that it stands on."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["primary source", "full text", "abstract or excerpt", "own measurement"]
"""How far a figure was followed: read in the author's own file, in the paper, in an excerpt, or measured by us."""

Stance = Literal["against", "for", "note"]
"""Whether a finding speaks against the placement looked at, for it, or only has to be known."""


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
class Finding:
    """What one rule says about a placement.

    Attributes:
        rule: name of the rule.
        sites: keys of the blocks it applies to; empty where it is about the whole network.
        text: what, where and why, in whole sentences.
        stance: whether it speaks against the placement, for it, or only has to be known.
        figures: what it stands on.
    """

    rule: str
    sites: tuple[str, ...]
    text: str
    stance: Stance
    figures: tuple[Figure, ...] = ()
