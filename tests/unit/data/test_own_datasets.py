"""The user's own torch datasets, from a function or handed in."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from placenorm.data import describe, fetch, load_data, split, wrap_datasets
from placenorm.errors import DataError, UsageError


class Items(Dataset[Any]):
    """Items made by a function of the index."""

    def __init__(self, make: Any, count: int = 20) -> None:
        self.make, self.count, self.read = make, count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        return self.make(index)


def pair(index: int) -> tuple[torch.Tensor, int]:
    return torch.full((1, 4, 4), float(index)), index % 2


def quantity(index: int) -> tuple[torch.Tensor, float]:
    return torch.full((3,), float(index)), index / 2


def test_own_classification_is_used_as_it_is():
    source = wrap_datasets("mine", Items(pair), Items(pair, 7))
    assert (source.task, source.classes, source.sample_shape, source.standardise) == (
        "classification",
        2,
        (1, 4, 4),
        False,
    )
    parts = split(source, 0)
    assert parts.test is source.test
    facts = describe(source, parts)
    assert (facts.train, facts.validation, facts.test, facts.fixed_test) == (16, 4, 7, True)
    x, _ = fetch(source.train, [3])
    assert x.unique().tolist() == [3.0]


def test_own_data_without_test_set_are_split_in_three():
    parts = split(wrap_datasets("mine", Items(pair), None), 0)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [12, 4, 4]


def test_own_regression_has_no_classes():
    source = wrap_datasets("mine", Items(quantity), None)
    assert (source.task, source.classes, source.outputs, source.labels) == ("regression", None, 1, None)
    assert fetch(source.train, [1])[1].dtype == torch.float32


def test_own_tensors_are_not_standardised():
    tensors = TensorDataset(torch.arange(20.0)[:, None], torch.arange(20) % 2)
    parts = split(wrap_datasets("mine", tensors, None), 0)
    x = torch.cat([fetch(part, range(len(part)))[0] for part in (parts.train, parts.validation, parts.test)])
    assert sorted(x.flatten().tolist()) == list(range(20))


def test_kept_targets_spare_reading_every_item():
    dataset = Items(pair, 5000)
    dataset.targets = [index % 2 for index in range(5000)]
    source = wrap_datasets("mine", Subset(dataset, range(4000)), None)
    assert source.labels.tolist() == [index % 2 for index in range(4000)]
    assert dataset.read < 500


def test_kept_targets_do_not_count_where_they_are_transformed():
    dataset = Items(lambda index: (torch.ones(2), index % 3))
    dataset.targets, dataset.target_transform = [7] * 20, abs
    assert wrap_datasets("mine", dataset, None).classes == 3


def test_limit_on_own_data_is_stratified():
    source = wrap_datasets("mine", Items(pair), Items(pair), limit=10)
    assert (len(source.train), len(source.test)) == (10, 10)
    assert source.labels.bincount().tolist() == [5, 5]
    assert torch.equal(fetch(source.train, range(10))[1], source.labels)


def test_fingerprint_follows_the_items_and_the_length():
    prints = {
        wrap_datasets("mine", Items(pair), None).fingerprint,
        wrap_datasets("mine", Items(pair, 21), None).fingerprint,
        wrap_datasets("mine", Items(lambda index: (torch.ones(2), index % 2)), None).fingerprint,
    }
    assert len(prints) == 3
    assert wrap_datasets("mine", Items(pair), None).fingerprint in prints


OWN = """
import random
import numpy as np
import torch
from torch.utils.data import TensorDataset, random_split
def datasets():
    random.random(), np.random.rand(), torch.rand(())
    every = TensorDataset(torch.arange(30.)[:, None], torch.arange(30) % 2)
    return random_split(every, [20, 10])
def no_test():
    return datasets()[0], None
def fails():
    return {}["gone"]
def three():
    return 1, 2, 3
def single():
    return datasets()[0]
text = "no function"
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path}/own.py"


def test_own_function_runs_under_a_fixed_seed(own):
    first = load_data(f"{own}:datasets")
    torch.rand(3)
    second = load_data(f"{own}:datasets")
    assert torch.equal(fetch(first.train, range(20))[0], fetch(second.train, range(20))[0])


def read_random_states() -> list[Any]:
    numpy_state = np.random.get_state()  # noqa: NPY002 - the global state is what must not move
    return [random.getstate(), numpy_state[1].tolist(), torch.get_rng_state().tolist()]


def test_own_function_leaves_the_random_states_alone(own):
    before = read_random_states()
    load_data(f"{own}:datasets")
    assert read_random_states() == before


def test_own_function_may_leave_the_test_set_out(own):
    assert load_data(f"{own}:no_test").test is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("fails", ["own.py:fails", "line 13 of own.py", "KeyError", "mend"], id="fails"),
        pytest.param("three", ["returned 3 values", "(train, test)", "(train, None)"], id="three-values"),
        pytest.param("single", ["returned a Subset", "(train, test)"], id="one-dataset"),
        pytest.param("text", ["is of type str", "name a function"], id="no-function"),
    ],
)
def test_unfit_function_is_refused(own, name, words):
    with pytest.raises(DataError) as caught:
        load_data(f"{own}:{name}")
    for word in words:
        assert word in str(caught.value)


def test_missing_function_is_refused(own):
    with pytest.raises(UsageError, match="did you mean datasets"):
        load_data(f"{own}:dataset")


class Stream(IterableDataset[Any]):
    """Has no length."""

    def __iter__(self) -> Any:
        return iter([pair(0)])


def fail_at_5(index: int) -> tuple[torch.Tensor, int]:
    if index == 5:
        raise OSError("no such file 5.png")
    return pair(index)


def nan_at_3(index: int) -> tuple[torch.Tensor, float]:
    return torch.ones(2), float("nan") if index == 3 else 1.0


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        pytest.param(Stream(), ["training set of mine", "Stream", "__len__"], id="iterable"),
        pytest.param(None, ["NoneType", "__len__"], id="none"),
        pytest.param(Items(pair, 0), ["training set of mine", "empty"], id="empty"),
        pytest.param(Items(pair, 4), ["4 training samples", "at least 5"], id="too-few"),
        pytest.param(Items(lambda i: torch.ones(2)), ["pair (x, y)", "a single Tensor"], id="no-pair"),
        pytest.param(Items(lambda i: (torch.ones(2), 1, 2)), ["pair (x, y)", "3 parts"], id="triple"),
        pytest.param(Items(lambda i: {"x": torch.ones(2), "y": 1}), ["pair (x, y)", "a single dict"], id="dict"),
        pytest.param(Items(lambda i: (torch.ones(2), "cat")), ["pair (x, y)", "tuple"], id="text-target"),
        pytest.param(Items(lambda i: (torch.ones(2 + i % 2), 0)), ["one batch", "Tensor[2]", "Tensor[3]"], id="sizes"),
        pytest.param(Items(lambda i: (object(), 0)), ["one batch", "object"], id="no-tensor"),
        pytest.param(Items(lambda i: (1.0, 0)), ["x [20]", "an axis of its own"], id="scalar-x"),
        pytest.param(Items(lambda i: (torch.ones(2), torch.ones(3, 3))), ["y [20, 3, 3]"], id="map-target"),
        pytest.param(Items(fail_at_5), ["item 5", "OSError: no such file 5.png", "__getitem__"], id="item-fails"),
        pytest.param(Items(nan_at_3), ["y of the training set of mine", "sample 3", "NaN"], id="nan-target"),
        pytest.param(
            Items(lambda i: (torch.full((2,), float("inf")), 0)), ["x of the training set", "infinite"], id="infinite-x"
        ),
        pytest.param(Items(lambda i: (torch.ones(2), i % 2 + 1)), ["from 1 to 2", "0 to K-1"], id="labels-from-1"),
        pytest.param(Items(lambda i: (torch.ones(2), -1)), ["from -1 to -1"], id="negative-label"),
        pytest.param(Items(lambda i: (torch.ones(2), 0)), ["one class"], id="one-class"),
    ],
)
def test_unfit_dataset_is_refused(dataset, words):
    with pytest.raises(DataError) as caught:
        wrap_datasets("mine", dataset, None)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        pytest.param(Items(quantity), ["test items", "[3]", "float32"], id="other-task"),
        pytest.param(Items(lambda i: (torch.ones(1, 5, 5), 0)), ["[1, 4, 4]", "[1, 5, 5]"], id="other-shape"),
        pytest.param(Items(pair, 0), ["the test set of mine", "empty"], id="empty"),
    ],
)
def test_unfit_test_set_is_refused(test, words):
    with pytest.raises(DataError) as caught:
        wrap_datasets("mine", Items(pair), test)
    for word in words:
        assert word in str(caught.value)
