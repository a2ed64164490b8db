"""Advice as people read it, the same in the terminal and on the page."""

import re
from dataclasses import dataclass
from typing import Final

from placenorm.facts.advice import Advice, ArticleRule, BlockAdvice, PolicyCost
from placenorm.facts.finding import Figure, Finding, Stance
from placenorm.facts.placement import Position
from placenorm.report.cost_wording import LEAST_FACTOR, say_change, say_factor
from placenorm.report.language import Language
from placenorm.report.wording import say_count

NONE = "-"

WHOLE = "(the network)"
"""What a block is called whose weight op is the network itself: its path is empty."""

EXAMPLES = 3
"""Keys of blocks that stand for a group."""

RULES: Final[tuple[ArticleRule, ...]] = ("A8", "A9", "A10")

STANCES: Final[tuple[Stance, ...]] = ("against", "for", "note")
"""In the order in which the findings are told."""

MEGA = 1e6
"""Bytes of a megabyte."""

_SHAPE = re.compile(r"\[[\d, ]+\]")
_PLACE = re.compile(r" \([^()]*[.:][^()]*\)")
_LATER_NORM = re.compile(r"^\S+ normalises it")

_COST_HEADS = ("placement", "norms", "values", "bytes", "share", "parameters", "change")


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks with the same advice.

    Attributes:
        position: where their norms stand now.
        advised: where the rules would have them.
        rules: the rules that say so.
        reason: why the rules do not reach them; "" where they do.
        keys: their keys.
        elements: values that their norms normalise in one step, now and at the advice.
        factors: what the pools save, the smallest and the largest.
    """

    position: Position
    advised: Position
    rules: tuple[ArticleRule, ...]
    reason: str
    keys: tuple[str, ...]
    elements: tuple[int, int]
    factors: tuple[float, float]


def group_blocks(blocks: tuple[BlockAdvice, ...]) -> list[Group]:
    """Return blocks with the same advice as one group, in the order of their first blocks."""
    found: dict[object, list[BlockAdvice]] = {}
    for block in blocks:
        alike = (block.position, block.advised, block.rules, generalise(block.reason))
        found.setdefault(alike, []).append(block)
    return [
        Group(
            position=members[0].position,
            advised=members[0].advised,
            rules=members[0].rules,
            reason=members[0].reason if len(members) == 1 else generalise(members[0].reason),
            keys=tuple(block.key for block in members),
            elements=(sum(block.elements[0] for block in members), sum(block.elements[1] for block in members)),
            factors=(min(block.pool_factor for block in members), max(block.pool_factor for block in members)),
        )
        for members in found.values()
    ]


def generalise(reason: str) -> str:
    """Return a reason without the shapes and keys of its own block, so that equal ones can be told once."""
    return _LATER_NORM.sub("a later norm normalises it", _PLACE.sub("", _SHAPE.sub("[...]", reason)))


def say_headline(advice: Advice, language: Language) -> str:
    """Return what the advice is, in a few words."""
    moved = sum(block.position != block.advised for block in advice.blocks)
    if not advice.blocks:
        return language.say("advice-headline-none")
    if advice.shallow and not advice.norms:
        return language.say("advice-headline-shallow")
    if advice.shallow:
        return language.say("advice-headline-shallow-norms", norms=say_count("norms", advice.norms, language))
    if not moved:
        return language.say("advice-headline-there")
    blocks = say_count("blocks", len(advice.blocks), language)
    return language.say("advice-headline-change", moved=moved, blocks=blocks)


def say_network(advice: Advice, language: Language) -> str:
    """Return what was looked at."""
    return language.say(
        "advice-network-share" if advice.norms else "advice-network",
        blocks=say_count("blocks", len(advice.blocks), language),
        norms=say_count("norms", advice.norms, language),
        share=language.figures(f"{advice.share_pct:.2g}"),
        ops=language.say("advice-ops", ops=advice.depth),
    )


def say_rules(advice: Advice, language: Language) -> str:
    """Return what the rules that were followed say; "" where none was."""
    used = {rule for block in advice.blocks for rule in block.rules}
    told = [language.say(f"advice-rule-{rule}") for rule in RULES if rule in used]
    rules = ("; " if language.direction == "ltr" else "؛ ").join(told)
    return language.say("advice-rules", rules=rules) if told else ""


def name_position(position: Position, language: Language) -> str:
    """Return what a position is called: in English the word that commands take."""
    return language.say(f"advice-place-{position}")


def say_work(group: Group, language: Language) -> str:
    """Return what becomes of the work of a group's norms: ``4.0x less``, or values more or less: ``+802,816``."""
    before, after = group.elements
    if before == after:
        return language.say("advice-same") if after else NONE
    if not after:
        return language.figures(f"-{before:,}")
    return say_factor(before, after, language) if before else language.figures(f"+{after:,}")


def name_keys(group: Group) -> str:
    """Return the keys of a group's first blocks."""
    return ", ".join(key or WHOLE for key in group.keys[:EXAMPLES]) + (", ..." if len(group.keys) > EXAMPLES else "")


def say_pools(group: Group, language: Language) -> str:
    """Return by how much the pools of a group lessen the work of norms that are new; "" where they do not."""
    low, high = group.factors
    if group.reason or high <= 1 or group.elements[0]:
        return ""
    least, most = (language.figures(f"{factor:.1f}") for factor in group.factors)
    if high < LEAST_FACTOR * low:
        return language.say("advice-pool", factor=least)
    return language.say("advice-pools", least=least, most=most)


def list_cost_heads(language: Language) -> tuple[str, ...]:
    """Return the heads of the columns of `list_costs`; some in two lines."""
    return tuple(language.say(f"advice-cost-{head}") for head in _COST_HEADS)


def list_costs(advice: Advice, language: Language) -> list[tuple[str, ...]]:
    """Return what the norms cost now and at each policy: name, norms, values, MB, share in percent, parameters, change.

    The policy that is advised is marked.
    """
    rows: list[tuple[str, ...]] = []
    if advice.costs:
        now = advice.costs[0].change
        numbers = (now.elements[0], now.train_bytes[0], advice.share_pct, now.parameters[0])
        rows.append((language.say("advice-now"), *_say_numbers(advice.norms, *numbers, language), ""))
    rows += [_policy_row(cost, language, advised=cost.policy == advice.policy) for cost in advice.costs]
    return rows


def _policy_row(cost: PolicyCost, language: Language, *, advised: bool) -> tuple[str, ...]:
    change = cost.change
    numbers = (change.elements[1], change.train_bytes[1], cost.share_pct, change.parameters[1])
    beside = say_change(change, language) if cost.changes else language.say("advice-as-it-is")
    return (
        language.say(f"advice-place-{cost.policy}"),
        *_say_numbers(cost.norms, *numbers, language),
        language.say("advice-advised", change=beside) if advised else beside,
    )


def _say_numbers(
    norms: int, elements: int, train_bytes: int, share: float, parameters: int, language: Language
) -> tuple[str, ...]:
    moved = f"{train_bytes / MEGA:,.0f}" if train_bytes >= 100 * MEGA else f"{train_bytes / MEGA:.3g}"
    return tuple(map(language.figures, (f"{norms:,}", f"{elements:,}", moved, f"{share:.1f}", f"{parameters:,}")))


def list_findings(advice: Advice, stance: Stance) -> list[Finding]:
    """Return the findings of one stance."""
    return [finding for finding in advice.findings if finding.stance == stance]


def say_figure(figure: Figure) -> str:
    """Return a figure with all that it needs to be read; rules write them, in English."""
    return f"{figure.text} ({figure.setting}; {figure.source}; {figure.mark})"
