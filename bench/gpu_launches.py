"""How kernels of a GPU are best started: every tile, number of programs and number of warps that is tried, timed.

Run on a GPU: ``python bench/gpu_launches.py --out docs/runs/launches/h100.json``. The best of each kernel stand
in `placenorm.kernels.triton.launch`.
"""

import argparse
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from triton.testing import do_bench, do_bench_cudagraph

from placenorm.kernels.activations import Activation
from placenorm.kernels.chain import Chain
from placenorm.kernels.pool_chain import MaxPool, PoolChain
from placenorm.kernels.triton import chain, launch, pool_chain
from placenorm.kernels.triton.launch import Launch

SHAPES = ((256, 64, 56, 56), (256, 512, 14, 14))
VALUES, PROGRAMS, WARPS, STAGES = (2048, 4096, 8192), (2, 4, 8), (4, 8), (1, 3)
RELU = Activation("relu")
EPS = 1e-5


def make_runs(shape: tuple[int, ...]) -> dict[str, list[Callable[[], object]]]:
    """Return what is timed for each kernel, on an input ``[N, C, H, W]`` in bfloat16 with the channels last."""
    x, dy, residual = (
        torch.randn(shape, device="cuda", dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        for _ in range(3)
    )
    weight, bias = (torch.randn(shape[1], device="cuda") for _ in range(2))
    flat, upstream, added = (each.flatten(2) for each in (x, dy, residual))
    front, adding = Chain(before=RELU), Chain(after=RELU, adds=True)
    pooled = PoolChain(MaxPool((2, 2), (2, 2)), RELU)
    _, _, mean, _, rstd = chain.chain_fwd(flat, None, weight, bias, EPS, front)
    _, bits, mean_added, _, rstd_added = chain.chain_fwd(flat, added, weight, bias, EPS, adding)
    _, winner, place, mean_pooled, _, rstd_pooled = pool_chain.pool_chain_fwd(x, weight, bias, EPS, pooled)
    less = dy[:, :, : winner.shape[2], : winner.shape[3]].contiguous(memory_format=torch.channels_last)
    forward: list[Callable[[], object]] = [
        lambda: chain.chain_fwd(flat, None, weight, bias, EPS, front),
        lambda: chain.chain_fwd(flat, added, weight, bias, EPS, adding),
    ]
    backward: list[Callable[[], object]] = [
        lambda: chain.chain_bwd(upstream, flat, None, mean, rstd, weight, bias, front),
        lambda: chain.chain_bwd(upstream, flat, bits, mean_added, rstd_added, weight, bias, adding),
    ]
    size = (shape[2], shape[3])
    return {
        "SUM_VALUES": forward[:1],
        "APPLY_NORM": forward,
        "SUM_GRADIENTS": backward,
        "APPLY_GRADIENTS": backward,
        "POOL": [lambda: pool_chain.pool_chain_fwd(x, weight, bias, EPS, pooled)],
        "UNPOOL": [
            lambda: pool_chain.pool_chain_bwd(less, winner, place, mean_pooled, rstd_pooled, weight, size, pooled)
        ],
    }


def time_all(runs: list[Callable[[], object]]) -> list[float]:
    """Return the milliseconds of each, many times in a graph, so that nothing waits for Python."""
    return [float(do_bench_cudagraph(run, rep=8, return_mode="median")) for run in runs]


def measure_copy() -> float:
    """Return the bytes a millisecond that a copy reads and writes."""
    source = torch.empty(1 << 29, device="cuda", dtype=torch.uint8)
    target: Tensor = torch.empty_like(source)
    return 2 * source.nbytes / float(do_bench(lambda: target.copy_(source), return_mode="median"))


def main() -> None:
    """Try every launch of every kernel in turn, the others at the best so far, and write all that was timed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kernels", nargs="*", default=[])
    parser.add_argument("--warps", nargs="*", type=int, default=WARPS)
    parser.add_argument("--compile-only", action="store_true", help="fill the cache of compiled kernels, time nothing")
    given = parser.parse_args()
    cases = {shape: make_runs(shape) for shape in SHAPES}
    rows: list[dict[str, object]] = []
    bandwidth = measure_copy()
    for name in given.kernels or list(next(iter(cases.values()))):
        scores: dict[Launch, float] = {}
        for values, programs, warps, stages in itertools.product(VALUES, PROGRAMS, given.warps, STAGES):
            tried = Launch(values, programs, warps, stages)
            setattr(launch, name, tried)
            try:
                if given.compile_only and programs == PROGRAMS[0]:
                    for runs in cases.values():
                        _ = [run() for run in runs[name]]
                if given.compile_only:
                    continue
                times = {shape: time_all(runs[name]) for shape, runs in cases.items()}
            except Exception as error:  # a launch that needs more than there is
                print(name, tried, type(error).__name__, flush=True)
                continue
            scores[tried] = sum(math.log(each) for found in times.values() for each in found)
            rows.append({"kernel": name, "values": values, "programs": programs, "warps": warps, "stages": stages}
                        | {"x".join(map(str, shape)): found for shape, found in times.items()})  # fmt: skip
        if given.compile_only:
            continue
        best = min(scores, key=lambda each: scores[each])
        setattr(launch, name, best)
        at = next(row for row in rows if row["kernel"] == name and Launch(*_read(row)) == best)
        print(name, best, {key: value for key, value in at.items() if "x" in key}, flush=True)
        given.out.write_text(json.dumps({"copy_bytes_per_ms": bandwidth, "rows": rows}, indent=1))
    print(f"copy: {bandwidth / 1e9:.2f} TB/s", torch.cuda.get_device_name())


def _read(row: dict[str, object]) -> list[int]:
    found = [row[key] for key in ("values", "programs", "warps", "stages")]
    return [each for each in found if isinstance(each, int)]


if __name__ == "__main__":
    main()
