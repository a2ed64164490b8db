"""Data loaders of your own, where datasets are not enough: batches of any form, augmentation, streams.

    placenorm compare examples/my_net.py:Net --data examples/my_loaders.py:loaders

Return (training, validation, test); or (training, held out), whose second loader's batches are validation and test data
in turn. What a loader, its sampler and its datasets draw is decided by the trial's seed and the epoch, so that all
placements of a seed see the same batches. A batch may also be a mapping with its targets under "target" or "label".
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

BATCH_SIZE = 64


def loaders() -> tuple[DataLoader[tuple[Tensor, ...]], ...]:
    """Return the loaders for training, validation and test.

    placenorm calls this under a fixed seed, so the random split is the same in every process.
    """
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0  # [1797, 1, 8, 8]
    y = torch.tensor(digits.target)
    test, validation, training = torch.randperm(len(x)).split([360, 360, len(x) - 720])
    return (
        DataLoader(TensorDataset(x[training], y[training]), BATCH_SIZE, shuffle=True, collate_fn=shift, drop_last=True),
        DataLoader(TensorDataset(x[validation], y[validation]), BATCH_SIZE),
        DataLoader(TensorDataset(x[test], y[test]), BATCH_SIZE),
    )


def shift(items: list[tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    """Return items as a batch, moved by a pixel at most."""
    images, labels = (torch.stack(each) for each in zip(*items, strict=True))
    rows, columns = torch.randint(-1, 2, (2,)).tolist()
    return images.roll((rows, columns), (2, 3)), labels
