"""Data sources: names in, batches out."""

from placenorm.data.batch import Batch
from placenorm.data.batches import count_batches, count_samples, epoch_batches, eval_batches, fetch
from placenorm.data.feeds import Feed, open_feed
from placenorm.data.loaders import LoaderSource, is_loader
from placenorm.data.source import DataSource, load_data, open_data, wrap_datasets, wrap_own
from placenorm.data.splits import Split, describe, split, whole

__all__ = [
    "Batch",
    "DataSource",
    "Feed",
    "LoaderSource",
    "Split",
    "count_batches",
    "count_samples",
    "describe",
    "epoch_batches",
    "eval_batches",
    "fetch",
    "is_loader",
    "load_data",
    "open_data",
    "open_feed",
    "split",
    "whole",
    "wrap_datasets",
    "wrap_own",
]
