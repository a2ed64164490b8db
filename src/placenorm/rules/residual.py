"""Rules about norms where values join: additions, concatenations, pre-activation."""

from collections.abc import Iterator

from placenorm.facts.graph import Block
from placenorm.rules.evidence import GCR_AFTER_ADD, HE_AFTER_ADD, HE_PRE_ACTIVATION, IMAGENET_AFTER_ADD
from placenorm.rules.layout import BEHIND_ACTIVATION, Layout
from placenorm.rules.rule import Hit, Rule, say_blocks, say_count

ADDITIONS = frozenset({"add", "iadd", "radd"})
"""Names of the joins that add up branches."""


def find_norm_on_branch(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where a branch without an activation of its own ends at an addition.

    What it does:
        Looks for blocks whose norm stands on the branch of an addition, with no activation between.

    Why it matters:
        "After the activation" would be behind the addition there, which doubled the error of a 110-layer network.

    When to ignore it:
        At 50 layers and fewer on ImageNet the place made no difference.

    Example:
        The second conv of a ResNet's basic block.

    Use instead:
        Keep the norm on the branch, before the addition.

    Fix safety:
        Nothing is changed.

    Evidence:
        He et al. 2016, Table 2; gcr/torch-residual-networks; Gross & Wilber 2016.
    """
    keys = tuple(
        block.key
        for block in layout.blocks_at(frozenset({"before-activation"}))
        if not block.joined and layout.activation_of(block) is None and _feeds_addition(layout, block)
    )
    if keys:
        yield Hit(
            keys,
            f"{say_count(len(keys), 'block')} ({say_blocks(keys)}) end{'s' if len(keys) == 1 else ''} at an addition "
            "without an activation of its own, so the norm stays on the branch. Behind the addition it did harm in "
            "deep networks and none in one of 50 layers.",
        )


def find_residual_order(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where norms stand behind activations in a network with additions.

    What it does:
        Looks for additions of branches, and in such a network for norms behind activations.

    Why it matters:
        What plain networks show about the order does not carry over to branches that are added up; there the order
        norm, activation, weight op did best.

    When to ignore it:
        When you have measured it.

    Example:
        The first conv of a ResNet's basic block, with its norm behind the ReLU.

    Use instead:
        The norm in front of the activation.

    Fix safety:
        Moving a norm gives another network; it has to be trained again.

    Evidence:
        He et al. 2016, Table 2 and section 3.
    """
    added = any(op.kind == "join" and op.name in ADDITIONS for op in layout.graph.ops)
    keys = tuple(block.key for block in layout.blocks_at(BEHIND_ACTIVATION) if added and not block.joined)
    if keys:
        yield Hit(
            keys,
            f"This network adds up branches, and {say_count(len(keys), 'norm')} would stand behind an activation. What "
            'plain networks show does not carry over: "for branched layers merged by addition, the position of '
            'activation matters" (He et al.), and the order that did best there has the norm in front of it.',
        )


def find_moved_pre_activation(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where a norm that stands in front of an activation at a join would go behind it.

    What it does:
        Looks for blocks that open at a join (DenseNet, pre-activation ResNets) and whose norm moves.

    Why it matters:
        The order norm, activation, weight op is what such a network was designed around.

    When to ignore it:
        Where you look for another design.

    Example:
        The first norm of a DenseNet layer.

    Use instead:
        A mapping that leaves these blocks out, which stay as they are.

    Fix safety:
        Moving the norm gives another network; it has to be trained again.

    Evidence:
        He et al. 2016, Table 2.
    """
    keys = tuple(
        block.key
        for block in layout.blocks_at(BEHIND_ACTIVATION)
        if block.joined and block.position == "before-activation"
    )
    if keys:
        yield Hit(
            keys,
            f"{say_count(len(keys), 'norm')} at a join ({say_blocks(keys)}) would go from before the activation to "
            "behind it. That order (pre-activation) is the design of such a network: moving it makes another one.",
        )


def _feeds_addition(layout: Layout, block: Block) -> bool:
    last = block.chain[-1] if block.chain else block.weight
    readers = [op for op in layout.graph.ops if last in op.inputs]
    return len(readers) == 1 and readers[0].kind == "join" and readers[0].name in ADDITIONS


NORM_ON_BRANCH = Rule("norm-on-branch", "note", (HE_AFTER_ADD, GCR_AFTER_ADD, IMAGENET_AFTER_ADD), find_norm_on_branch)
RESIDUAL_ORDER = Rule("residual-order", "against", (HE_PRE_ACTIVATION,), find_residual_order)
MOVED_PRE_ACTIVATION = Rule("moved-pre-activation", "against", (HE_PRE_ACTIVATION,), find_moved_pre_activation)
