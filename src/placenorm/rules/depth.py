"""Rules about how deep a network is (A8)."""

from collections.abc import Iterator

from placenorm.facts.graph import Graph
from placenorm.rules.evidence import GCR_AFTER_ADD, GOOGLENET_AFTER, INCEPTION_STEPS, NIN_AFTER
from placenorm.rules.layout import Layout
from placenorm.rules.rule import Hit, Rule, say_blocks, say_count

LEAST_DEPTH = 6
"""Weight ops on the longest path from which on the article advises a norm. It says "deeper than 5-6 layers" (A8); 6 is
where both readings begin to agree. No published measurement of a threshold was found."""


FLAT = 2
"""Axes of what a linear layer gives on plain samples, ``[N, D]``; a convolution gives more."""


def count_depth(graph: Graph) -> int:
    """Return the number of weight ops on the longest path through a network.

    Args:
        graph: the network.
    """
    depths: list[int] = []
    for op in graph.ops:
        depths.append(max((depths[source] for source in op.inputs), default=0) + (op.kind == "weight"))
    return max(depths, default=0)


def find_shallow_network(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where a network is too shallow for the article to advise a norm.

    What it does:
        Counts the weight ops on the longest path and speaks up below 6.

    Why it matters:
        The article says that shallow networks hardly gain by a norm; what it costs is then hardly earned.

    When to ignore it:
        Whenever you can measure. The threshold is a rule of thumb that nobody has published a measurement of.

    Example:
        A conv, a ReLU and a linear layer.

    Use instead:
        `compare` with ``none`` among the placements.

    Fix safety:
        Removing norms gives another network; it has to be trained again.

    Evidence:
        Only the direction: in one benchmark the place of the norm was lost in the noise at 20 layers and doubled the
        error at 110 (gcr/torch-residual-networks).
    """
    depth = count_depth(layout.graph)
    if 0 < depth < LEAST_DEPTH:
        yield Hit(
            (),
            f"The longest path has {say_count(depth, 'weight op')}. Below about {LEAST_DEPTH} the article expects "
            "hardly any gain from norms (A8), so none is advised here; it does not say that they do harm. Nobody has "
            "published a measurement of that threshold; the nearest is that the place of a norm mattered at 110 layers "
            "and hardly at 20.",
        )


def find_missing_norm(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where convolutions have no norm and would get one.

    What it does:
        Looks for convolutions without a norm that have one in the placement looked at.

    Why it matters:
        Networks with norms train at higher learning rates and so in fewer steps, and mostly end better. Not always: one
        deep network did better without them.

    When to ignore it:
        When you have measured it, or where batches are so small that their statistics are noise.

    Example:
        A deep stack of convs and ReLUs.

    Use instead:
        `compare` with ``none`` among the placements, each at its own learning rate.

    Fix safety:
        Adding norms gives another network; it has to be trained, and at another learning rate.

    Evidence:
        Ioffe & Szegedy 2015, Figure 3; Raschka (network-in-network); Mishkin et al. 2017 (GoogLeNet).
    """
    keys = tuple(
        block.key
        for block in layout.graph.blocks
        if block.position == "none"
        and layout.placement[block.key] != "none"
        and len(layout.graph.ops[block.weight].out_shape) > FLAT
    )
    if keys:
        yield Hit(
            keys,
            f"{say_count(len(keys), 'convolution')} ({say_blocks(keys)}) would get a norm. It permits higher learning "
            "rates, from which most of its speed comes, and mostly raises the accuracy; one deep network did better "
            "without.",
        )


SHALLOW_NETWORK = Rule("shallow-network", "note", (GCR_AFTER_ADD,), find_shallow_network)
MISSING_NORM = Rule("missing-norm", "for", (INCEPTION_STEPS, NIN_AFTER, GOOGLENET_AFTER), find_missing_norm)
