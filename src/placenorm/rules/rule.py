"""What a rule is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from placenorm.facts.finding import Figure, Finding, Stance
from placenorm.rules.layout import Layout

Look = Callable[[Layout], Iterator[tuple[tuple[str, ...], str]]]
"""A layout in; sites and a text out, once for each thing to say."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A named unit of knowledge about norms in a place.

    Attributes:
        name: its name, which reads after "allow ...".
        stance: whether what it finds speaks against a placement, for it, or only has to be known.
        figures: what it stands on.
        look: where it applies, and what it says there. Its docstring is the rule's page.
    """

    name: str
    stance: Stance
    figures: tuple[Figure, ...]
    look: Look

    def find(self, layout: Layout) -> Iterator[Finding]:
        """Yield what the rule finds in a layout."""
        for sites, text in self.look(layout):
            yield Finding(self.name, sites, text, self.stance, self.figures)


def say_count(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 block``, ``3 blocks``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def say_blocks(keys: tuple[str, ...], shown: int = 3) -> str:
    """Return the keys of blocks as words, the first few of many: ``conv1, conv2, conv3 and 4 more``."""
    if len(keys) <= shown + 1:
        return ", ".join(keys)
    return f"{', '.join(keys[:shown])} and {len(keys) - shown} more"
