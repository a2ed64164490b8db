"""Changes to a network, planned and done."""

from dataclasses import dataclass
from typing import Literal

from placenorm.facts.placement import Position

Action = Literal["insert", "remove", "move"]
BiasAction = Literal["keep", "drop", "add"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One change to the norm of one block.

    Attributes:
        block: the block's key.
        action: what happens to the norm.
        before: position of the norm now.
        after: position of the norm when done.
        norm: index of the op that is moved or removed; None for an insertion.
        anchor: index of the op behind which the norm will stand; None for a removal.
        bias: what happens to the weight op's bias.
        before_op: index of the op that the norm is for, where several read what the anchor gives; None elsewhere.
        swaps: index of the activation that changes places with the pool that is the anchor; None elsewhere.
        also: keys of further blocks that the same line of the source makes, and so changes with this one.
    """

    block: str
    action: Action
    before: Position
    after: Position
    norm: int | None
    anchor: int | None
    bias: BiasAction
    before_op: int | None = None
    swaps: int | None = None
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made: where (the block's key) and what."""

    site: str
    reason: str


@dataclass(frozen=True, slots=True)
class Skip:
    """A change that was asked for and not made: where (the block's key) and why."""

    site: str
    reason: str
