"""Placements in, edits out: what has to change in a network so that its norms stand where they should."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from placenorm.errors import UsageError
from placenorm.facts.edits import Action, BiasAction, Edit, Skip
from placenorm.facts.graph import Block, Graph, Op, Site
from placenorm.facts.placement import POLICIES, POSITIONS, Placement, Policy, Position

BlockFilter = str | Callable[[Block], bool] | None
"""Which blocks a placement speaks of: a path (``layer1``, ``layer*.conv1``), a predicate, or None for all."""

LARGEST_RANK = 5
"""Batch norms take tensors from [N, C] to [N, C, D, H, W]."""


@dataclass(frozen=True, slots=True)
class EditPlan:
    """What a placement means for one network.

    Attributes:
        edits: the changes, one a norm.
        skipped: what the placement asks for and the network does not allow, with the reason.
        matched: how many blocks the placement speaks of.
        placement: the position of every block when done, and of the joins that the placement names.
    """

    edits: tuple[Edit, ...]
    skipped: tuple[Skip, ...]
    matched: int
    placement: dict[str, Position]


def check_placement(placement: Placement) -> None:
    """Raise an error unless a placement is a named policy or maps block keys to positions.

    Raises:
        UsageError: naming the word that is wrong and the words there are.
    """
    if isinstance(placement, str):
        if placement not in POLICIES:
            raise UsageError(f"Unknown placement {placement!r}: use one of {', '.join(POLICIES)}, or a mapping.")
        return
    if not isinstance(placement, Mapping):
        words = ", ".join(POLICIES)
        raise UsageError(
            f"Cannot place by a {type(placement).__name__}: give one of {words}, a mapping, or the path of a file that "
            "holds one."
        )
    for key, position in placement.items():
        if position not in POSITIONS:
            raise UsageError(f"Unknown position {position!r} for block {key!r}: use one of {', '.join(POSITIONS)}.")


def plan_edits(graph: Graph, placement: Placement, only: BlockFilter = None) -> EditPlan:
    """Return the edits that bring a network to a placement.

    A named policy speaks of every block. It adds no norm to an exempt block (the logits, for one) and leaves a norm
    that an exempt block has; ``none`` removes that too. At a join it moves or removes the norm and never adds one. A
    mapping speaks of the blocks and joins it lists and puts their norms wherever it says.

    Args:
        graph: the network.
        placement: a policy, or positions by block key.
        only: the blocks to restrict it to; the others stay as they are.

    Raises:
        UsageError: if the placement has an unknown word.
    """
    check_placement(placement)
    if only is not None and not isinstance(only, str) and not callable(only):
        raise UsageError(
            f"Cannot filter by a {type(only).__name__}: give a path such as 'layer1', or a function of a block "
            "(its .key)."
        )
    wanted = _wanted(graph, placement, only)
    if placement == "as-is":
        return EditPlan((), (), len(wanted), graph.placement())
    found: list[Edit] = []
    skipped: list[Skip] = []
    for block, target in wanted:
        if isinstance(placement, str) and placement != "none" and block.exempt and not block.norms:
            skipped.append(Skip(block.key, f"no norm is added: {block.exempt}"))
        reason = _why_not(graph, block, target)
        if reason:
            skipped.append(Skip(block.key, reason))
            continue
        found.extend(_edits(block, target))
        if placement in ("after-activation", "after-pool") and block.unknown and not block.exempt:
            follows = f"no activation that tracing knows follows (its output goes into {block.unknown})"
            skipped.append(Skip(block.key, f"{follows}, so its norm stays on the weight op"))
    edits, refused = _unite(graph, found)
    positions = {**graph.placement(), **{block.key: target for block, target in wanted}}
    undone = {skip.site for skip in (*skipped, *refused)}
    was = graph.placement()
    for key in undone & positions.keys():
        kept = any(edit.block == key or key in edit.also for edit in edits)
        positions[key] = positions[key] if kept else was.get(key, "none")
    skipped.extend(refused)
    if isinstance(placement, str):
        skipped.extend(_norms_outside_blocks(graph))
    else:
        known = {block.key for block in (*graph.blocks, *graph.joins)}
        skipped.extend(Skip(key, _unknown(key, known)) for key in placement if key not in known)
    return EditPlan(edits, tuple(skipped), len(wanted), positions)


def _unknown(key: str, known: Iterable[str]) -> str:
    near = get_close_matches(key, known, n=3)
    return "no block of the network has this key" + f"; did you mean {' or '.join(near)}?" * bool(near)


def policy_position(block: Block, policy: Policy) -> Position:
    """Return where a named policy wants the norm of a block."""
    if policy == "none":
        return "none"
    if policy == "as-is" or (block.joined and not block.norms):
        return block.position
    if block.exempt and not block.joined:
        return block.position
    here: set[Position] = {site.position for site in block.sites}
    if policy == "after-pool" and "after-pool" in here:
        return "after-pool"
    if policy in ("after-pool", "after-activation") and "after-activation" in here:
        return "after-activation"
    return "before-activation"  # a block without an activation of its own keeps its norm on the weight op


def place_of(op: Op) -> tuple[str, int, str]:
    """Return where in the source an op stands: the same for all calls that one line makes."""
    return op.owner, op.ordinal, op.key if op.ordinal < 0 else ""


def _wanted(graph: Graph, placement: Placement, only: BlockFilter) -> list[tuple[Block, Position]]:
    """Return the blocks that a placement speaks of, with the position that it wants for each."""
    if isinstance(placement, str):
        return [(block, policy_position(block, placement)) for block in graph.blocks if _matches(block, only)]
    blocks = (*graph.blocks, *(join for join in graph.joins if join.key in placement))
    return [(block, placement[block.key]) for block in blocks if block.key in placement and _matches(block, only)]


def _matches(block: Block, only: BlockFilter) -> bool:
    if only is None:
        return True
    if callable(only):
        return bool(only(block))
    return block.key == only or block.key.startswith((f"{only}.", f"{only}:")) or fnmatchcase(block.key, only)


def _why_not(graph: Graph, block: Block, target: Position) -> str:
    """Return why a block cannot be brought to a position; "" if it can or is there already."""
    if target == "none" or (target == block.position and len(block.norms) < 2):
        return ""
    opening = graph.ops[block.weight]
    if opening.channel_axis < 1:
        return f"its output {list(opening.out_shape)} has no batch axis, so the example input has none; give one"
    if len(block.norms) > 1:
        return f"it has {len(block.norms)} norms ({', '.join(graph.ops[index].key for index in block.norms)})"
    site = _site(block, target)
    if site is None:
        if target == "after-pool-before-activation":
            return "it has no max pool next to an activation that never falls, so they cannot change places"
        return (
            f"it has no {'activation' if target == 'after-activation' else 'activation with a spatial pool behind it'}"
        )
    shape = graph.ops[site.after].out_shape
    if opening.channel_axis > 1 and (len(shape) != len(opening.out_shape) or shape[-1] != opening.out_shape[-1]):
        return f"its features are last, on {list(opening.out_shape)}, and not where the norm would be, on {list(shape)}"
    if len(shape) < 2:
        return f"the tensor there has the shape {list(shape)}, in which no axis holds channels"
    if len(shape) > LARGEST_RANK and opening.channel_axis == 1:
        return f"no batch norm takes a tensor of rank {len(shape)}, and there it has the shape {list(shape)}"
    return ""


def _site(block: Block, target: Position) -> Site | None:
    return next((site for site in block.sites if site.position == target), None)


def _edits(block: Block, target: Position) -> list[Edit]:
    """Return the edits of one block; none if its norm is where it should be."""
    if target == "none":
        return [
            Edit(block.key, "remove", block.position, "none", index, None, _bias(block, "none"))
            for index in block.norms
        ]
    if target == block.position:
        return []
    site = _site(block, target)
    assert site is not None
    action: Action = "move" if block.norms else "insert"
    norm = block.norms[0] if block.norms else None
    bias = _bias(block, target)
    return [
        Edit(block.key, action, block.position, target, norm, site.after, bias, before_op=site.before, swaps=site.swaps)
    ]


def _bias(block: Block, target: Position) -> BiasAction:
    """Return what happens to a weight op's bias: a norm straight behind it cancels it."""
    if block.joined:
        return "keep"
    if target == "before-activation":
        return "drop"
    return "add" if block.position == "before-activation" else "keep"


def _unite(graph: Graph, edits: list[Edit]) -> tuple[tuple[Edit, ...], list[Skip]]:
    """Return edits with those of one line of the source as one, and what cannot be done to all calls of a line."""
    blocks = {block.key: block for block in (*graph.blocks, *graph.joins)}
    lines: defaultdict[tuple[str, int, str], list[Block]] = defaultdict(list)
    for block in blocks.values():
        lines[place_of(graph.ops[block.weight])].append(block)
    of_block: defaultdict[str, list[Edit]] = defaultdict(list)
    for edit in edits:
        of_block[edit.block].append(edit)
    refused: dict[str, str] = {}
    for calls in lines.values():
        wanted = {block.key: [_in_source(graph, edit) for edit in of_block[block.key]] for block in calls}
        first = next(iter(wanted.values()))
        if any(other != first for other in wanted.values()) and not any(block.joined for block in calls):
            names = ", ".join(wanted)
            refused |= dict.fromkeys(wanted, f"one line of the source runs as {names}, which would differ; list all")
    moved: defaultdict[str, set[int]] = defaultdict(set)
    for edit in edits:
        if edit.norm is not None and edit.block not in refused:
            moved[graph.ops[edit.norm].module or ""].add(edit.norm)
    for edit in edits:
        module = graph.ops[edit.norm].module if edit.norm is not None else None
        if module is None:
            continue
        others = [op.key for i, op in enumerate(graph.ops) if op.module == module and i not in moved[module]]
        if [key for key in others if not key.startswith(f"{module}.")]:
            refused.setdefault(edit.block, f"its norm {module} also normalises elsewhere ({', '.join(others)})")
    united: dict[object, Edit] = {}
    for edit in edits:
        if edit.block in refused:
            continue
        line = (place_of(graph.ops[blocks[edit.block].weight]), _in_source(graph, edit))
        known = united.get(line)
        united[line] = edit if known is None else replace(known, also=(*known.also, edit.block))
    kept = _settle_biases(graph, tuple(united.values()), blocks)
    return kept, [Skip(key, reason) for key, reason in refused.items() if of_block[key]]


def _in_source(graph: Graph, edit: Edit) -> tuple[object, ...]:
    """Return an edit in terms of the source's lines, so that edits of several calls of a line can be compared."""
    indices = (edit.norm, edit.anchor, edit.before_op, edit.swaps)
    return (edit.action, edit.after, *(None if index is None else place_of(graph.ops[index]) for index in indices))


def _settle_biases(graph: Graph, edits: tuple[Edit, ...], blocks: Mapping[str, Block]) -> tuple[Edit, ...]:
    """Return edits in which a module that stands on several lines loses its bias only if a norm follows each."""
    after = {block.key: block.position for block in blocks.values()}
    after |= {key: edit.after for edit in edits for key in (edit.block, *edit.also)}
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for block in blocks.values():
        module = graph.ops[block.weight].module
        if module is not None and not block.joined:
            keys[module].append(block.key)
    settled = []
    for edit in edits:
        module = graph.ops[blocks[edit.block].weight].module
        if edit.bias == "drop" and module and any(after[key] != "before-activation" for key in keys[module]):
            edit = replace(edit, bias="keep")  # noqa: PLW2901 - the same edit, corrected
        settled.append(edit)
    return tuple(settled)


def _norms_outside_blocks(graph: Graph) -> list[Skip]:
    """Return the norms that no block holds, which a named placement would have to touch."""
    norms = Counter(op.key for op in graph.ops if op.kind == "other-norm")
    seen = {op.key for op in graph.ops}
    return [
        Skip(part.where, f"{part.reason}; it stays as it is")
        for part in graph.unseen
        if part.where in norms or part.where not in seen
    ]
