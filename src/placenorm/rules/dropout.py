"""Rules about dropout and norms."""

from collections.abc import Iterator

from placenorm.facts.graph import Block
from placenorm.rules.evidence import CAFFENET_DROPOUT, LI_DROPOUT
from placenorm.rules.layout import Layout
from placenorm.rules.rule import Hit, Rule, say_blocks


def find_dropout_before_norm(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where dropout stands in front of a norm.

    What it does:
        Looks for a dropout in a norm's own chain, or right in front of its weight op.

    Why it matters:
        Dropout changes the variance in training and not in evaluation; the norm's running statistics are from
        training, so in evaluation it normalises by the wrong ones.

    When to ignore it:
        Where the dropout's probability is small; with p = 0 nothing is dropped, and the rule is silent.

    Example:
        linear, ReLU, dropout, linear, norm.

    Use instead:
        Dropout behind the last norm.

    Fix safety:
        Moving a dropout changes training and nothing in evaluation.

    Evidence:
        Li et al. 2018, Figure 1; Mishkin et al. 2017 (dropout).
    """
    keys = tuple(
        block.key
        for block in layout.graph.blocks
        if (end := layout.anchor_of(block)) is not None and _meets_dropout(layout, block, end)
    )
    if keys:
        yield Hit(
            keys,
            f"Dropout stands in front of the norm in {say_blocks(keys)}. It changes the variance in training only, so "
            "in evaluation such a norm uses statistics that no longer fit.",
        )


def _meets_dropout(layout: Layout, block: Block, end: int) -> bool:
    """Whether a dropout lies between a norm and the weight op or join in front of its own weight op."""
    ops, here = layout.graph.ops, end
    own = block.joined
    while True:
        op = ops[here]
        if op.kind == "dropout":
            return True
        if op.kind == "weight" and not own:
            own = True
        elif op.kind not in ("activation", "pool", "reshape", "identity") and (own or op.kind != "norm"):
            return False  # a norm in the same block is the one that moves
        source = next((source for source in op.inputs if ops[source].kind != "constant"), None)
        if source is None:
            return False
        here = source


DROPOUT_BEFORE_NORM = Rule("dropout-before-norm", "against", (LI_DROPOUT, CAFFENET_DROPOUT), find_dropout_before_norm)
