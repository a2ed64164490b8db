"""Advice as people read it, the same in the terminal and on the page."""

import re
from dataclasses import dataclass

from placenorm.facts.advice import Advice, ArticleRule, BlockAdvice, PolicyCost
from placenorm.facts.cost import LEAST_FACTOR, CostChange
from placenorm.facts.finding import Figure, Finding, Stance
from placenorm.facts.placement import Position
from placenorm.report.wording import count

NONE = "-"

WHOLE = "(the network)"
"""What a block is called whose weight op is the network itself: its path is empty."""

EXAMPLES = 3
"""Keys of blocks that stand for a group."""

RULES: dict[ArticleRule, str] = {
    "A8": "a norm in networks deeper than 5 or 6 layers; shallower ones hardly gain",
    "A9": "the norm after the activation",
    "A10": "the norm after the pool",
}
"""What the rules of the article say, in short."""

STANCES: dict[Stance, str] = {
    "against": "What speaks against it",
    "for": "What speaks for it",
    "note": "What else to know",
}
"""Heads of the findings, in the order in which they are told."""

MEGA = 1e6
"""Bytes of a megabyte."""

HONEST = "These are rules and published figures, not measurements of your network."
NOTHING_TO_SETTLE = "Every placement gives this network, so there is nothing to compare."

_SHAPE = re.compile(r"\[[\d, ]+\]")
_PLACE = re.compile(r" \([^()]*[.:][^()]*\)")
_LATER_NORM = re.compile(r"^\S+ normalises it")


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


def say_headline(advice: Advice) -> str:
    """Return what the advice is, in a few words."""
    moved = sum(block.position != block.advised for block in advice.blocks)
    if not advice.blocks:
        return "No weight op was seen, so there is nothing to advise"
    if advice.shallow and not advice.norms:
        return "The article expects hardly any gain from norms here, and there is none"
    if advice.shallow:
        return f"The article expects hardly any gain from norms here: {count(advice.norms, 'norm')} could go"
    if not moved:
        return "The norms are where the article would have them"
    return f"The article would change {moved:,} of {count(len(advice.blocks), 'block')}"


def say_network(advice: Advice) -> str:
    """Return what was looked at."""
    share = f" ({advice.share_pct:.2g} % of the bytes of a training step)" if advice.norms else ""
    return (
        f"{count(len(advice.blocks), 'block')}, {count(advice.norms, 'norm')}{share}, "
        f"{count(advice.depth, 'weight op')} on the longest path"
    )


def say_rules(advice: Advice) -> str:
    """Return what the rules that were followed say."""
    used = {rule for block in advice.blocks for rule in block.rules}
    return "; ".join(f"{rule}: {text}" for rule, text in RULES.items() if rule in used)


def say_work(group: Group) -> str:
    """Return what becomes of the work of a group's norms: ``4.0x less``, or values more or less: ``+802,816``."""
    before, after = group.elements
    if before == after:
        return "same" if after else NONE
    if not after:
        return f"-{before:,}"
    if not before:
        return f"+{after:,}"
    return CostChange((before, after), (0, 0), (0, 0), (0, 0), (0, 0)).work().removesuffix(" work for the norm")


def say_factors(group: Group) -> str:
    """Return by which factor the pools of a group lessen the work: ``4.0x``, ``2.0x to 4.0x``."""
    low, high = group.factors
    return f"{low:.1f}x" if high < LEAST_FACTOR * low else f"{low:.1f}x to {high:.1f}x"


def say_which(group: Group) -> str:
    """Return which blocks a group holds, and why the rules do not reach them."""
    keys = ", ".join(key or WHOLE for key in group.keys[:EXAMPLES]) + (", ..." if len(group.keys) > EXAMPLES else "")
    if group.reason:
        return f"{keys}: {group.reason}"
    return (
        f"{keys}: {say_factors(group)} less than in front of the pool"
        if group.factors[1] > 1 and not group.elements[0]
        else keys
    )


def list_costs(advice: Advice) -> list[tuple[str, ...]]:
    """Return what the norms cost now and at each policy: name, norms, values, MB, share in percent, parameters, change.

    The policy that is advised is marked.
    """
    rows: list[tuple[str, ...]] = []
    if advice.costs:
        now = advice.costs[0].change
        rows.append(
            _cost_row("now", advice.norms, now.elements[0], now.train_bytes[0], advice.share_pct, now.parameters[0], "")
        )
    rows += [_policy_row(cost, advised=cost.policy == advice.policy) for cost in advice.costs]
    return rows


COST_HEADS = ("placement", "norms", "values\na step", "MB in\ntraining", "% of\nall", "gammas,\nbetas", "beside now")
"""Heads of the columns of `list_costs`."""

COST_BASIS = (
    "Counted on the example input, without a clock: what the norms alone normalise and move in one training step, and "
    "their share of all bytes that the network moves."
)
"""How those numbers came about."""


def _policy_row(cost: PolicyCost, *, advised: bool) -> tuple[str, ...]:
    change = cost.change
    numbers = (change.elements[1], change.train_bytes[1], cost.share_pct, change.parameters[1])
    beside = str(change) if cost.changes else "the network as it is"
    return _cost_row(cost.policy, cost.norms, *numbers, f"advised: {beside}" if advised else beside)


def _cost_row(
    name: str, norms: int, elements: int, train_bytes: int, share: float, parameters: int, change: str
) -> tuple[str, ...]:
    moved = f"{train_bytes / MEGA:,.0f}" if train_bytes >= 100 * MEGA else f"{train_bytes / MEGA:.3g}"
    return (name, f"{norms:,}", f"{elements:,}", moved, f"{share:.1f}", f"{parameters:,}", change)


def list_findings(advice: Advice, stance: Stance) -> list[Finding]:
    """Return the findings of one stance."""
    return [finding for finding in advice.findings if finding.stance == stance]


def say_figure(figure: Figure) -> str:
    """Return a figure with all that it needs to be read."""
    return f"{figure.text} ({figure.setting}; {figure.source}; {figure.mark})"
