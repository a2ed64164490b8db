"""What `pn.watch` costs a training step, as ratios in one run, for resnet18 and the built-in cnn.

Three copies of a network train on the same batches, one of them unwatched, one at level light with every=50, one at
level standard with every=10. Their steps are interleaved in blocks of 50, in an order that turns, so that a busy
machine slows all of them; a block's ratio is its time over that of the plain block in the same round. All samples are
kept in the rows. The second plain copy shows how much of a ratio is noise. Run from the root of the repository:

    python bench/watch_overhead.py --rounds 12 --out watch_overhead.jsonl
"""

import argparse
import copy
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.probe.watching import Watcher
from placenorm.zoo.plain import PlainCnn

BLOCK = 50
"""Steps that are timed together: one look at every=50, five at every=10."""

BUDGETS = {"light, every=50": 2.0, "standard, every=10": 10.0}
"""What may be lost, in percent."""

ARMS: dict[str, Callable[[nn.Module], AbstractContextManager[Any]]] = {
    "plain": lambda model: nullcontext(),
    "plain again": lambda model: nullcontext(),
    "light, every=50": lambda model: Watcher(model, every=50, level="light"),
    "standard, every=10": lambda model: Watcher(model, every=10, level="standard"),
    "full, every=10": lambda model: Watcher(model, every=10, level="full"),
}


def make_resnet() -> tuple[nn.Module, Tensor]:
    """Return torchvision's resnet18 and a small batch for it."""
    from torchvision.models import resnet18

    return resnet18(num_classes=10), torch.randn(8, 3, 64, 64)


def make_cnn() -> tuple[nn.Module, Tensor]:
    """Return the built-in cnn as it is, without norms, and a batch of the digits' shape."""
    return PlainCnn((1, 8, 8), 10), torch.randn(64, 1, 8, 8)


def make_normed_cnn() -> tuple[nn.Module, Tensor]:
    """Return the built-in cnn with norms before its activations, and a batch of the digits' shape."""
    model, batch = make_cnn()
    return pn.place(model, batch, "before-activation").model, batch


CASES: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "resnet18, 8x3x64x64": make_resnet,
    "cnn, 64x1x8x8": make_cnn,
    "cnn with norms, 64x1x8x8": make_normed_cnn,
}


def train(model: nn.Module, batch: Tensor) -> Iterator[None]:
    """Train for ever, a step at each request."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    labels = torch.arange(len(batch)) % 10
    model.train()
    while True:
        optimizer.zero_grad()
        F.cross_entropy(model(batch), labels).backward()
        optimizer.step()
        yield


def measure(case: str, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each arm: seconds of every block, and ratios to the plain block of its round."""
    torch.manual_seed(0)
    model, batch = CASES[case]()
    times: dict[str, list[float]] = {arm: [] for arm in ARMS}
    with ExitStack() as stack:
        loops = {}
        for arm, watch in ARMS.items():
            own = copy.deepcopy(model)
            stack.enter_context(watch(own))
            loops[arm] = train(own, batch)
        names = list(ARMS)
        for turn in range(rounds + 1):
            for arm in names[turn % len(names) :] + names[: turn % len(names)]:
                start = time.perf_counter()
                for _ in range(BLOCK):
                    next(loops[arm])
                if turn:  # the first round warms up
                    times[arm].append(time.perf_counter() - start)
    rows = []
    for arm, seconds in times.items():
        ratios = [own / plain for own, plain in zip(seconds, times["plain"], strict=True)]
        rows.append(
            {
                "case": case,
                "arm": arm,
                "step_ms": [1e3 * each / BLOCK for each in seconds],
                "ratio": ratios,
                "median_step_ms": 1e3 * statistics.median(seconds) / BLOCK,
                "median_ratio": statistics.median(ratios),
                "least_ratio": min(seconds) / min(times["plain"]),
                "device": platform.processor() or platform.machine(),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "placenorm": pn.__version__,
            }
        )
    return rows


def main() -> None:
    """Measure, print a table, and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{'case':<26} {'arm':<20} {'step, ms':>9} {'ratio':>7} {'of minima':>9}  budget, %")
    for case in options.case or CASES:
        for row in measure(case, options.rounds):
            budget = BUDGETS.get(row["arm"], "")
            print(
                f"{case:<26} {row['arm']:<20} {row['median_step_ms']:9.2f} {row['median_ratio']:7.4f} "
                f"{row['least_ratio']:9.4f}  {budget}"
            )
            if options.out is not None:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
