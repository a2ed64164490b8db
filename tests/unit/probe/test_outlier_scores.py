"""Distances of samples from clean ones: by the others, without the bound of sqrt(n - 1), and streaming."""

import math

import pytest
import torch
from torch import Tensor, nn

from placenorm.facts.outliers import reach_of
from placenorm.probe.outlier_scores import (
    SiteMoments,
    count_as_far,
    find_shrinkage,
    measure_excess,
)
from placenorm.probe.outlier_sites import OutlierReader, SiteBatch, describe_channels, normalise


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gather(x: Tensor, *, joint: bool, size: int = 7) -> SiteMoments:
    site = SiteMoments.start(SiteBatch("input", x, joint))
    for batch in x.split(size):
        site.add(batch)
    return site


@pytest.mark.parametrize("values", [2, 5, 25, 26, 101], ids=str)
def test_no_z_among_n_values_exceeds_the_root_of_n_minus_1(values: int) -> None:
    x = torch.zeros(values, 1, dtype=torch.float64)
    x[0] = 1e9
    largest = float(gather(x, joint=False).peaks(x).max())
    assert largest == pytest.approx(reach_of(values), rel=1e-6)
    assert (reach_of(values) < 5) == (values < 26)


def test_distance_by_the_others_has_no_such_bound() -> None:
    x = draw(10, 1)
    x[0] = 1e6
    site = gather(x, joint=False)
    assert float(site.peaks(x)[0]) == pytest.approx(3.0, rel=1e-6)
    assert float(site.distances(x, among=True)[0]) > 30  # the floor is 3 % of a spread that the sample itself widens


@pytest.mark.parametrize("joint", [False, True], ids=["furthest", "joint"])
def test_moments_over_batches_are_those_of_all_samples(joint: bool) -> None:
    x = draw(50, 3) * 0.1 + 1e3
    x[:, 1] += x[:, 0] - 1e3
    site = gather(x, joint=joint)
    assert site.count == 50
    torch.testing.assert_close(site.mean, x.mean(0), rtol=1e-13, atol=0.0)
    scatter = (x - x.mean(0)).T @ (x - x.mean(0))
    torch.testing.assert_close(site.scatter, scatter if joint else scatter.diagonal(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("joint", [False, True], ids=["furthest", "joint"])
def test_a_clean_sample_is_measured_as_if_it_were_new(joint: bool) -> None:
    """The closed form over all samples gives nearly what the moments of the others give."""
    x = draw(400, 2) @ torch.tensor([[1.0, 1.0], [0.0, 0.2]]).double()
    x[0] = torch.tensor([2.0, 0.5])
    closed = gather(x, joint=joint).distances(x[:1], among=True)
    apart = gather(x[1:], joint=joint).distances(x[:1], among=False)
    naive = gather(x, joint=joint).distances(x[:1], among=False)
    torch.testing.assert_close(closed, apart, rtol=0.01, atol=0.0)
    assert abs(float(naive - apart)) > 4 * abs(float(closed - apart))


def test_joint_distance_knows_what_goes_together() -> None:
    shared = draw(500, 1)
    x = torch.cat([shared, shared + 0.1 * draw(500, 1, seed=1)], dim=1)
    usual, odd = torch.tensor([[1.5, 1.5], [1.5, -1.5]], dtype=torch.float64).split(1)
    site = gather(x, joint=True)
    assert float(site.distances(odd, among=False)) > 4 * float(site.distances(usual, among=False))
    alone = gather(x, joint=False)
    torch.testing.assert_close(
        alone.distances(odd, among=False), alone.distances(usual, among=False), rtol=0.1, atol=0.0
    )


def test_shrinkage_is_full_for_few_samples_and_least_for_many() -> None:
    few, many = (
        draw(4, 30),
        draw(20_000, 3) @ torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.6, 0.5], [0.0, 0.0, 1.0]]).double(),
    )
    assert find_shrinkage(few.T.cov(), 4) > 0.5
    assert find_shrinkage(many.T.cov(), 20_000) == pytest.approx(0.01)


def test_a_constant_feature_does_no_harm_and_leaving_it_does() -> None:
    x = torch.cat([draw(60, 2), torch.full((60, 1), 7.0)], dim=1)
    for joint in (False, True):
        site = gather(x, joint=joint)
        usual = site.distances(x, among=True)
        assert bool(usual.isfinite().all())
        left = x[:1].clone()
        left[0, 2] = 8.0
        assert float(site.distances(left, among=False)) > 3 * float(usual.max())


def test_samples_that_are_not_finite_are_infinitely_far_and_left_out_of_the_moments() -> None:
    x = draw(30, 2)
    bad = x.clone()
    bad[3, 1], bad[8, 0] = math.nan, math.inf
    site = gather(bad, joint=True)
    assert site.count == 28
    distances = site.distances(bad, among=True)
    assert distances.isinf().nonzero().flatten().tolist() == [3, 8]


def test_excess_is_0_at_the_clean_median_and_1_at_the_90_percent_quantile() -> None:
    clean = torch.arange(1, 102, dtype=torch.float64).exp()
    excess = measure_excess(clean[[50, 90, 100]], clean)
    torch.testing.assert_close(excess, torch.tensor([0.0, 1.0, 1.25], dtype=torch.float64))


def test_count_as_far_counts_equal_values() -> None:
    clean = torch.tensor([3.0, 1.0, 2.0, 2.0])
    assert count_as_far(torch.tensor([0.0, 2.0, 3.0, 3.5]), clean).tolist() == [4, 3, 1, 0]


def test_channels_are_described_by_mean_and_spread() -> None:
    z = torch.tensor([[[[1.0, 3.0]], [[5.0, 5.0]]]], dtype=torch.float64)
    described = describe_channels(z)
    torch.testing.assert_close(described[0, :2], torch.tensor([2.0, 5.0], dtype=torch.float64))
    torch.testing.assert_close(described[0, 2:], torch.tensor([1.001, 0.001], dtype=torch.float64).log())
    assert describe_channels(z[..., :1]).shape == (1, 2)


@pytest.mark.parametrize("tracks", [True, False], ids=["running", "batch"])
def test_z_is_what_the_norm_makes_before_gamma_and_beta(tracks: bool) -> None:
    norm = nn.BatchNorm2d(3, track_running_stats=tracks, affine=False).double()
    if tracks:
        norm(draw(8, 3, 4, 4, seed=1) * 2 + 1)
    norm.eval()
    x = draw(5, 3, 2, 2)
    z, values = normalise(x, norm)
    torch.testing.assert_close(z, norm(x))
    assert values == (None if tracks else 20)


def test_reader_keeps_calls_of_a_shared_norm_apart() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.norm(self.norm(x) + 3)
            return y

    reader = OutlierReader(Shared())
    with reader.attached():
        seen = reader.read(torch.zeros(4, 2), 1, "data")
        again = reader.read(torch.zeros(4, 2), 2, "data")
    assert list(seen) == list(again) == ["input", "input:channels", "norm", "norm#2"]
    assert float(seen["norm#2"].features.mean()) == pytest.approx(3.0, rel=1e-4)


def test_reader_says_that_a_functional_norm_was_not_looked_at() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.batch_norm(self.norm(x), self.norm.running_mean, self.norm.running_var)

    for model, skipped in ((Functional(), ["F.batch_norm"]), (nn.BatchNorm1d(3), [])):
        reader = OutlierReader(model)
        with reader.attached():
            reader.read(torch.zeros(4, 3), 1, "data")
        assert list(reader.skipped) == skipped


def test_reader_says_where_rows_are_no_samples() -> None:
    model = nn.Sequential(nn.Flatten(0, 1), nn.BatchNorm1d(3))
    reader = OutlierReader(model)
    with reader.attached():
        seen = reader.read(torch.zeros(4, 5, 3), 1, "data")
    assert list(seen) == ["input", "input:channels"]
    assert reader.skipped == {"1": "it reads 20 rows for 4 samples"}
