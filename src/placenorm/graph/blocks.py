"""Ops in, blocks out: every weight op with the chain it feeds, and the sites in that chain."""

import math

from placenorm.facts.graph import Block, Op, Site
from placenorm.facts.placement import Position

_CHAIN = frozenset({"norm", "activation", "pool", "dropout", "reshape", "identity"})


def find_blocks(ops: tuple[Op, ...]) -> tuple[Block, ...]:
    """Return the blocks of a network, in the order in which their weight ops run.

    Args:
        ops: the ops in the order they run.
    """
    readers = _readers(ops)
    leads_on = _lead_to_weight(ops, readers)
    return tuple(
        _block(ops, readers, index, last=not leads_on[index]) for index, op in enumerate(ops) if op.kind == "weight"
    )


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


def _block(ops: tuple[Op, ...], readers: list[list[int]], weight: int, *, last: bool) -> Block:
    chain, ends = _chain(ops, readers, weight)
    op = ops[weight]
    return Block(
        key=op.key,
        weight=weight,
        chain=chain,
        position=_position(ops, chain),
        norms=tuple(index for index in chain if ops[index].kind == "norm"),
        sites=_sites(ops, weight, chain),
        channels=op.out_shape[1] if len(op.out_shape) > 1 else 0,
        exempt=_exempt(ops, readers, weight, chain, last=last),
        ends=ends,
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


def _exempt(ops: tuple[Op, ...], readers: list[list[int]], weight: int, chain: tuple[int, ...], *, last: bool) -> str:
    """Return why a named placement adds no norm to a block; "" where it may."""
    op = ops[weight]
    if last:
        return "it gives the network's output"
    if len(op.out_shape) > 2 and op.name.lower() == "linear":
        return f"a linear layer on {list(op.out_shape)} has its features last, which is not there yet"
    if len(op.out_shape) > 2 and math.prod(op.in_shape[2:]) == 1 and _behind_pool(ops, weight):
        return "it sees a single place behind a pool"
    behind = chain[-1] if chain else weight
    other = next((ops[index].name for index in readers[behind] if "another norm" in ops[index].name), "")
    return f"it carries {other.split()[0]}" if other else ""


def _behind_pool(ops: tuple[Op, ...], index: int) -> bool:
    """Whether an op reads, through any ops, what a pool or a mean has brought down to one place."""
    pending, done = list(ops[index].inputs), set()
    while pending:
        source = pending.pop()
        if source in done or math.prod(ops[source].out_shape[2:]) > 1:
            continue
        done.add(source)
        if math.prod(ops[source].in_shape[2:]) > 1:
            return ops[source].kind != "weight"
        pending.extend(ops[source].inputs)
    return False
