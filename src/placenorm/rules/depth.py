"""Rules about how deep a network is (A8)."""

from collections.abc import Iterator

from placenorm.facts.graph import Graph
from placenorm.rules.evidence import GCR_AFTER_ADD
from placenorm.rules.layout import Layout
from placenorm.rules.rule import Rule, say_count

LEAST_DEPTH = 6
"""Weight ops on the longest path from which on the article advises a norm. It says "deeper than 5-6 layers" (A8); 6 is
where both readings begin to agree. No published measurement of a threshold was found."""


def count_depth(graph: Graph) -> int:
    """Return the number of weight ops on the longest path through a network.

    Args:
        graph: the network.
    """
    depths: list[int] = []
    for op in graph.ops:
        depths.append(max((depths[source] for source in op.inputs), default=0) + (op.kind == "weight"))
    return max(depths, default=0)


def find_shallow_network(layout: Layout) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield a finding where a network is too shallow for the article to advise a norm.

    What it does:
        Counts the weight ops on the longest path and speaks up below 6.

    Why it matters:
        The article says that shallow networks hardly gain by a norm, which then only costs.

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
        yield (
            (),
            f"The longest path has {say_count(depth, 'weight op')}. Below about {LEAST_DEPTH} the article skips the "
            "norm, because shallow networks hardly gain (A8). Nobody has published a measurement of that threshold; "
            "the nearest is that the place of a norm mattered at 110 layers and hardly at 20.",
        )


SHALLOW_NETWORK = Rule("shallow-network", "against", (GCR_AFTER_ADD,), find_shallow_network)
