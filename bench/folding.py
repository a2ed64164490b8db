"""How many norms can be folded away, by us and by others: torchvision, the families of timm, and four placements.

    python bench/folding.py [--out docs/folding.jsonl] [--only CASE ...] [--minutes M]

For each case a model gets norms with gamma of both signs and statistics as training leaves them, and is folded by
`placenorm.fold`, by `torch.fx.experimental.optimization.fuse` and, where it is timm's, by timm's
`reparameterize_model`; each result is compared in float64. Beside them stands the bound: how many norms the algebra of
docs/maths/folding.md lets go. A row is appended as it is finished, the small models first, and a second run goes on
where the first stopped; the page is written by tools/write_folding_page.py.
"""

import argparse
import copy
import json
import math
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import placenorm as pn
from networks import build
from placenorm.errors import first_line
from placenorm.facts.placement import Placement, Position
from placenorm.graph.channel_rules import ChannelRules, NormUse
from placenorm.graph.channels import follow_channels
from placenorm.graph.tracing import ExampleInputs, split_inputs, undisturbed
from placenorm.graph.values import tensors_in
from placenorm.rewrite.folding import find_centre
from placenorm.rewrite.forms import FormFinder, choose_forms
from placenorm.rewrite.parallels import ParallelFinder
from placenorm.rewrite.proving import change_last_bits, measure_error
from placenorm.rewrite.stuck import StuckError

IDLE: Final = "it does not run in evaluation on the example input"
"""What is said of norms that are in the model and not in what it computes; they do not count."""

LEAST: Final = 64
"""Side of images that torchvision's models are tried with first."""

OWN_SIZES: Final = {"raft": 128}
"""Sides of images for models that take no smaller ones."""

PLACED: Final = ("resnet18", "vgg11_bn", "mobilenet_v3_small", "densenet121")
POSITIONS: Final[tuple[Position, ...]] = (
    "before-activation",
    "after-activation",
    "after-pool",
    "after-pool-before-activation",
)
SIGNS: Final = ("positive", "both")

Uses = tuple[NormUse, ...]
"""A norm, as all its calls."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row: a model and what it is called with.

    Attributes:
        name: of the row, ``zoo:model`` or ``placed:model:position:signs``.
        model: ``zoo:model``.
        shape: of one sample.
        family: the module of timm that the model is the smallest of, or "".
        cost: what cases are ordered by.
    """

    name: str
    model: str
    shape: tuple[int, ...]
    family: str
    cost: float


def list_cases(coverage: Path) -> list[Case]:
    """Return all cases, the cheap ones first, by the models and input sizes that the table of coverage found.

    Args:
        coverage: rows of `bench/networks.py`.
    """
    rows: dict[str, dict[str, Any]] = {}
    for line in coverage.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        rows.setdefault(row["model"], {}).update(row)
    known = [row for row in rows.values() if row["norms"] and "input" in row]
    cases = [_make_case(row, "") for row in known if row["model"].startswith("torchvision:")]
    cases += [_make_case(row, family) for family, row in _find_smallest(known).items()]
    cases += [_make_other(name) for name in _list_others()]
    costs = {case.name: case.cost for case in cases}
    cases += [
        Case(
            f"placed:{name}:{position}:{signs}",
            f"torchvision:{name}",
            (3, LEAST, LEAST),
            "",
            costs[f"torchvision:{name}"],
        )
        for name in PLACED
        for position in POSITIONS
        for signs in SIGNS
    ]
    return sorted(cases, key=lambda case: case.cost)


def _make_case(row: dict[str, Any], family: str) -> Case:
    shape = tuple(row["input"])
    return Case(row["model"], row["model"], shape, family, row["parameters"] * math.prod(shape))


def _find_smallest(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the model with the fewest parameters of each module of timm's that has one with batch norms."""
    from timm.models._registry import _model_to_module

    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        zoo, _, own = row["model"].partition(":")
        if zoo == "timm":
            family = _model_to_module[own]
            found[family] = min(found.get(family, row), row, key=lambda each: (each["parameters"], each["model"]))
    return found


def _list_others() -> list[str]:
    """Return torchvision's models that the table of coverage leaves out and that have batch norms in float32."""
    from torchvision import models

    return [
        f"torchvision:{name}"
        for name in models.list_models()
        if any(f".{family}" in models.get_model_builder(name).__module__ for family in ("detection", "optical_flow"))
    ]


def _make_other(name: str) -> Case:
    side = next((side for key, side in OWN_SIZES.items() if key in name), LEAST)
    return Case(name, name, (3, side, side), "", math.inf)


def build_case(case: Case) -> tuple[nn.Module, ExampleInputs]:
    """Return the model of a case as if it were trained, and what it is called with."""
    torch.manual_seed(0)
    zoo, _, rest = case.name.partition(":")
    own = case.model.partition(":")[2]
    if case.cost == math.inf:
        from torchvision import models

        options = {} if "raft" in own else {"weights_backbone": None}
        model: nn.Module = models.get_model(own, weights=None, **options)
    else:
        model = build(case.model)
    x = torch.randn(2, *case.shape, generator=torch.Generator().manual_seed(1))
    if zoo == "placed":
        _, position, signs = rest.split(":")
        model = pn.place(model, x, _find_placement(model, x, position)).model
        return look_trained(model, both=signs == "both"), x
    look_trained(model)
    if case.cost < math.inf:
        return model, x
    return model, ((x, x.flip(-1)) if "raft" in own else (list(x),))


def _find_placement(model: nn.Module, x: Tensor, position: str) -> Placement:
    """Return the placement of norms at a position: where a block has none such, it is before the activation."""
    if position != "after-pool-before-activation":
        return position  # type: ignore[return-value]  # the other positions are names of policies too
    blocks = pn.trace(model, x).blocks
    found: dict[str, Position] = {}
    for block in blocks:
        sites = {site.position for site in block.sites}
        wanted = [each for each in ("after-pool-before-activation", "before-activation") if each in sites]
        if wanted:
            found[block.key] = wanted[0]
    return found


def look_trained(model: nn.Module, *, both: bool = True, seed: int = 0) -> nn.Module:
    """Give every norm gamma, beta and running statistics as training leaves them, in place.

    Args:
        model: any model.
        both: whether gamma has both signs.
        seed: of the random numbers.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor, low: float, high: float) -> Tensor:
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, _BatchNorm)):
            if norm.running_mean is not None and norm.running_var is not None:
                norm.running_mean.copy_(draw(norm.running_mean, -0.5, 0.5))
                norm.running_var.copy_(draw(norm.running_var, 0.5, 2.0))
            if norm.affine:
                size = draw(norm.weight, 0.5, 1.5)
                norm.weight.copy_(size * draw(size, -1.0, 1.0).sign() if both else size)
                norm.bias.copy_(draw(norm.bias, -0.5, 0.5))
    return model.eval()


# -- one row


def examine(case: Case) -> dict[str, Any]:
    """Return the row of a case."""
    started = time.perf_counter()
    packages = ("torch", "torchvision", "timm")
    row: dict[str, Any] = {"case": case.name, "family": case.family, "input": list(case.shape)}
    row["versions"] = ", ".join(f"{package} {version(package)}" for package in packages)
    model, inputs = build_case(case)
    modules = sum(isinstance(module, _BatchNorm) for module in model.modules())
    if not modules and case.cost == math.inf:
        return {**row, "norms": 0}
    row["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    done = pn.fold(model, inputs)
    idle = [skip.site for skip in done.skipped if skip.reason == IDLE]
    reasons = Counter(_group(skip.reason) for skip in done.skipped if skip.reason != IDLE)
    row |= {
        "norms": done.matched - len(idle),
        "idle": len(idle),
        "folded": len(done.changes),
        "bordered": len(done.bordered),
        "error": done.max_error,
        "error_float32": done.max_error_float32,
        "verified": list(done.verified),
        "reasons": dict(reasons.most_common()),
    }
    row["fold_seconds"] = round(time.perf_counter() - started, 1)
    row |= find_bound(model, follow_channels(model, inputs))
    if done.max_error is not None and done.max_error > 1e-12:
        row["one_bit"] = _measure_one_bit(model, inputs)
    if not case.name.startswith("placed:"):
        row["fx"] = _attempt(lambda: _fuse_by_fx(model, inputs))
        if case.model.startswith("timm:"):
            row["timm"] = _attempt(lambda: _fuse_by_timm(model, inputs))
    return {**row, "seconds": round(time.perf_counter() - started, 1)}


def _group(reason: str) -> str:
    """Return a reason without the names and numbers in it."""
    text = re.sub(r" \([^()]*\)", "", reason.partition("; ")[0])
    text = re.sub(r"\d+ channels", "channels", text)
    text = re.sub(r"\d+\.?\d*e[-+]\d+", "more than 1e-09", text)
    return re.sub(r"the norm [\w.:]+", "a norm that stays", text)


def _attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Exception as error:  # others raise what they like
        return {"trouble": f"{type(error).__name__}: {first_line(error)}"[:200]}


def _run(model: nn.Module, inputs: ExampleInputs) -> Any:
    args, kwargs = split_inputs(inputs)
    with undisturbed(model):
        return model(*args, **kwargs)


def _widen(inputs: Any) -> Any:
    if isinstance(inputs, (tuple, list)):
        return type(inputs)(_widen(each) for each in inputs)
    return inputs.double() if isinstance(inputs, Tensor) else inputs


def _compare(model: nn.Module, other: nn.Module, inputs: ExampleInputs) -> float:
    """Return how far the tensors that another model gives are from a model's, whatever they are wrapped in."""
    return measure_error(*(list(tensors_in(_run(each, inputs))) for each in (model, other)))


def _measure_one_bit(model: nn.Module, inputs: Any) -> float:
    """Return how far one bit of its input moves a model: what rounding alone does to it."""
    wide, x = copy.deepcopy(model).double(), _widen(inputs)
    if not isinstance(x, Tensor):
        return math.nan
    return measure_error(_run(wide, x), _run(wide, change_last_bits(x)))


# -- others


def _fuse_by_fx(model: nn.Module, inputs: ExampleInputs) -> dict[str, Any]:
    """Return how many norms torch.fx leaves in the graph, and how far its result is from the model."""
    from torch.fx.experimental.optimization import fuse

    wide, x = copy.deepcopy(model).double(), _widen(inputs)
    try:
        fused: Any = fuse(wide)
    except Exception as error:  # symbolic tracing raises what the forward raises
        return {"trouble": f"does not trace: {first_line(error)}"[:200]}
    modules = dict(fused.named_modules())
    left: set[str] = set()
    for node in fused.graph.nodes:
        if node.op == "call_module" and isinstance(modules[node.target], _BatchNorm):
            left.add(str(node.target))
        elif node.op == "call_function" and node.target is F.batch_norm:
            left.add(node.name)
    return {"left": len(left), "error": _compare(wide, fused, x)}


def _fuse_by_timm(model: nn.Module, inputs: ExampleInputs) -> dict[str, Any]:
    """Return how many norms timm takes out, and how far its result is from the model."""
    from timm.utils.model import reparameterize_model

    wide, x = copy.deepcopy(model).double(), _widen(inputs)
    fused = reparameterize_model(copy.deepcopy(wide))
    counts = [sum(isinstance(module, _BatchNorm) for module in each.modules()) for each in (wide, fused)]
    return {"folded": counts[0] - counts[1], "error": _compare(wide, fused, x)}


# -- the bound


def find_bound(model: nn.Module, rules: ChannelRules) -> dict[str, int]:
    """Return how many norms the rules of a network let go: each by itself, and together at most.

    Every norm is tried alone. Then sets of norms are sought that shut each other out and share none: from each, one
    must stay, whatever else is chosen, and all but one where each shuts out each. What is possible alone, less those,
    no choice can exceed; norms that a conv beside them can take in come on top.

    Args:
        model: the network.
        rules: what its calls ask of the forms of its channels.
    """
    norms = group_norms(rules)
    alone = [uses for uses in norms if _can_fold(rules, [uses])]
    groups = [(1, [uses]) for uses in norms if all(uses is not each for each in alone)]
    together = list(alone)
    while True:
        circle = _find_circle(rules, together)
        if not circle:
            break
        group = _find_rivals(rules, circle, together) if len(circle) == 2 else circle
        groups.append((len(group) - 1 if len(circle) == 2 else 1, group))
        together = [uses for uses in together if all(uses is not each for each in group)]
    beside = _look_beside(model, rules, (use for uses in alone for use in uses))
    stay = 0
    for count, group in groups:
        taken = sum(len(uses) == 1 and beside.find(uses[0]) is not None for uses in group)
        stay += max(count - taken, 0)
    positive = replace(rules, norms=[replace(use, scale=abs(use.scale)) for use in rules.norms])
    chosen = choose_forms(positive, group_norms(positive), partial(_look_beside, model, positive))
    return {
        "alone": len(alone),
        "bound": len(norms) - stay,
        "bound_positive": len(chosen.folded),
    }


def _look_beside(model: nn.Module, rules: ChannelRules, folded: Iterable[NormUse]) -> ParallelFinder:
    find = model.get_submodule
    return ParallelFinder(
        rules, folded, lambda path: find_centre(find(path)), lambda path: int(getattr(find(path), "groups", 1))
    )


def group_norms(rules: ChannelRules) -> list[Uses]:
    """Return the norms of a network, each as all its calls."""
    found: dict[tuple[str, int], list[NormUse]] = {}
    for use in rules.norms:
        found.setdefault((use.path, use.number if use.functional else -1), []).append(use)
    return [tuple(uses) for uses in found.values()]


def _can_fold(rules: ChannelRules, norms: Iterable[Uses]) -> bool:
    return _count_foldable(rules, norms) is None


def _count_foldable(rules: ChannelRules, norms: Iterable[Uses]) -> int | None:
    """Return the place of the first norm that cannot go with those before it; None if all can."""
    finder = FormFinder(rules)
    for place, uses in enumerate(norms):
        try:
            finder.fold(uses)
        except StuckError:
            return place
    return None


def _find_circle(rules: ChannelRules, norms: Sequence[Uses]) -> list[Uses]:
    """Return a set of norms that cannot go together, and can without any one of them; [] if all can go."""
    stuck: list[Uses] = []
    rest = list(norms)
    while True:
        place = _count_foldable(rules, [*stuck, *rest])
        if place is None:
            return []
        if place < len(stuck):
            return stuck[: place + 1]
        found = place - len(stuck)
        stuck.append(rest[found])
        rest = rest[:found]


def _find_rivals(rules: ChannelRules, pair: Sequence[Uses], norms: Sequence[Uses]) -> list[Uses]:
    """Return a pair of norms that shut each other out, and others that shut out each of them and each other."""
    group = list(pair)
    others = [uses for uses in norms if all(uses is not each for each in pair)]
    for each in pair:
        others = _find_shut_out(rules, each, others)
    while others:
        group.append(others[0])
        others = _find_shut_out(rules, others[0], others[1:])
    return group


def _find_shut_out(rules: ChannelRules, first: Uses, norms: Iterable[Uses]) -> list[Uses]:
    """Return the norms that cannot go together with one."""
    found: list[Uses] = []
    finder: FormFinder | None = None
    for uses in norms:
        if finder is None:
            finder = FormFinder(rules)
            finder.fold(first)
        try:
            finder.fold(uses)
        except StuckError:
            found.append(uses)
        else:
            finder = None  # that one is folded in it now
    return found


# -- all rows


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows by case; the last of a case counts."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    return {row["case"]: row for row in rows}


def _examine_all(cases: Iterable[Case], until: float) -> Iterator[dict[str, Any]]:
    for case in cases:
        if time.monotonic() > until:
            return
        torch.manual_seed(0)
        try:
            yield examine(case)
        except Exception as error:  # one model that fails is a row, and the others go on
            yield {"case": case.name, "family": case.family, "trouble": f"{type(error).__name__}: {first_line(error)}"}


def main() -> None:
    """Examine the cases that are not in the file yet."""
    parser = argparse.ArgumentParser(description="Fold the norms of many networks, and count.")
    parser.add_argument("--out", type=Path, default=Path("docs/folding.jsonl"), help="Rows, one a line.")
    parser.add_argument("--coverage", type=Path, default=Path("docs/coverage.jsonl"))
    parser.add_argument("--only", nargs="*", help="Names of cases, which are examined anew.")
    parser.add_argument("--minutes", type=float, default=math.inf, help="Begin no case after so long.")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    known = read_rows(options.out)
    cases = [
        case
        for case in list_cases(options.coverage)
        if (case.name in options.only if options.only else case.name not in known)
    ]
    with options.out.open("a", encoding="utf-8") as file:
        for row in _examine_all(cases, time.monotonic() + 60 * options.minutes):
            file.write(json.dumps(row) + "\n")
            file.flush()
            print({key: row.get(key) for key in ("case", "norms", "folded", "bound", "error", "trouble", "seconds")})


if __name__ == "__main__":
    main()
