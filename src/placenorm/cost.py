"""A graph in, counts out: operations, bytes moved and parameters, per norm and for the whole network.

The bytes are those of the best two-pass algorithm, in reads and writes of whole tensors; caches are not modelled.
Operations are additions and multiplications of single values, a multiply-add being two. What a norm does once a channel
(the root, gamma and beta folded into one factor and one summand) is not counted: it does not grow with the map.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from placenorm.facts.cost import Cost, CostChange, NormCost
from placenorm.facts.edits import Edit
from placenorm.facts.graph import Block, Graph, Op
from placenorm.facts.placement import Placement
from placenorm.graph.placements import plan_edits

NORM_TRAIN_PASSES = 8
"""Forward: read for the statistics, read and write to normalise. Backward: read x and dy twice, write dx."""

NORM_EVAL_PASSES = 2
"""Read and write; nothing is folded."""

NORM_TRAIN_OPERATIONS = 12
"""Per value. Forward: x and x*x are summed up (3), x*a + b (2). Backward: dy and dy*x are summed up (3), and
dy*a + x*c + d (4)."""

NORM_EVAL_OPERATIONS = 2
"""Per value: x*a + b."""

OPTIMIZER_PASSES = 5
"""SGD with momentum: read weight, gradient and momentum, write weight and momentum."""


def count_cost(graph: Graph) -> Cost:
    """Return what the norms of a network cost on the example input, beside the traffic of the whole network.

    A norm is taken to keep running statistics, as it does unless it was made with ``track_running_stats=False``.

    Args:
        graph: the network, with shapes.
    """
    return _add_up(graph.ops, graph.ops, _homes(graph))


def predict_cost(graph: Graph, placement: Placement) -> Cost:
    """Return what `count_cost` would return for the network at a placement, without rewriting it.

    What the placement asks for and the network does not allow stays as it is, as with `placenorm.place`. That a forward
    cannot be traced is only known when it is tried: the norms of such a network may stay where they are.

    Args:
        graph: the network as it is, with shapes.
        placement: a named policy, or positions by block key.

    Raises:
        UsageError: if the placement has an unknown word.
    """
    ops, homes = _rearrange(graph, plan_edits(graph, placement).edits)
    return _add_up(ops, graph.ops, homes)


def compare_costs(before: Cost, after: Cost, blocks: Collection[str] | None = None) -> CostChange:
    """Return what becomes of the cost of the norms; as text it reads ``4.0x less work for the norm, same parameters``.

    Args:
        before: the cost at one placement.
        after: the cost at another.
        blocks: keys of the blocks to look at; None for the whole network.
    """
    old, new = (
        cost if blocks is None else replace(cost, norms=tuple(norm for norm in cost.norms if norm.block in blocks))
        for cost in (before, after)
    )
    return CostChange(
        elements=(old.norm_elements, new.norm_elements),
        train_bytes=(old.norm_train_bytes, new.norm_train_bytes),
        eval_bytes=(old.norm_eval_bytes, new.norm_eval_bytes),
        parameters=(old.norm_parameters, new.norm_parameters),
        buffers=(old.norm_buffers, new.norm_buffers),
    )


# -- counting

_FLOAT_BYTES = 4


def _add_up(ops: Sequence[Op], known: Sequence[Op], homes: Mapping[str, str]) -> Cost:
    """Return the cost of ops.

    Args:
        ops: the ops in the order they run.
        known: the ops that the inputs of ops are indices of.
        homes: by key of a norm, the key of its block.
    """
    norms: list[NormCost] = []
    seen: set[str] = set()
    for op in ops:
        if op.kind == "norm":
            norms.append(_count_norm(op, known, homes.get(op.key, ""), again=op.module in seen))
            seen.update([op.module] if op.module is not None else [])
    holders = {op.module or op.key: op for op in ops}  # a module that runs twice counts once
    counted = sum(op.parameters for op in holders.values())
    return Cost(
        norms=tuple(norms),
        train_bytes=sum(_train_bytes(op) for op in ops) + OPTIMIZER_PASSES * _FLOAT_BYTES * counted,
        macs=sum(op.macs for op in ops),
        parameters=counted,
    )


def _count_norm(op: Op, known: Sequence[Op], block: str, *, again: bool) -> NormCost:
    """Return the cost of a norm; `again` where an earlier call has its parameters and buffers."""
    elements = math.prod(op.in_shape)
    if op.module is None:  # a function: it reads what a module would hold
        held = [known[source] for source in op.inputs if known[source].kind == "constant"]
        parameters = sum(constant.parameters for constant in held)
        buffers = sum(math.prod(constant.out_shape) for constant in held if not constant.parameters)
    else:
        parameters, buffers = op.parameters, 2 * _channels(op) + 1
    return NormCost(
        norm=op.key,
        elements=elements,
        train_bytes=NORM_TRAIN_PASSES * _in_bytes(op),
        eval_bytes=NORM_EVAL_PASSES * _in_bytes(op),
        parameters=0 if again else parameters,
        block=block,
        train_operations=NORM_TRAIN_OPERATIONS * elements,
        eval_operations=NORM_EVAL_OPERATIONS * elements,
        buffers=0 if again else buffers,
    )


def _channels(norm: Op) -> int:
    return norm.in_shape[norm.channel_axis] if len(norm.in_shape) > 1 else 0


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


# -- predicting


def _homes(graph: Graph) -> dict[str, str]:
    """Return, by key of a norm, the key of its block."""
    return {graph.ops[index].key: block.key for block in graph.blocks for index in block.norms}


def _rearrange(graph: Graph, edits: Iterable[Edit]) -> tuple[list[Op], dict[str, str]]:
    """Return the ops of a network after edits, in the order they run, and the blocks of its norms."""
    blocks = {block.key: block for block in (*graph.blocks, *graph.joins)}
    ops: dict[float, Op] = dict(enumerate(graph.ops))  # by place; a norm that is put in stands at half a place
    homes = _homes(graph)
    biases: dict[str, int] = {}
    for edit in edits:
        _note_bias(graph, blocks[edit.block], edit, biases)
        which = None if edit.norm is None else blocks[edit.block].norms.index(edit.norm)
        for call, key in enumerate((edit.block, *edit.also)):
            old = None if which is None else ops.pop(blocks[key].norms[which])
            if edit.anchor is None:
                continue
            site = next(site for site in blocks[key].sites if site.position == edit.after)
            new = _make_norm(graph, blocks[key], site.after, old, f"{edit.block}:norm", call)
            ops[site.after + 0.5 if site.before is None else site.before - 0.5] = new
            homes[new.key] = key
            if site.swaps is not None:
                shape = graph.ops[site.after].out_shape
                ops[site.swaps] = replace(ops[site.swaps], in_shape=shape, out_shape=shape)
    placed = [ops[place] for place in sorted(ops)]
    return [replace(op, parameters=op.parameters + biases.get(op.module or "", 0)) for op in placed], homes


def _make_norm(graph: Graph, block: Block, anchor: int, old: Op | None, name: str, call: int) -> Op:
    """Return the norm of a block behind another op: the one that it has, moved, or a new one."""
    behind = graph.ops[anchor]
    axis = len(behind.out_shape) - 1 if graph.ops[block.weight].channel_axis > 1 else 1
    shape = behind.out_shape
    made = old or Op(
        key=name if call == 0 else f"{name}#{call + 1}",
        kind="norm",
        name="norm",
        module=name,
        owner=behind.owner,
        ordinal=-1,
        inputs=(anchor,),
        in_shape=shape,
        out_shape=shape,
        parameters=2 * shape[axis],
    )
    if old is not None and _channels(old) != shape[axis]:  # it stood before a reshape: it is made anew
        made = replace(made, module=name, parameters=2 * shape[axis])
    return replace(made, in_shape=shape, out_shape=shape, item_bytes=behind.item_bytes, channel_axis=axis)


def _note_bias(graph: Graph, block: Block, edit: Edit, biases: dict[str, int]) -> None:
    """Write down how many parameters the module of a weight op gains or loses with its bias."""
    op = graph.ops[block.weight]
    if op.module is None or edit.bias == "keep":
        return
    if edit.bias == "drop" and _has_bias(op):
        biases[op.module] = -block.channels
    elif edit.bias == "add" and not _has_bias(op):
        biases[op.module] = block.channels


def _has_bias(op: Op) -> bool:
    """Whether the module of a weight op has a bias: it has more parameters than its multiply-adds tell of weights."""
    if "transpose" in op.name.lower():
        values, channels = math.prod(op.in_shape), op.in_shape[1]
    else:
        values, channels = math.prod(op.out_shape), op.out_shape[op.channel_axis]
    return bool(values) and op.parameters > op.macs * channels // values
