"""A request in, a plan that can run out: model, data and metric are found, variants made, and each tried once."""

import hashlib
import inspect
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import cloudpickle
import torch
from torch import Tensor, nn

import placenorm
from placenorm.cost import count_cost
from placenorm.data import Batch, DataSource, LoaderSource, is_loader, open_data, open_feed, wrap_own
from placenorm.errors import DataError, ModelError, UsageError
from placenorm.facts.comparison import DEFAULT_BATCH_SIZE, MIN_SEEDS, Comparison, Metric, Settings, Variant
from placenorm.facts.edits import Skip
from placenorm.facts.environment import Environment
from placenorm.facts.placement import Placement
from placenorm.facts.trial import TrialKey
from placenorm.graph.tracing import describe_inputs, trace_model
from placenorm.lookup import describe_error, hash_sources, load_object
from placenorm.randomness import fix_seed
from placenorm.rewrite.placing import Placed, place_model
from placenorm.study.driver import StudyPlan
from placenorm.study.epochs import loss_of, shape_like
from placenorm.study.metrics import DEFAULT_MARGIN, Scorer, find_scorer
from placenorm.study.own_loops import OwnTrain, check_own_train
from placenorm.study.ranks import check_norms
from placenorm.study.recipe import Recipe
from placenorm.study.request import ModelMaker, Request
from placenorm.study.stepping import Stepper, widen
from placenorm.study.training import build_model
from placenorm.zoo import find_model, load_weights

EXAMPLE_SAMPLES = 8
"""Samples that a model is traced with and tried on before any trial: more than one, since a norm needs a spread."""


@fix_seed()
def make_plan(request: Request, command: str) -> StudyPlan:
    """Return the plan of a comparison: every variant is built, traced and tried for one step before any trial.

    The random states are afterwards what they were.

    Args:
        request: what was asked for.
        command: the command that repeats the run.

    Raises:
        UsageError: if an option does not fit the model or the data, or if what was given cannot go to the workers.
        ModelError: if the model cannot be built, traced or run on the data.
        DataError: if the data cannot be found, read or used.
    """
    _check_sendable(request)
    source = _open_source(request)
    _check_shares(source, request.processes_per_trial)
    feed = open_feed(source, 0, request.batch_size)  # standardises all samples: once
    samples = feed.take_example(EXAMPLE_SAMPLES)
    facts = feed.describe()
    own = None if request.train is None else _open_own_train(request.train)
    scorer = _own_scorer(request, own) if own is not None else find_scorer(request.metric, source.task, facts.test)
    make_model = _find_maker(request, source)
    recipe = Recipe(
        make_model=make_model,
        placements={},
        example_inputs=request.example_inputs if request.example_inputs is not None else samples.inputs,
        norm="placenorm" if request.norm == "placenorm" else "torch",
        weights=None if request.weights is None else str(request.weights),
        open_data=None if own is not None else _data_opener(request, source),
        scorer=scorer,
        epochs=request.epochs,
        batch_size=request.batch_size,
        optimizer=request.optimizer,
        schedule=request.schedule,
        device=request.device,
        own_train=None if request.train is None else partial(_open_own_train, request.train),
        own_train_name="" if request.train is None else _name_of(request.train),
        precision=request.precision,
        compiled=request.compile,
        processes=request.processes_per_trial,
        references=tuple(_own_references(request)),
        checkpoint_always=request.checkpoint,
    )
    variants = _make_variants(recipe, request.named_placements())
    recipe = replace(recipe, placements={variant.name: variant.placement for variant in variants})
    here = replace(recipe, device=find_device(request.device)) if request.elsewhere else recipe
    for variant in variants if own is None else ():
        _try_once(here, variant, source, samples)
    if request.compile:
        _try_once(here, variants[0], source, samples, compiled=True)
    head = Comparison(
        settings=_settings(request, source, scorer),
        metric=scorer.metric,
        task="own" if own is not None else source.task,
        data=None if own is not None else replace(facts, notes=source.notes),
        environment=describe_environment(request.device, command),
        variants=variants,
        trials=(),
        chosen=(),
        grids=(),
        verdict=None,
    )
    return StudyPlan(head, recipe, recipe.references)


def _settings(request: Request, source: DataSource | LoaderSource, scorer: Scorer) -> Settings:
    return Settings(
        model=_name_of(request.model),
        weights=None if request.weights is None else str(request.weights),
        data=None if request.train is not None else source.name,
        limit=request.limit,
        placements=tuple(request.named_placements()),
        seeds=request.seeds,
        epochs=request.epochs,
        batch_size=source.batch_size if isinstance(source, LoaderSource) else request.batch_size,
        learning_rates=request.rates(),
        optimizer=request.optimizer,
        schedule=request.schedule,
        metric=scorer.reference or scorer.metric.name,
        margin=DEFAULT_MARGIN if request.margin is None else request.margin,
        norm=request.norm,
        train=None if request.train is None else _name_of(request.train),
        device=request.device,
        source_hash=_hash_code(request),
        stop="early" if request.stop == "early" else "never",
        planned=max(request.seeds, MIN_SEEDS) if request.stop == "early" else None,
        precision=request.precision,
        compiled=request.compile,
        processes=request.processes_per_trial,
        search=request.search or "",
        search_trials=request.most_search_trials if request.search else 0,
    )


# -- what the user named


def _name_of(thing: object) -> str:
    if isinstance(thing, str):
        return thing
    return f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def _own_references(request: Request) -> list[str]:
    """Return the references to files of the user's, which workers load first."""
    named = (request.model, request.data, request.metric, request.train)
    return [item for item in named if isinstance(item, str) and ".py:" in item]


def _hash_code(request: Request) -> str:
    """Return a hash of the user's own code, checkpoint and example input, as far as found; "" without any."""
    digest = hash_sources(_own_references(request))
    for item in (request.model, request.metric, request.train):
        if callable(item):
            try:
                text = inspect.getsource(item)
            except (OSError, TypeError):  # made in a session, or an object without source
                text = _name_of(item)
            digest += hashlib.sha256(text.encode()).hexdigest()
    if request.weights is not None:
        with request.weights.expanduser().open("rb") as file:
            digest += hashlib.file_digest(file, "sha256").hexdigest()
    if request.example_inputs is not None:
        digest += hashlib.sha256(describe_inputs(request.example_inputs).encode()).hexdigest()
    return digest


def _check_sendable(request: Request) -> None:
    """Raise an error unless what was given as an object, and not by name, can be sent to worker processes."""
    for what, thing in {
        "model": request.model,
        "data": request.data,
        "metric": request.metric,
        "training loop": request.train,
    }.items():
        if thing is None or isinstance(thing, str):
            continue
        try:
            cloudpickle.dumps(thing)
        except Exception as error:
            raise UsageError(
                f"Cannot send the {what} to the worker processes: {describe_error(error)}; leave out of it what cannot "
                "be pickled, or name it as path/to/file.py:name, so that every process makes its own."
            ) from error


def _open_source(request: Request) -> DataSource | LoaderSource:
    if isinstance(request.data, str):
        source = open_data(request.data, data_dir=request.data_dir, limit=request.limit)
    else:
        what = "loaders" if is_loader(request.data[0]) else "datasets"
        source = wrap_own(f"your {what}", tuple(request.data), limit=request.limit)
    if isinstance(source, LoaderSource) and request.batch_size != DEFAULT_BATCH_SIZE:
        raise UsageError(
            f"Cannot use --batch-size {request.batch_size} with loaders: they have batches of their own; leave it out."
        )
    return source


def _check_shares(source: DataSource | LoaderSource, processes: int) -> None:
    """Raise an error where the processes of a trial would take their shares of different batches."""
    if processes > 1 and isinstance(source, LoaderSource) and not source.paired:
        raise DataError(
            f"Cannot share the batches of {source.name} out to {processes} processes: no seed decides them, so each "
            "process would read others; draw in the loader from torch's, numpy's or Python's random numbers, or leave "
            "--processes-per-trial out."
        )


def _data_opener(request: Request, source: DataSource | LoaderSource) -> Callable[[], DataSource | LoaderSource]:
    """Return what gives a worker the data: a user's function runs there anew, arrays are sent along."""
    if isinstance(request.data, str) and request.data in _own_references(request):
        return partial(open_data, request.data, data_dir=request.data_dir, limit=request.limit)
    return partial(_same, source)


def _same(source: DataSource | LoaderSource) -> DataSource | LoaderSource:
    return source


def _find_maker(request: Request, source: DataSource | LoaderSource) -> ModelMaker:
    if isinstance(request.model, str):
        return find_model(request.model, sample_shape=source.sample_shape, outputs=source.outputs)
    return request.model


def _open_own_train(train: str | OwnTrain) -> OwnTrain:
    function: Any = load_object(train, "training loop") if isinstance(train, str) else train
    check_own_train(function, _name_of(train))
    loop: OwnTrain = function
    return loop


def _own_scorer(request: Request, train: OwnTrain) -> Scorer:
    """Return the metric of the user's own loop: a name for what it returns."""
    name = request.metric if isinstance(request.metric, str) else "metric"
    return Scorer(Metric(name, getattr(train, "higher_is_better", True)), _never, name)


def _never(outputs: Tensor, targets: Tensor) -> float:
    raise AssertionError("the user's own loop takes its own metric")


# -- variants


def _make_variants(recipe: Recipe, named: dict[str, Placement]) -> tuple[Variant, ...]:
    """Return the variants, those that give the same network as one."""
    base = build_plain(recipe)
    graph = trace_model(base, recipe.example_inputs)
    if not graph.blocks:
        raise ModelError(
            f"{type(base).__name__} has no weight op (convolution or linear layer) that tracing can see, so there is "
            "no place for a norm; give a model with at least two such layers."
        )
    if graph.norms and "as-is" not in named:
        named = {"as-is": "as-is", **named}
    made: dict[str, Placed] = {}
    for name, placement in named.items():
        made[name] = place_model(build_plain(recipe), recipe.example_inputs, placement, recipe.norm)
        if not made[name].matched:
            raise UsageError(
                f"The placement {name!r} matches no block of the network: it lists {', '.join(placement) or 'none'}, "
                f"the network has {', '.join(graph.placement())}; correct its keys."
            )
    return _merge(made, "as-is" if graph.norms else "none")


def build_plain(recipe: Recipe) -> nn.Module:
    """Return the user's model as it is made, under the seed of all of the user's code.

    Raises:
        ModelError: if it is none.
    """
    with fix_seed():
        model = recipe.make_model()
    if not isinstance(model, nn.Module):
        raise ModelError(f"The model function returned a {type(model).__name__}: it must return an nn.Module.")
    if recipe.weights is not None:
        load_weights(model, recipe.weights)
    return model


def _merge(made: dict[str, Placed], baseline: str) -> tuple[Variant, ...]:
    """Return placements as variants; those that give the same network are one, under the first name."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, placed in made.items():
        where = tuple(sorted((norm.key, norm.owner) for norm in placed.graph.norms))
        groups.setdefault((*placed.placement.items(), *where), []).append(name)
    first = next((names[0] for names in groups.values() if baseline in names), next(iter(made)))
    return tuple(
        Variant(
            name=names[0],
            aliases=tuple(names[1:]),
            baseline=names[0] == first,
            placement=made[names[0]].placement,
            changes=made[names[0]].changes,
            skipped=tuple(skip for name in names for skip in _surprises(made[name])),
            graph=made[names[0]].graph,
            cost=count_cost(made[names[0]].graph),
        )
        for names in groups.values()
    )


def _surprises(placed: Placed) -> list[Skip]:
    """Return the skips that need mention: an exempt block stays without a norm under every named placement."""
    exempt = {block.key: block.exempt for block in placed.graph.blocks if block.exempt}
    return [skip for skip in placed.skipped if not (skip.site in exempt and skip.reason.endswith(exempt[skip.site]))]


def _try_once(
    recipe: Recipe, variant: Variant, source: DataSource | LoaderSource, samples: Batch, *, compiled: bool = False
) -> None:
    """Run a variant forwards and backwards on some samples, so that what cannot train is refused before any trial."""
    model = build_model(recipe, TrialKey(variant.name, 0, None))
    who = f"The model with its norms at {variant.label}"
    if recipe.processes > 1:
        check_norms(model)
    samples = samples.to(recipe.device)
    runner = torch.compile(model) if compiled else model
    way = "compiled" if compiled else "forwards"
    autocast = Stepper(recipe.precision, recipe.device, torch.optim.SGD(model.parameters())).autocast()
    with _one_step(who, way, samples), autocast:
        outputs: Any = samples.run(runner)
    _check_outputs(outputs, samples.targets, source, who)
    with _one_step(who, "to its loss", samples):
        loss: Any = loss_of(widen(shape_like(outputs, samples.targets)), samples.targets, source.task)
    if not loss.requires_grad:
        raise ModelError(f"{who} has nothing to train: no parameter requires a gradient; let some of them require one.")
    with _one_step(who, "backwards", samples):
        loss.backward()


@contextmanager
def _one_step(who: str, way: str, samples: Batch) -> Iterator[None]:
    """Put what goes wrong in the body into words."""
    try:
        yield
    except Exception as error:
        raise ModelError(
            f"{who} cannot train on a batch of shape {describe_inputs(samples.inputs)}: run {way}, it raises "
            f"{describe_error(error)}; change the model or the data."
        ) from error


def _check_outputs(outputs: Any, targets: Tensor, source: DataSource | LoaderSource, who: str) -> None:
    """Raise an error unless a model's outputs can be held against the targets."""
    if not isinstance(outputs, Tensor):
        raise ModelError(
            f"{who} returns a {type(outputs).__name__}, not a tensor; return the logits or values alone, "
            "or bring your own loop with --train."
        )
    if source.task == "classification":
        if outputs.dim() != 2 or outputs.shape[1] < (source.classes or 0):
            raise ModelError(
                f"{who} returns {list(outputs.shape)} for {len(targets)} samples, but {source.name} has "
                f"{source.classes} classes; it must return one logit per class, [N, {source.classes}]."
            )
    elif shape_like(outputs, targets).shape != targets.shape:
        raise ModelError(
            f"{who} returns {list(outputs.shape)}, but the targets of {source.name} are {list(targets.shape)}; "
            "it must return as many values per sample as there are targets."
        )


def find_device(device: str) -> str:
    """Return a device of other machines if this one has GPUs too, else the processor."""
    return device if not device.startswith("cuda") or torch.cuda.is_available() else "cpu"


def describe_environment(device: str, command: str) -> Environment:
    """Return where trials run."""
    name = torch.cuda.get_device_name(device) if find_device(device).startswith("cuda") else device
    return Environment(
        placenorm=placenorm.__version__,
        torch=torch.__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)),
        device=name,
        date=date.today().isoformat(),
        command=command,
    )
