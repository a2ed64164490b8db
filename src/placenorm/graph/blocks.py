"""Ops in, blocks out: every weight op with the chain it feeds, and every join that feeds a norm; and what is unseen."""

from placenorm.facts.graph import Block, Op, Site, Unseen
from placenorm.facts.placement import Position
from placenorm.graph.exemptions import Exemptions
from placenorm.graph.flow import SUMS, Flow
from placenorm.graph.vocabulary import activation_name

RISING = frozenset(
    {
        *("ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "Softplus", "Softsign", "Tanh", "Sigmoid"),
        *("LogSigmoid", "Hardtanh", "Hardsigmoid"),
    }
)
"""Activations that never fall: the largest of several values stays the largest, so a max pool may come before them."""

_ARITHMETIC = frozenset(f"{side}{name}" for name in ("add", "sub", "mul", "div", "truediv") for side in ("", "r", "i"))
"""What a number or a parameter does to a value: no activation."""

AT_JOIN = "it opens at a join, where a named placement adds none"


def find_blocks(ops: tuple[Op, ...]) -> tuple[Block, ...]:
    """Return the blocks of a network, in the order in which they open: at weight ops, and where a join feeds a norm.

    Args:
        ops: the ops in the order they run.
    """
    flow = Flow(ops)
    exemptions = Exemptions(flow)
    blocks = [_weight_block(flow, exemptions, index) for index, op in enumerate(ops) if op.kind == "weight"]
    held = {index for block in blocks for index in block.norms}
    for index, op in enumerate(ops):
        if op.kind == "norm" and index not in held:
            block = _block_before(flow, index)
            held.update(block.norms)
            blocks.append(block)
    return tuple(sorted(blocks, key=lambda block: block.weight))


def find_joins(ops: tuple[Op, ...], blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Return the joins without a norm as blocks: only a mapping puts a norm there.

    Args:
        ops: the ops in the order they run.
        blocks: the blocks there are.
    """
    flow = Flow(ops)
    taken = {block.key for block in blocks}
    return tuple(
        _join_block(flow, index, None)
        for index, op in enumerate(ops)
        if op.kind == "join" and op.name in SUMS and len(op.out_shape) > 1 and op.key not in taken
    )


def find_unseen(ops: tuple[Op, ...]) -> tuple[Unseen, ...]:
    """Return what tracing could not describe: values that no known call made, and norms in a forward of their own."""
    return tuple(Unseen(op.key, f"it is {op.name}, {op.unseen}") for op in ops if op.unseen)


def _weight_block(flow: Flow, exemptions: Exemptions, weight: int) -> Block:
    chain, ends = flow.follow(weight)
    op = flow.ops[weight]
    return Block(
        key=op.key,
        weight=weight,
        chain=chain,
        position=_position(flow, chain),
        norms=tuple(index for index in chain if flow.ops[index].kind == "norm"),
        sites=_sites(flow, Site("before-activation", weight), chain),
        channels=op.out_shape[op.channel_axis] if op.out_shape else 0,
        exempt=exemptions.explain(weight, chain),
        ends=ends,
        unknown=_unknown(flow, weight, chain),
    )


def _block_before(flow: Flow, norm: int) -> Block:
    """Return the block that opens where the way back from a norm meets a join, an input or a fork."""
    first = norm
    root = flow.source(norm)
    while root is not None and flow.is_link(root) and len(flow.readers[root]) == 1:
        first, root = root, flow.source(root)
    return _join_block(flow, first if root is None else root, first)


def _join_block(flow: Flow, root: int, first: int | None) -> Block:
    """Return the block of a join, or of one edge behind it where several ops read it."""
    op = flow.ops[root]
    forked = first is not None and first != root and len(flow.readers[root]) > 1
    if forked:
        assert first is not None
        behind, ends = flow.follow(first)
        chain = (first, *behind) if flow.is_link(first) else ()
    else:
        chain, ends = flow.follow(root)
    start = Site("before-activation", root)
    key = op.key
    if forked:
        rest = [index for index in chain if flow.ops[index].kind != "norm"]
        reader = rest[0] if rest else flow.readers[chain[-1]][0] if flow.readers[chain[-1]] else root
        key = f"{op.key}->{flow.ops[reader].key}"
        start = Site("before-activation", root, before=reader)
    return Block(
        key=key,
        weight=root,
        chain=chain,
        position=_position(flow, chain),
        norms=tuple(index for index in chain if flow.ops[index].kind == "norm"),
        sites=_sites(flow, start, chain),
        channels=op.out_shape[1] if len(op.out_shape) > 1 else 0,
        exempt=AT_JOIN,
        ends=ends,
        joined=True,
    )


def _sites(flow: Flow, start: Site, chain: tuple[int, ...]) -> tuple[Site, ...]:
    """Return where in a block a norm can stand, in order."""
    sites = [start]
    plain = [index for index in chain if flow.ops[index].kind not in ("norm", "identity")]
    place = next((place for place, index in enumerate(plain) if flow.ops[index].kind == "activation"), None)
    if place is None:
        return tuple(sites)
    activation = plain[place]
    pooled = place + 1 < len(plain) and flow.is_spatial_pool(plain[place + 1])
    if place and flow.is_spatial_pool(plain[place - 1]):
        sites.append(Site("after-pool-before-activation", plain[place - 1]))
    elif pooled and _commute(flow.ops[activation], flow.ops[plain[place + 1]]):
        sites.append(Site("after-pool-before-activation", plain[place + 1], swaps=activation))
    sites.append(Site("after-activation", activation))
    if pooled:
        sites.append(Site("after-pool", plain[place + 1]))
    return tuple(sites)


def _commute(activation: Op, pool: Op) -> bool:
    """Whether a pool and an activation may change places: a max pool, and an activation that never falls."""
    return activation_name(activation.name) in RISING and "max" in pool.name.lower()


def _position(flow: Flow, chain: tuple[int, ...]) -> Position:
    """Return where the first norm of a chain stands."""
    kinds = [flow.ops[index].kind for index in chain]
    if "norm" not in kinds:
        return "none"
    before = kinds[: kinds.index("norm")]
    if "activation" not in before:
        spatial = any(flow.is_spatial_pool(index) for index in chain[: len(before)])
        return "after-pool-before-activation" if spatial and "activation" in kinds else "before-activation"
    return "after-pool" if "pool" in before[before.index("activation") :] else "after-activation"


def _unknown(flow: Flow, weight: int, chain: tuple[int, ...]) -> str:
    """Return what a chain without an activation ends at, if that may be one; "" if not."""
    last = chain[-1] if chain else weight
    following = flow.readers[last]
    if any(flow.ops[index].kind == "activation" for index in chain) or not any(
        _may_activate(flow, index, last) for index in following
    ):
        return ""
    return ", ".join(f"{flow.ops[index].name} ({flow.ops[index].key})" for index in following)


def _may_activate(flow: Flow, index: int, source: int) -> bool:
    """Whether an op may be an activation of what it reads, or the last step of one (``x * sigmoid(x)``)."""
    op = flow.ops[index]
    if op.kind == "other":
        return op.out_shape == op.in_shape and op.name not in _ARITHMETIC
    return (
        op.kind == "join"
        and op.name not in SUMS
        and all(other == source or _is_made_of(flow, other, source) for other in flow.sources(index))
    )


def _is_made_of(flow: Flow, index: int, source: int) -> bool:
    """Whether a value was made of another one alone, place by place."""
    here: int | None = index
    while here is not None and here != source:
        op = flow.ops[here]
        if op.kind not in ("activation", "other") or op.in_shape != op.out_shape or len(list(flow.sources(here))) != 1:
            return False
        here = flow.source(here)
    return here == source
