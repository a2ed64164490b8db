"""Samples out of a dataset, as batches."""

from collections.abc import Iterator, Sequence, Sized
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset, default_collate

from placenorm.data.seeding import Stream, make_generator
from placenorm.errors import DataError
from placenorm.lookup import describe_error

_PAIR = 2  # (x, y)


def count_samples(dataset: Dataset[Any]) -> int:
    """Return the number of samples; torch's ``Dataset`` type promises no length, those that come here have one."""
    return len(cast("Sized", dataset))


def fetch(dataset: Dataset[Any], indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
    """Return the samples of some indices as one batch.

    A ``TensorDataset`` (and a ``Subset`` of one) is indexed at once; anything else item by item, then collated
    as a ``DataLoader`` does. Float64 becomes float32 and whole-number targets become int64, as losses want them.

    Args:
        dataset: gives a pair (x, y) for an index.
        indices: whole numbers below ``len(dataset)``, ``[N]``.

    Returns:
        Inputs ``[N, ...]`` and targets ``[N]`` or ``[N, K]``.

    Raises:
        DataError: if an item cannot be read, is no pair, or does not collate into tensors.
    """
    while type(dataset) is Subset:  # a subclass may read its items in its own way
        chosen = dataset.indices
        dataset, indices = dataset.dataset, [int(chosen[int(index)]) for index in indices]
    if type(dataset) is TensorDataset:
        batch: Any = [tensor[torch.as_tensor(indices, dtype=torch.int64)] for tensor in dataset.tensors]
    else:
        batch = _collate([_read_item(dataset, int(index)) for index in indices])
    if not isinstance(batch, list | tuple) or len(batch) != _PAIR or not all(isinstance(t, Tensor) for t in batch):
        raise DataError(
            f"Cannot use the data: each item must be a pair (x, y) of a tensor and its target, this one is "
            f"{_describe_batch(batch)}; wrap the dataset in one whose items are such pairs."
        )
    x, y = batch
    return _narrow(x), _narrow(y) if y.is_floating_point() else y.long()


def epoch_batches(dataset: Dataset[Any], batch_size: int, seed: int, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of one training epoch, in an order that depends on the seed and the epoch only.

    A last batch that is smaller than the others is dropped wherever there is a full one: batch norm cannot take
    a batch of one sample, and is noisy on a few. As the order changes, each sample is left out in some epochs only.

    Args:
        dataset: gives a pair (x, y) for an index.
        batch_size: samples a batch, at least 1.
        seed: the trial's seed.
        epoch: which epoch, counted from 0.
    """
    count = count_samples(dataset)
    order = torch.from_numpy(make_generator(Stream.BATCHES, seed, epoch).permutation(count))
    for batch in range(count_batches(count, batch_size)):
        yield fetch(dataset, order[batch * batch_size : (batch + 1) * batch_size])


def count_batches(samples: int, batch_size: int) -> int:
    """Return how many batches `epoch_batches` gives for so many samples."""
    return max(samples // batch_size, 1)


def eval_batches(dataset: Dataset[Any], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield every sample once, in the dataset's own order; the last batch may be smaller.

    Args:
        dataset: gives a pair (x, y) for an index.
        batch_size: samples a batch, at least 1.
    """
    count = count_samples(dataset)
    for start in range(0, count, batch_size):
        yield fetch(dataset, range(start, min(start + batch_size, count)))


def _read_item(dataset: Dataset[Any], index: int) -> Any:
    try:
        return dataset[index]
    except Exception as error:
        raise DataError(
            f"Cannot read item {index} of the data: {type(dataset).__name__} raises {describe_error(error)}; "
            "mend its __getitem__, or leave that sample out."
        ) from error


def _collate(items: list[Any]) -> Any:
    try:
        return default_collate(items)
    except (RuntimeError, TypeError, KeyError, ValueError) as error:
        shapes = sorted({str(_describe_item(item)) for item in items})
        raise DataError(
            f"Cannot put {len(items)} items of the data into one batch: they are {' and '.join(shapes[:2])}; "
            "let every item be a pair (x, y) of the same shapes."
        ) from error


def _describe_item(item: Any) -> str:
    parts = item if isinstance(item, list | tuple) else [item]
    described = [f"{type(part).__name__}{list(part.shape) if hasattr(part, 'shape') else ''}" for part in parts]
    return f"({', '.join(described)})" if isinstance(item, list | tuple) else described[0]


def _describe_batch(batch: Any) -> str:
    if isinstance(batch, list | tuple):
        return f"{len(batch)} parts ({', '.join(type(part).__name__ for part in batch)})"
    return f"a single {type(batch).__name__}"


def _narrow(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float64 else tensor
