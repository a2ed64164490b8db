"""Why a named placement adds no norm to a block: the output, gates, attention, what other norms already serve."""

import math

from placenorm.facts.graph import Op
from placenorm.graph.flow import CHAIN, Flow

_GATES = frozenset({"sigmoid", "hardsigmoid", "softmax"})
"""What brings a gate between 0 and 1, in small letters."""

_VIEWS = frozenset({"getitem", "expand", "expand_as", "chunk", "split", "unbind", "permute", "transpose", "attribute"})
"""What gives a value another shape or takes a part of it, beside reshapes."""

_ATTENTION = frozenset({"matmul", "bmm", "einsum", "scaled_dot_product_attention"})
"""What multiplies queries, keys and values."""


class Exemptions:
    """What every block of a network is exempt for.

    Args:
        flow: the network.
    """

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._ops = flow.ops
        self._leads_on = self._lead_to_weight()
        self._gates = self._find_gates()

    def explain(self, weight: int, chain: tuple[int, ...]) -> str:
        """Return why a named placement adds no norm to the block of a weight op; "" where it may."""
        op = self._ops[weight]
        if not self._leads_on[weight]:
            return "it gives the network's output"
        if op.channel_axis != 1:
            return explain_axis(op)
        if weight in self._gates:
            return "it computes a gate"
        if len(op.out_shape) > 2 and math.prod(op.in_shape[2:]) == 1 and self._behind_pool(weight):
            return "it sees a single place behind a pool"
        if self._serves_attention(weight):
            return "it is a projection of an attention"
        behind = self._flow.readers[chain[-1] if chain else weight]
        other = next((self._ops[index] for index in behind if self._ops[index].kind == "other-norm"), None)
        if other is not None:
            return f"it carries {other.name}, {other.unseen}" if other.unseen else f"it carries {other.name}"
        norm = self._norm_behind_join(chain[-1] if chain else weight)
        return "" if norm is None else f"{self._ops[norm].key} normalises it behind a join"

    def _lead_to_weight(self) -> list[bool]:
        """Return, for every op, whether a weight op stands behind it."""
        leads = [False] * len(self._ops)
        for index in reversed(range(len(self._ops))):
            leads[index] = any(
                self._ops[reader].kind == "weight" or leads[reader] for reader in self._flow.readers[index]
            )
        return leads

    def _find_gates(self) -> set[int]:
        """Return the weight ops that compute a gate: the last, and those between it and the pool that feeds it."""
        found: set[int] = set()
        for index, op in enumerate(self._ops):
            if op.name.lower() not in _GATES or not self._is_factor(index, own=set(op.inputs)):
                continue
            pending, done = list(op.inputs), set()
            while pending:
                source = pending.pop()
                if source in done or self._ops[source].kind not in (CHAIN | {"weight", "join"}) - {"pool"}:
                    continue
                done.add(source)
                if self._ops[source].kind in CHAIN or self._behind_pool(source):
                    pending.extend(self._ops[source].inputs)
            found.update(source for source in done if self._ops[source].kind == "weight")
        return found

    def _is_factor(self, index: int, own: set[int]) -> bool:
        """Whether an op's output, in whatever shape, multiplies another value than its own input."""
        return any(
            (op.kind == "join" and op.name in ("mul", "rmul", "imul") and not own & set(op.inputs))
            or ((op.kind == "reshape" or op.name in _VIEWS) and self._is_factor(reader, own))
            for reader, op in ((reader, self._ops[reader]) for reader in self._flow.readers[index])
        )

    def _behind_pool(self, index: int) -> bool:
        """Whether an op reads, through any ops, what a pool or a mean has brought down to one place."""
        pending, done = list(self._ops[index].inputs), set()
        while pending:
            source = pending.pop()
            if source in done or math.prod(self._ops[source].out_shape[2:]) > 1:
                continue
            done.add(source)
            if math.prod(self._ops[source].in_shape[2:]) > 1:
                return self._ops[source].kind not in ("weight", "reshape")
            pending.extend(self._ops[source].inputs)
        return False

    def _serves_attention(self, weight: int) -> bool:
        """Whether a weight op gives queries, keys or values, or reads what they have been brought to."""
        return self._reaches(weight, self._flow.readers) or self._reaches(
            weight, [list(self._flow.sources(index)) for index in range(len(self._ops))]
        )

    def _reaches(self, start: int, ways: list[list[int]]) -> bool:
        """Whether ops that only reshape, scale and add lead from an op to an attention's product."""
        pending, done = list(ways[start]), set()
        while pending:
            here = pending.pop()
            op = self._ops[here]
            if here in done:
                continue
            done.add(here)
            if op.name in _ATTENTION:
                return True
            if op.kind in ("reshape", "identity", "dropout", "norm") or op.name in _VIEWS or op.name == "softmax":
                pending.extend(ways[here])
        return False

    def _norm_behind_join(self, last: int) -> int | None:
        """Return the norm that a block's output meets behind a fork or one join, before any weight op.

        It may stand behind the activation there: a placement that moves it must not make room for another one.
        """
        forked = len(self._flow.readers[last]) > 1
        pending = [(reader, False) for reader in self._flow.readers[last]]
        while pending:
            here, joined = pending.pop()
            op = self._ops[here]
            if op.kind == "norm":
                return here
            if op.kind == "join" and not joined:
                pending.extend((reader, True) for reader in self._flow.readers[here])
            elif op.kind in ("reshape", "identity", "dropout", "pool") or (
                op.kind == "activation" and (joined or forked)
            ):
                pending.extend((reader, joined) for reader in self._flow.readers[here])
        return None


def explain_axis(op: Op) -> str:
    """Return why a named placement puts no norm behind a weight op, by the axis of its channels; "" where it may."""
    if op.channel_axis == 1:
        return ""
    if op.channel_axis > 1:
        return f"a linear layer on {list(op.out_shape)} has its features last; a mapping can put a norm there"
    return f"its output {list(op.out_shape)} has its channels first, so the example input has no batch axis; give one"
