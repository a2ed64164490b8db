"""A network as a strip of blocks, in the order they run, with the norms where they are."""

from collections.abc import Mapping
from dataclasses import dataclass

from placenorm.facts.finding import Severity
from placenorm.facts.graph import Graph, Op


@dataclass(frozen=True, slots=True)
class StripOp:
    """An op as the strip shows it.

    Attributes:
        name: what it is called.
        kind: the op's kind, which is its class on the page.
        shape: sizes of its output without the batch, where they say something about the network.
    """

    name: str
    kind: str
    shape: str


@dataclass(frozen=True, slots=True)
class StripBlock:
    """A block, or an op of no block, as the strip shows it.

    Attributes:
        key: the block's key; "" for an op of no block.
        ops: its ops.
        health: the worst that was found in it; "" where nothing was.
        says: the same in words.
    """

    key: str
    ops: tuple[StripOp, ...]
    health: Severity | str = ""
    says: str = ""


def draw_strip(graph: Graph, health: Mapping[str, tuple[str, str]] | None = None) -> tuple[StripBlock, ...]:
    """Return the blocks where their weight ops run, and the ops of no block between them.

    Args:
        graph: the network.
        health: by key of a block, the worst that was found in it and the same in words.
    """
    starts = {block.weight: block for block in graph.blocks}
    inside = {index for block in graph.blocks for index in (block.weight, *block.chain)}
    found = []
    for index, op in enumerate(graph.ops):
        if index in starts:
            block = starts[index]
            ops = [graph.ops[place] for place in (block.weight, *block.chain)]
            state, says = (health or {}).get(block.key, ("", ""))
            found.append(StripBlock(block.key, tuple(_describe_op(each) for each in ops), state, says))
        elif index not in inside and op.kind != "constant":
            found.append(StripBlock("", (_describe_op(op),)))
    return tuple(found)


def _describe_op(op: Op) -> StripOp:
    name = op.kind if op.kind in ("input", "output") else op.name
    shown = op.kind in ("weight", "input", "output", "pool")
    # The first axis is the batch, which says nothing about the network.
    shape = "×".join(str(size) for size in op.out_shape[1:]) if shown else ""
    return StripOp(name=name, kind=op.kind, shape=shape)
