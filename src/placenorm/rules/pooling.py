"""Rules about norms behind pools (A10)."""

import math
from collections.abc import Iterator

from placenorm.facts.placement import Position
from placenorm.rules.evidence import PAGE_POOL, TWO_VALUES
from placenorm.rules.layout import Layout
from placenorm.rules.rule import Hit, Rule, say_blocks, say_count

FEW_VALUES = 32
"""Values per channel below which a norm's statistics are noise: the standard deviation of so many normal values is off
by 1/sqrt(2*31), about 13 %, from one batch to the next."""

LARGE_BATCH = 8
"""A pool that makes a norm need this many samples, or more, for `FEW_VALUES` is worth a word. The example's own batch
says nothing: it is not what the network trains with."""

_BEHIND_POOL: frozenset[Position] = frozenset({"after-pool", "after-pool-before-activation"})


def find_norm_behind_pool(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where norms stand behind a pool.

    What it does:
        Looks for norms behind spatial pools.

    Why it matters:
        The norm has less to do, by the stride product of the pool. But in training it sees other statistics: it is
        another network, not a faster form of the same.

    When to ignore it:
        Where speed counts for more than a tenth of a point.

    Example:
        conv, ReLU, max pool, norm.

    Use instead:
        The norm in front of the pool.

    Fix safety:
        In evaluation norm and max pool commute where gamma >= 0; in training they never do.

    Evidence:
        D. Page, bag_of_tricks.ipynb, 50 runs.
    """
    keys = tuple(block.key for block in layout.blocks_at(_BEHIND_POOL))
    if keys:
        yield Hit(
            keys,
            f"Behind a pool ({say_blocks(keys)}) the norm has less work, but in training it sees other statistics: it "
            "is another network, with a small loss of accuracy in the one careful measurement there is.",
        )


def find_few_values(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where a pool leaves a norm few values per channel.

    What it does:
        Counts S, the places that a spatial pool leaves to the norm behind it, and speaks up where it takes a batch
        of 8 or more to have 32 values per channel (M = N*S).

    Why it matters:
        The mean and the variance of few values are noise, in training and in the running statistics. With two values
        the output is +1 and -1.

    When to ignore it:
        Where you train with a larger batch than the finding names.

    Example:
        A pool from 4x4 to 2x2: S is 4, and it takes 8 samples to have 32 values.

    Use instead:
        The norm in front of the pool, or a larger batch.

    Fix safety:
        Moving a norm gives another network; it has to be trained again.

    Evidence:
        Arithmetic; docs/evidence.md, section 10.
    """
    few: dict[str, int] = {}
    for block in layout.blocks_at(_BEHIND_POOL):
        anchor = layout.anchor_of(block)
        places = 0 if anchor is None else math.prod(layout.graph.ops[anchor].out_shape[2:])
        if 0 < places * LARGE_BATCH <= FEW_VALUES:
            few[block.key] = places
    if few:
        keys = tuple(few)
        key = min(few, key=lambda each: few[each])
        yield Hit(
            keys,
            f"Behind the pool {say_count(len(keys), 'block')} would normalise over few values per channel: {key} has "
            f"{say_count(few[key], 'place')} left, so it takes a batch of {math.ceil(FEW_VALUES / few[key])} to have "
            f"{FEW_VALUES}. Statistics of fewer are noise, and training with small batches suffers from it.",
        )


NORM_BEHIND_POOL = Rule("norm-behind-pool", "against", (PAGE_POOL,), find_norm_behind_pool)
FEW_VALUES_LEFT = Rule("few-values", "against", (TWO_VALUES,), find_few_values)
