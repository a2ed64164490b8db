"""The training, validation and test part for a seed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from placenorm.data.batches import count_samples
from placenorm.data.seeding import Stream, make_generator, order_stratified
from placenorm.data.source import DataSource
from placenorm.facts.comparison import DataFacts

HELD_OUT_SHARE = 0.2
"""Share of the samples that goes into validation, and, without a fixed test set, into testing."""

MAX_VALIDATION = 10_000
"""More validation samples cost time at every epoch and hardly sharpen the choice of a learning rate."""

_BLOCK = 4096
"""Samples widened to float64 at a time: all at once, 48,000 images of 28x28 would take 300 MB."""

_CONSTANT_RATIO = 1e-6
"""A standard deviation this small beside the mean is float32 rounding: the channel is constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The parts of the data that one seed trains, chooses and tests on; no sample is in two of them."""

    train: Dataset[Any]
    validation: Dataset[Any]
    test: Dataset[Any]


def split(source: DataSource, seed: int) -> Split:
    """Return the parts of the data for a seed, the same in every process and for every variant.

    Without a fixed test set, all samples are split anew for each seed: 60 % training, 20 % validation, 20 % test.
    With one, 20 % of the training samples, at most 10,000, become validation data. Parts are stratified by class.

    Inputs of a source that asks for it are standardised per channel ``[C]`` (per feature ``[D]``), with mean and
    standard deviation of this split's training part: nothing about the other parts leaks. A constant channel is
    centred only.

    Args:
        source: the data.
        seed: the trial's seed, not negative.
    """
    count = count_samples(source.train)
    order = order_stratified(source.labels, count, make_generator(Stream.SPLIT, seed))
    held_out = max(round(HELD_OUT_SHARE * count), 1)
    tested, validated = (held_out, held_out) if source.test is None else (0, min(held_out, MAX_VALIDATION))
    test_indices = order[:tested]
    validation_indices = order[tested : tested + validated]
    train_indices = order[tested + validated :]
    if source.standardise:
        return _standardise(source, train_indices, validation_indices, test_indices)
    return Split(
        train=Subset(source.train, train_indices.tolist()),
        validation=Subset(source.train, validation_indices.tolist()),
        test=Subset(source.train, test_indices.tolist()) if source.test is None else source.test,
    )


def whole(source: DataSource) -> Dataset[Any]:
    """Return all training samples of the data, in their own order; standardised by themselves where the source asks."""
    if not source.standardise:
        return source.train
    x, y = _tensors(source.train)
    mean, std = _measure_channels(x)
    return TensorDataset(x.sub(mean).div_(std), y)


def describe(source: DataSource, parts: Split) -> DataFacts:
    """Return what a report says about the data of a split."""
    return DataFacts(
        name=source.name,
        train=count_samples(parts.train),
        validation=count_samples(parts.validation),
        test=count_samples(parts.test),
        sample_shape=source.sample_shape,
        classes=source.classes,
        fixed_test=source.test is not None,
        fingerprint=source.fingerprint,
    )


def _standardise(source: DataSource, train: Tensor, validation: Tensor, test: Tensor) -> Split:
    x, y = _tensors(source.train)
    x_train = x[train]
    mean, std = _measure_channels(x_train)

    def scale(inputs: Tensor, targets: Tensor) -> TensorDataset:
        return TensorDataset(inputs.sub(mean).div_(std), targets)

    return Split(
        train=scale(x_train, y[train]),
        validation=scale(x[validation], y[validation]),
        test=scale(x[test], y[test]) if source.test is None else scale(*_tensors(source.test)),
    )


def _tensors(dataset: Dataset[Any]) -> tuple[Tensor, Tensor]:
    if not isinstance(dataset, TensorDataset):
        raise TypeError(f"only tensors can be standardised, this is a {type(dataset).__name__}")
    x, y = dataset.tensors
    return x, y


def _measure_channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation per channel, ``[C, 1, ...]``, float32; 1 for a constant channel.

    In NumPy and float64, block by block: the sums do not depend on the number of threads.
    """
    axes = (0, *range(2, x.ndim))
    blocks = [x[start : start + _BLOCK].numpy() for start in range(0, len(x), _BLOCK)]
    values = x.numel() // x.shape[1]
    mean = sum(block.sum(axis=axes, dtype=np.float64, keepdims=True) for block in blocks) / values
    var = sum(np.square(block - mean).sum(axis=axes, keepdims=True) for block in blocks) / values
    std = np.sqrt(var)
    std[std <= _CONSTANT_RATIO * np.abs(mean)] = 1.0
    return torch.from_numpy(mean[0]).float(), torch.from_numpy(std[0]).float()
