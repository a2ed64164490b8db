"""What counts as unchanged."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from placenorm.graph.snapshot import ModuleSnapshot, bit_equal

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [([1.0, NAN], [1.0, NAN], True), ([0.0], [NAN], False), ([NAN, 1.0], [1.0, NAN], False), ([INF], [3.4e38], False)],
    ids=["nan-in-place", "nan-for-zero", "nan-elsewhere", "infinity"],
)
def test_bit_equal_tells_no_number_from_a_number(one: list[float], other: list[float], same: bool) -> None:
    assert bit_equal(Tensor(one), Tensor(other)) is same


def test_snapshot_puts_back_what_became_no_number() -> None:
    norm = nn.BatchNorm1d(2)
    snapshot = ModuleSnapshot(norm)
    norm.running_mean.fill_(NAN)
    assert snapshot.changes() == ("running_mean",)
    snapshot.restore()
    assert torch.equal(norm.running_mean, torch.zeros(2))


@pytest.mark.parametrize(
    ("generator", "draw"),
    [
        (torch.Generator(), lambda generator: float(torch.rand(1, generator=generator))),
        (random.Random(3), lambda generator: generator.random()),
        (np.random.default_rng(3), lambda generator: float(generator.random())),
        (np.random.Generator(np.random.MT19937(3)), lambda generator: float(generator.random())),
    ],
    ids=["torch", "python", "numpy", "mersenne"],
)
def test_snapshot_rewinds_a_generator(generator: Any, draw: Callable[[Any], float]) -> None:
    module = nn.Identity()
    module.noise = generator
    snapshot = ModuleSnapshot(module)
    assert snapshot.changes() == ()
    first = draw(generator)
    assert snapshot.changes() == ("noise",)
    snapshot.restore()
    assert draw(generator) == first


def test_snapshot_takes_containers_that_hold_themselves() -> None:
    module = nn.Identity()
    memory: dict[str, Any] = {"steps": [1]}
    memory["self"] = memory
    module.memory = memory
    snapshot = ModuleSnapshot(module)
    memory["steps"].append(2)
    memory["more"] = None
    assert set(snapshot.changes()) == {"memory"}
    snapshot.restore()
    assert memory == {"steps": [1], "self": memory}
