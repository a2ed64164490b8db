"""Tests of what runs on a GPU. Those that are marked `interpreted` also run without one, under Triton's interpreter."""

import os
from dataclasses import replace

import pytest
import torch

from placenorm.kernels.triton import launch

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


NEVER_HELD = (launch.Launch(values=1, programs=1, warps=4),)
HELD_IN_NARROW_TILES = (*launch.HELD[:-1], replace(launch.HELD[-1], programs=100))


@pytest.fixture(params=["swept", "held", "held-narrow"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Sweep twice over all inputs, or hold those that fit on the chip, with few blocks or with many."""
    ways = {"swept": NEVER_HELD, "held": launch.HELD, "held-narrow": HELD_IN_NARROW_TILES}
    monkeypatch.setattr(launch, "HELD", ways[request.param])
    chosen: str = request.param
    return chosen
