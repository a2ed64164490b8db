"""The rules of `watch`."""

from typing import Final

from placenorm.rules.bn4_signal import SIGNAL_RULES
from placenorm.rules.bn4_statistics import TRAINED_STATISTICS_RULES
from placenorm.rules.rule import TrainingRule

TRAINING_RULES: Final[tuple[TrainingRule, ...]] = (*SIGNAL_RULES, *TRAINED_STATISTICS_RULES)
"""All rules, in the order of their codes."""
