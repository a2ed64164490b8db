"""A graph in, advice out: where the article's rules would have each norm, at what price, and what speaks against it."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from placenorm.cost import compare_costs, count_cost, predict_cost
from placenorm.facts.advice import Advice, ArticleRule, BlockAdvice, PolicyCost
from placenorm.facts.cost import Cost
from placenorm.facts.graph import Block, Graph
from placenorm.facts.placement import POLICIES, Policy, Position
from placenorm.graph.placements import EditPlan, plan_edits
from placenorm.rules.depth import LEAST_DEPTH, count_depth
from placenorm.rules.engine import find_all
from placenorm.rules.layout import Layout

BUILT_IN: Final = ("cnn", "mlp")
"""Networks that `compare` has data for; any other needs the user's."""

DIGITS_SHAPE: Final = (1, 8, 8)
"""One sample of those data."""

OWN_DATA: Final = "path/to/my_data.py:datasets"
OWN_LOOP: Final = "path/to/my_train.py:train"
"""How the command names what only the user has."""

LOGITS_AXES: Final = 2
"""Axes of what our own training loop can learn from, ``[N, classes]`` or ``[N]``; other outputs need the user's."""


def make_advice(
    graph: Graph,
    name: str,
    inputs: str,
    command: str | None = None,
    named: str | None = None,
    weights: str | None = None,
) -> Advice:
    """Return the advice for a network.

    Args:
        graph: the network as it is.
        name: what to call it.
        inputs: shapes of the example input, as text.
        command: the command that would settle it; made here where it is None.
        named: the network's name on the command line, for that command; None where it has none.
        weights: file of the weights that it was looked at with, for that command; None without.
    """
    depth = count_depth(graph)
    shallow = 0 < depth < LEAST_DEPTH
    plans = {each: plan_edits(graph, each) for each in POLICIES}
    rules_place = _first_alike(plans, "after-activation", "after-pool")  # without pools, the shorter word
    policy: Policy = "none" if shallow else rules_place
    plan = plans[policy]
    now = count_cost(graph)
    costs: dict[Policy, Cost] = {each: predict_cost(graph, each) for each in POLICIES if each != "as-is"}
    return Advice(
        model=name,
        inputs=inputs,
        depth=depth,
        shallow=shallow,
        policy=policy,
        blocks=_advise_blocks(graph, plan, shallow, now, costs[policy]),
        norms=len(now.norms),
        share_pct=now.norm_share_pct,
        costs=tuple(
            PolicyCost(
                each, _count_changes(graph, plans[each]), len(cost.norms), cost.norm_share_pct, compare_costs(now, cost)
            )
            for each, cost in costs.items()
        ),
        findings=find_all(Layout(graph, plan.placement)),
        unseen=graph.unseen,
        command=_make_command(graph, plans, _arms(policy, rules_place), named, weights) if command is None else command,
    )


def _advise_blocks(graph: Graph, plan: EditPlan, shallow: bool, now: Cost, then: Cost) -> tuple[BlockAdvice, ...]:
    skipped = {skip.site: skip.reason for skip in plan.skipped}
    elements = [_sum_elements(cost) for cost in (now, then)]
    rows = []
    for block in graph.blocks:
        advised = plan.placement[block.key]
        rules = _name_rules(block, advised, shallow)
        rows.append(
            BlockAdvice(
                key=block.key,
                channels=block.channels,
                position=block.position,
                advised=advised,
                rules=rules,
                reason=_explain(graph, block, advised, skipped.get(block.key, "")),
                elements=(elements[0].get(block.key, 0), elements[1].get(block.key, 0)),
                pool_factor=_pool_factor(graph, block) if "A10" in rules else 1.0,
            )
        )
    return tuple(rows)


def _sum_elements(cost: Cost) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for norm in cost.norms:
        found[norm.block] = found.get(norm.block, 0) + norm.elements
    return found


def _name_rules(block: Block, advised: Position, shallow: bool) -> tuple[ArticleRule, ...]:
    """Return the rules of the article that a block's advice follows."""
    if shallow:
        return () if block.exempt and not block.norms else ("A8",)
    if block.exempt and not block.joined:
        return ()
    rules: list[ArticleRule] = []
    if block.position == "none" and advised != "none":
        rules.append("A8")
    if advised in ("after-activation", "after-pool"):
        rules.append("A9")
    if advised == "after-pool":
        rules.append("A10")
    return tuple(rules)


def _explain(graph: Graph, block: Block, advised: Position, skipped: str) -> str:
    """Return why the rules do not reach a block, or not all the way; "" where they do."""
    if block.joined:
        return skipped if advised == block.position else ""
    if block.exempt:
        return block.exempt
    if skipped or advised != "before-activation":
        return skipped
    last = block.chain[-1] if block.chain else block.weight
    readers = dict.fromkeys(op.name for op in graph.ops if last in op.inputs)
    return f"no activation of its own before {' and '.join(readers) or 'its end'}"


def _pool_factor(graph: Graph, block: Block) -> float:
    """Return the work of a norm in front of a block's pool over its work behind it."""
    sizes = {site.position: math.prod(graph.ops[site.after].out_shape) for site in block.sites}
    if not {"after-activation", "after-pool"} <= sizes.keys():  # its norm stands behind a pool that is no site
        return 1.0
    return sizes["after-activation"] / sizes["after-pool"]


def _arms(advised: Policy, rules_place: Policy) -> tuple[Policy, ...]:
    """Return what to compare: what is there, what is advised, the usual order, and where A9 and A10 would have it."""
    if advised == "none":
        return ("as-is", "none", "before-activation", rules_place)
    return ("as-is", "before-activation", rules_place)


def _first_alike(plans: Mapping[Policy, EditPlan], name: Policy, other: Policy) -> Policy:
    """Return the first of two policies if they give one network, the second if not."""
    return name if plans[name].placement == plans[other].placement else other


def _count_changes(graph: Graph, plan: EditPlan) -> int:
    was = graph.placement()
    return sum(was[key] != position for key, position in plan.placement.items() if key in was)


def _make_command(
    graph: Graph,
    plans: Mapping[Policy, EditPlan],
    names: tuple[Policy, ...],
    named: str | None,
    weights: str | None,
) -> str:
    """Return the command that compares policies, each network once; "" if all give the same."""
    different: dict[tuple[tuple[str, Position], ...], Policy] = {}
    for name in names:
        different.setdefault(tuple(plans[name].placement.items()), name)
    if len(different) < 2:
        return ""
    placements = list(different.values())
    if named is None:
        listed = ", ".join(f'"{name}"' for name in placements)
        return f"pn.compare(make_model, data, placements=[{listed}])"
    words = ["placenorm", "compare", named, *_name_data(graph, named), "--placements", ",".join(placements)]
    return shlex.join([*words, *([] if weights is None else ["--weights", weights])])


def _name_data(graph: Graph, named: str) -> tuple[str, ...]:
    """Return the options of `compare` for what a network learns from: nothing where that is embedded."""
    shape = next((op.out_shape[1:] for op in graph.ops if op.kind == "input"), ())
    if named.split(":")[0] in BUILT_IN and shape == DIGITS_SHAPE:
        return ()
    returned = [graph.ops[source].out_shape for source in graph.ops[-1].inputs]
    if len(returned) == 1 and len(returned[0]) <= LOGITS_AXES:
        return ("--data", OWN_DATA)
    return ("--train", OWN_LOOP, "--input", "x".join(map(str, shape)))


def drop_idle_dropouts(graph: Graph, idle: frozenset[str]) -> Graph:
    """Return a graph in which dropouts that drop nothing are what they are: identities.

    Args:
        graph: the network.
        idle: paths of the dropouts whose probability is 0.
    """
    return replace(
        graph,
        ops=tuple(
            replace(op, kind="identity") if op.kind == "dropout" and op.module in idle else op for op in graph.ops
        ),
    )
