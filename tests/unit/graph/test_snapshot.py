"""What counts as unchanged."""

import random
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
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


class Meter:
    def __init__(self) -> None:
        self.count = 0


@pytest.mark.parametrize(
    ("held", "change"),
    [
        (SimpleNamespace(n=1), lambda held: setattr(held, "n", 2)),
        (Meter(), lambda held: setattr(held, "count", 7)),
        (([1, 2], 3), lambda held: held[0].append(4)),
        (np.zeros(3), lambda held: held.fill(1.0)),
        ({"inner": Meter()}, lambda held: setattr(held["inner"], "more", 1)),
        (deque([1]), lambda held: held.append(2)),
        ({1, 2}, lambda held: held.add(3)),
    ],
    ids=["namespace", "object", "list in a tuple", "array", "object in a dict", "deque", "set"],
)
def test_snapshot_sees_and_puts_back_what_any_attribute_holds(held: Any, change: Callable[[Any], object]) -> None:
    module = nn.Identity()
    module.memory = held
    snapshot = ModuleSnapshot(module)
    assert snapshot.changes() == ()
    change(held)
    assert set(snapshot.changes()) <= {"memory", "n", "count", "more", "inner"}
    assert snapshot.changes()
    snapshot.restore()
    assert snapshot.changes() == ()


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
