"""Whether a GPU is faster where one program holds what it normalises, or where many sweep over it twice.

Run on a GPU: ``python bench/gpu_held.py --out docs/runs/launches/held-h100.json``. The largest tile in
`placenorm.kernels.triton.launch.HELD` is the largest that is faster here.
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

PLANE: Final = 64
"""Positions of a sample in planes."""

WAYS: Final = {"swept": (launch.Launch(1, 1, 4),), "held": launch.HELD}
EPS: Final = 1e-5


@contextmanager
def go(way: str) -> Iterator[None]:
    """Hold what can be held, or nothing."""
    with patch.object(launch, "HELD", WAYS[way]):
        yield


def time_directions(x: torch.Tensor) -> dict[str, float]:
    """Return the microseconds of both directions and ways, of a norm with a ReLU behind it, x ``[N, C, S]``."""
    weight, bias = (torch.randn(x.shape[1], device="cuda") for _ in range(2))
    dy, after = torch.randn_like(x), Chain(after=Activation("relu"))
    _, _, mean, _, rstd = chain.chain_fwd(x, None, weight, bias, EPS, after)
    runs: dict[str, Callable[[], object]] = {
        "forward": lambda: chain.chain_fwd(x, None, weight, bias, EPS, after),
        "backward": lambda: chain.chain_bwd(dy, x, None, mean, rstd, weight, bias, after),
    }
    times: dict[str, float] = {}
    for direction, run in runs.items():
        for way in WAYS:
            with go(way):
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
    for channels in CHANNELS:
        for positions in POSITIONS:
            planes = torch.randn(max(1, positions // PLANE), channels, min(PLANE, positions), device="cuda")
            last = torch.randn(positions, channels, 1, device="cuda")
            for layout, x in (("planes", planes.bfloat16()), ("channels_last", last.bfloat16())):
                if is_held(x):
                    rows.append({"layout": layout, "shape": list(x.shape), "us": time_directions(x)})
                    print(rows[-1], flush=True)
    document = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
