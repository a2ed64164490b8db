"""A search per block: what every block may choose from, what was found, and which blocks matter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from placenorm.facts.placement import Position

SEARCHED = "searched"
"""Name of the variant that a search found."""

PREFIX = "search-"
"""Begins the name of every placement that a search tries; behind it stands a digit for each choice."""

SearchKind = Literal["per-block"]
SearchEnding = Literal["all", "trials", "budget"]
BlockWord = Literal["matters", "does not matter", "not known"]

_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class Choice:
    """What one block may choose from.

    Attributes:
        blocks: its key; several where one line of the source runs as several blocks, which move together.
        positions: where its norm can stand, at least two.
    """

    blocks: tuple[str, ...]
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """Every placement that a search may try. Blocks that have no choice stay as they are.

    Attributes:
        choices: one a block, in the order they run.
    """

    choices: tuple[Choice, ...]

    @property
    def size(self) -> int:
        """How many placements there are."""
        count = 1
        for choice in self.choices:
            count *= len(choice.positions)
        return count

    def name(self, indices: tuple[int, ...]) -> str:
        """Return the name of a placement: stable, and all that is needed to find it again."""
        return PREFIX + "".join(_DIGITS[index] for index in indices)

    def indices(self, name: str) -> tuple[int, ...]:
        """Return the place of the position of every choice, of the name of a placement."""
        return tuple(map(int, name.removeprefix(PREFIX)))

    def placement(self, name: str) -> dict[str, Position]:
        """Return the placement of a name, as a mapping of the blocks that had a choice."""
        chosen = zip(self.choices, self.indices(name), strict=True)
        return {block: choice.positions[index] for choice, index in chosen for block in choice.blocks}

    def find(self, placement: Mapping[str, Position]) -> str | None:
        """Return the name of a placement; None where it is not among those that may be tried."""
        indices = []
        for choice in self.choices:
            position = placement.get(choice.blocks[0])
            if position not in choice.positions:
                return None
            indices.append(choice.positions.index(position))
        return self.name(tuple(indices))


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference between two positions of one block, all other blocks as they come.

    Attributes:
        first: one position.
        second: the other.
        difference: of the metric, signed so that positive means that `first` is better.
        low: lower end of the corrected interval; None where there are too few placements for one.
        high: upper end.
    """

    first: Position
    second: Position
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class BlockEffect:
    """Whether it matters where the norm of one block stands.

    Attributes:
        blocks: as in `Choice`.
        position: where the placement that was found has it.
        word: whether it matters.
        effects: the differences between its positions, the largest first.
    """

    blocks: tuple[str, ...]
    position: Position
    word: BlockWord
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found. Its numbers are of validation data: the verdict stands on other seeds, and on test data.

    Attributes:
        kind: over what.
        size: placements that it could have tried.
        tried: placements that it tried, named policies among them.
        drawn: those of them that were drawn at random, which the effects of blocks are taken from.
        seeds: seeds that each was tried at.
        trials: trials that it took.
        ending: what ended it: it had tried ``all`` placements there are, taken all its ``trials``, or its ``budget``.
        wall_s: seconds that its workers spent on them, summed up.
        found: name of the variant that it found, as it stands in the comparison.
        placement: where that has the norm of every block that had a choice.
        metric: mean validation metric of what it found.
        policy: name of the best named policy.
        policy_metric: mean validation metric of that, at the rates that all placements were tried at; None where one of
            its trials failed.
        confidence: joint confidence of all effects (0 to 1).
        margin: differences up to this size have no practical meaning.
        blocks: what is known of every block that had a choice.
        failed: how many of its trials failed.
        failed_of: the named placements that they are of; those that it made itself have no names.
        failure: why the last of them failed; "" where none did.
    """

    kind: SearchKind
    size: int
    tried: int
    drawn: int
    seeds: int
    trials: int
    ending: SearchEnding
    wall_s: float
    found: str
    placement: dict[str, Position]
    metric: float
    policy: str
    policy_metric: float | None
    confidence: float
    margin: float
    blocks: tuple[BlockEffect, ...]
    failed: int = 0
    failed_of: tuple[str, ...] = ()
    failure: str = ""
