"""Claims in, their trials run, and verdicts out."""

import time
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from placenorm.article.claim import Claim, Scale
from placenorm.article.experiments.laboratory import Laboratory
from placenorm.article.registry import EXPERIMENTS, find_claims
from placenorm.article.store import ObservationStore
from placenorm.data import load_data
from placenorm.errors import TrialError
from placenorm.facts.claim import ClaimResult, ClaimsReport, Observation, Question
from placenorm.facts.comparison import DataFacts
from placenorm.study.executors.executor import expect_result
from placenorm.study.executors.processes import ProcessPool

AHEAD = 2
"""Trials at hand for every worker: the one it runs, and the next."""

SECONDS = "seconds"
"""Value of every observation: what its trial took."""

_IMAGE_AXES = 3

OnProgress = Callable[[int, int], None]
"""Told after every trial: how many are finished, and of how many."""


@dataclass(frozen=True, slots=True)
class DataRequest:
    """How the data are opened in every worker.

    Attributes:
        name: their name.
        data_dir: folder of the fashion-mnist files.
        limit: at most so many samples.
        device: where networks run.
    """

    name: str
    data_dir: Path | None
    limit: int | None
    device: str


def scale_of(report: ClaimsReport) -> Scale:
    """Return how much a run may spend."""
    return Scale(report.settings.seeds, report.settings.full, has_images(report.data))


def has_images(data: DataFacts) -> bool:
    """Whether a sample is an image, ``[C, H, W]``."""
    return len(data.sample_shape) == _IMAGE_AXES


def list_questions(claims: Sequence[Claim], scale: Scale) -> list[Question]:
    """Return what the claims ask for, each question once, those of one seed together."""
    asked = {question.key: question for claim in claims for question in claim.ask(scale)}
    return sorted(asked.values(), key=lambda question: question.seed)


def run_claims(store: ObservationStore, request: DataRequest, jobs: int, on_progress: OnProgress) -> ClaimsReport:
    """Run every trial that is not there yet, and return the claims with their verdicts.

    Raises:
        TrialError: if a trial failed; what was observed is kept.
        StoreError: if an observation cannot be kept.
    """
    claims = find_claims(store.head.settings.claims)
    asked = list_questions(claims, scale_of(store.head))
    found = store.observations
    waiting = [question for question in asked if question.key not in found]
    finished, total = len(asked) - len(waiting), len(asked)
    on_progress(finished, total)
    if waiting:
        queue = iter(waiting)
        with ProcessPool[Question, Observation](partial(make_observer, request), jobs) as pool:
            for _ in range(AHEAD * jobs):
                _submit_next(pool, queue)
            try:
                for outcome in pool.finished():
                    store.add(expect_result(outcome))
                    finished += 1
                    _submit_next(pool, queue)
                    on_progress(finished, total)
            except (KeyboardInterrupt, TrialError):
                for outcome in pool.take_finished():
                    if outcome.result is not None:
                        store.add(outcome.result)
                raise
    report = assemble(store)
    store.finish(report)
    return report


def _submit_next(pool: ProcessPool[Question, Observation], queue: Iterator[Question]) -> None:
    question = next(queue, None)
    if question is not None:
        pool.submit(question)


def make_observer(request: DataRequest) -> Callable[[Question], Observation]:
    """Return what answers questions, with its data at hand."""
    lab = Laboratory(load_data(request.name, data_dir=request.data_dir, limit=request.limit), request.device)
    return partial(observe, lab)


def observe(lab: Laboratory, question: Question) -> Observation:
    """Return the answer to a question."""
    started = time.perf_counter()
    measured = EXPERIMENTS[question.kind](lab, question)
    values = {**measured.values, SECONDS: time.perf_counter() - started}
    return Observation(question, values, measured.series)


def assemble(store: ObservationStore) -> ClaimsReport:
    """Return the claims of a folder, judged anew from what is stored.

    A run that was stopped has all trials of its first seeds: each claim is judged by the seeds that are whole, and left
    out where there is none.
    """
    report, found = store.head, store.observations
    scale = scale_of(report)
    results = []
    used: set[str] = set()
    for claim in find_claims(report.settings.claims):
        keys = _find_whole(claim, scale, found)
        if keys:
            used.update(keys)
            results.append(judge_claim(claim, [found[key] for key in keys]))
    seconds = sum(found[key].values[SECONDS] or 0.0 for key in used)
    return replace(report, results=tuple(results), seconds=seconds)


def _find_whole(claim: Claim, scale: Scale, found: Container[str]) -> list[str]:
    """Return the keys of the trials of as many seeds as are whole, from the first on."""
    asked = list_questions([claim], scale)
    first_missing = min((question.seed for question in asked if question.key not in found), default=scale.seeds)
    return [question.key for question in asked if question.seed < first_missing]


def judge_claim(claim: Claim, observations: Sequence[Observation]) -> ClaimResult:
    """Return a claim with its verdict and its pictures."""
    return ClaimResult(
        number=claim.number,
        slug=claim.slug,
        ruling=claim.judge(observations),
        charts=claim.draw(observations),
        published=claim.published,
        questions=tuple(observation.question.key for observation in observations),
    )
