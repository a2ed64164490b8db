"""All rules, and what they find in a layout."""

from typing import Final

from placenorm.facts.finding import Finding
from placenorm.rules.activations import BOUNDED_ACTIVATION, DEAD_UNITS_BEHIND, DISPUTED_ORDER
from placenorm.rules.deployment import UNFOLDABLE_NORM
from placenorm.rules.depth import MISSING_NORM, SHALLOW_NETWORK
from placenorm.rules.dropout import DROPOUT_BEFORE_NORM
from placenorm.rules.layout import Layout
from placenorm.rules.pooling import FEW_VALUES_LEFT, NORM_BEHIND_POOL
from placenorm.rules.residual import MOVED_PRE_ACTIVATION, NORM_ON_BRANCH, RESIDUAL_ORDER
from placenorm.rules.rule import Rule

RULES: Final[tuple[Rule, ...]] = (
    SHALLOW_NETWORK,
    DISPUTED_ORDER,
    RESIDUAL_ORDER,
    NORM_BEHIND_POOL,
    FEW_VALUES_LEFT,
    DROPOUT_BEFORE_NORM,
    DEAD_UNITS_BEHIND,
    MOVED_PRE_ACTIVATION,
    UNFOLDABLE_NORM,
    MISSING_NORM,
    BOUNDED_ACTIVATION,
    NORM_ON_BRANCH,
)
"""The rules, in the order in which they are told."""


def find_all(layout: Layout, rules: tuple[Rule, ...] = RULES) -> tuple[Finding, ...]:
    """Return what rules find in a layout, in their order.

    Args:
        layout: the network, and where its norms are or would be.
        rules: the rules to ask.
    """
    return tuple(finding for rule in rules for finding in rule.find(layout))
