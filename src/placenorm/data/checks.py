"""What data must be like before a network sees them; each check raises one clear sentence."""

import numpy as np
import torch
from torch import Tensor

from placenorm.errors import DataError

MIN_SAMPLES = 5
"""Below this a share of 20 % of the samples is no sample at all."""

_MIN_CLASSES = 2


def check_finite(values: Tensor, where: str) -> None:
    """Refuse values that are NaN or infinite.

    Args:
        values: inputs or targets, ``[N, ...]``, any dtype.
        where: what they are, for the error: ``x of data.npz``.

    Raises:
        DataError: if any value is not finite; it names the first sample.
    """
    if not values.is_floating_point():
        return
    bad = ~torch.isfinite(values)
    if not bad.any():
        return
    first = int(bad.flatten(start_dim=1).any(dim=1).nonzero()[0]) if values.ndim > 1 else int(bad.nonzero()[0])
    raise DataError(
        f"Cannot use {where}: {int(bad.sum())} of its values are NaN, infinite or too large for float32, "
        f"the first in sample {first} (counted from 0); remove such samples or fill the values in."
    )


def count_classes(labels: Tensor, where: str) -> int:
    """Return the number of classes K of labels that use every number from 0 to K-1.

    Args:
        labels: whole numbers, ``[N]``, of all parts of the data.
        where: whose labels they are, for the error.

    Raises:
        DataError: if a label is negative, a number is left out, or there is one class only.
    """
    classes = np.unique(labels.numpy())  # sorted
    if classes.size == 0:
        raise DataError(f"Cannot use {where}: there is no sample in it; give data that hold some.")
    lowest, highest, count = int(classes[0]), int(classes[-1]), classes.size
    if lowest != 0 or highest != count - 1:
        raise DataError(
            f"Cannot use {where}: its labels are {count} different numbers from {lowest} to {highest}, but K classes "
            "are numbered 0 to K-1; number them anew, or store y as floats if it is a quantity to predict."
        )
    if count < _MIN_CLASSES:
        raise DataError(f"Cannot use {where}: all its samples are of one class; give data with at least two classes.")
    return count


def check_sizes(train: int, test: int | None, where: str) -> None:
    """Refuse data with too few samples to take a validation part (and, without test data, a test part) off.

    Args:
        train: samples for training, before the split.
        test: samples for testing; None where they are split off the training samples.
        where: what the data are called, for the error.

    Raises:
        DataError: if there are too few.
    """
    if train < MIN_SAMPLES:
        raise DataError(
            f"Cannot split {where}: it has {train} training samples, at least {MIN_SAMPLES} are needed; "
            "give more data, or raise the limit if you set one."
        )
    if test == 0:
        raise DataError(
            f"Cannot use {where}: its test set is empty; give test samples, or no test set to split one off."
        )
