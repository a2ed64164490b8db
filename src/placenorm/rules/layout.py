"""What rules look at: a network, and where its norms are or would be."""

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field

from placenorm.facts.graph import Block, Graph, Op
from placenorm.facts.placement import Position
from placenorm.facts.state import NetworkState

BEHIND_ACTIVATION: frozenset[Position] = frozenset({"after-activation", "after-pool"})
"""Positions at which something that is not linear stands between a weight op and its norm."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A network with its norms at a placement; the network itself stands as it is.

    Attributes:
        graph: the network as it is.
        placement: the position looked at, by block key.
        state: what its norms and layers hold; empty for rules that ask of places alone.
    """

    graph: Graph
    placement: Mapping[str, Position]
    state: NetworkState = field(default_factory=NetworkState)
    _readers: dict[str, list[Op]] = field(init=False, repr=False, compare=False)

    def blocks_at(self, positions: frozenset[Position]) -> Iterator[Block]:
        """Yield the blocks whose norm stands at one of some positions."""
        return (block for block in self.graph.blocks if self.placement[block.key] in positions)

    def __post_init__(self) -> None:
        """Note once who reads what."""
        readers: dict[str, list[Op]] = {op.key: [] for op in self.graph.ops}
        for op in self.graph.ops:
            for index in dict.fromkeys(op.inputs):
                readers[self.graph.ops[index].key].append(op)
        object.__setattr__(self, "_readers", readers)

    def readers(self, op: Op) -> list[Op]:
        """Return the ops that read what an op gives."""
        return self._readers[op.key]

    def source(self, op: Op, through: Container[str] = ()) -> Op | None:
        """Return the op that an op reads first, through ops of some kinds; None where it reads none."""
        ops = self.graph.ops
        while True:
            before = next((ops[index] for index in op.inputs if ops[index].kind != "constant"), None)
            if before is None or before.kind not in through:
                return before
            op = before

    def ops_of(self, block: Block) -> Iterator[Op]:
        """Yield the ops of a block's chain, in order."""
        return (self.graph.ops[index] for index in block.chain)

    def activation_of(self, block: Block) -> Op | None:
        """Return the first activation of a block; None without one."""
        return next((op for op in self.ops_of(block) if op.kind == "activation"), None)

    def anchor_of(self, block: Block) -> int | None:
        """Return the index of the op behind which a block's norm stands in this layout; None without a norm."""
        position = self.placement[block.key]
        if position == "none":
            return None
        if position == block.position and block.norms:
            return self.graph.ops[block.norms[0]].inputs[0]
        return next((site.after for site in block.sites if site.position == position), None)

    def values_per_channel(self, block: Block) -> int:
        """Return M, the values per channel that a block's norm sees on the example input; 0 without a norm."""
        anchor = self.anchor_of(block)
        if anchor is None:
            return 0
        shape = self.graph.ops[anchor].out_shape
        return math.prod(shape) // shape[1] if len(shape) > 1 and shape[1] else 0
