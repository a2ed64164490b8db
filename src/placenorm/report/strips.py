"""A network as a strip of blocks, in the order they run, with the norms where they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from placenorm.facts.finding import Severity
from placenorm.facts.graph import Block, Graph, Op
from placenorm.facts.placement import Position

OPEN_BLOCKS: Final = 40
"""A network of more blocks than this starts folded away: it would push the rest off the page."""


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


def draw_moved(graph: Graph, positions: Mapping[str, Position]) -> tuple[StripBlock, ...]:
    """Return the strip of a network as it would be with its norms elsewhere.

    Args:
        graph: the network as it is.
        positions: by key of a block, where its norm would stand; other blocks stay as they are.
    """
    blocks = {block.key: block for block in graph.blocks}
    return tuple(
        replace(strip, ops=tuple(_move_norm(graph, blocks[strip.key], positions[strip.key])))
        if strip.key in positions
        else strip
        for strip in draw_strip(graph)
    )


def _move_norm(graph: Graph, block: Block, position: Position) -> Iterator[StripOp]:
    """Yield the ops of a block with its norm at a position; one that it does not have yet is called norm."""
    named = [graph.ops[index].name for index in block.norms]
    norm = StripOp(named[0] if named else "norm", "norm", "")
    site = next((site for site in block.sites if site.position == position), None)
    places = [place for place in (block.weight, *block.chain) if place not in block.norms]
    swapped = None if site is None else site.swaps
    for place in places:
        if place == swapped:
            continue  # the activation that changes places with the pool: it comes behind the norm
        yield _describe_op(graph.ops[place])
        if site is not None and place == site.after:
            yield norm
            if swapped is not None:
                yield _describe_op(graph.ops[swapped])


def _describe_op(op: Op) -> StripOp:
    name = op.kind if op.kind in ("input", "output") else op.name
    shown = op.kind in ("weight", "input", "output", "pool")
    # The first axis is the batch, which says nothing about the network.
    shape = "×".join(str(size) for size in op.out_shape[1:]) if shown else ""
    return StripOp(name=name, kind=op.kind, shape=shape)
