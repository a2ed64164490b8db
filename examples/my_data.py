"""Data of your own: a function that returns two torch datasets.

    placenorm compare examples/my_net.py:Net --data examples/my_data.py:datasets

placenorm takes validation data off the training set, anew for each seed, and touches the test set once. If you have no
test set, return (train, None). Samples are used as they are: scale them here.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import Dataset, Subset


class Digits(Dataset[tuple[Tensor, int]]):
    """Images ``[1, 8, 8]`` between 0 and 1, and which digit each one shows."""

    def __init__(self) -> None:
        digits = load_digits()
        self.images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16.0
        self.labels = digits.target.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.labels[index]


def datasets() -> tuple[Dataset[tuple[Tensor, int]], Dataset[tuple[Tensor, int]]]:
    """Return the training set and the test set.

    placenorm calls this under a fixed seed, so the random split is the same in every process.
    """
    digits = Digits()
    order = torch.randperm(len(digits)).tolist()
    return Subset(digits, order[360:]), Subset(digits, order[:360])
