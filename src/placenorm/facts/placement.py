"""Words for where a norm stands: positions, named policies, placements."""

from collections.abc import Mapping
from typing import Literal, get_args

Position = Literal["before-activation", "after-activation", "after-pool", "after-pool-before-activation", "none"]
"""Where the norm of one block stands."""

Policy = Literal["none", "before-activation", "after-activation", "after-pool", "as-is"]
"""A placement with a name: one rule for every block."""

Placement = Policy | Mapping[str, Position]
"""A named policy, or a position for each block key that is to change."""

POSITIONS: tuple[Position, ...] = get_args(Position)
POLICIES: tuple[Policy, ...] = get_args(Policy)
