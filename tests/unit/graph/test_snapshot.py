"""What counts as unchanged."""

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
