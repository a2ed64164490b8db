"""Data sources: names in, datasets out."""

from placenorm.data.batches import count_batches, count_samples, epoch_batches, eval_batches, fetch
from placenorm.data.source import DataSource, load_data, wrap_datasets
from placenorm.data.splits import Split, describe, split, whole

__all__ = [
    "DataSource",
    "Split",
    "count_batches",
    "count_samples",
    "describe",
    "epoch_batches",
    "eval_batches",
    "fetch",
    "load_data",
    "split",
    "whole",
    "wrap_datasets",
]
