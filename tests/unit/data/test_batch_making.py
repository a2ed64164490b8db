"""Batches: what is fetched, in which order, and what is left out."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from placenorm.data import epoch_batches, eval_batches, fetch
from placenorm.errors import DataError


class Squares(Dataset[Any]):
    """Item by item: the index as a NumPy array, its square as a Python number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.array([index, 0.5]), index**2


def tensors(count: int) -> TensorDataset:
    index = torch.arange(count)
    return TensorDataset(torch.stack([index.double(), torch.full((count,), 0.5)], dim=1), (index**2).to(torch.int32))


@pytest.mark.parametrize(
    "indices", [[4, 0, 2], range(1, 4), torch.tensor([3, 3])], ids=["list", "range", "tensor-with-repeats"]
)
@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda dataset: dataset, id="whole"),
        pytest.param(lambda dataset: Subset(dataset, [5, 4, 3, 2, 1]), id="subset"),
        pytest.param(lambda dataset: Subset(Subset(dataset, range(6)), torch.arange(5)), id="subset-of-subset"),
    ],
)
def test_fast_and_slow_path_fetch_the_same(wrap, indices):
    fast, slow = fetch(wrap(tensors(6)), indices), fetch(wrap(Squares(6)), indices)
    torch.testing.assert_close(fast, slow, rtol=0, atol=0)
    assert (fast[0].dtype, fast[1].dtype) == (torch.float32, torch.int64)


def test_subclass_of_tensor_dataset_keeps_its_own_items():
    class Doubled(TensorDataset):
        def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
            x, y = super().__getitem__(index)
            return 2 * x, y

    assert fetch(Doubled(*tensors(4).tensors), [3])[0][0, 0] == 6


def test_tensor_dataset_of_three_is_refused():
    with pytest.raises(DataError, match=r"pair \(x, y\).*3 parts"):
        fetch(TensorDataset(torch.ones(2), torch.ones(2), torch.ones(2)), [0])


@pytest.mark.parametrize(
    ("count", "batch_size", "expected"),
    [
        pytest.param(10, 5, [5, 5], id="even"),
        pytest.param(11, 5, [5, 5], id="last-of-one-dropped"),
        pytest.param(14, 5, [5, 5], id="last-of-four-dropped"),
        pytest.param(3, 5, [3], id="only-a-small-one"),
        pytest.param(5, 5, [5], id="only-one"),
        pytest.param(3, 1, [1, 1, 1], id="batches-of-one"),
    ],
)
def test_small_last_batch_is_dropped_if_there_is_a_full_one(count, batch_size, expected):
    assert [len(y) for _, y in epoch_batches(tensors(count), batch_size, 0, 0)] == expected


def test_epoch_shuffles_each_sample_at_most_once():
    seen = torch.cat([x[:, 0] for x, _ in epoch_batches(tensors(100), 10, 0, 0)])
    assert sorted(seen.tolist()) == list(range(100))
    assert seen.tolist() != sorted(seen.tolist())


def test_order_depends_on_seed_and_epoch_only():
    def order(seed: int, epoch: int, dataset: Dataset[Any]) -> list[int]:
        return [int(x) for batch, _ in epoch_batches(dataset, 10, seed, epoch) for x in batch[:, 0]]

    first = order(0, 0, tensors(50))
    assert order(0, 0, Squares(50)) == first
    assert len({tuple(order(seed, epoch, tensors(50))) for seed in (0, 1) for epoch in (0, 1)}) == 4


@pytest.mark.parametrize("count", [1, 9, 10, 11])
def test_eval_batches_give_every_sample_in_order(count):
    batches = list(eval_batches(tensors(count), 5))
    assert torch.cat([x[:, 0] for x, _ in batches]).tolist() == list(range(count))
    assert max(len(y) for _, y in batches) <= 5
