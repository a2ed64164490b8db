"""What a network is made of, as far as the norm is concerned: ops, blocks and sites.

Facts only: no tensors, no modules. `placenorm.graph` makes them, `rewrite`, `cost`, `probe` and `report` read them.
"""

from dataclasses import dataclass
from typing import Literal

from placenorm.facts.placement import Position

OpKind = Literal[
    "input",
    "weight",
    "norm",
    "other-norm",
    "activation",
    "pool",
    "dropout",
    "reshape",
    "identity",
    "join",
    "other",
    "constant",
    "output",
]
"""The role of an op in a block.

A `join` has several tensor inputs (add, concatenation, multiplication). An `other-norm` normalises, but is none that
can be moved: layer, group and instance norms, and batch norms whose forward is the user's own.
"""


@dataclass(frozen=True, slots=True)
class Op:
    """One call in the network's forward pass.

    Attributes:
        key: the name of the call, unique in the graph: the module path, ``path#2`` for its second call,
            ``owner:relu_1`` for a functional one.
        kind: the role of the op.
        name: what runs, in torch's words: ``Conv2d``, ``relu``, ``max_pool2d``.
        module: path of the called module; None for a functional call.
        owner: path of the module in whose forward the call stands; "" is the network itself.
        ordinal: place of the call among the calls that stand in its owner's forward, from 0.
        inputs: indices of the ops whose outputs are read.
        in_shape: shape of the first input.
        out_shape: shape of the output, of its first tensor where it returns several; empty where it returns none.
        parameters: number of parameters of the called module, or of the parameter that a constant is.
        reduction: input elements per output element of a pool (its stride product); 1 elsewhere.
        macs: multiply-adds of a weight op on the example input; 0 elsewhere.
        relu_like: whether an activation can switch a unit off for good (its gradient is zero on a half-line).
        item_bytes: bytes of one element of the output.
        channel_axis: axis of `out_shape` on which a weight op has its channels or features; 1 elsewhere.
        unseen: what tracing could not describe, to be read after its name ("which returns several tensors").
        returned_by: paths of the modules that returned what this op made, innermost first: a hook of any of them
            can go on behind it. A called module comes first itself.
        plain_weights: whether a weight op computes with the weight and bias of its module just as they are.
        means_only: whether a pool, or a mean over all places, takes means of what is there and nothing else (no padding
            counted, no divisor of its own), so that a scale and a shift per channel can pass it.
        in_place: whether the op writes into what it reads.
    """

    key: str
    kind: OpKind
    name: str
    module: str | None
    owner: str
    ordinal: int
    inputs: tuple[int, ...]
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    parameters: int = 0
    reduction: int = 1
    macs: int = 0
    relu_like: bool = False
    item_bytes: int = 4
    channel_axis: int = 1
    unseen: str = ""
    returned_by: tuple[str, ...] = ()
    plain_weights: bool = False
    means_only: bool = False
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """A place in a block where a norm is or could be.

    Attributes:
        position: the word for the place.
        after: index of the op behind which the norm stands or would stand (norms themselves left out).
        before: index of the op in front of which it stands, where several ops read what `after` gives and the norm is
            for this one; None elsewhere.
        swaps: index of the activation that changes places with the pool `after`, so that the norm stands between them;
            None elsewhere.
    """

    position: Position
    after: int
    before: int | None = None
    swaps: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """One weight op and the chain it feeds; or a join (the network's input, a fork) and the chain to the norm it feeds.

    Attributes:
        key: the key of the op that opens it; ``join->reader`` where several ops read that and the block is one edge.
        weight: index of the op that opens it: the weight op, or the join.
        chain: indices of the ops behind it, in order, norms among them.
        position: where the block's norm stands now; "none" without one.
        norms: indices of the norms in the chain.
        sites: the places where a norm can stand, in order of the chain.
        channels: number of channels (or features) that the opening op gives.
        exempt: why a named policy puts no norm here ("it gives the network's output"); "" where it may.
        ends: why the chain ends where it does.
        unknown: what follows where an activation may hide that tracing does not know; "" where none can.
        joined: whether it opens at a join and not at a weight op.
    """

    key: str
    weight: int
    chain: tuple[int, ...]
    position: Position
    norms: tuple[int, ...]
    sites: tuple[Site, ...]
    channels: int
    exempt: str
    ends: str
    unknown: str = ""
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Unseen:
    """A part of the network that tracing could not describe, and why."""

    where: str
    reason: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A network as ops in the order they run, and the blocks they form.

    Attributes:
        ops: the calls that hand on tensors.
        blocks: the weight ops, and the joins that feed a norm, each with its chain.
        unseen: what tracing could not describe, and why.
        joins: the joins that feed no norm, as blocks: only a mapping puts a norm there.
    """

    ops: tuple[Op, ...]
    blocks: tuple[Block, ...]
    unseen: tuple[Unseen, ...] = ()
    joins: tuple[Block, ...] = ()

    @property
    def norms(self) -> tuple[Op, ...]:
        """The norms of the network, in the order they run."""
        return tuple(op for op in self.ops if op.kind == "norm")

    def placement(self) -> dict[str, Position]:
        """The position of the norm in every block, by block key."""
        return {block.key: block.position for block in self.blocks}

    def __str__(self) -> str:
        """The blocks as a table: where the norm stands now, where else it could, why none is added; then the joins."""
        rows = [("block", "channels", "norm", "could stand")]
        for block in self.blocks:
            sites = ", ".join(site.position for site in block.sites)
            where = f"nowhere by a named placement: {block.exempt}" if block.exempt else sites
            rows.append((block.key, str(block.channels), block.position, where))
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = ["  ".join((*map(str.ljust, row[:3], widths), row[3])) for row in rows]
        if self.joins:
            keys = ", ".join(block.key for block in self.joins)
            lines.append(f"joins, where only a mapping puts a norm: {keys}")
        lines += [f"not seen: {unseen.where}: {unseen.reason}" for unseen in self.unseen]
        return "\n".join(lines)
