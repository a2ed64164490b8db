"""Trials that do as they are told, for the contract of executors: a key is a word and what it needs."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from placenorm.errors import ModelError
from placenorm.lookup import load_object


@dataclass(frozen=True)
class Told:
    """What a trial is told: a word, and what it needs."""

    word: str
    need: Any = None


class Obedient:
    """Runs the trials; counts how many it has run, so that one can see that it is made once in a worker."""

    def __init__(self) -> None:
        self.ran = 0

    def __call__(self, told: Told) -> Any:
        self.ran += 1
        act: Callable[[Any], Any] = getattr(self, told.word)
        return act(told.need)

    def give(self, value: Any) -> Any:
        return value

    def fail(self, words: str) -> None:
        try:
            raise KeyError("deep down")
        except KeyError as error:
            raise ValueError(words) from error

    def refuse(self, words: str) -> None:
        raise ModelError(words)

    def leave(self, code: int) -> None:
        raise SystemExit(code)

    def die(self, _: None) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def be_interrupted(self, _: None) -> str:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # as multiprocessing's resource tracker does
        os.kill(os.getpid(), signal.SIGINT)
        return "lived"

    def die_once(self, mark: Path) -> str:
        if not mark.exists():
            mark.touch()
            self.die(None)
        return "lived"

    def wait_for(self, mark: Path) -> str:
        while not mark.exists():
            time.sleep(0.01)
        return "waited"

    def never_end(self, mark: Path) -> None:
        mark.write_text(str(os.getpid()))
        while True:
            time.sleep(0.01)

    def count(self, _: None) -> tuple[int, int]:
        return os.getpid(), self.ran

    def count_threads(self, _: None) -> int:
        import torch

        return torch.get_num_threads()

    def make(self, reference: str) -> Any:
        return load_object(reference)

    def give_what_cannot_be_sent(self, _: None) -> Any:
        return (number for number in range(3))


def make_obedient() -> Obedient:
    return Obedient()


def make_unfit() -> Obedient:
    raise RuntimeError("no such device")


def make_unfit_in_words() -> Obedient:
    raise ModelError("Cannot build it: there is no layer; add one.")
