"""Splits: sizes, strata, scale, and that a seed decides them alone."""

import hashlib
import multiprocessing

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from placenorm.data import DataSource, Split, epoch_batches, load_data, split, wrap_datasets
from placenorm.data.seeding import Stream, make_generator, order_stratified


def make_source(count: int, test: int | None = None, classes: int | None = 2, scale: float = 1.0) -> DataSource:
    """A standardised source whose first feature is the sample's number and whose second is constant."""
    x = torch.stack([torch.arange(count) * scale, torch.full((count,), 0.1)], dim=1)
    y = torch.rand(count) if classes is None else torch.arange(count) % classes
    fixed = None if test is None else TensorDataset(torch.zeros(test, 2), y[:1].repeat(test))
    return DataSource(
        name="made",
        train=TensorDataset(x, y),
        test=fixed,
        task="regression" if classes is None else "classification",
        classes=classes,
        sample_shape=(2,),
        fingerprint="",
        labels=None if classes is None else y,
        standardise=True,
    )


def sizes(parts: Split) -> list[int]:
    return [len(parts.train), len(parts.validation), len(parts.test)]


def digest(parts: Split) -> str:
    found = hashlib.sha256()
    for part in (parts.train, parts.validation, parts.test):
        for tensor in part[:]:
            found.update(tensor.numpy().tobytes())
    return found.hexdigest()


@pytest.mark.parametrize(
    ("count", "test", "expected"),
    [
        pytest.param(100, None, [60, 20, 20], id="no-test"),
        pytest.param(5, None, [3, 1, 1], id="smallest"),
        pytest.param(101, None, [61, 20, 20], id="prime"),
        pytest.param(100, 30, [80, 20, 30], id="fixed-test"),
        pytest.param(60_000, 7, [50_000, 10_000, 7], id="validation-at-most-10000"),
    ],
)
def test_split_has_its_shares(count, test, expected):
    assert sizes(split(make_source(count, test), 0)) == expected


@pytest.mark.parametrize("classes", [4, None], ids=["classes", "regression"])
def test_parts_share_no_sample_and_leave_none_out(classes):
    source = make_source(100, classes=classes)
    parts = split(source, 3)
    targets = torch.cat([part.tensors[1] for part in (parts.train, parts.validation, parts.test)])
    torch.testing.assert_close(targets.sort().values, source.train.tensors[1].sort().values, rtol=0, atol=0)
    x = torch.cat([part.tensors[0][:, 0] for part in (parts.train, parts.validation, parts.test)])
    assert x.unique().numel() == 100


def test_split_is_stratified():
    parts = split(make_source(100, classes=4), 1)
    for part, share in ((parts.train, 15), (parts.validation, 5), (parts.test, 5)):
        assert part.tensors[1].bincount().tolist() == [share] * 4


def test_inputs_are_standardised_with_the_training_part_only():
    parts = split(make_source(100, scale=1000.0), 0)
    x = parts.train.tensors[0][:, 0].double()
    torch.testing.assert_close(x.mean().item(), 0.0, rtol=0, atol=1e-6)
    torch.testing.assert_close(x.std(correction=0).item(), 1.0, rtol=0, atol=1e-6)
    assert abs(parts.validation.tensors[0][:, 0].mean()) > 1e-3  # its own mean was not taken off


def test_images_are_standardised_per_channel():
    x = torch.randn(50, 2, 3, 3) * torch.tensor([5.0, 0.01])[:, None, None] + 7.0
    dataset = TensorDataset(x, torch.arange(50) % 2)
    source = DataSource("made", dataset, None, "classification", 2, (2, 3, 3), "", standardise=True)
    channels = split(source, 0).train.tensors[0].transpose(0, 1).flatten(1).double()
    torch.testing.assert_close(channels.mean(1), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-4)
    torch.testing.assert_close(channels.std(1, correction=0), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-4)


def test_constant_features_are_centred_only():
    parts = split(make_source(100), 0)
    assert parts.test.tensors[0][:, 1].abs().max() < 1e-7


def test_split_does_not_change_the_source():
    source = make_source(20)
    before = source.train.tensors[0].clone()
    split(source, 0)
    assert torch.equal(source.train.tensors[0], before)


def test_seed_decides_the_split():
    source = make_source(100)
    assert digest(split(source, 0)) == digest(split(source, 0))
    assert digest(split(source, 0)) != digest(split(source, 1))


def test_split_and_batches_neither_read_nor_move_the_global_random_state():
    source = wrap_datasets("mine", make_source(50).train, None)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = [y.tolist() for _, y in epoch_batches(split(source, 0).train, 8, 0, 0)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert [y.tolist() for _, y in epoch_batches(split(source, 0).train, 8, 0, 0)] == first


def test_stratified_order_spreads_classes_over_every_stretch():
    labels = torch.tensor([0] * 80 + [1] * 20)
    order = order_stratified(labels, 100, make_generator(Stream.SPLIT, 0))
    assert sorted(order.tolist()) == list(range(100))
    for start in range(0, 100, 10):
        assert labels[order[start : start + 10]].sum() == 2


def test_class_with_one_sample_is_trained_on():
    source = make_source(100)
    labels = torch.zeros(100, dtype=torch.int64)
    labels[17] = 1
    for seed in range(5):
        order = order_stratified(labels, len(source.train), make_generator(Stream.SPLIT, seed))
        assert 17 in order[40:].tolist()


def test_streams_are_unrelated():
    draws = [make_generator(stream, 0).integers(0, 2**62) for stream in Stream]
    assert len(np.unique(draws)) == len(Stream)


def digest_digits(seed: int) -> str:
    torch.set_num_threads(1)
    return digest(split(load_data("digits", limit=500), seed))


@pytest.mark.slow
def test_split_is_the_same_in_a_spawned_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(digest_digits, [0, 1]) == [digest_digits(0), digest_digits(1)]
