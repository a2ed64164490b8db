"""Data by name."""

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from placenorm.data.arrays import Array, Arrays, read_digits, read_npz
from placenorm.data.batches import count_samples, fetch
from placenorm.data.checks import check_finite, check_sizes, count_classes
from placenorm.data.idx import read_fashion_mnist
from placenorm.data.images import read_folder
from placenorm.data.loaders import LoaderSource, is_loader, wrap_loaders
from placenorm.data.own import hash_items, read_first, read_labels, read_own
from placenorm.data.seeding import Stream, make_generator, order_stratified
from placenorm.errors import DataError, UsageError
from placenorm.facts.comparison import Task

DATA_FORMS = "digits, fashion-mnist, folder:PATH, npz:PATH or path/to/file.py:function"


@dataclass(frozen=True, slots=True, eq=False)
class DataSource:
    """Data that were read and checked, before the split for a seed.

    Attributes:
        name: as the user named it.
        train: samples for training and validation, and for testing where there is no test set.
        test: the fixed test set; None where one is split off for each seed.
        task: ``classification`` or ``regression``.
        classes: number of classes; None for regression.
        sample_shape: shape of one input, ``[C, H, W]`` or ``[D]``.
        fingerprint: a hash of the data, after the limit.
        labels: class of each training sample, ``[N]``, for a stratified split; None for regression.
        standardise: whether `placenorm.data.split` standardises the inputs.
        notes: what a reader of the results must know about how the data were read, in whole sentences.
    """

    name: str
    train: Dataset[Any]
    test: Dataset[Any] | None
    task: Task
    classes: int | None
    sample_shape: tuple[int, ...]
    fingerprint: str
    labels: Tensor | None = field(default=None, repr=False)
    standardise: bool = False
    notes: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """How many outputs a network for it needs: one a class, or one a value to predict."""
        if self.classes is not None:
            return self.classes
        _, y = fetch(self.train, [0])
        return y.shape[1] if y.ndim > 1 else 1


def load_data(name: str, *, data_dir: Path | None = None, limit: int | None = None) -> DataSource:
    """Return the data of a name, checked.

    Arrays (all but ``file.py:function``) become float32; `placenorm.data.split` standardises their inputs per channel
    (features: per feature) with the mean and the standard deviation of the seed's own training part. Targets to
    predict stay as they are. Datasets of the user's own are used item by item as they are.

    Args:
        name: ``digits`` (1,797 images of 8x8 that come with scikit-learn, no split);
            ``fashion-mnist`` (60,000 and 10,000 images of 28x28);
            ``folder:PATH`` (a sub-folder of images for each class, all brought to the first one's size and colours);
            ``npz:PATH`` (arrays x and y, perhaps x_test and y_test; whole numbers in y are classes, floats are values
            to predict); ``path/to/file.py:function`` (returns two torch datasets, or one and None; or loaders).
        data_dir: folder of the fashion-mnist files; None for where Debian puts them.
        limit: at most so many training samples and at most so many test samples, a choice that is the same
            everywhere, stratified by class; None for all.

    Raises:
        DataError: if the data cannot be found or read, or are not fit for training.
        UsageError: if the limit is below 1, or the user's file or function cannot be loaded.
    """
    _check_limit(limit)
    head, colon, path = name.partition(":")
    if name == "digits":
        return _wrap_arrays(name, read_digits(), limit)
    if name == "fashion-mnist":
        return _wrap_arrays(name, read_fashion_mnist(data_dir), limit)
    if head in {"folder", "npz"} and not path:
        raise DataError(f"Cannot load the data {name!r}: it names no path; write {head}:PATH.")
    if head == "folder":
        return _wrap_arrays(name, read_folder(Path(path).expanduser(), limit), limit)
    if head == "npz":
        return _wrap_arrays(name, read_npz(Path(path).expanduser()), limit)
    if colon or ".py" in name:
        given = read_own(name)
        if is_loader(given[0]):
            raise DataError(
                f"Cannot use the loaders of {name} here: they are for placenorm compare; return two torch datasets, "
                "(train, test) or (train, None)."
            )
        return wrap_datasets(name, *given, limit=limit)
    close = get_close_matches(name.lower(), ["digits", "fashion-mnist", "folder", "npz"])
    offer = f"did you mean {close[0]}? Data are" if close else "data are"
    raise DataError(f"No data are called {name!r}; {offer} {DATA_FORMS}.")


def open_data(name: str, *, data_dir: Path | None = None, limit: int | None = None) -> DataSource | LoaderSource:
    """Return the data of a name as `load_data` does; those of ``path/to/file.py:function`` may be loaders.

    Raises:
        DataError: as `load_data`.
        UsageError: as `load_data`.
    """
    head, colon, _ = name.partition(":")
    if head not in {"folder", "npz"} and (colon or ".py" in name):
        return wrap_own(name, read_own(name), limit=limit)
    return load_data(name, data_dir=data_dir, limit=limit)


def wrap_own(name: str, given: tuple[Any, ...], *, limit: int | None = None) -> DataSource | LoaderSource:
    """Return a source of what the user gave: two datasets, or two or three loaders.

    Args:
        name: what to call it.
        given: (train, test), (train, None), or loaders as `placenorm.data.loaders.wrap_loaders` takes them.
        limit: as in `load_data`.

    Raises:
        DataError: if they are not fit for training.
        UsageError: if the limit is below 1.
    """
    if is_loader(given[0]):
        return wrap_loaders(name, given, limit=limit)
    _check_limit(limit)
    train, test = given
    return wrap_datasets(name, train, test, limit=limit)


def wrap_datasets(name: str, train: Dataset[Any], test: Dataset[Any] | None, *, limit: int | None = None) -> DataSource:
    """Return a source of the user's own torch datasets, checked on the first items of each.

    Args:
        name: what to call it.
        train: items (x, y); whole numbers in y are classes, floats (or rows of floats) are values to predict.
        test: the same for testing; None to have a test set split off for each seed.
        limit: as in `load_data`.

    Raises:
        DataError: if they are not fit for training.
    """
    x, y = read_first(train, f"the training set of {name}")
    if test is not None:
        x_test, y_test = read_first(test, f"the test set of {name}")
        if x.shape[1:] != x_test.shape[1:] or y.shape[1:] != y_test.shape[1:] or y.dtype != y_test.dtype:
            raise DataError(
                f"Cannot use {name}: its training items have x {list(x.shape[1:])}, y {list(y.shape[1:])} ({y.dtype}), "
                f"its test items x {list(x_test.shape[1:])}, y {list(y_test.shape[1:])} ({y_test.dtype}); "
                "let both give the same kind of items."
            )
    classes = labels = test_labels = None
    if not y.is_floating_point():
        labels = read_labels(train)
        test_labels = None if test is None else read_labels(test)
        classes = count_classes(labels if test_labels is None else torch.cat([labels, test_labels]), name)
    chosen, chosen_test = _choose(count_samples(train), labels, limit), None
    if chosen is not None:
        train, labels = Subset(train, chosen.tolist()), None if labels is None else labels[chosen]
    if test is not None:
        chosen_test = _choose(count_samples(test), test_labels, limit)
        test = test if chosen_test is None else Subset(test, chosen_test.tolist())
    check_sizes(count_samples(train), None if test is None else count_samples(test), name)
    return DataSource(
        name=name,
        train=train,
        test=test,
        task="regression" if classes is None else "classification",
        classes=classes,
        sample_shape=tuple(x.shape[1:]),
        fingerprint=hash_items(train, test),
        labels=labels,
    )


def _check_limit(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UsageError(
            f"Cannot use a limit of {limit}: no sample would be left; give 1 or more, or no limit for all."
        )


def _wrap_arrays(name: str, arrays: Arrays, limit: int | None) -> DataSource:
    classes = labels = test_labels = None
    if arrays.y.dtype.kind != "f":
        labels = torch.from_numpy(arrays.y.astype(np.int64))
        test_labels = None if arrays.y_test is None else torch.from_numpy(arrays.y_test.astype(np.int64))
        every = labels if test_labels is None else torch.cat([labels, test_labels])
        classes = arrays.classes or count_classes(every, name)
    chosen = _choose(len(arrays.x), labels, limit)
    chosen_test = None if arrays.x_test is None else _choose(len(arrays.x_test), test_labels, limit)
    arrays = arrays.select(_as_array(chosen), _as_array(chosen_test))
    check_sizes(len(arrays.x), None if arrays.x_test is None else len(arrays.x_test), name)
    train = _make_dataset(arrays.x, arrays.y, "", name)
    test = None
    if arrays.x_test is not None and arrays.y_test is not None:
        test = _make_dataset(arrays.x_test, arrays.y_test, "_test", name)
    return DataSource(
        name=name,
        train=train,
        test=test,
        task="regression" if classes is None else "classification",
        classes=classes,
        sample_shape=arrays.x.shape[1:],
        fingerprint=arrays.fingerprint(),
        labels=None if classes is None else train.tensors[1],
        standardise=True,
        notes=arrays.notes,
    )


def _make_dataset(x: Array, y: Array, suffix: str, name: str) -> TensorDataset:
    with np.errstate(over="ignore"):  # a value too large for float32 becomes infinite, and is refused as such
        inputs = torch.from_numpy(x.astype(np.float32))
        targets = torch.from_numpy(y.astype(np.float32 if y.dtype.kind == "f" else np.int64))
    check_finite(inputs, f"x{suffix} of {name}")
    check_finite(targets, f"y{suffix} of {name}")
    return TensorDataset(inputs, targets)


def _choose(count: int, labels: Tensor | None, limit: int | None) -> Tensor | None:
    """Return the indices of at most `limit` samples in their old order; None where all of them stay."""
    if limit is None or limit >= count:
        return None
    return order_stratified(labels, count, make_generator(Stream.LIMIT))[:limit].sort().values


def _as_array(indices: Tensor | None) -> Array | None:
    return None if indices is None else indices.numpy()
