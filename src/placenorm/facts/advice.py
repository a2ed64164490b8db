"""Where the article's rules would have the norms of a network: block by block, with the price and the objections."""

from dataclasses import dataclass
from typing import Literal

from placenorm.facts.cost import CostChange
from placenorm.facts.finding import Finding
from placenorm.facts.graph import Unseen
from placenorm.facts.placement import Policy, Position

ArticleRule = Literal["A8", "A9", "A10"]
"""A rule of the article: A8 whether a network is deep enough, A9 after the activation, A10 after the pool."""


@dataclass(frozen=True, slots=True)
class BlockAdvice:
    """The advice for one block.

    Attributes:
        key: the block's key.
        channels: number of channels (or features).
        position: where its norm stands now.
        advised: where the rules would have it.
        rules: the rules of the article that say so; empty where none speaks.
        reason: why the block is exempt or bound, or why the rules cannot be followed; "" where nothing stands against.
        elements: values that its norms normalise in one step, now and at the advice.
        pool_factor: work of a norm in front of the pool over its work behind it, where the advice is behind the pool;
            1 elsewhere.
    """

    key: str
    channels: int
    position: Position
    advised: Position
    rules: tuple[ArticleRule, ...]
    reason: str
    elements: tuple[int, int]
    pool_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class PolicyCost:
    """What the norms of a network cost at a named policy, beside what they cost now.

    Attributes:
        policy: the policy.
        changes: number of blocks that it changes.
        norms: number of norms, each call counted.
        share_pct: share of the norms in the bytes of a training step, in percent (0 to 100).
        change: the cost now and at the policy, number by number.
    """

    policy: Policy
    changes: int
    norms: int
    share_pct: float
    change: CostChange


@dataclass(frozen=True, slots=True)
class Advice:
    """What the article's rules say about a network, without any data.

    Attributes:
        model: name of the network.
        inputs: shapes of the example input, as text.
        depth: weight ops on the longest path.
        shallow: whether that is too few for the article to advise a norm (A8).
        policy: the policy that the advice amounts to.
        blocks: the advice, block by block, in the order they run.
        norms: number of norms now, each call counted.
        share_pct: share of the norms in the bytes of a training step now, in percent (0 to 100).
        costs: what each named policy would cost.
        findings: what speaks against the advice, for it, and what else is to be known.
        unseen: what tracing could not describe.
        command: the command that would settle it; "" where every placement gives this network.
    """

    model: str
    inputs: str
    depth: int
    shallow: bool
    policy: Policy
    blocks: tuple[BlockAdvice, ...]
    norms: int
    share_pct: float
    costs: tuple[PolicyCost, ...]
    findings: tuple[Finding, ...]
    unseen: tuple[Unseen, ...]
    command: str
