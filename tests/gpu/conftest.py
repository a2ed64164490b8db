"""Tests of what runs on a GPU. Those that are marked `interpreted` also run without one, under Triton's interpreter."""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from placenorm.kernels.triton import held_kernels, launch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(scope="session")
def device() -> str:
    """Return where kernels run: the processor under the interpreter, else the GPU, without which the test fails."""
    if INTERPRETED:
        return "cpu"
    assert torch.cuda.is_available(), "no CUDA device; set TRITON_INTERPRET=1 and select -m interpreted, or find one"
    return "cuda"


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the interpreter, cut small inputs into several tiles for several programs, as large ones are on a GPU."""
    if INTERPRETED:
        for name in ("SUM_VALUES", "APPLY_NORM", "SUM_GRADIENTS", "APPLY_GRADIENTS", "POOL", "UNPOOL"):
            monkeypatch.setattr(launch, name, launch.Launch(values=256, programs=12, warps=4))


WAYS = {
    "swept": (launch.Launch(values=1, programs=1, warps=4),),
    "held-wide": (*launch.HELD[:-1], replace(launch.HELD[-1], programs=0)),
    "held-narrow": (*launch.HELD[:-1], replace(launch.HELD[-1], programs=100)),
}


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sweep twice over all inputs, or hold them in the widest tiles or the narrowest; fail where nothing was held."""
    started: list[launch.Plan] = []

    def note(kernel: launch.Kernel, plan: launch.Plan, *arguments: Any) -> None:
        if kernel in (held_kernels.norm_held, held_kernels.differentiate_held):
            started.append(plan)
        start(kernel, plan, *arguments)

    start = launch.Kernel.start
    monkeypatch.setattr(launch, "HELD", WAYS[request.param])
    monkeypatch.setattr(launch.Kernel, "start", note)
    yield
    assert bool(started) == (request.param != "swept")


@pytest.fixture(autouse=True)
def add_in_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the interpreter, add the numbers of a tile in pairs, as a GPU does; numpy adds row after row."""
    if INTERPRETED:
        from triton.runtime.interpreter import ReduceOps

        def add(self: ReduceOps, values: Any) -> Any:
            numbers = values.handle.data
            summed = np.moveaxis(numbers, self.axis, 0) if self.axis is not None else numbers.reshape(-1)
            while len(summed) > 1:
                summed = summed[: len(summed) // 2] + summed[len(summed) // 2 :]
            kept = np.expand_dims(summed[0], self.axis) if self.keep_dims else summed[0]
            return self.to_tensor(kept, values.dtype)

        monkeypatch.setattr(ReduceOps, "sum", add)
