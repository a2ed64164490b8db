"""Norm layers that are drop-in for torch's."""

from placenorm.kernels.activations import Activation
from placenorm.kernels.pool_chain import AvgPool, MaxPool
from placenorm.layers.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, explain, zscores
from placenorm.layers.paths import Path
from placenorm.layers.sync_batch_norm import SyncBatchNorm

__all__ = [
    "Activation",
    "AvgPool",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "MaxPool",
    "Path",
    "SyncBatchNorm",
    "explain",
    "zscores",
]
