"""Comparisons that may stop early, and trials for them that need no training."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from placenorm.facts.comparison import Comparison, Stop
from placenorm.facts.trial import TrialKey, TrialOrder, TrialResult
from placenorm.study.agenda import Agenda
from support.comparisons import make_comparison
from support.results import make_trial

Run = Callable[[TrialKey], TrialResult]


def make_head(
    *, seeds: int = 10, stop: Stop = "early", rates: Sequence[float | None] = (0.03,), margin: float = 0.0
) -> Comparison:
    """Return a comparison of four arms before its first trial."""
    whole = make_comparison(seeds=2)
    planned = seeds if stop == "early" else None
    settings = replace(
        whole.settings, seeds=seeds, learning_rates=tuple(rates), stop=stop, planned=planned, margin=margin
    )
    return replace(whole, settings=settings, trials=(), chosen=(), grids=(), verdict=None)


def give_each(values: dict[str, Sequence[float]]) -> Run:
    """Return what runs a trial: its test metric by variant and seed, best at the rate 0.03."""
    return lambda key: make_trial(
        key.variant, key.seed, key.lr, test=values[key.variant][key.seed], val_loss=abs((key.lr or 0.03) - 0.03)
    )


def run_out(agenda: Agenda, run: Run, jobs: int = 1, pick: Callable[[int], int] = lambda count: 0) -> list[TrialResult]:
    """Return the trials that an agenda asks for, handed to so many workers; `pick` says which is finished next."""
    running: list[TrialOrder] = []
    finished = []
    while True:
        while len(running) < agenda.ahead * jobs and (order := agenda.take()) is not None:
            running.append(order)
        assert agenda.running == len(running)
        if not running:
            return finished
        result = run(running.pop(pick(len(running))).key)
        agenda.note(result)
        finished.append(result)
