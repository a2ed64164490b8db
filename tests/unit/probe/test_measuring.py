"""Moments of what modules read: streaming, exact, and clear about data that do not fit."""

import pytest
import torch
from torch import nn

from placenorm.errors import DataError
from placenorm.probe.measuring import ChannelMoments, measure_inputs, read_batches


@pytest.mark.parametrize("sizes", [[7], [3, 4], [1, 1, 5], [2, 0, 5]], ids=["one", "two", "single-values", "empty"])
def test_channel_moments_equal_those_of_all_values_at_once(sizes: list[int]) -> None:
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(size, 3, 2, 2, generator=generator) * 0.1 + 1e3 for size in sizes]
    moments = ChannelMoments()
    for batch in batches:
        moments.add(batch)
    values = torch.cat(batches).double().movedim(1, 0).flatten(1)
    assert moments.count == values.shape[1]
    torch.testing.assert_close(moments.mean, values.mean(1), rtol=1e-14, atol=0.0)
    torch.testing.assert_close(moments.var_unbiased, values.var(1), rtol=1e-8, atol=0.0)


def test_measure_inputs_sees_what_each_module_reads() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    batches = [torch.ones(4, 2), torch.zeros(2, 2)]
    first, second = measure_inputs(model, [model[0], model[2]], batches)
    assert (first.batches, first.count) == (2, 6)
    torch.testing.assert_close(first.mean, torch.full((2,), 4 / 6, dtype=torch.float64))
    hidden = torch.relu(model[0](torch.cat(batches))).double()
    torch.testing.assert_close(second.mean, hidden.mean(0).detach(), rtol=1e-6, atol=1e-7)
    assert not model[0]._forward_pre_hooks


def test_measure_inputs_without_a_batch_is_one_sentence() -> None:
    with pytest.raises(DataError, match="There is no batch in the data"):
        measure_inputs(nn.Linear(1, 1), [], [])


def test_measure_inputs_names_the_batch_that_does_not_fit() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(DataError, match=r"Linear does not run on batch 2 of the data: .*give batches that the model"):
        measure_inputs(model, [model], [torch.zeros(1, 2), torch.zeros(1, 3)])
    assert not model._forward_pre_hooks


@pytest.mark.parametrize(
    ("data", "shapes"),
    [
        (torch.zeros(2, 3), [(2, 3)]),
        ([torch.zeros(2, 3), torch.zeros(1, 3)], [(2, 3), (1, 3)]),
        ([(torch.zeros(2, 3), torch.zeros(2))], [(2, 3)]),
        (
            torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(5, 3), torch.zeros(5)), 3),
            [(3, 3), (2, 3)],
        ),
    ],
    ids=["tensor", "tensors", "pairs", "loader"],
)
def test_read_batches_takes_the_input_of_each_batch(data: object, shapes: list[tuple[int, ...]]) -> None:
    assert [tuple(batch.shape) for batch in read_batches(data)] == shapes  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "words"),
    [(5, "Cannot take batches from a int"), ([("a", 1)], "Cannot call the model with a str")],
    ids=["number", "text"],
)
def test_read_batches_of_something_else_is_one_sentence(data: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        list(read_batches(data))
