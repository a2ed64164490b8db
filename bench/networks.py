"""How much of the world's networks placenorm sees and can change: every torchvision and timm model with batch norm.

    python bench/networks.py [--out docs/coverage.jsonl] [--page docs/coverage.md] [--jobs 2] [--only NAME ...]

For each model, at the smallest input that it takes: it is traced and placed to every policy on the meta device (shapes
only), where it runs there. Then, with weights, norms of both signs and statistics as training leaves them, it is placed
with `preserve`, and what it computes is compared in float64 and in float32. A model counts as placed if every block
stands where the policy wants it or is named with a reason. Rows are appended as they are finished, and a second run
goes on where the first stopped.
"""

import argparse
import copy
import json
import math
import multiprocessing
import time
import traceback
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

import placenorm as pn
from placenorm.errors import PlacenormError, first_line
from placenorm.facts.graph import Graph
from placenorm.facts.placement import Policy
from placenorm.graph.placements import plan_edits, policy_position
from placenorm.rewrite.placing import place_model
from placenorm.rewrite.proving import change_last_bits, measure_error

POLICIES: tuple[Policy, ...] = tuple(policy for policy in get_args(Policy) if policy != "as-is")
SIZES = (64, 96, 128, 192, 224, 256)
"""Heights and widths that are tried, smallest first; then the model's own."""

FRAMES = (8, 14, 16, 32)
"""Numbers of frames that are tried for video models."""

LEFT_OUT = ("detection", "quantization", "optical_flow")
"""Families of torchvision that are not what placenorm is for: they take lists of images, or are integer arithmetic."""

DIFFERS = "the rewritten network differs by"
"""What the refusal of a network says that its rewritten twin is too far from."""

EXACT = 1e-9
"""What a preserved network may differ by in float64, as a share of its largest output."""


def list_models() -> list[str]:
    """Return the names of all models of both zoos, with or without norms."""
    import timm
    from torchvision import models

    ours = [
        name
        for name in models.list_models()
        if not any(f".{family}" in models.get_model_builder(name).__module__ for family in LEFT_OUT)
    ]
    return [*(f"torchvision:{name}" for name in ours), *(f"timm:{name}" for name in timm.list_models())]


def build(name: str) -> nn.Module:
    """Return a model with random weights."""
    zoo, _, own = name.partition(":")
    if zoo == "timm":
        import timm

        made: nn.Module = timm.create_model(own, pretrained=False)
        return made
    from torchvision import models

    arguments = {"weights_backbone": None} if "segmentation" in models.get_model_builder(own).__module__ else {}
    model: nn.Module = models.get_model(own, weights=None, **arguments)
    return model


def shapes(name: str, model: nn.Module) -> Iterator[tuple[int, ...]]:
    """Yield shapes of one sample to try, the smallest first."""
    config: dict[str, Any] = getattr(model, "default_cfg", None) or {}
    channels, *own = config.get("input_size", (3, 224, 224))
    if config.get("fixed_input_size"):
        yield (channels, *own)
    if ".video" in type(model).__module__:
        yield from ((3, frames, size, size) for size in (64, 112, 224) for frames in FRAMES)
        return
    yield from ((channels, size, size) for size in (*SIZES, 299, 320, 384))
    yield (channels, *own)


def look_trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every norm gamma of both signs, beta and running statistics as training leaves them."""
    generator = torch.Generator().manual_seed(seed)

    def draw(like: Tensor, spread: float, around: float) -> Tensor:
        return torch.randn(like.shape, generator=generator) * spread + around

    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, _BatchNorm)):
            if norm.running_mean is not None and norm.running_var is not None:
                norm.running_mean.copy_(draw(norm.running_mean, 0.3, 0.0))
                norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=generator) + 0.5)
            if norm.affine:
                norm.weight.copy_(draw(norm.weight, 1.0, 0.0))
                norm.bias.copy_(draw(norm.bias, 0.3, 0.0))
    return model.eval()


def examine_graph(name: str) -> dict[str, Any]:
    """Return the first row of a model: its norms, and whether it is traced, at the smallest input that it takes."""
    _settle()
    row: dict[str, Any] = {"model": name}
    model, device = _build_light(name)
    row["norms"] = sum(isinstance(module, _BatchNorm) for module in model.modules())
    if not row["norms"]:
        return row
    row["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    traced = _first_that_runs(name, model, device)
    if traced is None and device == "meta":
        device = "cpu"
        traced = _first_that_runs(name, build(name), device)
    if traced is None:
        return {**row, "error": "it takes none of the inputs that were tried"}
    graph, shape = traced
    seen = {"blocks": len(graph.blocks), "seen": len(graph.norms), "unseen": len(graph.unseen)}
    return {**row, "input": shape, "device": device, **seen}


def examine_shapes(name: str, shape: tuple[int, ...], device: str) -> dict[str, Any]:
    """Return the second row of a model: placed to every policy, on the meta device where it runs there."""
    _settle()
    started = time.perf_counter()
    model, device = (build(name), device) if device == "cpu" else _build_light(name)
    graph = pn.trace(model, torch.zeros(2, *shape, device=device))
    row = {"model": name, "placed": _for_each_policy(graph, partial(_place, model, graph, shape, device))}
    return {**row, "seconds": round(time.perf_counter() - started, 1)}


def _build_light(name: str) -> tuple[nn.Module, str]:
    """Return a model without values, and its device; with values if it cannot be built without."""
    try:
        with torch.device("meta"):
            return build(name), "meta"
    except Exception:  # some draw their weights in ways that the meta device does not know
        return build(name), "cpu"


def examine_values(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the third row of a model: placed with `preserve`, and compared with itself."""
    _settle()
    started = time.perf_counter()
    row = {"model": name, "preserved": _attempt(partial(_preserve, name, shape))}
    return {**row, "value_seconds": round(time.perf_counter() - started, 1)}


def examine_rounding(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the fourth row of a model that `preserve` refuses: how far one bit of its input moves it, as it is."""
    _settle()
    model = look_trained(build(name)).double()
    first, other = _draw_inputs(shape)
    inputs = (first.double(), other)
    with torch.no_grad():
        moved = [measure_error(model(x), model(change_last_bits(x))) for x in inputs]
    return {"model": name, "one_bit": max(moved)}


def _draw_inputs(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the input that a model is placed on, in float32, and another one that it is compared on, in float64."""
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    return x, torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def _settle() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)


def _first_that_runs(name: str, model: nn.Module, device: str) -> tuple[Graph, tuple[int, ...]] | None:
    """Return the graph and the shape at which every norm runs; or else those of the smallest shape that runs at all."""
    found: tuple[Graph, tuple[int, ...]] | None = None
    for shape in shapes(name, model):
        try:
            graph = pn.trace(model, torch.zeros(2, *shape, device=device))
        except PlacenormError:
            continue
        if not graph.unseen:
            return graph, shape
        found = found or (graph, shape)
    return found


def _attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return work()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return {"error": f"{type(error).__name__}: {first_line(error)} ({where.name}, line {where.lineno})"}


def _for_each_policy(graph: Graph, work: Callable[[Policy], dict[str, Any]]) -> dict[str, Any]:
    """Return what work gives for each policy; two that mean the same edits, as where no pool follows, are one run."""
    done: dict[Policy, dict[str, Any]] = {}
    plans = {policy: plan_edits(graph, policy).edits for policy in POLICIES}
    for policy in reversed(POLICIES):
        same = next((other for other in done if plans[other] == plans[policy]), None)
        done[policy] = done[same] if same is not None else _attempt(partial(work, policy))
    return {str(policy): done[policy] for policy in POLICIES}


def _place(model: nn.Module, graph: Graph, shape: tuple[int, ...], device: str, policy: Policy) -> dict[str, Any]:
    """Return whether every block stands where a policy wants it, or is named with a reason."""
    placed = pn.place(model, torch.zeros(2, *shape, device=device), policy)
    named = {skip.site for skip in placed.skipped}
    found = placed.graph.placement()
    away = [block.key for block in graph.blocks if found.get(block.key, "none") != policy_position(block, policy)]
    silent = [key for key in away if key not in named]
    reasons = Counter(_kind(skip.reason) for skip in placed.skipped if skip.site in away)
    result: dict[str, Any] = {"changes": len(placed.changes), "left": len(away), "reasons": dict(reasons)}
    if silent:
        result["error"] = f"{len(silent)} blocks were left without a word, such as {silent[0]}"
    return result


def _kind(reason: str) -> str:
    """Return a reason without the names in it."""
    text = reason.partition("(")[0] if "torch.fx cannot trace it" in reason else reason
    words = [word for word in text.split() if not any(sign in word for sign in (".", "_", "["))]
    return " ".join(words)[:160]


def _preserve(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return, by policy, how far a model is from itself after it was placed with `preserve`."""
    model = look_trained(build(name))
    x, other = _draw_inputs(shape)
    return _for_each_policy(pn.trace(model, x), partial(_preserve_one, model, x, other))


def _preserve_one(model: nn.Module, x: Tensor, other: Tensor, policy: Policy) -> dict[str, Any]:
    """Place a copy and compare it on another input; that traced forwards train as before is proved once.

    That is done at the policy that traces most. For the others what they evaluate to is proved all the same, by the
    comparison.
    """
    wide = copy.deepcopy(model).double()
    placed = place_model(copy.deepcopy(wide), x.double(), policy, preserve=x.double(), prove=policy == "after-pool")
    with torch.no_grad():
        error = measure_error(wide(other), placed.model.eval()(other))
        rounded = measure_error(model(x), copy.deepcopy(placed.model).float().eval()(x))
    lost = [skip for skip in placed.skipped if skip.reason.startswith("what was learned")]
    return {
        "changes": len(placed.changes),
        "kept_back": len(lost),
        "error_float64": max(error, placed.max_error or 0.0),
        "error_float32": rounded,
    }


# -- the page


def summarise(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a page in Markdown."""
    with_norms = [row for row in rows if row["norms"]]
    parts = [
        "# Coverage: which networks placenorm sees and can change",
        "",
        f"`python bench/networks.py` on torch {torch.__version__.split('+')[0]}, "
        f"{_version('torchvision')}, {_version('timm')}; random weights, the smallest input that each model takes. "
        "Traced and placed on shapes alone; *preserved* with values: norms with gamma of both signs and random "
        "statistics, compared in float64. Every row is in [coverage.jsonl](coverage.jsonl).",
        "",
        "A model is *placed* to a policy if every block stands where the policy wants it or is named in `skipped` with "
        "its reason; it is placed *wholly* if none was left. It is *preserved* if what it computes in evaluation "
        f"differs by less than {EXACT:.0e} of its largest output in float64.",
        "",
    ]
    for zoo in ("torchvision", "timm"):
        mine = [row for row in with_norms if row["model"].startswith(f"{zoo}:")]
        if not mine:
            continue
        traced = [row for row in mine if "input" in row]
        examined = [row for row in traced if "placed" in row]
        proved = [row for row in traced if "error" not in row.get("preserved", {"error": ""})]
        total = sum(row["model"].startswith(f"{zoo}:") for row in rows)
        parts += [
            f"## {zoo}: {len(mine)} of {total} models have batch norms; {_share(len(traced), len(mine))} traced",
            "",
            f"| placement | placed (of {len(examined)}) | wholly | blocks changed | left, with reason "
            f"| preserved (of {len(proved)}) | largest error, float64 | float32 | norms kept back |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_line(policy, examined, proved) for policy in POLICIES),
            "",
        ]
    unfinished = [
        step for step in ("placed", "preserved") if any("input" in row and step not in row for row in with_norms)
    ]
    for step in unfinished:
        names = [f"`{row['model']}`" for row in with_norms if "input" in row and step not in row]
        parts += [
            f"**Not finished**: *{step}* for {len(names)} models, the largest; the same command goes on with them: "
            f"{', '.join(names)}.",
            "",
        ]
    return "\n".join([*parts, *_list_loud(with_norms), *_failures(with_norms), *_reasons(with_norms)]) + "\n"


def _line(policy: Policy, examined: list[dict[str, Any]], proved: list[dict[str, Any]]) -> str:
    models = len(examined)
    placed = [row["placed"][policy] for row in examined if "error" not in row["placed"][policy]]
    kept = [row["preserved"][policy] for row in proved if "error" not in row["preserved"][policy]]
    exact = [one for one in kept if one["error_float64"] is not None and one["error_float64"] < EXACT]
    return (
        f"| `{policy}` | {_share(len(placed), models)} | {_share(sum(not one['left'] for one in placed), models)} "
        f"| {sum(one['changes'] for one in placed)} | {sum(one['left'] for one in placed)} "
        f"| {_share(len(exact), len(proved))} | {_largest(kept, 'error_float64')} "
        f"| {_largest(kept, 'error_float32')} | {sum(one['kept_back'] for one in kept)} |"
    )


def _largest(rows: list[dict[str, Any]], key: str) -> str:
    return f"{max(row[key] for row in rows):.1e}" if rows else "not measured"


def _is_loud(row: dict[str, Any]) -> bool:
    """Whether a model is so far from itself somewhere that its own rounding has to explain it."""
    return any(
        DIFFERS in one["error"] if "error" in one else one["error_float64"] > EXACT for one in _list_preserved(row)
    )


def _list_preserved(row: dict[str, Any]) -> list[dict[str, Any]]:
    found = row.get("preserved", {})
    return [] if "error" in found else list(found.values())


def _list_loud(rows: list[dict[str, Any]]) -> list[str]:
    """Return the table of the models that multiply rounding."""
    lines = []
    for row in rows:
        if not _is_loud(row):
            continue
        refused = [f"`{policy}`" for policy, one in row["preserved"].items() if DIFFERS in one.get("error", "")]
        moved = max((one["error_float64"] for one in _list_preserved(row) if "error" not in one), default=0.0)
        one_bit = f"{row['one_bit']:.1e}" if "one_bit" in row else "not measured"
        lines.append(f"| `{row['model']}` | {one_bit} | {', '.join(refused) or 'at no policy'} | {moved:.1e} |")
    if not lines:
        return []
    return [
        "## Networks that multiply rounding",
        "",
        "With these random statistics one bit of their input moves them by about as much as any other order of the "
        "same sums does. `preserve` says so and changes nothing where it finds more than "
        f"{EXACT:.0e}; all shares are of the largest output, in float64.",
        "",
        "| model | one bit of its input, as it is | refused | where placed, on another input |",
        "|---|---|---|---|",
        *lines,
        "",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else "0 of 0"


def _failures(rows: list[dict[str, Any]]) -> list[str]:
    """Return every failure with its reason."""
    found: list[str] = []
    for row in rows:
        if "error" in row:
            found.append(f"- `{row['model']}`: {row['error']}")
        if "error" in row.get("preserved", {}):
            found.append(f"- `{row['model']}`, preserved: {row['preserved']['error']}")
            continue
        for step in ("placed", "preserved"):
            errors = {
                one["error"]: policy
                for policy, one in row.get(step, {}).items()
                if "error" in one and DIFFERS not in one["error"]
            }
            found += [f"- `{row['model']}`, {step} {policy}: {error}" for error, policy in errors.items()]
    return ["## Failures", "", *(found or ["None."]), ""]


def _reasons(rows: list[dict[str, Any]]) -> list[str]:
    """Return why blocks were left, with how many."""
    counts: Counter[str] = Counter()
    for row in rows:
        for one in row.get("placed", {}).values():
            counts.update(one.get("reasons", {}))
    lines = [f"| {count} | {reason} |" for reason, count in counts.most_common()]
    return ["## Why blocks were left where they were", "", "| blocks | reason (without names) |", "|---|---|", *lines]


def _version(package: str) -> str:
    from importlib.metadata import version

    return f"{package} {version(package)}"


def main() -> None:
    """Examine the models that are not in the file yet, and write the page."""
    parser = argparse.ArgumentParser(description="Trace, place and preserve every model of torchvision and timm.")
    parser.add_argument("--out", type=Path, default=Path("docs/coverage.jsonl"), help="Rows, one a line.")
    parser.add_argument("--page", type=Path, default=Path("docs/coverage.md"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="Names of models.")
    parser.add_argument("--minutes", type=float, default=math.inf, help="Begin no model after so long.")
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    names = options.only or list_models()
    rows = _read(options.out)
    _run(options, until, [(examine_graph, (name,)) for name in names if name not in rows])
    for key, work in (("placed", examine_shapes), ("preserved", examine_values)):
        rows = _read(options.out)
        waiting = [rows[name] for name in names if "input" in rows.get(name, {}) and key not in rows[name]]
        waiting.sort(key=lambda row: row["parameters"] * math.prod(row["input"]))
        extra = ("device",) if key == "placed" else ()
        _run(options, until, [(work, (row["model"], tuple(row["input"]), *(row[e] for e in extra))) for row in waiting])
    waiting = [
        row for name, row in _read(options.out).items() if name in names and _is_loud(row) and "one_bit" not in row
    ]
    _run(options, until, [(examine_rounding, (row["model"], tuple(row["input"]))) for row in waiting])
    options.page.write_text(summarise(list(_read(options.out).values())))
    print(f"Written: {options.page}")


def _run(
    options: argparse.Namespace, until: float, work: list[tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]]
) -> None:
    """Do work in processes and append each row when it is there.

    A process that dies, mostly for want of memory, takes the pool with it: what ran then is left to the next start of
    the same command, with fewer jobs, and a new pool goes on.
    """
    queue = deque(work)
    while queue and time.monotonic() < until:
        try:
            _run_pool(options, until, queue)
        except BrokenProcessPool as error:
            print(f"not finished: {first_line(error)}; going on with the next", flush=True)


def _run_pool(options: argparse.Namespace, until: float, queue: deque[Any]) -> None:
    context = multiprocessing.get_context("spawn")
    with (
        options.out.open("a") as file,
        ProcessPoolExecutor(options.jobs, mp_context=context, max_tasks_per_child=20) as pool,
    ):
        running: set[Future[dict[str, Any]]] = set()
        while True:
            while queue and len(running) < options.jobs and time.monotonic() < until:
                job = queue.popleft()
                running.add(pool.submit(job[0], *job[1]))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                file.write(json.dumps(future.result()) + "\n")
            file.flush()


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the rows by model, the two of one model as one."""
    rows: dict[str, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        row = json.loads(line)
        rows.setdefault(row["model"], {}).update(row)
    return dict(sorted(rows.items()))


if __name__ == "__main__":
    main()
