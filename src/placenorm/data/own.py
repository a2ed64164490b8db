"""The user's own torch datasets: how they are fetched from a function, and what must be known of them."""

import hashlib
from collections.abc import Sequence, Sized
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from placenorm.data.batches import count_samples, fetch
from placenorm.data.checks import check_finite
from placenorm.data.loaders import is_loader
from placenorm.errors import DataError
from placenorm.lookup import describe_failure, load_object
from placenorm.randomness import fix_seed

_FIRST_ITEMS = 64
"""Items read to learn shapes and types: about one batch."""

_HASHED_ITEMS = 8
"""Items that go into the fingerprint; reading all of a data set of files could take hours."""


def read_own(reference: str) -> tuple[Any, ...]:
    """Return what a function of the user's returns: a training and a test dataset, or two or three loaders.

    Args:
        reference: ``path/to/file.py:function`` or ``package.module:function``; it is called without arguments.

    Raises:
        UsageError: if the function cannot be found.
        DataError: if it fails or returns something else than (train, test), (train, None) or three loaders.
    """
    with fix_seed():
        function = load_object(reference, "data")
        if not callable(function):
            raise DataError(
                f"Cannot load the data {reference}: it is of type {type(function).__name__}; "
                "name a function without arguments that returns two torch datasets, (train, test)."
            )
        try:
            returned = function()
        except Exception as error:
            raise DataError(
                f"Cannot load the data {reference}: called without arguments, {describe_failure(error, reference)}; "
                "mend that line."
            ) from error
    match returned:
        case (train, test):
            return train, test
        case (train, validation, test) if is_loader(train):
            return train, validation, test
    holds = f"{len(returned)} values" if isinstance(returned, tuple | list) else f"a {type(returned).__name__}"
    raise DataError(
        f"Cannot load the data {reference}: it returned {holds}; return two torch datasets, (train, test), "
        "or (train, None) to have the test set split off; or two or three loaders."
    )


def read_first(dataset: Dataset[Any], part: str) -> tuple[Tensor, Tensor]:
    """Return the first items as a batch, checked.

    Args:
        dataset: the user's dataset.
        part: which one it is, for the error: ``the training set of ...``.

    Raises:
        DataError: if it has no length or no item, if the items are no usable pairs, or if they hold NaN or infinity.
    """
    if not isinstance(dataset, Sized) or not hasattr(dataset, "__getitem__"):
        raise DataError(
            f"Cannot use {part}: a {type(dataset).__name__} cannot be counted and indexed; "
            "give a torch dataset with __len__ and __getitem__."
        )
    if count_samples(dataset) == 0:
        raise DataError(f"Cannot use {part}: it is empty; give data that hold samples.")
    with fix_seed():
        x, y = fetch(dataset, range(min(_FIRST_ITEMS, count_samples(dataset))))
    if x.ndim < 2 or y.ndim > (2 if y.is_floating_point() else 1):  # [N, D], [N, K]
        raise DataError(
            f"Cannot use {part}: a batch of it has x {list(x.shape)} and y {list(y.shape)} ({y.dtype}); let x have an "
            "axis of its own and y be a class number, a float or a row of floats."
        )
    check_finite(x, f"x of {part}")
    check_finite(y, f"y of {part}")
    return x, y


def read_labels(dataset: Dataset[Any]) -> Tensor:
    """Return the class of every item, ``[N]``, int64.

    Tensors and the ``targets`` that torchvision's datasets keep are used where they are there; else every item is read.
    """
    if type(dataset) is TensorDataset:
        return dataset.tensors[1].long()
    if type(dataset) is Subset:
        return read_labels(dataset.dataset)[torch.as_tensor(dataset.indices)]
    kept = getattr(dataset, "targets", None)
    if isinstance(kept, Sequence | Tensor) and getattr(dataset, "target_transform", None) is None:
        labels = torch.as_tensor(kept)
        if labels.shape == (count_samples(dataset),) and not labels.is_floating_point():
            return labels.long()
    with fix_seed():
        return torch.cat([fetch(dataset, [index])[1] for index in range(count_samples(dataset))])


def hash_items(*datasets: Dataset[Any] | None) -> str:
    """Return the SHA-256 over the lengths and the first few items of datasets."""
    digest = hashlib.sha256()
    for dataset in datasets:
        if dataset is None:
            digest.update(b"none")
            continue
        with fix_seed():
            batch = fetch(dataset, range(min(_HASHED_ITEMS, count_samples(dataset))))
        digest.update(str(count_samples(dataset)).encode())
        for tensor in batch:
            digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
