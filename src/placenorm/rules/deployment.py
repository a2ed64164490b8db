"""Rules about what a norm costs when the network is deployed."""

import math
from collections.abc import Iterator

from placenorm.cost import NORM_EVAL_PASSES
from placenorm.rules.evidence import AIMET_PADDING, FX_FUSE, INDUCTOR_FREEZING
from placenorm.rules.layout import BEHIND_ACTIVATION, Layout
from placenorm.rules.rule import Hit, Rule, say_count

MEGA = 1e6
"""Bytes of a megabyte."""


def find_unfoldable_norm(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where norms stand where no common tool folds them away for inference.

    What it does:
        Looks for norms behind activations, and adds up the bytes that they move in inference.

    Why it matters:
        A norm straight behind its weight op is folded into it for inference and costs nothing then. Behind an
        activation it would have to be folded into the next weight op, which the common tools do not do.

    When to ignore it:
        Where the network is only trained, or inference is not pressed for time.

    Example:
        conv, ReLU, norm, conv.

    Use instead:
        The norm in front of the activation.

    Fix safety:
        Moving a norm gives another network; it has to be trained again.

    Evidence:
        torch.fx, torch.ao and Inductor of torch 2.13, run by us; AIMET's source.
    """
    keys = []
    moved = 0
    for block in layout.blocks_at(BEHIND_ACTIVATION):
        anchor = layout.anchor_of(block)
        if anchor is not None and not block.joined:
            op = layout.graph.ops[anchor]
            keys.append(block.key)
            moved += NORM_EVAL_PASSES * op.item_bytes * math.prod(op.out_shape)
    if keys:
        yield Hit(
            tuple(keys),
            f"Deployed, {say_count(len(keys), 'norm')} behind an activation would stay with the common tools, and "
            f"move {moved / MEGA:,.3g} MB for each forward pass of the example. Straight behind its weight op a norm "
            "is folded into it and costs nothing in inference.",
        )


UNFOLDABLE_NORM = Rule("unfoldable-norm", "against", (FX_FUSE, INDUCTOR_FREEZING, AIMET_PADDING), find_unfoldable_norm)
