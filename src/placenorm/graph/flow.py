"""Ops, and who reads what: the questions that finding blocks asks of a network."""

import math
from collections.abc import Iterator
from functools import cached_property

from placenorm.facts.graph import Op

CHAIN = frozenset({"norm", "activation", "pool", "dropout", "reshape", "identity"})
"""Kinds of ops that a chain goes on through."""

SUMS = frozenset({"add", "sub", "cat", "concat", "stack"})
"""Joins that a branch without an activation of its own ends at; a product may be an activation (``x * sigmoid(x)``)."""


class Flow:
    """The ops of a network with their readers.

    Args:
        ops: the ops in the order they run.
    """

    def __init__(self, ops: tuple[Op, ...]) -> None:
        self.ops = ops
        self.readers: list[list[int]] = [[] for _ in ops]
        for index, op in enumerate(ops):
            for source in op.inputs:
                self.readers[source].append(index)

    def source(self, index: int) -> int | None:
        """Return the op whose output an op works on; None for an input or a constant."""
        return next((source for source in self.ops[index].inputs if self.ops[source].kind != "constant"), None)

    @cached_property
    def parameters_read_by_others(self) -> frozenset[str]:
        """The names of the parameters and buffers that calls read which are not of the module that owns them."""
        found = {
            self.ops[source].key.partition("#")[0]
            for op in self.ops
            for source in op.inputs
            if self.ops[source].kind == "constant" and self.ops[source].key.rpartition(".")[0] != (op.module or "")
        }
        return frozenset(found)

    def is_link(self, index: int) -> bool:
        """Whether a chain can go on through an op: it has one input, beside its own parameters."""
        op = self.ops[index]
        return op.kind in CHAIN and sum(self.ops[source].kind != "constant" for source in op.inputs) == 1

    def follow(self, start: int) -> tuple[tuple[int, ...], str]:
        """Return the ops that follow an op one by one, and why they end."""
        chain: list[int] = []
        here = start
        while True:
            following = self.readers[here]
            if len(following) != 1:
                names = ", ".join(self.ops[index].name for index in following)
                ends = f"its output feeds {len(following)} ops ({names})" if following else "nothing reads it"
                return tuple(chain), ends
            here = following[0]
            if not self.is_link(here):
                return tuple(chain), _end_in_words(self.ops[here])
            chain.append(here)

    def is_spatial_pool(self, index: int) -> bool:
        """Whether an op is a pool that leaves more than one place: a norm behind a pool to 1x1 sees the batch alone."""
        op = self.ops[index]
        return op.kind == "pool" and math.prod(op.out_shape[2:]) > 1

    def sources(self, index: int) -> Iterator[int]:
        """Yield the ops that an op reads, without its own parameters."""
        return (source for source in self.ops[index].inputs if self.ops[source].kind != "constant")


def _end_in_words(op: Op) -> str:
    if op.kind == "weight":
        return f"the next weight op is {op.key}"
    return "it is the network's output" if op.kind == "output" else f"it goes into {op.name} ({op.key})"
