"""The user's own data loaders: what must be known of them, and their batches in an order that a seed decides."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from placenorm.data.batch import Batch, read_batch
from placenorm.data.checks import check_finite
from placenorm.data.seeding import Stream, make_generator
from placenorm.errors import DataError, UsageError
from placenorm.facts.comparison import DataFacts, Task
from placenorm.graph.tracing import map_tensors
from placenorm.lookup import describe_error
from placenorm.randomness import RandomStream, fix_seed, reseed_generator

LOOKED_BATCHES = 20
"""Batches of each loader that are looked at for class numbers, where the dataset does not say how many there are."""

TRIED_BATCHES = 2
"""Batches that are read twice to see whether a seed decides them."""

_HOLDERS = ("sampler", "batch_sampler", "dataset", "datasets", "generator", "rng")
"""Attributes of a loader, and of what it holds, where its generators are looked for."""

_DEPTH = 4
"""Loader, batch sampler, sampler, dataset in a dataset: deeper than this nothing is looked for."""

_END = object()


@dataclass(frozen=True, slots=True, eq=False)
class LoaderSource:
    """Loaders that were looked at and can be trained with.

    Attributes:
        name: as the user named them.
        train: the training loader.
        held_out: the validation loader and the test loader; one for both, which then take its batches in turn.
        task: ``classification`` or ``regression``.
        classes: number of classes, as far as it is known; None for regression.
        values: values to predict of a sample, 1 or more; classes of a classification.
        batch_size: samples of a training batch.
        limit: the training loader gives at most so many samples an epoch, the others at most so many; None for all.
        fingerprint: a hash of the first batches.
        example: a few training samples.
        paired: whether one seed gives the same training batches each time.
        notes: what a reader of the results must know about how they are read, in whole sentences.
    """

    name: str
    train: Iterable[Any]
    held_out: tuple[Iterable[Any], ...]
    task: Task
    classes: int | None
    values: int
    batch_size: int
    limit: int | None
    fingerprint: str
    example: Batch = field(repr=False)
    paired: bool = True
    notes: tuple[str, ...] = ()

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of the first tensor of one sample."""
        found = [tensor for tensor in _tensors_of(self.example) if tensor.dim()]
        return tuple(found[0].shape[1:]) if found else ()

    @property
    def outputs(self) -> int:
        """How many outputs a network for it needs: one a class, or one a value to predict."""
        return self.classes if self.classes is not None else self.values

    def count_batches(self) -> int | None:
        """Return the training batches of an epoch; None where the loader does not say how many it has."""
        batches = _length(self.train)
        if batches is None or self.limit is None:
            return batches
        return min(batches, -(-self.limit // self.batch_size))

    def read_training(self, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield the training batches of one epoch, in the order that the seed and the epoch give.

        A batch of a single sample is passed over: a norm has nothing to average there.
        """
        read = _read(self.train, f"the training loader of {self.name}", (seed, epoch))
        return (batch for batch in _cap(read, self.limit) if len(batch) > 1)

    def read_validation(self, seed: int) -> Iterator[Batch]:
        """Yield the validation batches."""
        return self._read_held_out(0, seed)

    def read_test(self, seed: int) -> Iterator[Batch]:
        """Yield the test batches."""
        return self._read_held_out(1, seed)

    def describe(self) -> DataFacts:
        """Return what a report says about them; a number of samples that no loader says is 0."""
        samples = [_count(loader, self.limit) for loader in (self.train, *self.held_out)]
        if len(self.held_out) == 1:
            samples[1:] = [0, 0]  # batches are dealt out, and they need not be of one size
        return DataFacts(
            name=self.name,
            train=samples[0],
            validation=samples[1],
            test=samples[2],
            sample_shape=self.sample_shape,
            classes=self.classes,
            fixed_test=True,
            fingerprint=self.fingerprint,
            notes=self.notes,
            paired=self.paired,
        )

    def _read_held_out(self, place: int, seed: int) -> Iterator[Batch]:
        if len(self.held_out) == 1:
            read = _read(self.held_out[0], f"the held-out loader of {self.name}", (seed,))
            return islice(_cap(read, None if self.limit is None else 2 * self.limit), place, None, 2)
        what = ("validation", "test")[place]
        return _cap(_read(self.held_out[place], f"the {what} loader of {self.name}", (seed,)), self.limit)


def is_loader(thing: object) -> bool:
    """Whether something gives batches each time it is gone through: a DataLoader, or what is used like one."""
    if isinstance(thing, DataLoader):
        return True
    gives = hasattr(thing, "__iter__") and not hasattr(thing, "__getitem__") and not hasattr(thing, "__next__")
    return gives and not isinstance(thing, IterableDataset | Mapping)


def wrap_loaders(name: str, loaders: tuple[Any, ...], *, limit: int | None = None) -> LoaderSource:
    """Return a source of the user's own loaders, checked on the first batches of each.

    Args:
        name: what to call it.
        loaders: for training, validation and testing; or for training and for what is held out, whose batches go to
            validation and testing in turn.
        limit: the training loader gives at most so many samples an epoch, the others at most so many.

    Raises:
        DataError: if they are not fit for training.
        UsageError: if the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"Cannot use a limit of {limit}: no sample would be left; give 1 or more, or no limit.")
    if len(loaders) not in {2, 3} or not all(map(is_loader, loaders)):
        kinds = ", ".join(type(loader).__name__ for loader in loaders)
        raise DataError(
            f"Cannot use {name}: it gives {kinds}; give two loaders (training, held out), whose second one is shared "
            "out to validation and test by batches, or three (training, validation, test)."
        )
    train, *held_out = loaders
    parts = ("training", *(("validation", "test") if len(held_out) > 1 else ("held-out",)))
    firsts = []
    for loader, part in zip(loaders, parts, strict=True):
        where = f"the {part} loader of {name}"
        _check_workers(loader, where)
        firsts.append(_read_first(loader, where, 1 + (part == "held-out")))
    _check_alike([batches[0] for batches in firsts], parts, name)
    first = firsts[0][0]
    classes = None if first.targets.is_floating_point() else _count_classes(loaders, parts, name)
    values = first.targets.shape[1] if first.targets.dim() > 1 else 1
    lengths = [_length(loader) for loader in loaders]
    source = LoaderSource(
        name=name,
        train=train,
        held_out=tuple(held_out),
        task="regression" if classes is None else "classification",
        classes=classes,
        values=values,
        batch_size=len(first),
        limit=limit,
        fingerprint=_hash([batches[0] for batches in firsts], lengths),
        example=first,
    )
    notes = []
    if len(source.held_out) == 1:
        notes.append("The second loader's batches are validation and test data in turn.")
    if not _is_paired(source):
        source = replace(source, fingerprint=_hash([], lengths), paired=False)
    return replace(source, notes=tuple(notes))


def _is_paired(source: LoaderSource) -> bool:
    """Whether one seed and epoch give the same batches twice, whatever was read between."""

    def look(epoch: int) -> list[Tensor]:
        batches = islice(source.read_training(0, epoch), TRIED_BATCHES)
        return [tensor for batch in batches for tensor in (*_tensors_of(batch), batch.targets)]

    first = look(0)
    look(1)
    again = look(0)
    return len(first) == len(again) and all(
        a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
        for a, b in zip(first, again, strict=True)
    )


# -- reading


def _read(loader: Iterable[Any], where: str, key: tuple[int, ...]) -> Iterator[Batch]:
    """Yield the batches of a loader, what it draws decided by a key; what the model draws meanwhile does not matter."""
    number = int(make_generator(Stream.LOADER, *key).integers(2**31))
    _reseed(loader, number)
    stream = RandomStream(number)
    with stream.drawn(), _in_words(where):
        batches = iter(loader)
    while True:
        with stream.drawn(), _in_words(where):
            raw = next(batches, _END)
        if raw is _END:
            return
        yield read_batch(raw, where)


@contextmanager
def _in_words(where: str) -> Iterator[None]:
    """Put what goes wrong in a loader into words."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # of the user's own dataset, sampler or collate function
        raise DataError(
            f"Cannot read {where}: it raises {describe_error(error)}; mend the loader or its dataset."
        ) from error


def _cap(batches: Iterator[Batch], limit: int | None) -> Iterator[Batch]:
    """Yield batches until so many samples are out; the last one is cut to fit."""
    if limit is None:
        yield from batches
        return
    left = limit
    for batch in batches:
        yield batch if len(batch) <= left else batch.take(slice(left))
        left -= len(batch)
        if left <= 0:
            return


def _reseed(loader: object, number: int) -> None:
    """Bring every generator that a loader holds to a state, and tell what shuffles by epochs which one it is."""
    for held in _walk(loader, _DEPTH):
        reseed_generator(held, number)
        tell = getattr(held, "set_epoch", None)
        if callable(tell):
            tell(number)


def _walk(thing: object, depth: int) -> Iterator[object]:
    """Yield what a loader is made of: itself, its samplers, datasets and generators."""
    yield thing
    if depth == 0 or isinstance(thing, torch.Generator):
        return
    for name in _HOLDERS:
        held = getattr(thing, name, None)
        for each in held if isinstance(held, tuple | list) and name == "datasets" else [held]:
            if each is not None:
                yield from _walk(each, depth - 1)


# -- looking


def _check_workers(loader: object, where: str) -> None:
    if getattr(loader, "persistent_workers", False):
        raise DataError(
            f"Cannot use {where}: its worker processes outlive an epoch and keep random states that no seed can set; "
            "leave persistent_workers out."
        )


def _read_first(loader: Iterable[Any], where: str, count: int) -> list[Batch]:
    with fix_seed():
        batches = list(islice(_read(loader, where, (0, 0)), count))
    if len(batches) < count:
        raise DataError(
            f"Cannot use {where}: it gives {'no batch' if not batches else 'a single batch'}; "
            + ("give a loader that holds samples." if count == 1 else "give three loaders, or one with more batches.")
        )
    for batch in batches:
        for tensor in _tensors_of(batch):
            check_finite(tensor, f"the inputs of {where}")
        check_finite(batch.targets, f"the targets of {where}")
        if not len(batch):
            raise DataError(f"Cannot use {where}: its first batch is empty; let batches hold samples.")
    return batches


def _check_alike(firsts: list[Batch], parts: tuple[str, ...], name: str) -> None:
    """Raise an error unless all loaders give the same kind of batches."""
    kinds = [
        (
            [tuple(tensor.shape[1:]) for tensor in _tensors_of(batch)],
            tuple(batch.targets.shape[1:]),
            batch.targets.is_floating_point(),
        )
        for batch in firsts
    ]
    for kind, part in zip(kinds, parts, strict=True):
        if kind != kinds[0]:
            raise DataError(
                f"Cannot use {name}: samples of its {part} loader have the shapes {_say(kind)}, those of the training "
                f"loader {_say(kinds[0])}; let all loaders give the same kind of batches."
            )


def _say(kind: tuple[list[tuple[int, ...]], tuple[int, ...], bool]) -> str:
    shapes, target, _ = kind
    return f"{', '.join(str(list(shape)) for shape in shapes)} with targets {list(target)}"


def _count_classes(loaders: tuple[Any, ...], parts: tuple[str, ...], name: str) -> int:
    """Return the number of classes: what the training dataset says, or else one more than the largest number seen."""
    told = getattr(getattr(loaders[0], "dataset", None), "classes", None)
    if isinstance(told, Sized) and len(told) > 1:
        return len(told)
    seen = []
    for loader, part in zip(loaders, parts, strict=True):
        with fix_seed():
            read = islice(_read(loader, f"the {part} loader of {name}", (0, 0)), LOOKED_BATCHES)
            seen += [batch.targets for batch in read]
    labels = torch.cat(seen)
    if labels.min() < 0 or labels.max() < 1:
        raise DataError(
            f"Cannot use {name}: the class numbers in its first batches go from {int(labels.min())} to "
            f"{int(labels.max())}; number K classes 0 to K-1, at least two of them."
        )
    return int(labels.max()) + 1


def _tensors_of(batch: Batch) -> list[Tensor]:
    """Return every tensor that the model is called with."""
    found: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(note, (batch.args, batch.named))
    return found


def _length(loader: object) -> int | None:
    """Return how many batches a loader has; None where it does not say."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        return None


def _count(loader: object, limit: int | None) -> int:
    """Return how many samples a loader gives; 0 where it does not say."""
    dataset = getattr(loader, "dataset", None)
    if not isinstance(loader, DataLoader) or isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized):
        return 0
    sampler = loader.sampler if loader.batch_size is not None else None
    count = len(sampler) if isinstance(sampler, Sized) else len(dataset)
    if loader.drop_last and loader.batch_size:
        count -= count % loader.batch_size
    return count if limit is None else min(count, limit)


def _hash(firsts: list[Batch], lengths: list[int | None]) -> str:
    """Return the SHA-256 over the first batches of loaders and how many batches they have."""
    digest = hashlib.sha256(str(lengths).encode())
    for batch in firsts:
        for tensor in (*_tensors_of(batch), batch.targets):
            digest.update(f"{tuple(tensor.shape)}{tensor.dtype}".encode())
            values = tensor.detach().cpu()
            digest.update((values.double() if values.is_floating_point() else values).contiguous().numpy().tobytes())
    return digest.hexdigest()
