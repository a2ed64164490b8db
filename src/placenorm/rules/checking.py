"""The rules of `check`, and how they are chosen."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from placenorm.errors import UsageError
from placenorm.rules.bn1_placement import PLACEMENT_RULES
from placenorm.rules.bn2_statistics import STATISTICS_RULES
from placenorm.rules.bn3_precision import PRECISION_RULES
from placenorm.rules.rule import Rule

CHECK_RULES: Final[tuple[Rule, ...]] = (*PLACEMENT_RULES, *STATISTICS_RULES, *PRECISION_RULES)
"""All rules, in the order of their codes."""

_CODE = re.compile(r"BN\d{0,3}")


def choose_rules(
    select: Iterable[str] = (), ignore: Iterable[str] = (), rules: tuple[Rule, ...] = CHECK_RULES
) -> tuple[Rule, ...]:
    """Return the rules that are asked: all, or those selected, without those ignored.

    Args:
        select: codes (``BN102``), families (``BN1``) or names (``norm-twice``); empty for all.
        ignore: the same.
        rules: what to choose from.

    Raises:
        UsageError: if a word names no rule.
    """
    chosen, left = ([words] if isinstance(words, str) else list(words) for words in (select, ignore))
    for word in (*chosen, *left):
        if word.startswith("BN4"):
            raise UsageError(f"The rule {word} is one of training: pn.watch asks it, and check cannot.")
        if not any(names_rule(word, rule) for rule in rules):
            near = get_close_matches(word, [*(rule.code for rule in rules), *(rule.name for rule in rules)], n=2)
            raise UsageError(
                f"Unknown rule {word!r}: "
                + (f"did you mean {' or '.join(near)}?" if near else "give a code such as BN102, a family such as BN1,")
                + ("" if near else " or a name such as norm-twice.")
            )
    return tuple(
        rule
        for rule in rules
        if (not chosen or any(names_rule(word, rule) for word in chosen))
        and not any(names_rule(word, rule) for word in left)
    )


def names_rule(word: str, rule: Rule) -> bool:
    """Whether a word is a rule's name, its code or the beginning of its code."""
    return word == rule.name or (_CODE.fullmatch(word) is not None and rule.code.startswith(word))
