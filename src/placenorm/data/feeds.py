"""The batches of one seed, wherever they come from."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from placenorm.data.batch import Batch
from placenorm.data.batches import count_batches, count_samples, epoch_batches, eval_batches, fetch
from placenorm.data.loaders import LoaderSource
from placenorm.data.source import DataSource
from placenorm.data.splits import Split, describe, split
from placenorm.facts.comparison import DataFacts

EVAL_BATCH = 512
"""Samples per evaluation batch: large enough to be quick, small enough for any memory."""


class Feed(Protocol):
    """What one seed trains, chooses and tests on."""

    @property
    def batches(self) -> int | None:
        """Training batches of an epoch; None where that is not known."""

    def read_training(self, epoch: int) -> Iterator[Batch]:
        """Yield the training batches of an epoch, in an order that depends on the seed and the epoch only."""

    def read_validation(self) -> Iterator[Batch]:
        """Yield the validation data."""

    def read_test(self) -> Iterator[Batch]:
        """Yield the test data."""

    def read_targets(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the targets of the training, the validation and the test data."""

    def take_example(self, samples: int) -> Batch:
        """Return at most so many training samples, always the same."""

    def describe(self) -> DataFacts:
        """Return what a report says about the data."""


class DatasetFeed:
    """Batches of datasets that were split for a seed.

    Args:
        source: the data.
        seed: the seed.
        batch_size: samples a step.
    """

    def __init__(self, source: DataSource, seed: int, batch_size: int) -> None:
        self._source, self._seed, self._size = source, seed, batch_size
        self._parts: Split = split(source, seed)

    @property
    def batches(self) -> int | None:
        """Training batches of an epoch."""
        return count_batches(count_samples(self._parts.train), self._size)

    def read_training(self, epoch: int) -> Iterator[Batch]:
        """Yield the training batches of an epoch."""
        return map(_as_batch, epoch_batches(self._parts.train, self._size, self._seed, epoch))

    def read_validation(self) -> Iterator[Batch]:
        """Yield the validation data."""
        return map(_as_batch, eval_batches(self._parts.validation, EVAL_BATCH))

    def read_test(self) -> Iterator[Batch]:
        """Yield the test data."""
        return map(_as_batch, eval_batches(self._parts.test, EVAL_BATCH))

    def read_targets(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the targets of the training, the validation and the test data."""
        return _all_targets(self._parts.train), _all_targets(self._parts.validation), _all_targets(self._parts.test)

    def take_example(self, samples: int) -> Batch:
        """Return the first training samples."""
        return _as_batch(fetch(self._parts.train, range(min(samples, count_samples(self._parts.train)))))

    def describe(self) -> DataFacts:
        """Return what a report says about the data."""
        return describe(self._source, self._parts)


class LoaderFeed:
    """Batches of loaders, for a seed.

    Args:
        source: the loaders.
        seed: the seed.
    """

    def __init__(self, source: LoaderSource, seed: int) -> None:
        self._source, self._seed = source, seed

    @property
    def batches(self) -> int | None:
        """Training batches of an epoch; None where the loader does not say."""
        return self._source.count_batches()

    def read_training(self, epoch: int) -> Iterator[Batch]:
        """Yield the training batches of an epoch."""
        return self._source.read_training(self._seed, epoch)

    def read_validation(self) -> Iterator[Batch]:
        """Yield the validation data."""
        return self._source.read_validation(self._seed)

    def read_test(self) -> Iterator[Batch]:
        """Yield the test data."""
        return self._source.read_test(self._seed)

    def read_targets(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the targets of the first training epoch, of the validation and of the test data."""
        parts = (self.read_training(0), self.read_validation(), self.read_test())
        train, validation, test = (torch.cat([batch.targets for batch in part]) for part in parts)
        return train, validation, test

    def take_example(self, samples: int) -> Batch:
        """Return the first training samples."""
        return self._source.example.take(slice(samples))

    def describe(self) -> DataFacts:
        """Return what a report says about the data."""
        return self._source.describe()


def open_feed(source: DataSource | LoaderSource, seed: int, batch_size: int) -> Feed:
    """Return the batches of a seed.

    Args:
        source: where they come from.
        seed: the seed.
        batch_size: samples a step; loaders have their own.
    """
    if isinstance(source, LoaderSource):
        return LoaderFeed(source, seed)
    return DatasetFeed(source, seed, batch_size)


def _as_batch(pair: tuple[Tensor, Tensor]) -> Batch:
    x, y = pair
    return Batch((x,), {}, y)


def _all_targets(dataset: Dataset[Any]) -> Tensor:
    return fetch(dataset, range(count_samples(dataset)))[1]
