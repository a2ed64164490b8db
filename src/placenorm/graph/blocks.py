"""Ops in, blocks out: every weight op with the chain it feeds, and the sites in that chain; and what stays unseen."""

import math

from placenorm.facts.graph import Block, Op, Site, Unseen
from placenorm.facts.placement import Position

_CHAIN = frozenset({"norm", "activation", "pool", "dropout", "reshape", "identity"})

_GATES = frozenset({"sigmoid", "hardsigmoid", "softmax"})
"""What brings a gate between 0 and 1, in small letters."""

_VIEWS = frozenset({"getitem", "expand", "expand_as"})
"""What gives a gate the shape of what it multiplies, beside reshapes."""

_SUMS = frozenset({"add", "iadd", "sub", "cat", "concat", "stack"})
"""Joins that a branch without an activation of its own ends at; a product may be an activation (``x * sigmoid(x)``)."""


def find_blocks(ops: tuple[Op, ...]) -> tuple[Block, ...]:
    """Return the blocks of a network, in the order in which their weight ops run.

    Args:
        ops: the ops in the order they run.
    """
    readers = _readers(ops)
    leads_on = _lead_to_weight(ops, readers)
    gates = _gates(ops, readers)
    return tuple(
        _block(ops, readers, index, last=not leads_on[index], gate=index in gates)
        for index, op in enumerate(ops)
        if op.kind == "weight"
    )


def find_unseen(ops: tuple[Op, ...], blocks: tuple[Block, ...]) -> tuple[Unseen, ...]:
    """Return what tracing could not describe: ops that are not known, and norms that no block holds."""
    held = {index for block in blocks for index in block.norms}
    unseen = []
    for index, op in enumerate(ops):
        if op.unseen:
            unseen.append(Unseen(op.key, f"it is {op.name}, {op.unseen}"))
        elif op.kind == "norm" and index not in held:
            unseen.append(Unseen(op.key, "it normalises an input or a join of the network, which is not there yet"))
    return tuple(unseen)


def explain_axis(op: Op) -> str:
    """Return why no norm can stand behind a weight op, by the axis of its channels; "" where it can."""
    if op.channel_axis == 1:
        return ""
    if op.channel_axis > 1:
        return f"a linear layer on {list(op.out_shape)} has its features last, which is not there yet"
    return f"its output {list(op.out_shape)} has its channels first, so the example input has no batch axis; give one"


def _readers(ops: tuple[Op, ...]) -> list[list[int]]:
    """Return, for every op, the ops that read its output."""
    readers: list[list[int]] = [[] for _ in ops]
    for index, op in enumerate(ops):
        for source in op.inputs:
            readers[source].append(index)
    return readers


def _lead_to_weight(ops: tuple[Op, ...], readers: list[list[int]]) -> list[bool]:
    """Return, for every op, whether a weight op stands behind it."""
    leads = [False] * len(ops)
    for index in reversed(range(len(ops))):
        leads[index] = any(ops[reader].kind == "weight" or leads[reader] for reader in readers[index])
    return leads


def _block(ops: tuple[Op, ...], readers: list[list[int]], weight: int, *, last: bool, gate: bool) -> Block:
    chain, ends = _chain(ops, readers, weight)
    op = ops[weight]
    return Block(
        key=op.key,
        weight=weight,
        chain=chain,
        position=_position(ops, chain),
        norms=tuple(index for index in chain if ops[index].kind == "norm"),
        sites=_sites(ops, weight, chain),
        channels=op.out_shape[op.channel_axis] if op.out_shape else 0,
        exempt=_exempt(ops, readers, weight, chain, last=last, gate=gate),
        ends=ends,
        unknown=_unknown(ops, readers, weight, chain),
    )


def _chain(ops: tuple[Op, ...], readers: list[list[int]], weight: int) -> tuple[tuple[int, ...], str]:
    """Return the ops that follow a weight op one by one, and why they end."""
    chain: list[int] = []
    here = weight
    while True:
        following = readers[here]
        if len(following) != 1:
            names = ", ".join(ops[index].name for index in following)
            return tuple(chain), f"its output feeds {len(following)} ops ({names})" if following else "nothing reads it"
        here = following[0]
        if ops[here].kind not in _CHAIN or len(ops[here].inputs) != 1 + _extra_inputs(ops, here):
            return tuple(chain), _end_in_words(ops[here])
        chain.append(here)


def _extra_inputs(ops: tuple[Op, ...], index: int) -> int:
    """Return how many constants an op of a chain reads beside its input (the weights of a functional norm)."""
    return sum(ops[source].kind == "constant" for source in ops[index].inputs)


def _end_in_words(op: Op) -> str:
    if op.kind == "weight":
        return f"the next weight op is {op.key}"
    return "it is the network's output" if op.kind == "output" else f"it goes into {op.name} ({op.key})"


def _is_spatial_pool(op: Op) -> bool:
    """Whether an op is a pool that leaves more than one place: a norm behind a pool to 1x1 sees the batch alone."""
    return op.kind == "pool" and math.prod(op.out_shape[2:]) > 1


def _sites(ops: tuple[Op, ...], weight: int, chain: tuple[int, ...]) -> tuple[Site, ...]:
    """Return where in a block a norm can stand."""
    sites = [Site("before-activation", weight)]
    plain = [index for index in chain if ops[index].kind not in ("norm", "identity")]
    for place, index in enumerate(plain):
        if ops[index].kind != "activation":
            continue
        sites.append(Site("after-activation", index))
        if place + 1 < len(plain) and _is_spatial_pool(ops[plain[place + 1]]):
            sites.append(Site("after-pool", plain[place + 1]))
        break
    return tuple(sites)


def _position(ops: tuple[Op, ...], chain: tuple[int, ...]) -> Position:
    """Return where the first norm of a chain stands."""
    kinds = [ops[index].kind for index in chain]
    if "norm" not in kinds:
        return "none"
    before = kinds[: kinds.index("norm")]
    if "activation" not in before:
        return "after-pool-before-activation" if "pool" in before else "before-activation"
    return "after-pool" if "pool" in before[before.index("activation") :] else "after-activation"


def _unknown(ops: tuple[Op, ...], readers: list[list[int]], weight: int, chain: tuple[int, ...]) -> str:
    """Return what a chain without an activation ends at, if that may be one; "" if not."""
    following = readers[chain[-1] if chain else weight]
    if any(ops[index].kind == "activation" for index in chain) or not any(
        ops[index].kind == "other"
        or (ops[index].kind == "join" and ops[index].name not in _SUMS)
        or (ops[index].kind == "activation" and not readers[index])  # in place, its result unused
        for index in following
    ):
        return ""
    return ", ".join(f"{ops[index].name} ({ops[index].key})" for index in following)


def _gates(ops: tuple[Op, ...], readers: list[list[int]]) -> set[int]:
    """Return the weight ops that compute a gate: the one before it, and those between it and the pool that feeds it."""
    found: set[int] = set()
    for index, op in enumerate(ops):
        if op.name.lower() not in _GATES or not _is_factor(ops, readers, index, own=set(op.inputs)):
            continue
        pending, done = list(op.inputs), set()
        while pending:
            source = pending.pop()
            if source in done or ops[source].kind not in (_CHAIN | {"weight", "join"}) - {"pool"}:
                continue
            done.add(source)
            if ops[source].kind in _CHAIN or _behind_pool(ops, source):
                pending.extend(ops[source].inputs)
        found.update(source for source in done if ops[source].kind == "weight")
    return found


def _is_factor(ops: tuple[Op, ...], readers: list[list[int]], index: int, own: set[int]) -> bool:
    """Whether an op's output, in whatever shape, multiplies another value than its own input (``x * sigmoid(x)``)."""
    return any(
        (ops[reader].kind == "join" and ops[reader].name in ("mul", "imul") and not own & set(ops[reader].inputs))
        or ((ops[reader].kind == "reshape" or ops[reader].name in _VIEWS) and _is_factor(ops, readers, reader, own))
        for reader in readers[index]
    )


def _exempt(
    ops: tuple[Op, ...], readers: list[list[int]], weight: int, chain: tuple[int, ...], *, last: bool, gate: bool
) -> str:
    """Return why a named placement adds no norm to a block; "" where it may."""
    op = ops[weight]
    if last:
        return "it gives the network's output"
    if op.channel_axis != 1:
        return explain_axis(op)
    if gate:
        return "it computes a gate"
    if len(op.out_shape) > 2 and math.prod(op.in_shape[2:]) == 1 and _behind_pool(ops, weight):
        return "it sees a single place behind a pool"
    behind = readers[chain[-1] if chain else weight]
    other = next((ops[index] for index in behind if ops[index].kind == "other-norm"), None)
    if other is None:
        return ""
    return f"it carries {other.name}, {other.unseen}" if other.unseen else f"it carries {other.name}"


def _behind_pool(ops: tuple[Op, ...], index: int) -> bool:
    """Whether an op reads, through any ops, what a pool or a mean has brought down to one place."""
    pending, done = list(ops[index].inputs), set()
    while pending:
        source = pending.pop()
        if source in done or math.prod(ops[source].out_shape[2:]) > 1:
            continue
        done.add(source)
        if math.prod(ops[source].in_shape[2:]) > 1:
            return ops[source].kind not in ("weight", "reshape")
        pending.extend(ops[source].inputs)
    return False
