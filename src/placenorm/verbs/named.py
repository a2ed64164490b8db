"""Models and data of a name, ready to be run: what the verbs of the command line begin with."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from placenorm.data import load_data, split, whole
from placenorm.data.batches import eval_batches
from placenorm.zoo import find_example, load_weights

EXAMPLE_SAMPLES = 2
"""Samples of the example that a named model runs on: enough for a norm to have something to average."""

DATA_SAMPLES = 2048
DATA_BATCH = 64
"""Samples, and samples a batch, that norms are looked at with where data are named: thousands of values a channel."""


def build_example(name: str, sample_shape: tuple[int, ...] | None, weights: Path | None) -> tuple[nn.Module, Tensor]:
    """Return a model and an example input for it, always the same one.

    Args:
        name: as for `placenorm.zoo.find_model`.
        sample_shape: shape of one sample; None for the one that the model is made for.
        weights: a checkpoint to load; None for random weights.

    Raises:
        PlacenormError: one of its kinds, where the name, the shape or the file cannot be used.
    """
    model, shape = find_example(name, sample_shape)
    if weights is not None:
        load_weights(model, weights)
    return model, torch.randn(EXAMPLE_SAMPLES, *shape, generator=torch.Generator().manual_seed(0))


def load_batches(name: str, part: Literal["train", "test"] = "train") -> list[Tensor]:
    """Return some batches of a part of named data, as a comparison under seed 0 would see them.

    Args:
        name: as for `placenorm.data.load_data`.
        part: which part.

    Raises:
        PlacenormError: one of its kinds, where the data cannot be found or read.
    """
    parts = split(load_data(name, limit=DATA_SAMPLES), seed=0)
    return [x for x, _ in eval_batches(parts.train if part == "train" else parts.test, DATA_BATCH)]


def load_in_order(name: str) -> list[Tensor]:
    """Return all training samples of named data as batches, in their own order, so that a number names a sample.

    Args:
        name: as for `placenorm.data.load_data`.

    Raises:
        PlacenormError: one of its kinds, where the data cannot be found or read.
    """
    return [x for x, _ in eval_batches(whole(load_data(name)), DATA_BATCH)]
