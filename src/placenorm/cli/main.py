"""The command `placenorm`: arguments in, verbs called."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from placenorm.cli.benching import bench
from placenorm.cli.claiming import LANGUAGE_HELP, claims, let_letters_through, show_claims_of
from placenorm.cli.console import (
    collector_at_rest,
    command_line,
    errors_in_words,
    say_aside,
    show_progress,
    warnings_in_words,
)
from placenorm.errors import UsageError
from placenorm.facts.comparison import DEFAULT_BATCH_SIZE, DEFAULT_EPOCHS, DEFAULT_SEARCH_TRIALS, DEFAULT_SEEDS

if TYPE_CHECKING:
    from torch import Tensor

    from placenorm.facts.comparison import Comparison
    from placenorm.report.language import Language

_MODELS = "cnn, cnn:DEPTH, mlp:DEPTH, torchvision:NAME, timm:NAME, path/to/file.py:Name or package.module:factory."

_STORAGE = "Keep the trials in a database, postgresql://USER@HOST:PORT/DATABASE, and not in the folder."

STORAGE_VARIABLE = "PLACENORM_STORAGE"
"""An address with a password need not be typed, where others may read it."""

FOUND = 1

_GROWING = " (more if rates lie at an end)"

app = typer.Typer(
    help="Where exactly should batch normalisation go in this network, on this data?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class _Optimizer(StrEnum):
    SGD = "sgd"
    ADAMW = "adamw"


class _Schedule(StrEnum):
    CONSTANT = "constant"
    COSINE = "cosine"


class _Stop(StrEnum):
    NEVER = "never"
    EARLY = "early"


class _Search(StrEnum):
    PER_BLOCK = "per-block"


class _Precision(StrEnum):
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class _Type(StrEnum):
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    FLOAT64 = "float64"


class _Norm(StrEnum):
    TORCH = "torch"
    PLACENORM = "placenorm"


@app.callback()
def _root() -> None:
    """Keep the verbs as sub-commands, however few there are."""


@app.command()
def compare(
    model: Annotated[str, typer.Argument(help=_MODELS)] = "cnn",
    data: Annotated[
        str, typer.Option(help="digits, fashion-mnist, folder:PATH, npz:PATH or path/to/file.py:function.")
    ] = "digits",
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the four fashion-mnist files.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many training and so many test samples.")] = None,
    placements: Annotated[
        str | None, typer.Option(help="Names, with commas: none,before-activation,after-activation,after-pool,as-is.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Number of paired seeds.")] = DEFAULT_SEEDS,
    epochs: Annotated[int, typer.Option(help="Passes over the training data.")] = DEFAULT_EPOCHS,
    batch_size: Annotated[int, typer.Option(help="Samples a step.")] = DEFAULT_BATCH_SIZE,
    lr: Annotated[str | None, typer.Option(help="Learning rates to start with, with commas.")] = None,
    optimizer: Annotated[_Optimizer, typer.Option(help="SGD has momentum 0.9.")] = _Optimizer.SGD,
    schedule: Annotated[_Schedule, typer.Option(help="Of the learning rate.")] = _Schedule.CONSTANT,
    metric: Annotated[str | None, typer.Option(help="accuracy, r2, rmse, mae or path/to/file.py:function.")] = None,
    margin: Annotated[
        float | None, typer.Option(help="Differences up to this size do not matter, in the metric's units.")
    ] = None,
    norm: Annotated[_Norm, typer.Option(help="Whose norm layers are placed.")] = _Norm.TORCH,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint that every trial starts from.")] = None,
    train: Annotated[
        str | None, typer.Option(help="Your own loop: path/to/file.py:train, called as train(model, seed, report).")
    ] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Shape of one sample, such as 3x32x32, where the data do not say it.")
    ] = None,
    stop: Annotated[
        _Stop, typer.Option(help="early: look after every seed, and end where more would not be worth it.")
    ] = _Stop.NEVER,
    device: Annotated[
        str, typer.Option(help="Where trials run: cpu; cuda, the GPUs dealt round to the jobs; or cuda:1.")
    ] = "cpu",
    precision: Annotated[
        _Precision, typer.Option(help="What autocast computes in; parameters stay float32.")
    ] = _Precision.FLOAT32,
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the placed models with torch.compile.")] = False,
    processes_per_trial: Annotated[
        int, typer.Option(help="Processes that train one trial together (DDP), with synchronised norms.")
    ] = 1,
    checkpoint: Annotated[
        bool, typer.Option("--checkpoint", help="Keep every epoch of a running trial; else only what took a minute.")
    ] = False,
    search: Annotated[
        _Search | None, typer.Option(help="per-block: look for the best position of every block, then judge it.")
    ] = None,
    search_trials: Annotated[
        int | None, typer.Option(help=f"Trials that the search may take; {DEFAULT_SEARCH_TRIALS} by default.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Trials at a time; one a core by default; 0: in this process, for a debugger.")
    ] = None,
    ray: Annotated[
        str | None, typer.Option(help="Run the trials on a Ray cluster: auto for this machine's, or HOST:PORT.")
    ] = None,
    trial_cpus: Annotated[float | None, typer.Option(help="Cores of the cluster for each trial.")] = None,
    trial_gpus: Annotated[
        float | None, typer.Option(help="GPUs of the cluster for each trial, or a share such as 0.5.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Begin no trial beyond it: 30m or 2h of this run, 200-trials, or 3-gpu-hours.")
    ] = None,
    storage: Annotated[str | None, typer.Option(help=_STORAGE, envvar=STORAGE_VARIABLE)] = None,
    study: Annotated[
        str | None, typer.Option(help="Name of the comparison in that database; <model>-<data> by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results; placenorm-results/<model>-<data> by default.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder or database holds.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, try every network once, and write nothing.")
    ] = False,
    lang: Annotated[str, typer.Option(help=LANGUAGE_HELP)] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole comparison as JSON.")] = False,
) -> None:
    """Train the network with its norms in several places and say which place is best."""
    from placenorm.report.language import Language

    with errors_in_words("Stopped before the first trial; nothing was written."):
        Language(lang)  # a language that is not there is said before the trials and not after them
        from placenorm.verbs.comparing import compare as run

    with (
        errors_in_words("Stopped before the first trial; nothing was written."),
        show_progress(quiet=as_json, note=_GROWING) as progress,
    ):
        result = run(
            model,
            data,
            data_dir=data_dir,
            limit=limit,
            placements=None if placements is None else _split(placements),
            seeds=seeds,
            epochs=epochs,
            batch_size=batch_size,
            lr=None if lr is None else [_number(part, "lr") for part in _split(lr)],
            optimizer=optimizer.value,
            schedule=schedule.value,
            metric=metric,
            margin=margin,
            norm=norm.value,
            weights=weights,
            train=train,
            example_inputs=None if input_shape is None else _zeros(input_shape),
            device=device,
            stop=stop.value,
            precision=precision.value,
            compile=compile_,
            processes_per_trial=processes_per_trial,
            checkpoint=checkpoint,
            search=None if search is None else "per-block",
            search_trials=search_trials,
            budget=budget,
            jobs=jobs,
            ray=ray,
            trial_cpus=trial_cpus,
            trial_gpus=trial_gpus,
            storage=storage,
            study=study,
            out=out,
            resume=resume,
            dry_run=dry_run,
            on_progress=progress,
            on_notice=say_aside,
            command=command_line(),
        )
    if dry_run:
        _show_planned(result.comparison, lang, budget, as_json=as_json)
        return
    targets = [result.folder / "report.html"]
    if result.comparison.verdict is not None:  # a budget may end it before there is one
        targets.append(result.folder / "report.png")
    found = () if result.placement is None else (result.placement,)
    _show(result.comparison, targets, lang, as_json=as_json, found=found)


@app.command()
def place(
    model: Annotated[str, typer.Argument(help=_MODELS)],
    to: Annotated[
        str,
        typer.Option(
            help="none, before-activation, after-activation, after-pool; a placement.json; or conv1=after-pool,fc=none."
        ),
    ],
    weights: Annotated[Path | None, typer.Option(help="Checkpoint to start from.")] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Shape of one sample, such as 3x224x224; the model's own by default.")
    ] = None,
    preserve: Annotated[
        str | None, typer.Option(help="Data, as for compare: keep what the network computes, measured on them.")
    ] = None,
    only: Annotated[str | None, typer.Option("--filter", help="Only blocks at this path, such as layer1.")] = None,
    norm: Annotated[_Norm, typer.Option(help="Whose norm layers are placed.")] = _Norm.TORCH,
    out: Annotated[
        Path | None, typer.Option(help="Folder for placement.json and weights.pt; nothing is written without it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Put the norms of a network somewhere else, and say block by block what changes."""
    from placenorm.cost import compare_costs
    from placenorm.facts.codec import dumps
    from placenorm.report.cost_wording import say_change
    from placenorm.report.language import ENGLISH
    from placenorm.report.placing import print_placing
    from placenorm.verbs.placing_named import place_named

    with errors_in_words("Stopped; nothing was written."), warnings_in_words():
        done = place_named(
            model,
            to,
            sample_shape=None if input_shape is None else _shape(input_shape),
            weights=weights,
            norm=norm.value,
            filter=only,
            preserve=preserve,
            out=None if dry_run else out,
        )
    if as_json:
        sys.stdout.write(dumps(done) + "\n")
        return
    change = compare_costs(done.cost_before, done.cost_after)
    print_placing(done, say_change(change, ENGLISH), Console(), dry=dry_run or out is None)
    if out is not None and not dry_run:
        typer.echo(f"Written: {out / 'placement.json'}, {out / 'weights.pt'}. In your code:")
        typer.echo(f"    model = pn.place(model, example_inputs, {str(out / 'placement.json')!r}).model")
        typer.echo(f"    model.load_state_dict(torch.load({str(out / 'weights.pt')!r}, weights_only=True))")
    elif not dry_run:
        typer.echo("Nothing was written; --out DIR writes placement.json and the weights.")


@app.command()
def fold(
    model: Annotated[str, typer.Argument(help=_MODELS)],
    weights: Annotated[Path | None, typer.Option(help="Checkpoint to load first.")] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Shape of one sample, such as 3x224x224; the model's own by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Data, as for compare: how often the top-1 answers on them are the same.")
    ] = None,
    dtype: Annotated[_Type, typer.Option(help="Type of the folded network.")] = _Type.FLOAT32,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for model.pt2, model.onnx, weights.safetensors and fold.json; nothing is written without it."
        ),
    ] = None,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not hold the result against the network in float64.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Fold the norms of a network into its weights, for inference, and write it into files that load without placenorm.

    The network is folded in evaluation mode. Exit code 1 where a norm stays that runs, or a file could not be written.
    """
    from placenorm.facts.codec import dumps
    from placenorm.report.folding import print_folding
    from placenorm.verbs.folding_named import fold_named

    with (
        errors_in_words("Stopped; no further file was written."),
        warnings_in_words(),
        Console(stderr=True).status(f"Folding {model}" + " and writing it" * (out is not None)),
    ):
        done = fold_named(
            model,
            sample_shape=None if input_shape is None else _shape(input_shape),
            weights=weights,
            data=data,
            dtype=dtype.value,
            verify=not no_verify,
            out=out,
        )
    if as_json:
        sys.stdout.write(dumps(done) + "\n")
    else:
        print_folding(done, Console())
        typer.echo(
            f"Written to {out}, with fold.json." if out is not None else "Nothing was written; --out DIR writes files."
        )
    if done.find_faults():
        raise typer.Exit(FOUND)


@app.command()
def advise(
    model: Annotated[str, typer.Argument(help=_MODELS)],
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Shape of one sample, such as 3x224x224; the model's own by default.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint to load first.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .html, .json or .txt.")] = None,
    lang: Annotated[str, typer.Option(help=LANGUAGE_HELP)] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print the advice as JSON.")] = False,
) -> None:
    """Say at once, without data and training, where the article would have each norm and what speaks against it."""
    from placenorm.facts.codec import dumps
    from placenorm.report.advice import print_advice
    from placenorm.report.language import Language
    from placenorm.verbs.advising import advise as run
    from placenorm.verbs.named import build_example

    with errors_in_words("Stopped; nothing was written."):
        language = Language(lang)
        shape = None if input_shape is None else _shape(input_shape)
        done = run(*build_example(model, shape, weights), name=model, weights=weights)
        if as_json:
            sys.stdout.write(dumps(done.advice) + "\n")
        else:
            let_letters_through()
            print_advice(done.advice, Console(), language)
        if out is not None:
            done.report(out, lang=lang)
    if out is not None and not as_json:
        typer.echo(language.say("terminal-written", files=str(out)))


@app.command()
def check(
    model: Annotated[str, typer.Argument(help=_MODELS)],
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Shape of one sample, such as 3x224x224; the model's own by default.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint to load first.")] = None,
    data: Annotated[
        str | None, typer.Option(help="Data, as for compare: what the norms read is compared with their statistics.")
    ] = None,
    select: Annotated[str | None, typer.Option(help="Rules to ask, with commas: BN102, BN1, norm-twice.")] = None,
    ignore: Annotated[str | None, typer.Option(help="Rules not to ask, the same way.")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Write the safe fixes to placement.json, for place.")] = False,
    out: Annotated[Path, typer.Option(help="Where --fix writes.")] = Path("placement.json"),
    page: Annotated[
        Path | None, typer.Option(help="File for the findings: .html has the network coloured by health; .json, .txt.")
    ] = None,
    lang: Annotated[str, typer.Option(help=LANGUAGE_HELP)] = "en",
    outliers: Annotated[
        bool, typer.Option("--outliers", help="Look for outliers among the data too; outliers.html has the worst.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is wrong with the norms of a network, where, and how to mend it; exit code 1 where something is.

    With --json each line is a JSON object: the check, and with --outliers the outliers.
    """
    from placenorm.facts.codec import dumps
    from placenorm.report.checking import print_check
    from placenorm.report.language import Language
    from placenorm.report.outliers import print_outliers
    from placenorm.verbs.checking_named import check_named

    with errors_in_words("Stopped; nothing was written."):
        language = Language(lang)
        shape = None if input_shape is None else _shape(input_shape)
        done, far = check_named(
            model,
            sample_shape=shape,
            weights=weights,
            data=data,
            select=() if select is None else _split(select),
            ignore=() if ignore is None else _split(ignore),
            fix=out if fix else None,
            far=outliers,
            command=command_line(),
        )
        written = [] if page is None else [done.report(page, lang=lang)]
        if far is not None:
            written.append(far.report("outliers.html", lang=lang))
    if as_json:
        for fact in (done.check, *([] if far is None else [far.facts])):
            sys.stdout.write(dumps(fact) + "\n")
    else:
        let_letters_through()
        print_check(done.check, Console(), language)
        if far is not None:
            print_outliers(far.facts, far.top, Console(), language)
        if written:
            typer.echo(language.say("terminal-written", files=", ".join(map(str, written))))
        if fix:
            typer.echo(_say_fixes(out, language) if done.placement else language.say("check-fixes-none"))
    if any(finding.severity != "info" for finding in done):
        raise typer.Exit(FOUND)


def _say_fixes(out: Path, language: "Language") -> str:
    code = f"model = pn.place(model, example_inputs, {str(out)!r}, preserve=batches).model"
    return language.say("check-fixes", file=str(out), code=code)


app.command()(claims)
app.add_typer(bench, name="bench")


@app.command()
def report(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of a comparison, or of claims; with --storage: for the report.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(help="Read the trials from a database, as compare wrote them.", envvar=STORAGE_VARIABLE),
    ] = None,
    study: Annotated[str | None, typer.Option(help="Name of the comparison there; the only one by default.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write: .html, .png or .svg; the page in the folder by default.")
    ] = None,
    lang: Annotated[str, typer.Option(help=LANGUAGE_HELP)] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Write the report of a comparison or of claims again, from the stored trials."""
    from placenorm.report.language import Language
    from placenorm.verbs.reporting import find_comparison, holds_claims

    with collector_at_rest():
        with errors_in_words("Stopped; nothing was changed."):
            if folder is not None and holds_claims(folder):
                show_claims_of(folder, out, lang, as_json=as_json)
                return
            Language(lang)
            comparison, target = find_comparison(folder, storage, study)
        _show(comparison, [out or target / "report.html"], lang, as_json=as_json)


def _show(
    comparison: "Comparison", targets: list[Path], lang: str, *, as_json: bool, found: tuple[Path, ...] = ()
) -> None:
    """Print a comparison and write its report; `found` is what was written before."""
    from placenorm.facts.codec import dumps
    from placenorm.report.language import Language
    from placenorm.report.terminal import print_comparison
    from placenorm.verbs.reporting import write_report

    stopped = f"Stopped before {' and '.join(map(str, targets))} was written; the finished trials are kept."
    with errors_in_words(stopped):
        if as_json:
            sys.stdout.write(dumps(comparison) + "\n")
        else:
            let_letters_through()
            print_comparison(comparison, Console(), Language(lang))
        for target in targets:
            write_report(comparison, target, lang)
    if not as_json:
        typer.echo("\n" + Language(lang).say("terminal-written", files=", ".join(map(str, (*targets, *found)))))


def _show_planned(comparison: "Comparison", lang: str, budget: str | None, *, as_json: bool) -> None:
    """Print what a comparison would train."""
    from placenorm.facts.codec import dumps
    from placenorm.report.language import Language
    from placenorm.report.planned import print_planned

    if as_json:
        sys.stdout.write(dumps(comparison) + "\n")
        return
    let_letters_through()
    print_planned(comparison, Console(), Language(lang), budget)
    typer.echo("\n" + Language(lang).say("planned-nothing"))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"Cannot read --{option} {text!r}: give numbers with commas, such as 0.01,0.03,0.1."
        ) from error


def _zeros(shape: str) -> "Tensor":
    """Return an example input of one shape, a few samples of it."""
    import torch

    from placenorm.study.planning import EXAMPLE_SAMPLES

    return torch.zeros(EXAMPLE_SAMPLES, *_shape(shape))


def _shape(text: str) -> tuple[int, ...]:
    """Return the shape of one sample as it is written on a command line."""
    sizes = text.lower().split("x")
    if not all(size.isdigit() and int(size) for size in sizes):
        raise UsageError(f"Cannot read --input {text!r}: give the shape of one sample, such as 3x32x32.")
    return tuple(map(int, sizes))


def main() -> None:
    """Run the command line."""
    app()
