"""Mean and spread of planes, held against float64."""

import pytest
import torch
from torch import Tensor

from placenorm.kernels.cpu import planes
from placenorm.probe import moments

SHAPES = [(4, 3, 5), (2, 7, 8, 8), (1, 1, 1, 1), (3, 2, 2, 3, 5), (2, 2, 128, 128)]


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1e3, 0.1), (-5.0, 0.0)], ids=["usual", "far", "constant"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_moments_of_planes_are_those_of_float64(shape: tuple[int, ...], mean: float, std: float) -> None:
    x = mean + std * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert planes.covers(x)
    centres, lengths = planes.measure_planes(x)
    wide = x.double().flatten(2)
    truth = wide.mean(2)
    torch.testing.assert_close(centres.double(), truth, rtol=5e-7, atol=5e-7)
    spread = (wide - truth.unsqueeze(2)).norm(dim=2)
    torch.testing.assert_close(lengths.double(), spread, rtol=1e-4, atol=2e-7 * abs(mean) * wide.shape[2])


def test_moments_keep_what_is_no_number() -> None:
    x = torch.zeros(2, 2, 4)
    x[0, 1, 2], x[1, 0, 0] = float("nan"), float("inf")
    centres, lengths = planes.measure_planes(x)
    finite = [[True, False], [False, True]]
    assert centres.isfinite().tolist() == finite
    assert lengths.isfinite().tolist() == finite


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 3),
        torch.zeros(2, 3, 4, dtype=torch.float64),
        torch.zeros(2, 4, 3).transpose(1, 2),
        torch.zeros(0, 3, 4),
    ],
    ids=["no-places", "float64", "channels-last", "empty"],
)
def test_other_tensors_are_left_to_torch(x: Tensor) -> None:
    assert not planes.covers(x)


def test_watch_reads_the_same_with_and_without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    values = moments.see_values(torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(1)))
    fast = moments.measure_samples(values)
    monkeypatch.setattr(planes, "covers", lambda x: False)
    slow = moments.measure_samples(values)
    assert fast.places == slow.places == 36
    torch.testing.assert_close(fast.centres, slow.centres)
    torch.testing.assert_close(fast.lengths, slow.lengths)
