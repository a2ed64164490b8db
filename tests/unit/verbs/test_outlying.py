"""The verb `outliers`: planted outliers come first, surprise means what it says, bad input is one sentence."""

import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import placenorm as pn
from placenorm.errors import DataError, ModelError, PlacenormError, UsageError
from placenorm.facts.codec import loads
from placenorm.facts.outliers import Outliers
from placenorm.graph.snapshot import ModuleSnapshot
from placenorm.probe import outlier_sites
from placenorm.randomness import random_states
from support.networks import ModuleNet, PlainMlp

SHAPE = (1, 8, 8)


def draw(count: int, seed: int, shape: tuple[int, ...] = SHAPE) -> Tensor:
    """Return samples whose places go together, and some of which are louder than others."""
    generator = torch.Generator().manual_seed(seed)
    loud = torch.rand(count, *[1] * len(shape), generator=generator) + 0.5
    return torch.randn(count, *shape, generator=generator).cumsum(1 + len(shape) // 2) * loud


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    model = ModuleNet()
    for seed in range(20):
        model(draw(64, 100 + seed))
    return model.eval()


PLANTED: dict[str, Callable[[Tensor], Tensor]] = {
    "one-place": lambda x: x.index_fill(2, torch.tensor(3), 0.0).index_fill(3, torch.tensor(5), 60.0),
    "ten-times": lambda x: x * 10,
    "noise": lambda x: torch.randn(x.shape, generator=torch.Generator().manual_seed(9)) * 6,
    "constant": torch.zeros_like,
    "not-finite": lambda x: torch.full_like(x, math.nan),
}


@pytest.mark.parametrize("known", [True, False], ids=["clean", "own"])
@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED.keys())
def test_planted_outliers_come_first(net: nn.Module, plant: Callable[[Tensor], Tensor], known: bool) -> None:
    x = draw(300, 1)
    x[[17, 205]] = plant(x[[17, 205]])
    found = pn.outliers(net, x.split(50), draw(200, 2).split(64) if known else None)
    assert {sample.index for sample in found.samples[:2]} == {17, 205}
    least = 1 / 201 if known else 1 / found.facts.clean
    assert (
        least <= found.samples[0].surprise <= (least if known else 2 * least) + 1e-9
    )  # two alike: each sees the other
    assert sorted(sample.index for sample in found.samples) == list(range(300))


def test_surprise_is_as_rare_as_it_says_on_fresh_clean_samples(net: nn.Module) -> None:
    """Of many fresh samples, against clean ones drawn anew each time, a share p is at most p surprising."""
    clean, fresh, times = 99, 20, 25
    surprises = [
        sample.surprise
        for time in range(times)
        for sample in pn.outliers(net, draw(fresh, 5000 + time), draw(clean, 7000 + time)).samples
    ]
    for share in (0.05, 0.2, 0.5):
        count = sum(surprise <= share + 1e-9 for surprise in surprises)
        # Samples that share their clean ones go together: as many as fresh / (1 + fresh / clean) are independent.
        effective = times * fresh / (1 + fresh / clean)
        low, high = binom.interval(0.999, round(effective), share)
        assert low / effective <= count / (times * fresh) <= high / effective


def test_what_a_distance_means_is_counted_on_clean_samples(net: nn.Module) -> None:
    found = pn.outliers(net, draw(50, 3), draw(100, 4))
    sites = {site.key: site for site in found.sites}
    assert list(sites) == ["input", "input:channels", "features.1", "features.5"]
    for sample in found.samples:
        usual = sites[sample.site].distances
        assert sample.distance is not None
        assert (sample.share == 0) == (sample.distance > usual.largest)
        if sample.distance > usual.top:
            assert sample.share <= 0.02
        if sample.distance < usual.median:
            assert sample.share >= 0.5
        assert sample.surprise >= 1 / 101


def test_the_worst_of_several_sites_is_paid_for(net: nn.Module) -> None:
    """The best share over sites is rarer than the surprise: as rare a share somewhere is common."""
    samples = pn.outliers(net, draw(200, 5), draw(200, 6)).samples
    shares = sum(sample.share <= 0.05 for sample in samples)
    assert sum(sample.surprise <= 0.05 for sample in samples) < shares


def test_the_value_5_is_out_of_reach_below_26_values(net: nn.Module) -> None:
    few, many = (pn.outliers(net, draw(40, 3), draw(count, 4)) for count in (25, 26))
    assert [site.key for site in few.sites if site.out_of_reach] == ["input", "input:channels"]
    assert [site.reach for site in few.sites] == [math.sqrt(24), math.sqrt(24), None, None]
    assert not any(site.out_of_reach for site in many.sites)
    assert "5 is out of reach there" in few.table()
    assert "5 is out of reach there" not in many.table()
    assert all(site.peaks.largest <= site.reach for site in few.sites if site.reach is not None)


def test_norms_without_running_statistics_are_bounded_by_their_batch() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    x = draw(60, 1, (4,))
    site = pn.outliers(model, x.split(20), draw(60, 2, (4,)).split(10)).sites[-1]
    assert (site.key, site.values, site.reach) == ("1", 10, 3.0)


def test_a_sample_that_is_not_finite_does_not_poison_others_even_through_batch_statistics() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False))
    x = draw(40, 1, (4,))
    x[11, 2] = math.nan
    samples = pn.outliers(model, x, draw(60, 2, (4,))).samples
    assert (samples[0].index, samples[0].distance, samples[0].site) == (11, None, "input")
    assert all(sample.distance is not None for sample in samples[1:])


def test_overflow_inside_the_network_is_named_where_it_happens() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(2) * 1e30)
    x = draw(30, 1, (2,))
    x[4] = 1e20
    worst = pn.outliers(model, x, draw(60, 2, (2,))).samples[0]
    assert (worst.index, worst.site, worst.distance, worst.peak) == (4, "1", None, None)


class Restless(nn.Module):
    """Draws random numbers, counts its calls, and holds a norm in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y: Tensor = self.norm(x + torch.rand(1) + random.random())
        return y


def has_hooks(model: nn.Module) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluating"])
def test_the_model_and_the_random_states_stay_as_they_were(training: bool) -> None:
    model = Restless().train(training)
    before, states = ModuleSnapshot(model), random_states()
    pn.outliers(model, draw(30, 1, (4,)), draw(30, 2, (4,)))
    assert before.changes() == ()
    assert (model.training, model.norm.training, model.calls) == (training, training, 0)
    assert random_states() == states
    assert not has_hooks(model)


class Fragile(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        if len(x) == 3:
            raise ValueError("three is too many\nand more")
        return y


def test_a_model_that_raises_in_the_middle_keeps_no_hook() -> None:
    model = Fragile().train()
    before = ModuleSnapshot(model)
    with pytest.raises(
        DataError, match=r"Fragile does not run on batch 2 of the data: three is too many; give batches"
    ):
        pn.outliers(model, draw(8, 1, (4,)).split(5), draw(20, 2, (4,)))
    assert not has_hooks(model)
    assert before.changes() == ()
    assert model.training


X = draw(12, 1, (4,))
NAN = torch.full((12, 4), math.nan)


@pytest.mark.parametrize(
    ("data", "clean", "kind", "words"),
    [
        ([], None, DataError, "There is no batch in the data"),
        (X, [], DataError, "There is no batch in the data"),
        (DataLoader(TensorDataset(X[:0])), X, DataError, "There is no batch in the data"),
        ([X[:0]], X, DataError, "There is no sample in the data to look for outliers in"),
        (X[:1], None, DataError, r"Cannot say what is usual by 1 finite sample of the data: .* at least 3"),
        (X, X[:2], DataError, r"Cannot say what is usual by 2 finite samples of the clean data"),
        (NAN, None, DataError, r"Cannot say what is usual by 0 finite samples of the data"),
        (X, [X, NAN], DataError, r"Cannot calibrate on sample 12 of the clean data: it is not finite at input"),
        (iter([X]), X, UsageError, "Cannot read the data more than once"),
        (X, (x for x in [X]), UsageError, "Cannot read the clean data more than once"),
        (DataLoader(TensorDataset(X), shuffle=True), X, UsageError, "their loader shuffles"),
        (5, None, DataError, "Cannot take batches from a int"),
        (X, 5, DataError, "Cannot take batches from a int"),
        (["a"], None, DataError, "Cannot call the model with a str"),
        ([(X, 1), "b"], None, DataError, "Cannot call the model with a str"),
        ([torch.zeros(3, 5)], X, DataError, "Linear|does not run on batch 1 of the data"),
        ([(torch.tensor(1.0),)], None, DataError, "Cannot tell the samples of batch 1 of the data apart"),
    ],
    ids=[
        "no-batch",
        "no-clean-batch",
        "empty-loader",
        "empty-batch",
        "one-sample",
        "two-clean",
        "all-nan",
        "clean-nan",
        "iterator",
        "clean-generator",
        "shuffled",
        "number",
        "clean-number",
        "text",
        "text-later",
        "wrong-shape",
        "no-rows",
    ],
)
def test_bad_data_are_one_sentence(data: object, clean: object, kind: type[PlacenormError], words: str) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(kind, match=words) as caught:
        pn.outliers(model, data, clean)
    assert "\n" not in str(caught.value)
    assert not has_hooks(model)


@pytest.mark.parametrize("size", [1, 12], ids=["batches-of-one", "one-batch"])
def test_how_data_are_cut_into_batches_makes_no_difference(net: nn.Module, size: int) -> None:
    x, clean = draw(12, 1), draw(30, 2)
    found = pn.outliers(net, x.split(size), clean.split(size)).samples
    expected = pn.outliers(net, x.split(5), clean.split(7)).samples
    assert [sample.index for sample in found] == [sample.index for sample in expected]
    assert [sample.distance for sample in found] == pytest.approx([sample.distance for sample in expected], rel=1e-4)


def test_wrapped_and_compiled_models_are_one_sentence() -> None:
    model = nn.Linear(4, 2)
    with pytest.raises(ModelError, match=r"give its \.module"):
        pn.outliers(nn.DataParallel(model), X)
    with pytest.raises(ModelError, match=r"give its \._orig_mod"):
        pn.outliers(torch.compile(model), X)
    with pytest.raises(ModelError, match=r"give a torch\.nn\.Module"):
        pn.outliers(5, X)  # type: ignore[arg-type]


def test_a_top_below_1_is_one_sentence(net: nn.Module) -> None:
    with pytest.raises(UsageError, match="give a number of 1 or more"):
        pn.outliers(net, draw(5, 1), top=0)


def test_networks_without_norms_are_looked_at_by_their_input_and_this_is_said() -> None:
    found = pn.outliers(PlainMlp(), draw(40, 1), draw(40, 2))
    assert [site.key for site in found.sites] == ["input", "input:channels"]
    assert "PlainMlp has no norm that ran: only its input was looked at." in found.facts.notes


def test_integer_inputs_are_looked_at_by_the_norms_and_this_is_said() -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5)).eval()
    ids = torch.randint(0, 9, (40, 3), generator=torch.Generator().manual_seed(0))
    found = pn.outliers(model, ids[:20], ids[20:])
    assert [site.key for site in found.sites] == ["3"]
    assert "The input was not looked at: it has no floating-point numbers." in found.facts.notes


def test_nothing_to_compare_is_one_sentence() -> None:
    ids = torch.zeros(5, 3, dtype=torch.int64)
    with pytest.raises(DataError, match="There is no site to compare samples at: the model has no norm"):
        pn.outliers(nn.Embedding(9, 4), ids)


def test_inputs_of_several_shapes_are_compared_by_their_channels_and_this_is_said(net: nn.Module) -> None:
    found = pn.outliers(net, [draw(5, 1), draw(5, 2, (1, 12, 12))], [draw(20, 3), draw(20, 4, (1, 12, 12))])
    assert [site.key for site in found.sites] == ["input:channels", "features.1", "features.5"]
    assert "input was not looked at: its samples have several shapes." in found.facts.notes


def test_inputs_by_name_and_several_at_once_are_sites() -> None:
    class Two(nn.Module):
        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return left + right

    batch = {"left": draw(30, 1, (4,)), "right": draw(30, 2, (4,))}
    batch["right"][9] = 40.0
    found = pn.outliers(Two(), [batch])
    assert found.samples[0].index == 9
    assert found.samples[0].site.startswith("input:right")


def test_more_features_than_correlations_are_kept_for_count_one_by_one(
    net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlier_sites, "JOINT_FEATURES", 9)
    found = pn.outliers(net, draw(40, 1), draw(40, 2))
    joint = {site.key: site.joint for site in found.sites}
    assert joint == {"input": False, "input:channels": True, "features.1": True, "features.5": False}


def test_without_clean_data_it_is_said_what_that_costs(net: nn.Module) -> None:
    found = pn.outliers(net, draw(40, 1))
    assert found.facts.own
    assert (found.facts.clean, found.facts.least) == (40, 1 / 40)
    assert "blunt" in found.facts.notes[0]
    assert [sample.surprise for sample in found.samples][:3] == pytest.approx([1 / 40, 2 / 40, 3 / 40])


def test_report_is_a_page_with_pictures_that_loads_nothing(net: nn.Module, tmp_path: Path) -> None:
    class Evil(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("<script>alert(1)</script>", nn.BatchNorm2d(1))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = next(self.children())(x)
            return y

    page = pn.outliers(Evil(), draw(30, 1), draw(30, 2), top=4).report(tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert page.count("<script") == 3  # of the page itself: the chart, what draws it, and what copies code
    assert "&lt;script&gt;" in page
    outside_scripts = re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
    assert "http" not in outside_scripts.replace("http-equiv", "")


@pytest.mark.parametrize(("shape", "pictures"), [((1, 8, 8), 3), ((3, 8, 8), 3), ((2, 8, 8), 0), ((64,), 0)], ids=str)
def test_pictures_are_of_images_only(shape: tuple[int, ...], pictures: int) -> None:
    found = pn.outliers(nn.Identity(), draw(30, 1, shape).split(7), top=3)
    assert set(found.pictures) == ({sample.index for sample in found.samples[:3]} if pictures else set())


def test_report_as_json_and_as_text(net: nn.Module, tmp_path: Path) -> None:
    x = draw(30, 1)
    x[3] = math.inf
    found = pn.outliers(net, x, draw(30, 2), top=5)
    text = found.report(tmp_path / "found.json").read_text()
    assert loads(Outliers, text, "found.json") == found.facts
    assert json.loads(text)["fact"]["samples"][0]["distance"] is None
    table = found.report(tmp_path / "found.txt").read_text()
    assert table == found.table() == str(found)
    assert "not finite" in table
    assert "and 25 more that are less surprising" in table
    with pytest.raises(UsageError, match=r"name a file that ends in \.html"):
        found.report(tmp_path / "found.pdf")


def test_data_may_be_a_loader_of_pairs(net: nn.Module) -> None:
    x = draw(30, 1)
    loader = DataLoader(TensorDataset(x, torch.zeros(30)), batch_size=8)
    found = pn.outliers(net, loader, DataLoader(TensorDataset(draw(40, 2)), batch_size=8, shuffle=True))
    plain = pn.outliers(net, x, draw(40, 2))
    assert [sample.index for sample in found.samples] == [sample.index for sample in plain.samples]


def test_memory_is_a_few_numbers_a_sample(net: nn.Module) -> None:
    """No batch outlives the next one: what is kept does not refer to the samples."""

    class Counted:
        def __init__(self) -> None:
            self.alive: list[int] = []

        def __iter__(self) -> object:
            return self._make()

        def _make(self) -> object:
            import gc
            import weakref

            made: list[weakref.ref[Tensor]] = []
            for seed in range(6):
                batch = draw(10, seed)
                made.append(weakref.ref(batch))
                yield batch
                del batch
                gc.collect()
                self.alive.append(sum(ref() is not None for ref in made))

    data = Counted()
    pn.outliers(net, data, draw(30, 2))
    assert max(data.alive) <= 1


def test_a_model_that_works_in_place_leaves_the_data_alone() -> None:
    x = draw(20, 1, (4,)).double()
    before = x.clone()
    found = pn.outliers(nn.Sequential(nn.Threshold(100.0, 100.0, inplace=True)).double(), x)
    assert torch.equal(x, before)
    assert found.sites[0].distances.largest > 1  # of what was given, not of the one value that is left


def test_numpy_state_is_left_alone(net: nn.Module) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    pn.outliers(net, draw(20, 1))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
