"""Random states of torch, Python and NumPy, the global ones and those of generators: set, compared, put back."""

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

OWN_SEED = 0
"""The user's code is loaded under this seed in every process: what it draws then is everywhere the same."""


@contextmanager
def fix_seed(seed: int = OWN_SEED) -> Iterator[None]:
    """Run the body under fixed random states of Python, NumPy and torch; the old ones come back after.

    The user's own code is run under it where every process must see the same: loading a file, splitting data, a trial.
    """
    before = RandomStates.read()
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)  # the GPUs' generators too, those that no one has used yet when they are first used
    try:
        yield
    finally:
        before.write()


@dataclass(frozen=True, slots=True, eq=False)
class RandomStates:
    """The global random states at one moment, as plain values and tensors.

    Attributes:
        python: of ``random``.
        numpy: of NumPy's global generator.
        torch: of torch's generator of the processor.
        gpus: of every GPU's generator; empty where they are left alone, or no GPU was used yet.
    """

    python: tuple[Any, ...]
    numpy: tuple[Any, ...]
    torch: Tensor
    gpus: list[Tensor]

    @classmethod
    def read(cls, *, gpus: bool = True) -> Self:
        """Return the states as they are now; without those of GPUs, which have to be waited for, where not asked to."""
        cards = torch.cuda.get_rng_state_all() if gpus and torch.cuda.is_initialized() else []
        numpy: Any = np.random.get_state()  # noqa: NPY002 - the user's
        return cls(random.getstate(), numpy, torch.default_generator.get_state(), cards)

    def write(self) -> None:
        """Bring the global states to these."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)  # noqa: NPY002
        torch.default_generator.set_state(self.torch)
        if self.gpus:
            torch.cuda.set_rng_state_all(self.gpus)

    def dump(self) -> dict[str, Any]:
        """Return those of the processor as what `torch.load` reads without running code."""
        name, keys, *rest = self.numpy
        numpy = [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest]
        return {"python": self.python, "numpy": numpy, "torch": self.torch}

    @classmethod
    def load(cls, dumped: dict[str, Any]) -> Self:
        """Return the states that `dump` gave."""
        name, keys, *rest = dumped["numpy"]
        numpy = (name, keys.numpy().astype(np.uint32), *rest)
        return cls(dumped["python"], numpy, dumped["torch"], [])


class RandomStream:
    """Random numbers of one purpose, on the processor: what is drawn does not move the global states, nor they it.

    Args:
        seed: where it starts.
    """

    def __init__(self, seed: int) -> None:
        with fix_seed(seed):
            self._states = RandomStates.read(gpus=False)

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Run the body with the stream in the place of the global states."""
        before = RandomStates.read(gpus=False)
        self._states.write()
        try:
            yield
        finally:
            self._states = RandomStates.read(gpus=False)
            before.write()


def random_states() -> tuple[object, ...]:
    """Return the global random states in a form that can be compared: it changes whenever a number is drawn."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    _, keys, place, *rest = np.random.get_state()  # noqa: NPY002
    numpy = (np.asarray(keys).tobytes(), place, *rest)
    return random.getstate(), numpy, *(state.numpy().tobytes() for state in (torch.get_rng_state(), *gpus))


GENERATORS = (torch.Generator, random.Random, np.random.Generator)
"""Generators that a model may hold as attributes, with a state of their own."""


def read_generator(generator: Any) -> object:
    """Return the state of a generator, one of `GENERATORS`, in a form that can be compared."""
    if isinstance(generator, torch.Generator):
        return generator.get_state().numpy().tobytes()
    if isinstance(generator, np.random.Generator):
        return pickle.dumps(generator.bit_generator.state)
    return generator.getstate()


def write_generator(generator: Any, state: Any) -> None:
    """Bring a generator to the state that `read_generator` gave."""
    if isinstance(generator, torch.Generator):
        generator.set_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = pickle.loads(state)
    else:
        generator.setstate(state)


def reseed_generator(thing: object, seed: int) -> None:
    """Bring a generator, one of `GENERATORS` or NumPy's older kind, to where a seed starts; anything else is left."""
    if isinstance(thing, torch.Generator):
        thing.manual_seed(seed)
    elif isinstance(thing, np.random.Generator):
        thing.bit_generator.state = type(thing.bit_generator)(seed).state
    elif isinstance(thing, random.Random | np.random.RandomState):
        thing.seed(seed)
