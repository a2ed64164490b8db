"""The rules of `watch`, asked of a history and sorted by how bad it is."""

from collections.abc import Iterable
from typing import Final

from placenorm.facts.finding import SEVERITIES, Finding
from placenorm.facts.reading import History
from placenorm.rules.bn4_signal import SIGNAL_RULES
from placenorm.rules.bn4_statistics import TRAINED_STATISTICS_RULES
from placenorm.rules.rule import TrainingRule

TRAINING_RULES: Final[tuple[TrainingRule, ...]] = (*SIGNAL_RULES, *TRAINED_STATISTICS_RULES)
"""All rules, in the order of their codes."""


def find_in_training(history: History, rules: Iterable[TrainingRule] = TRAINING_RULES) -> tuple[Finding, ...]:
    """Return what rules find in a history, the worst first, in the order of their codes.

    Args:
        history: what was seen while a network was watched.
        rules: the rules to ask.
    """
    found = [finding for rule in rules for finding in rule.find(history)]
    return tuple(sorted(found, key=lambda finding: (SEVERITIES.index(finding.severity), finding.code)))
