"""The global random states of torch, Python and numpy: set for a while, compared, put back."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block under a seed, and put every global random state back.

    Args:
        seed: for torch (the GPUs too, once they are in use), Python's `random` and numpy.
    """
    gpus = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - users' forwards draw from it
    try:
        with torch.random.fork_rng(gpus):
            torch.default_generator.manual_seed(seed)
            for gpu in gpus:
                with torch.cuda.device(gpu):
                    torch.cuda.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def random_states() -> tuple[object, ...]:
    """Return the global random states in a form that can be compared: it changes whenever a number is drawn."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    _, keys, place, *rest = np.random.get_state()  # noqa: NPY002
    numpy = (np.asarray(keys).tobytes(), place, *rest)
    return random.getstate(), numpy, *(state.numpy().tobytes() for state in (torch.get_rng_state(), *gpus))
