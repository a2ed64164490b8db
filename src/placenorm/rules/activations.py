"""Rules about norms behind activations (A9)."""

from collections.abc import Iterator

from placenorm.graph.vocabulary import activation_name
from placenorm.rules.evidence import (
    CAFFENET_AFTER,
    CAFFENET_TANH,
    DEAD_UNITS,
    GOOGLENET_AFTER,
    KIM_BOUNDED,
    NIN_AFTER,
)
from placenorm.rules.layout import BEHIND_ACTIVATION, Layout
from placenorm.rules.rule import Hit, Rule, say_blocks, say_count

BOUNDED = frozenset({"Tanh", "Sigmoid", "Hardtanh", "Hardsigmoid", "Softsign"})
"""Activations that stay between two values."""


def find_disputed_order(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where norms stand behind an activation that is not bounded.

    What it does:
        Looks for norms behind activations, tanh and its like left out.

    Why it matters:
        Published measurements go both ways, so the order is a matter for a measurement on your network.

    When to ignore it:
        When you have measured it.

    Example:
        conv, ReLU, norm.

    Use instead:
        `compare` with both orders.

    Fix safety:
        Moving a norm gives another network; it has to be trained again.

    Evidence:
        Mishkin et al. 2017 (CaffeNet, GoogLeNet); Raschka (network-in-network).
    """
    keys = tuple(
        block.key
        for block in layout.blocks_at(BEHIND_ACTIVATION)
        if (op := layout.activation_of(block)) is not None and activation_name(op.name) not in BOUNDED
    )
    if keys:
        yield Hit(
            keys,
            f"Whether a norm does better behind the activation ({say_count(len(keys), 'block')} here) is disputed: "
            "published measurements go both ways, and the deeper of the two ImageNet networks did worse with it.",
        )


def find_bounded_activation(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where a norm stands behind a bounded activation.

    What it does:
        Looks for norms behind tanh, sigmoid and their like.

    Why it matters:
        There the order "after" has published results on its side.

    When to ignore it:
        Never: it speaks for the placement.

    Example:
        linear, Tanh, norm.

    Use instead:
        Nothing: it is in its place.

    Fix safety:
        Nothing is changed.

    Evidence:
        Kim et al. 2023; Mishkin et al. 2017 (TanH).
    """
    found = {
        block.key: activation_name(op.name)
        for block in layout.blocks_at(BEHIND_ACTIVATION)
        if (op := layout.activation_of(block)) is not None and activation_name(op.name) in BOUNDED
    }
    if found:
        names = " and ".join(sorted(set(found.values())))
        yield Hit(
            tuple(found),
            f"Behind {names} ({say_blocks(tuple(found))}) published results speak for a norm after the activation.",
        )


def find_dead_units(layout: Layout) -> Iterator[Hit]:
    """Yield a finding where a norm stands behind an activation that can switch a unit off for good.

    What it does:
        Looks for norms behind ReLU and its like.

    Why it matters:
        A norm in front of it keeps every unit on for a part of the batch, in training, while beta allows. Behind it a
        channel that is dead stays dead: the norm of a constant has no spread to bring back.

    When to ignore it:
        At moderate learning rates, where few units die.

    Example:
        conv, ReLU, norm, trained at a high learning rate.

    Use instead:
        The norm in front of the activation, or an activation with a gradient everywhere.

    Fix safety:
        Moving a norm gives another network; it has to be trained again.

    Evidence:
        Own measurement: docs/evidence.md, section 10.
    """
    keys = tuple(
        block.key
        for block in layout.blocks_at(BEHIND_ACTIVATION)
        if (op := layout.activation_of(block)) is not None and op.relu_like
    )
    if keys:
        yield Hit(
            keys,
            f"Behind a ReLU or its like ({say_count(len(keys), 'block')}) a norm does not keep units alive: in front "
            "of it every unit is on for a part of each training batch while beta allows, behind it a dead channel "
            "stays dead.",
        )


DISPUTED_ORDER = Rule("disputed-order", "against", (CAFFENET_AFTER, GOOGLENET_AFTER, NIN_AFTER), find_disputed_order)
BOUNDED_ACTIVATION = Rule("bounded-activation", "for", (KIM_BOUNDED, CAFFENET_TANH), find_bounded_activation)
DEAD_UNITS_BEHIND = Rule("dead-units", "against", (DEAD_UNITS,), find_dead_units)
