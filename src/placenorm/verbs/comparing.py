"""The verb `compare`: which placement of the norm is best for this network on these data?"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from placenorm.errors import UsageError
from placenorm.facts.comparison import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_EPOCHS,
    DEFAULT_SEEDS,
    Comparison,
    Settings,
    Verdict,
)
from placenorm.facts.placement import Placement, write_placement
from placenorm.graph.tracing import ExampleInputs
from placenorm.report.forms import print_to_html, print_to_text
from placenorm.report.language import ENGLISH, Language
from placenorm.report.picture import draw_picture
from placenorm.report.terminal import print_comparison
from placenorm.report.verdict_wording import put_into_words
from placenorm.study.budget import BudgetMeter, parse_budget
from placenorm.study.databases import DatabaseAddress, check_database, warn
from placenorm.study.devices import share_gpus
from placenorm.study.driver import OnProgress, run_study
from placenorm.study.executors.clusters import Cluster
from placenorm.study.executors.machines import Machines
from placenorm.study.metrics import MetricFunction
from placenorm.study.own_loops import OwnTrain
from placenorm.study.planning import make_plan
from placenorm.study.request import Datasets, Loaders, ModelMaker, Request
from placenorm.study.search_planning import confirm, plan_search
from placenorm.study.store import open_store
from placenorm.verbs.reporting import write_report
from placenorm.verbs.results import RESULTS, name_folder, told_when_stopped
from placenorm.verbs.searching import Kept, count_afforded, run_search

TABLE_WIDTH = 120

PLACEMENT = "placement.json"
"""What a search leaves in the result folder: the placement that is advised."""


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """A comparison that was run.

    Attributes:
        comparison: everything that was measured, in English words.
        folder: where it lies.
        placement: after a search, the file of the placement that is advised, for `placenorm.place`; else None.
    """

    comparison: Comparison
    folder: Path
    placement: Path | None = None

    @property
    def verdict(self) -> Verdict:
        """What the comparison concludes, with its evidence.

        Raises:
            UsageError: if its budget ended it before its first seed was complete, or nothing was to be trained.
        """
        if self.comparison.verdict is None and not self.comparison.trials and self.comparison.spending is None:
            raise UsageError("There is no verdict: nothing was trained; leave dry_run out.")
        if self.comparison.verdict is None:
            raise UsageError(
                f"There is no verdict on the comparison in {self.folder} yet: its budget ended it before its first "
                "seed was complete; go on with resume=True and a larger budget."
            )
        return self.comparison.verdict

    def table(self, *, lang: str = "en") -> str:
        """Return the table and the verdict as text, for 120 columns.

        Args:
            lang: language of the sentences, ``en`` or ``fa`` (Persian).
        """
        language = Language(lang)
        return print_to_text(lambda console: print_comparison(self.comparison, console, language), TABLE_WIDTH)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table, the verdict and the picture of the report."""
        picture = draw_picture(self.comparison)
        return print_to_html(lambda console: print_comparison(self.comparison, console), TABLE_WIDTH, [picture])

    def report(self, path: Path | str | None = None, *, lang: str = "en") -> Path:
        """Write the report and return its path: ``report.html`` in the folder, or any .html, .png or .svg file.

        Args:
            path: the file.
            lang: language of the reader, ``en`` or ``fa`` (Persian).
        """
        target = Path(path) if path is not None else self.folder / "report.html"
        write_report(self.comparison, target, lang)
        return target


def compare(
    model: str | ModelMaker = "cnn",
    data: str | Datasets | Loaders = "digits",
    *,
    placements: str | Sequence[str] | Mapping[str, Placement] | None = None,
    seeds: int = DEFAULT_SEEDS,
    epochs: int = DEFAULT_EPOCHS,
    batch_size: int = DEFAULT_BATCH_SIZE,
    lr: float | Sequence[float] | None = None,
    optimizer: Literal["sgd", "adamw"] = "sgd",
    schedule: Literal["constant", "cosine"] = "constant",
    metric: str | MetricFunction | None = None,
    margin: float | None = None,
    limit: int | None = None,
    data_dir: Path | str | None = None,
    weights: Path | str | None = None,
    norm: Literal["torch", "placenorm"] = "torch",
    train: str | OwnTrain | None = None,
    example_inputs: ExampleInputs | None = None,
    device: str = "cpu",
    stop: Literal["never", "early"] = "never",
    precision: Literal["float32", "bfloat16", "float16"] = "float32",
    compile: bool = False,  # noqa: A002 - torch's name
    processes_per_trial: int = 1,
    checkpoint: bool = False,
    budget: str | None = None,
    search: Literal["per-block"] | None = None,
    search_trials: int | None = None,
    jobs: int | None = None,
    ray: str | None = None,
    trial_cpus: float | None = None,
    trial_gpus: float | None = None,
    storage: str | None = None,
    study: str | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
    on_notice: Callable[[str], None] = warn,
    command: str | None = None,
) -> ComparisonResult:
    """Train a network with its norms in several places, paired by seeds, and return which place is best.

    Every placement of a seed starts from the same weights wherever shapes agree and sees the same batches in the same
    order; every placement and seed chooses its own learning rate by its validation loss; the verdict is on test data.

    Args:
        model: ``cnn``, ``cnn:DEPTH``, ``mlp:DEPTH``, ``path/to/file.py:Name``, ``package.module:factory``, or a
            function without arguments that returns the model, called for every trial under the trial's seed.
        data: ``digits``, ``fashion-mnist``, ``folder:PATH``, ``npz:PATH``, ``path/to/file.py:function``, or a pair of
            torch datasets (training, and test or None), or loaders: (training, held out), whose second one is shared
            out to validation and test by batches, or (training, validation, test).
        placements: names of policies, one or several, or placements under names of your own; by default the four
            policies. A model that has norms brings ``as-is``, and that is the baseline.
        seeds: number of seeds, counted from 0.
        epochs: passes over the training data.
        batch_size: samples a step.
        lr: one learning rate, or the grid to start with; None for the optimizer's usual grid.
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``.
        schedule: ``constant`` or ``cosine``.
        metric: ``accuracy``, ``r2``, ``rmse``, ``mae``, ``file.py:function``, or a function of outputs and targets.
        margin: differences up to this size have no practical meaning, in the metric's own units; 0.01 by default.
        limit: at most so many training samples and so many test samples.
        data_dir: folder of the fashion-mnist files.
        weights: checkpoint that every trial starts from.
        norm: whose norms are placed.
        train: the user's own loop, ``file.py:train`` or a function ``train(model, seed, report)`` that returns the
            final metric. Data, epochs, rates and optimizer are then its own; `data` only gives the example input.
        example_inputs: what the model is traced with; by default some samples of the data.
        stop: ``never``: every placement is trained at every seed. ``early``: the comparison is looked at after every
            seed; a placement about which nothing more can be decided in the final metric is not trained on, and it
            ends where every difference is decided, or where the seeds that are asked for would hardly decide it. Rates
            are searched from the middle one on, and a trial that is clearly behind ends. Intervals hold at every look.
        device: where trials run, in torch's words; ``cuda`` deals the machine's GPUs round to the processes.
        precision: what autocast computes in; parameters stay as they are, and float16 has its gradients scaled.
        compile: compile the placed models with torch.compile.
        processes_per_trial: processes that train one trial together (DDP), each on its share of every batch, with
            synchronised norms.
        checkpoint: keep every epoch of a running trial, so that a killed one goes on from there; else only what took
            longer than a minute is kept.
        jobs: trials at a time; by default one a core; 0 runs them in this process, for a debugger. The numbers do not
            depend on it.
        ray: run the trials on a Ray cluster: ``auto`` for the one that this machine belongs to, or its address. `jobs`
            is then the most trials at a time, by default as many as there is room for.
        trial_cpus: cores of the cluster for each trial, by default one a process.
        trial_gpus: GPUs of the cluster for each trial, or a share of one; by default one a process on ``cuda``, else 0.
        budget: what may be spent: ``30m`` or ``2h`` (of this run), ``200-trials`` or ``3-gpu-hours`` (of all runs in
            the folder). No trial is begun beyond it, and the seeds that are complete are judged.
        storage: keep the trials in a PostgreSQL database, ``postgresql://USER@HOST:PORT/DATABASE``, where other
            machines can report on them or go on; by default in the folder, into which reports are written in any case.
        study: the name of the comparison in that database; by default ``<model>-<data>``.
        search: ``per-block``: every block may take its own position. The named placements come first, then ones drawn
            at random, then those that Optuna's sampler asks for; the best is set beside the baseline and the best named
            placement, on seeds that the search never saw.
        search_trials: trials that the search may take; 200 by default.
        out: folder for the results; by default ``placenorm-results/<model>-<data>``.
        resume: go on with what the folder or the database holds; more seeds than there are may be asked for.
        dry_run: plan it, build and try every network on a few samples, and train and write nothing.
        on_progress: told after every trial how many are finished, and of how many.
        on_notice: told in a sentence when a database has gone and is waited for; by default that is a warning.
        command: the command that repeats the run, for the report.

    Raises:
        UsageError: if an option cannot be used.
        ModelError: if the model cannot be built, traced or run on the data.
        DataError: if the data cannot be found, read or used.
        StoreError: if the folder or the database cannot be used.
        TrialError: if nearly all trials fail; what was finished is kept.
        ComparisonInterrupted: on Ctrl-C; what was finished is kept.
    """
    machines = _find_machines(jobs, processes_per_trial, ray, trial_cpus, trial_gpus, device)
    if storage is not None:
        check_database(storage)  # at once, and not after the networks are built
    elif study is not None:
        raise UsageError(f"Cannot name the study {study!r}: it has its folder's name; give --storage too, or --out.")
    request = Request(
        model=model,
        data=data,
        placements=placements,
        seeds=seeds,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        optimizer=optimizer,
        schedule=schedule,
        metric=metric,
        margin=margin,
        limit=limit,
        data_dir=None if data_dir is None else Path(data_dir),
        weights=None if weights is None else Path(weights),
        norm=norm,
        train=train,
        example_inputs=example_inputs,
        device=device,
        stop=stop,
        precision=precision,
        compile=compile,
        processes_per_trial=processes_per_trial,
        checkpoint=checkpoint,
        search=search,
        search_trials=search_trials,
        elsewhere=machines.cluster is not None,
    )
    spendable = None if budget is None else parse_budget(budget)
    gpus = (
        share_gpus(device, machines.trials_at_a_time, processes_per_trial)
        if machines.cluster is None
        else machines.cluster.gpus
    )
    if spendable is not None and spendable.kind == "gpu-hours" and not gpus:
        raise UsageError(
            f"Cannot count GPU hours for --budget {budget!r}: trials run on {device}; train with --device cuda, or "
            "give a time or a number of trials."
        )
    told = command or f"pn.compare(...) in {Path(sys.argv[0]).name or 'Python'}"
    plan = make_plan(request, told)
    name = study or _slug(plan.head.settings)
    folder = Path(out) if out is not None else RESULTS / name
    if dry_run:
        space = None if search is None else plan_search(request, plan, count_afforded(spendable))[0].head.space
        return ComparisonResult(put_into_words(replace(plan.head, space=space), ENGLISH), folder)
    database = None if storage is None else DatabaseAddress(storage, name)
    tell = on_progress or (lambda finished, total: None)
    if search is not None:
        kept = Kept(folder=folder, database=database, resume=resume, tell=on_notice)
        found, spendable = run_search(request, plan, kept, machines, tell, budget=spendable, gpus=gpus)
        plan = make_plan(confirm(request, plan, found), told)
        plan = replace(plan, head=replace(plan.head, search=found))
    with (
        open_store(folder, plan.head, resume=resume, database=database, tell=on_notice) as store,
        told_when_stopped(lambda: len(store.results), store.place),
    ):
        meter = BudgetMeter(spendable, store.results.values(), gpus)
        comparison = run_study(plan, store, machines, tell, meter)
    advises = comparison.verdict is not None and comparison.verdict.advises
    picked = write_pick(comparison, folder) if search is not None and advises else None
    return ComparisonResult(put_into_words(comparison, ENGLISH), folder, picked)


def write_pick(comparison: Comparison, folder: Path) -> Path:
    """Write the placement that is advised into a folder, as ``placement.json``, and return the file."""
    assert comparison.verdict is not None
    pick = next(variant for variant in comparison.variants if variant.name == comparison.verdict.pick)
    write_placement(pick.placement, folder / PLACEMENT)
    return folder / PLACEMENT


def _find_machines(
    jobs: int | None,
    processes: int,
    ray: str | None,
    trial_cpus: float | None,
    trial_gpus: float | None,
    device: str,
) -> Machines:
    """Return where the trials run."""
    if ray is None:
        if trial_cpus is not None or trial_gpus is not None:
            raise UsageError(
                "Cannot share out cores or GPUs with --trial-cpus or --trial-gpus on this machine: they are shares of "
                "a cluster, so add --ray auto, or use --jobs here."
            )
        return Machines(jobs=jobs, processes_per_trial=processes)
    usual = float(processes) if device.startswith("cuda") else 0.0
    cpus, gpus = (float(processes) if trial_cpus is None else trial_cpus), (usual if trial_gpus is None else trial_gpus)
    return Machines(jobs=jobs, processes_per_trial=processes, cluster=Cluster(ray, cpus, gpus))


def _slug(settings: Settings) -> str:
    """Return the name of a comparison's folder."""
    return name_folder(settings.model, settings.train or settings.data or "") or "comparison"
