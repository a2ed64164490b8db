"""Placements in, edits out: what has to change in a network so that its norms stand where they should."""

from collections import Counter
from dataclasses import dataclass

from placenorm.errors import UsageError
from placenorm.facts.edits import Action, BiasAction, Edit, Skip
from placenorm.facts.graph import Block, Graph
from placenorm.facts.placement import POLICIES, POSITIONS, Placement, Policy, Position
from placenorm.graph.blocks import explain_axis


@dataclass(frozen=True, slots=True)
class EditPlan:
    """What a placement means for one network.

    Attributes:
        edits: the changes, one a norm.
        skipped: what the placement asks for and the network does not allow, with the reason.
        matched: how many blocks the placement speaks of.
    """

    edits: tuple[Edit, ...]
    skipped: tuple[Skip, ...]
    matched: int


def check_placement(placement: Placement) -> None:
    """Raise an error unless a placement is a named policy or maps block keys to positions.

    Raises:
        UsageError: naming the word that is wrong and the words there are.
    """
    if isinstance(placement, str):
        if placement not in POLICIES:
            raise UsageError(f"Unknown placement {placement!r}: use one of {', '.join(POLICIES)}, or a mapping.")
        return
    for key, position in placement.items():
        if position not in POSITIONS:
            raise UsageError(f"Unknown position {position!r} for block {key!r}: use one of {', '.join(POSITIONS)}.")


def plan_edits(graph: Graph, placement: Placement) -> EditPlan:
    """Return the edits that bring a network to a placement.

    A named policy speaks of every block. It adds no norm to an exempt block (the logits, for one) and leaves a norm
    that an exempt block has; ``none`` removes that too. A mapping speaks of the blocks it lists and moves their norms
    wherever it says.

    Args:
        graph: the network.
        placement: a policy, or positions by block key.

    Raises:
        UsageError: if the placement has an unknown word.
    """
    check_placement(placement)
    if placement == "as-is":
        return EditPlan((), (), len(graph.blocks))
    runs: Counter[str | None] = Counter(op.module for op in graph.ops if op.module is not None)
    edits: list[Edit] = []
    skipped: list[Skip] = []
    matched = 0
    for block in graph.blocks:
        if isinstance(placement, str):
            target = policy_position(block, placement)
            if block.exempt and placement != "none" and not block.norms:
                skipped.append(Skip(block.key, f"no norm is added: {block.exempt}"))
        elif block.key in placement:
            target = placement[block.key]
        else:
            continue
        matched += 1
        reason = _why_not(graph, block, target, runs)
        if reason:
            skipped.append(Skip(block.key, reason))
            continue
        edits.extend(_edits(graph, block, target))
        if placement in ("after-activation", "after-pool") and block.unknown and not block.exempt:
            follows = f"no activation that tracing knows follows (its output goes into {block.unknown})"
            skipped.append(Skip(block.key, f"{follows}, so its norm stays on the weight op"))
    skipped.extend(_norms_outside_blocks(graph, placement))
    if not isinstance(placement, str):
        known = {block.key for block in graph.blocks}
        skipped.extend(Skip(key, "no block of the network has this key") for key in placement if key not in known)
    return EditPlan(tuple(edits), tuple(skipped), matched)


def policy_position(block: Block, policy: Policy) -> Position:
    """Return where a named policy wants the norm of a block."""
    if policy == "none":
        return "none"
    if policy == "as-is" or block.exempt:
        return block.position
    here: set[Position] = {site.position for site in block.sites}
    if policy == "after-pool" and "after-pool" in here:
        return "after-pool"
    if policy in ("after-pool", "after-activation") and "after-activation" in here:
        return "after-activation"
    return "before-activation"  # a block without an activation of its own keeps its norm on the weight op


def _why_not(graph: Graph, block: Block, target: Position, runs: Counter[str | None]) -> str:
    """Return why a block cannot be brought to a position; "" if it can or is there already."""
    if target == block.position and len(block.norms) < 2:
        return ""
    weight = graph.ops[block.weight]
    if weight.channel_axis != 1:
        return explain_axis(weight)
    if weight.module is not None and runs[weight.module] > 1:
        return f"{weight.module} runs {runs[weight.module]} times in one forward pass, which is not there yet"
    for index in block.norms:
        norm = graph.ops[index]
        if norm.module is None:
            return f"its norm is a functional call ({norm.key}), which is not there yet"
        if runs[norm.module] > 1:
            return f"its norm {norm.module} runs {runs[norm.module]} times in one forward pass"
    if target == "none":
        return ""
    if len(block.norms) > 1:
        return f"it has {len(block.norms)} norms ({', '.join(graph.ops[index].key for index in block.norms)})"
    if target == "after-pool-before-activation":
        return "the position after-pool-before-activation is not there yet"
    if target not in {site.position for site in block.sites}:
        missing = "activation" if target == "after-activation" else "activation with a spatial pool behind it"
        return f"it has no {missing}"
    return ""


def _edits(graph: Graph, block: Block, target: Position) -> list[Edit]:
    """Return the edits of one block; none if its norm is where it should be."""
    if target == "none":
        return [
            Edit(block.key, "remove", block.position, "none", index, None, _bias(block, "none"))
            for index in block.norms
        ]
    if target == block.position:
        return []
    anchor = next(site.after for site in block.sites if site.position == target)
    action: Action = "move" if block.norms else "insert"
    norm = block.norms[0] if block.norms else None
    return [Edit(block.key, action, block.position, target, norm, anchor, _bias(block, target))]


def _bias(block: Block, target: Position) -> BiasAction:
    """Return what happens to a weight op's bias: a norm straight behind it cancels it."""
    if target == "before-activation":
        return "drop"
    return "add" if block.position == "before-activation" else "keep"


def _norms_outside_blocks(graph: Graph, placement: Placement) -> list[Skip]:
    """Return the norms that no block holds, which a named placement would have to touch."""
    if not isinstance(placement, str):
        return []
    norms = {op.key for op in graph.ops if op.kind in ("norm", "other-norm")}
    return [Skip(part.where, f"{part.reason}; it stays as it is") for part in graph.unseen if part.where in norms]
