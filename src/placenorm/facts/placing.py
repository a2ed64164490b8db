"""What was done to a network, as facts: for the terminal and for JSON."""

from dataclasses import dataclass

from placenorm.facts.cost import Cost
from placenorm.facts.edits import Change, Skip
from placenorm.facts.placement import Position


@dataclass(frozen=True, slots=True)
class Placing:
    """A network that was brought to a placement.

    Attributes:
        model: what the network is called.
        before: the position of every block before.
        after: the position of every block after, by the keys it had before.
        changes: what was changed, with the block's key.
        skipped: what was asked for and not done, with the block's key and the reason.
        cost_before: what the norms cost before.
        cost_after: what they cost after.
        max_error: max|difference| / max|output| in float64; None where the function was meant to change.
        max_error_dtype: the same for the model as it is, in its own type.
    """

    model: str
    before: dict[str, Position]
    after: dict[str, Position]
    changes: tuple[Change, ...]
    skipped: tuple[Skip, ...]
    cost_before: Cost
    cost_after: Cost
    max_error: float | None
    max_error_dtype: float | None
