"""Loaders of the user's own: what a batch may be, and whose order a seed decides."""

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Sampler, TensorDataset

from placenorm.data import LoaderSource, is_loader, load_data, open_data, open_feed, wrap_own
from placenorm.data.batch import read_batch
from placenorm.data.loaders import wrap_loaders
from placenorm.errors import DataError, UsageError
from placenorm.randomness import fix_seed, random_states

X = torch.arange(60 * 4, dtype=torch.float32).view(60, 4)
Y = torch.arange(60) % 3


def draws(batches: Iterator[Any]) -> list[Tensor]:
    return [batch.args[0] for batch in batches]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


# -- batches


@pytest.mark.parametrize(
    ("raw", "args", "named"),
    [
        ((X, Y), 1, []),
        ([X, X, Y], 2, []),
        (((X, X), Y), 2, []),
        (({"left": X, "right": X}, Y), 0, ["left", "right"]),
        ({"image": X, "label": Y}, 1, []),
        ({"left": X, "right": X, "target": Y}, 0, ["left", "right"]),
    ],
    ids=["pair", "three", "nested", "named-inputs", "mapping", "mapping-of-two"],
)
def test_read_batch_finds_inputs_and_targets(raw: Any, args: int, named: list[str]) -> None:
    batch = read_batch(raw, "a loader")
    assert (len(batch.args), list(batch.named)) == (args, named)
    assert torch.equal(batch.targets, Y)
    assert batch.run(lambda *given, **by_name: len(given) + len(by_name)) == args + len(named)


def test_read_batch_makes_types_that_losses_want() -> None:
    batch = read_batch((X.double(), np.arange(60, dtype=np.int32)), "a loader")
    assert (batch.args[0].dtype, batch.targets.dtype) == (torch.float32, torch.int64)
    assert read_batch((X, X[:, 0].double()), "a loader").targets.dtype == torch.float32


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (X, r"a batch of it is a Tensor; let it be \(inputs, targets\)"),
        ({"image": X}, "a mapping with image; name its targets target or"),
        ({"label": Y}, "a mapping with label; name its targets"),
        ((X, ["a", "b"]), "the targets of a batch are a list that makes no tensor"),
        ((X, torch.tensor(3)), r"the targets of a batch have the shape \[\]"),
        ((X, torch.zeros(60, 2, dtype=torch.int64)), r"are whole numbers of shape \[60, 2\]"),
    ],
    ids=["tensor", "no-targets", "no-inputs", "words", "one-number", "rows-of-classes"],
)
def test_read_batch_of_another_form_is_one_sentence(raw: Any, words: str) -> None:
    with pytest.raises(DataError, match=f"Cannot use a loader: .*{words}"):
        read_batch(raw, "a loader")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_shares_of_a_batch_are_the_batch(size: int) -> None:
    batch = read_batch((X[:5], Y[:5]), "a loader")
    shares = [batch.share(rank, size) for rank in range(size)]
    assert torch.equal(torch.cat([share.args[0] for share in shares]), X[:5])
    assert torch.equal(torch.cat([share.targets for share in shares]), Y[:5])
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


# -- order


class Shuffling(Sampler[int]):
    """Shuffles as torch's DistributedSampler does: by a seed and the epoch that it is told."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(60, generator=torch.Generator().manual_seed(self.epoch)).tolist())

    def __len__(self) -> int:
        return 60


class Noisy(Dataset[tuple[Tensor, int]]):
    """Data that every global generator augments, and one of its own."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = np.random.normal() + random.gauss(0, 1) + float(torch.randn(())) + self.rng.normal()  # noqa: NPY002
        return X[index] + noise, int(Y[index])


class Stream(IterableDataset[tuple[Tensor, int]]):
    """Samples without end, in a random order."""

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        while True:
            index = int(torch.randint(60, ()))
            yield X[index], int(Y[index])


DATA = TensorDataset(X, Y)

LOADERS: dict[str, Callable[[], Any]] = {
    "shuffle": lambda: DataLoader(DATA, 7, shuffle=True),
    "generator": lambda: DataLoader(DATA, 7, shuffle=True, generator=torch.Generator()),
    "sampler": lambda: DataLoader(DATA, 7, sampler=RandomSampler(DATA, generator=torch.Generator())),
    "set-epoch": lambda: DataLoader(DATA, 7, sampler=Shuffling()),
    "augmented": lambda: DataLoader(Noisy(), 7, shuffle=True),
    "workers": lambda: DataLoader(Noisy(), 7, shuffle=True, num_workers=2),
}


@pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)
def test_seed_and_epoch_decide_the_batches(make: Callable[[], Any]) -> None:
    source = wrap_loaders("mine", (make(), make()))
    assert source.paired
    first = draws(source.read_training(1, 2))
    torch.rand(3)
    others = [draws(source.read_training(*key)) for key in ((1, 3), (2, 2))]
    assert same(draws(source.read_training(1, 2)), first)
    assert not any(same(other, first) for other in others)
    assert same(draws(wrap_loaders("mine", (make(), make())).read_training(1, 2)), first)


def test_what_a_model_draws_between_batches_changes_nothing_and_is_not_changed() -> None:
    source = wrap_loaders("mine", (DataLoader(Noisy(), 7, shuffle=True), DataLoader(DATA, 10)))

    def train(times: int) -> tuple[list[Tensor], object]:
        with fix_seed(5):
            seen = []
            for batch in source.read_training(0, 0):
                seen.append(batch.args[0])
                torch.rand(times)
            return seen, random_states()

    (quiet, before), (busy, after) = train(0), train(4)
    assert same(quiet, busy)
    with fix_seed(5):
        assert random_states() == before
    assert before != after


class Counting:
    """A loader whose order depends on how often it was gone through."""

    def __init__(self) -> None:
        self.turns = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.turns += 1
        for start in range(0, 60, 10):
            yield X[start : start + 10] + self.turns, Y[start : start + 10]


def test_loader_that_no_seed_decides_is_told() -> None:
    source = wrap_loaders("mine", (Counting(), DataLoader(DATA, 10)))
    assert not source.paired
    assert not open_feed(source, 0, 64).describe().paired
    again = wrap_loaders("mine", (source.train, DataLoader(DATA, 10)))
    assert source.fingerprint == again.fingerprint, "what cannot be read twice must not keep a run from going on"


# -- parts


def test_two_loaders_share_the_second_out() -> None:
    source = wrap_loaders("mine", (DataLoader(DATA, 10), DataLoader(DATA, 10)))
    feed = open_feed(source, 0, 64)
    validation, test = draws(feed.read_validation()), draws(feed.read_test())
    assert same(validation, list(X.split(10)[::2]))
    assert same(test, list(X.split(10)[1::2]))
    assert source.notes == ("The second loader's batches are validation and test data in turn.",)
    assert (feed.describe().train, feed.describe().test) == (60, 0)


def test_three_loaders_are_used_as_they_are() -> None:
    source = wrap_loaders("mine", tuple(DataLoader(TensorDataset(X[:n], Y[:n]), 7) for n in (60, 20, 30)))
    feed = open_feed(source, 0, 64)
    facts = feed.describe()
    assert (facts.train, facts.validation, facts.test, source.notes) == (60, 20, 30, ())
    assert torch.equal(torch.cat(draws(feed.read_test())), X[:30])
    assert [len(targets) for targets in feed.read_targets()] == [60, 20, 30]
    assert (source.batch_size, source.classes, source.sample_shape, feed.batches) == (7, 3, (4,), 9)


def test_batch_of_one_sample_is_passed_over_in_training_only() -> None:
    loader = DataLoader(TensorDataset(X[:15], Y[:15]), 7)
    source = wrap_loaders("mine", (loader, loader, loader))
    assert [len(batch) for batch in source.read_training(0, 0)] == [7, 7]
    assert [len(batch) for batch in source.read_test(0)] == [7, 7, 1]


def test_limit_ends_a_stream() -> None:
    source = wrap_loaders("mine", (DataLoader(Stream(), 8), DataLoader(DATA, 10), DataLoader(DATA, 10)), limit=20)
    feed = open_feed(source, 0, 64)
    assert [len(batch) for batch in feed.read_training(0)] == [8, 8, 4]
    assert sum(len(batch) for batch in feed.read_test()) == 20
    assert (feed.batches, feed.describe().train) == (None, 0)


def test_values_to_predict_have_no_classes() -> None:
    loader = DataLoader(TensorDataset(X, X[:, :2]), 7)
    source = wrap_loaders("mine", (loader, loader))
    assert (source.task, source.classes, source.outputs) == ("regression", None, 2)


def test_loaders_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nfrom torch.utils.data import DataLoader, TensorDataset\n"
        "def loaders():\n"
        "    x = torch.randn(40, 4)\n    data = TensorDataset(x, (x[:, 0] > 0).long())\n"
        "    return DataLoader(data, 8, shuffle=True), DataLoader(data, 8), DataLoader(data, 8)\n"
    )
    first, second = (open_data(f"{file}:loaders") for _ in range(2))
    assert isinstance(first, LoaderSource)
    assert first.fingerprint == second.fingerprint
    with pytest.raises(DataError, match=r"Cannot use the loaders of .* here: they are for placenorm compare"):
        load_data(f"{file}:loaders")


@pytest.mark.parametrize(
    ("thing", "answer"),
    [
        (DataLoader(DATA, 5), True),
        (Counting(), True),
        (DATA, False),
        (Stream(), False),
        (iter([1]), False),
        ({}, False),
    ],
    ids=["loader", "like-one", "dataset", "stream", "used-up", "mapping"],
)
def test_is_loader(thing: object, answer: bool) -> None:
    assert is_loader(thing) is answer


class Broken:
    def __iter__(self) -> Iterator[object]:
        raise ValueError("no such file")


@pytest.mark.parametrize(
    ("loaders", "words"),
    [
        ((DataLoader(DATA, 7), None), "it gives DataLoader, NoneType; give two loaders"),
        ((DataLoader(DATA, 7), DATA), "it gives DataLoader, TensorDataset; give two loaders"),
        ((DataLoader(DATA, 7), DataLoader(DATA, 60)), "the held-out loader of mine: it gives a single batch"),
        ((DataLoader(DATA, 7), DataLoader(TensorDataset(X[:, :2], Y), 7)), r"held-out loader have the shapes \[2\]"),
        ((Broken(), DataLoader(DATA, 7)), "Cannot read the training loader of mine: it raises ValueError: no such"),
        ((DataLoader(TensorDataset(X * torch.nan, Y), 7), DataLoader(DATA, 7)), "training loader of mine: .* NaN"),
        ((DataLoader(TensorDataset(X, Y * 0), 7),) * 2, "the class numbers in its first batches go from 0 to 0"),
        ((DataLoader(DATA, 7, num_workers=1, persistent_workers=True),) * 2, "leave persistent_workers out"),
    ],
    ids=["none", "dataset", "one-batch", "other-shape", "raises", "nan", "one-class", "persistent"],
)
def test_loaders_that_cannot_be_used_are_one_sentence(loaders: tuple[Any, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        wrap_own("mine", loaders)


def test_limit_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="Cannot use a limit of 0"):
        wrap_own("mine", (DataLoader(DATA, 7), DataLoader(DATA, 7)), limit=0)


def test_threads_of_a_loader_are_not_left_behind() -> None:
    """A worker's queue is fed by a thread, which ends a moment after its queue was closed."""
    before = set(threading.enumerate())
    source = wrap_loaders("mine", (DataLoader(DATA, 7, num_workers=1), DataLoader(DATA, 7)))
    assert len(draws(source.read_training(0, 0))) == 9
    begun = set(threading.enumerate()) - before
    for thread in begun:
        thread.join(timeout=30)
    assert not [thread.name for thread in begun if thread.is_alive()]
