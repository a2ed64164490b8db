"""Random states of torch, Python and NumPy, the global ones and those of generators: set, compared, put back."""

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

OWN_SEED = 0
"""The user's code is loaded under this seed in every process: what it draws then is everywhere the same."""


@contextmanager
def fix_seed(seed: int = OWN_SEED) -> Iterator[None]:
    """Run the body under fixed random states of Python, NumPy and torch; the old ones come back after.

    The user's own code is run under it where every process must see the same: loading a file, splitting data, a trial.
    """
    before = random.getstate(), np.random.get_state(), torch.default_generator.get_state()  # noqa: NPY002 - the user's
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)  # the GPUs' generators too, those that no one has used yet when they are first used
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])  # noqa: NPY002
        torch.default_generator.set_state(before[2])
        if gpus:
            torch.cuda.set_rng_state_all(gpus)


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
