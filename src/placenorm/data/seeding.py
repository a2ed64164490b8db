"""Randomness that is the same in every process and leaves the global random states alone."""

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Stream(IntEnum):
    """What random numbers are for: equal seeds give unrelated numbers for different uses."""

    LIMIT = 1
    SPLIT = 2
    BATCHES = 3
    LOADER = 4


def make_generator(stream: Stream, *key: int) -> np.random.Generator:
    """Return a generator that depends on its arguments only."""
    return np.random.default_rng([stream, *key])


def order_stratified(labels: Tensor | None, count: int, generator: np.random.Generator) -> Tensor:
    """Return a random order of samples in which every stretch holds the classes in their overall shares.

    Cutting it anywhere gives stratified parts of exactly the wished sizes.
    Each sample's place is its rank within its class, (rank + 1/2) / size, so a class of one lands in the middle.

    Args:
        labels: class of each sample, ``[count]``; None for a plain random order.
        count: number of samples.
        generator: where the randomness comes from.

    Returns:
        The indices of the samples, ``[count]``, int64.
    """
    shuffled = generator.permutation(count)
    if labels is None:
        return torch.from_numpy(shuffled)
    by_class = labels.numpy()[shuffled]
    classes, sizes = np.unique(by_class, return_counts=True)
    place = np.empty(count)
    for label, size in zip(classes, sizes, strict=True):
        place[by_class == label] = (np.arange(size) + 0.5) / size
    return torch.from_numpy(shuffled[np.argsort(place, kind="stable")])
