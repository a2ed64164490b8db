"""Whether a GPU is faster where one program holds what it normalises, or where many sweep over it twice.

Run on a GPU: ``python bench/gpu_held.py --out docs/runs/launches/held-h100.json``. Not run
yet: what it finds is to decide on the largest tile in `placenorm.kernels.triton.launch.HELD`. What Python costs is left
out; `bench/host_cost.py` has that.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest.mock import patch

import torch
from triton.testing import do_bench_cudagraph

from placenorm.kernels.activations import Activation
from placenorm.kernels.chain import Chain
from placenorm.kernels.triton import chain, held_kernels, launch

CHANNELS: Final = (16, 64, 256, 1024)
POSITIONS: Final = (16, 64, 256, 1024, 4096, 16384)
"""Of all samples; each is timed where a program can hold it."""

PLANES: Final = (49, 64)
"""Positions of a sample in planes, which are read a value at a time, or eight."""

WAYS: Final = {"swept": (launch.Launch(1, 1, 4),), "held": launch.HELD}
RELU: Final = Activation("relu")
CHAINS: Final = {"norm-relu": Chain(after=RELU), "norm-add-relu": Chain(after=RELU, adds=True)}
EPS: Final = 1e-5


@contextmanager
def go(way: str, room: launch.Room) -> Iterator[None]:
    """Hold what can be held, or nothing; in memory that is kept, as it is outside of graphs."""
    with patch.object(launch, "HELD", WAYS[way]), patch.object(launch, "find_room", lambda *_: room):
        yield


def time_directions(x: torch.Tensor, chained: Chain, room: launch.Room) -> dict[str, float]:
    """Return the microseconds of both directions and ways, of a chain on an input ``[N, C, S]``."""
    weight, bias = (torch.randn(x.shape[1], device="cuda") for _ in range(2))
    dy, residual = torch.randn_like(x), torch.randn_like(x) if chained.adds else None
    y, bits, mean, _, rstd = chain.chain_fwd(x, residual, weight, bias, EPS, chained)
    told = (y if bits is None else bits) if chained.adds else None
    runs: dict[str, Callable[[], object]] = {
        "forward": lambda: chain.chain_fwd(x, residual, weight, bias, EPS, chained),
        "backward": lambda: chain.chain_bwd(dy, x, told, mean, rstd, weight, bias, chained),
    }
    times: dict[str, float] = {}
    for direction, run in runs.items():
        for way in WAYS:
            with go(way, room):
                times[f"{direction}-{way}"] = 1e3 * float(do_bench_cudagraph(run, rep=8, return_mode="median"))
    return times


def is_held(x: torch.Tensor) -> bool:
    """Whether a program can hold what it normalises of an input ``[N, C, S]``."""
    return chain.plan_held(held_kernels.norm_held, x, "identity", "relu") is not None


def main() -> None:
    """Time every shape in both layouts, and write a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rows: list[dict[str, object]] = []
    counters = torch.zeros(launch.LEAST_COUNTERS, dtype=torch.int32, device="cuda")
    room = launch.Room(counters, torch.empty(launch.LEAST_SUMS * 16, device="cuda"))
    for channels in CHANNELS:
        for positions in POSITIONS:
            planes = [torch.randn(max(1, positions // plane), channels, plane, device="cuda") for plane in PLANES]
            last = torch.randn(positions, channels, 1, device="cuda")
            for layout, x in (*(("planes", each) for each in planes), ("channels_last", last)):
                for name, chained in CHAINS.items():
                    if is_held(x):
                        times = time_directions(x.bfloat16(), chained, room)
                        rows.append({"chain": name, "layout": layout, "shape": list(x.shape), "us": times})
                        print(rows[-1], flush=True)
    document = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
