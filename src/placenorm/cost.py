"""A graph in, counts out: operations, bytes moved and parameters, per norm and for the whole network.

The bytes are those of the best two-pass algorithm, in reads and writes of whole tensors; caches are not modelled.
"""

import math

from placenorm.facts.cost import Cost, NormCost
from placenorm.facts.graph import Graph, Op

NORM_TRAIN_PASSES = 8
"""Forward: read for the statistics, read and write to normalise. Backward: read x and dy twice, write dx."""

NORM_EVAL_PASSES = 2
"""Read and write; nothing is folded."""

OPTIMIZER_PASSES = 5
"""SGD with momentum: read weight, gradient and momentum, write weight and momentum."""


def count_cost(graph: Graph) -> Cost:
    """Return what the norms of a network cost on the example input, beside the traffic of the whole network.

    Args:
        graph: the network, with shapes.
    """
    norms = tuple(
        NormCost(
            norm=op.key,
            elements=math.prod(op.in_shape),
            train_bytes=NORM_TRAIN_PASSES * _in_bytes(op),
            eval_bytes=NORM_EVAL_PASSES * _in_bytes(op),
            parameters=op.parameters,
        )
        for op in graph.norms
    )
    holders = {op.module or op.key: op for op in graph.ops}  # a module that runs twice counts once
    counted = sum(op.parameters for op in holders.values())
    return Cost(
        norms=norms,
        train_bytes=sum(_train_bytes(op) for op in graph.ops) + OPTIMIZER_PASSES * _FLOAT_BYTES * counted,
        macs=sum(op.macs for op in graph.ops),
        parameters=counted,
    )


_FLOAT_BYTES = 4


def _in_bytes(op: Op) -> int:
    return math.prod(op.in_shape) * op.item_bytes


def _train_bytes(op: Op) -> int:
    """Return the bytes that one op moves in a training step, forward and backward."""
    read, written = _in_bytes(op), math.prod(op.out_shape) * op.item_bytes
    weights = op.parameters * _FLOAT_BYTES
    match op.kind:
        case "norm":
            return NORM_TRAIN_PASSES * read
        case "weight":  # backward reads the input, the gradient and the weights, and writes both gradients
            return (read + written + weights) + (2 * read + written + 2 * weights)
        case "activation" | "dropout":  # backward reads the gradient and the output (or mask), and writes a gradient
            return (read + written) + (read + 2 * written)
        case "pool":  # backward reads the small gradient and writes the large one
            return 2 * (read + written)
        case "join":
            return 2 * (len(op.inputs) * read + written)
        case "other" | "other-norm":
            return 2 * (read + written)
        case "constant":  # a parameter that is read by its name: as the weights of a weight op
            return 3 * weights
        case _:
            return 0
