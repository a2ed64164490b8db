"""How much time folding saves on the processor, and what norms behind the activation cost once they are folded.

    python bench/folding_speed.py [--out docs/runs/bench/folding-cpu.jsonl] [--models ...] [--batches 1 32] [--size 224]
        [--seconds 20] [--threads 2] [--modes eager compiled]

Four candidates of a model run in rounds, each round in an order of its own, on one input: norms before the activation
and behind it (all gamma positive, so that all can go), each as it is and folded. First they are compared with each
other; nothing is timed that computes something else. Where the weights happen to lie in memory changes the time of a
network by a percent or two, so in eager mode the time is shared by several copies. A row holds all samples; the page is
written by tools/write_folding_page.py.
"""

import argparse
import copy
import json
import platform
import random
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

import placenorm as pn
from folding import look_trained
from networks import build
from placenorm.rewrite.proving import measure_error

MODELS: Final = ("resnet18", "mobilenet_v3_small", "vgg11_bn")
PLACEMENTS: Final = ("before-activation", "after-activation")
LEAST: Final = 7
"""Rounds that are run even where they take longer than the time for them."""

WARM_UP: Final = 3
COPIES: Final = 5
"""Copies of the candidates that the time of an eager row is shared by."""

START: Final = 20261127
"""Seed of the orders."""

CLOSE: Final = 1e-4
"""What a folded model may differ by in float32, as a share of its largest output."""


def list_candidates(name: str, layout: torch.memory_format, size: int) -> tuple[dict[str, nn.Module], dict[str, int]]:
    """Return the models that are timed against each other, by placement and state, and how many norms stay in each."""
    torch.manual_seed(0)
    model = build(f"torchvision:{name}")
    example = torch.randn(2, 3, size, size)
    found: dict[str, nn.Module] = {}
    left: dict[str, int] = {}
    for placement in PLACEMENTS:
        placed = look_trained(pn.place(model, example, placement).model, both=False)
        done = pn.fold(placed, example, verify=False)
        for state, each in (("as it is", placed), ("folded", done.model)):
            found[f"{placement}, {state}"] = each.to(memory_format=layout)
        left[placement] = len(done.skipped)
    return found, left


def check(candidates: dict[str, Callable[[Tensor], Tensor]], x: Tensor) -> None:
    """Raise an error unless the folded models compute what the others do."""
    for placement in PLACEMENTS:
        error = measure_error(candidates[f"{placement}, as it is"](x), candidates[f"{placement}, folded"](x))
        if not error <= CLOSE:
            raise SystemExit(f"The folded model differs by {error:.1e}: nothing is timed.")


def time_candidates(
    candidates: dict[str, Callable[[Tensor], Tensor]], x: Tensor, seconds: float
) -> dict[str, list[float]]:
    """Return milliseconds of single calls, one of each candidate in every round."""
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    order = random.Random(START)
    until, rounds = time.perf_counter() + seconds, 0
    while rounds < LEAST or time.perf_counter() < until:
        for name in order.sample(list(candidates), len(candidates)):
            started = time.perf_counter()
            candidates[name](x)
            samples[name].append(round(1e3 * (time.perf_counter() - started), 3))
        rounds += 1
    return samples


def examine(name: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of a model: for each batch and mode one."""
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    plain, left = list_candidates(name, layout, options.size)
    for batch in options.batches:
        x = torch.randn(batch, 3, options.size, options.size).contiguous(memory_format=layout)
        for mode in options.modes:
            yield {
                "model": name,
                "note": options.note,
                "left": left,
                "batch": batch,
                "size": options.size,
                "mode": mode,
                "layout": "channels_last" if options.channels_last else "contiguous",
                "threads": torch.get_num_threads(),
                "device": _find_processor(),
                "versions": f"torch {version('torch')}, torchvision {version('torchvision')}",
                "samples_ms": time_mode(plain, mode, x, options.seconds),
            }


def time_mode(plain: dict[str, nn.Module], mode: str, x: Tensor, seconds: float) -> dict[str, list[float]]:
    """Return milliseconds of single calls in a mode, over several copies where that is eager."""
    torch.compiler.reset()
    copies = 1 if mode == "compiled" else COPIES
    order = random.Random(START)
    samples: dict[str, list[float]] = {name: [] for name in plain}
    for _ in range(copies):
        calls: dict[str, Callable[[Tensor], Tensor]] = {}
        for name in order.sample(list(plain), len(plain)):
            # a copy does not keep the correction of the example's size, which compiled code reads
            compiled = mode == "compiled"
            calls[name] = torch.compile(plain[name], dynamic=False) if compiled else copy.deepcopy(plain[name])
        for _ in range(WARM_UP):
            check(calls, x)
        for name, found in time_candidates(calls, x, seconds / copies).items():
            samples[name] += found
    return samples


def _find_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def main() -> None:
    """Time the models and write the rows anew."""
    parser = argparse.ArgumentParser(description="Time folded models on the processor.")
    parser.add_argument("--out", type=Path, default=Path("docs/runs/bench/folding-cpu.jsonl"))
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 32])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=20.0, help="For each row, all candidates together.")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--modes", nargs="*", default=["eager", "compiled"])
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--note", default="", help="What the page has to say of this run.")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    with torch.no_grad(), options.out.open("w", encoding="utf-8") as file:
        for name in options.models:
            for row in examine(name, options):
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(row["model"], row["batch"], row["mode"], {k: min(v) for k, v in row["samples_ms"].items()})


if __name__ == "__main__":
    main()
