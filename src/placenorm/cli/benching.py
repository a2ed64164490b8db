"""The commands `placenorm bench layers` and `placenorm bench models`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from placenorm.cli.console import command_line, errors_in_words

if TYPE_CHECKING:
    from placenorm.verbs.benching import BenchResult

bench = typer.Typer(help="Time our layers beside torch's on this machine.", no_args_is_help=True)

TROUBLE = 1
"""Exit code where something could not be timed."""

STOPPED = "Stopped. With --out FILE, what was timed until then is in it."

Device = Annotated[str, typer.Option(help="cpu, or cuda.")]
Threads = Annotated[int | None, typer.Option(help="Of torch on the processor.")]
Compiled = Annotated[bool, typer.Option("--compile", help="Time torch.compile too; it needs a compiler.")]
Out = Annotated[Path | None, typer.Option(help="File for every sample, as JSON; written anew after each case.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print every sample as JSON.")]


@bench.command()
def layers(
    ops: Annotated[list[str] | None, typer.Argument(help="Such as norm or relu-maxpool-norm; all by default.")] = None,
    device: Device = "cpu",
    shape: Annotated[
        list[str] | None, typer.Option(help="Such as 64x64x56x56, as often as you like; those of known networks.")
    ] = None,
    layout: Annotated[list[str] | None, typer.Option(help="nchw or channels_last; both by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 on the processor, bfloat16 on a GPU by default.")] = None,
    threads: Threads = None,
    compiled: Compiled = False,
    seconds: Annotated[
        float | None, typer.Option(help="Of timing for each case; 1 on the processor, 0.25 on a GPU by default.")
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Time norms with their neighbours, forward and backward: torch's layers, compiled, and ours, in one run."""
    with errors_in_words(STOPPED):
        from placenorm.report.bench_terminal import print_timings
        from placenorm.verbs.benching import bench_layers

        result = bench_layers(
            ops or (),
            device=device,
            shapes=shape or (),
            layouts=layout or (),
            dtype=dtype,
            threads=threads,
            compiled=compiled,
            seconds=seconds,
            command=command_line(),
            on_case=_keep(out),
        )
        _tell(result, out, None if as_json else lambda: print_timings(result.facts, Console()))


@bench.command()
def models(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Of torchvision, or timm:NAME, or your own as path/to/file.py:Name; resnet50, mobilenet_v3_large and "
            "vgg11_bn by default."
        ),
    ] = None,
    device: Device = "cpu",
    batch: Annotated[int | None, typer.Option(help="Images; 16 on the processor, 128 or 256 on a GPU.")] = None,
    size: Annotated[int | None, typer.Option(help="Height and width of an image; 64, or 224 on a GPU.")] = None,
    autocast: Annotated[str | None, typer.Option(help="none, bfloat16 (on a GPU by default) or float16.")] = None,
    layout: Annotated[str | None, typer.Option(help="nchw, or channels_last (on a GPU by default).")] = None,
    threads: Threads = None,
    compiled: Compiled = False,
    graphs: Annotated[
        bool, typer.Option("--graphs", help="Time forward and backward as graphs of CUDA too; on a GPU.")
    ] = False,
    placements: Annotated[bool, typer.Option("--placements", help="Time each placement of the norms too.")] = False,
    seconds: Annotated[
        float | None, typer.Option(help="Of timing for each model; 6 on the processor, 4 on a GPU by default.")
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Time steps of training: networks by torch, compiled, and on our layers, in one run."""
    with errors_in_words(STOPPED):
        from placenorm.report.bench_terminal import print_model_timings
        from placenorm.verbs.benching import bench_models

        result = bench_models(
            models or (),
            device=device,
            batch=batch,
            size=size,
            autocast=autocast,
            layout=layout,
            threads=threads,
            compiled=compiled,
            graphs=graphs,
            placements=placements,
            seconds=seconds,
            command=command_line(),
            on_case=_keep(out),
        )
        _tell(result, out, None if as_json else lambda: print_model_timings(result.facts, Console()))


def _keep(out: Path | None) -> "Callable[[BenchResult[Any]], None]":
    """Return what says after each case how long it took, and writes all that is timed until then."""

    def keep(result: "BenchResult[Any]") -> None:
        from placenorm.report.bench_terminal import describe_last

        if out is not None:
            result.save(out)
        typer.echo(describe_last(result.facts), err=True)

    return keep


def _tell(result: "BenchResult[Any]", out: Path | None, print_table: Callable[[], None] | None) -> None:
    """Print a result, as JSON if there is no table, and then what could not be timed."""
    from placenorm.facts.codec import dumps

    if out is not None:
        typer.echo(f"Written: {out}", err=True)
    if print_table is None:
        typer.echo(dumps(result.facts))
    else:
        print_table()
    for trouble in result.troubles:
        typer.echo(f"placenorm: {trouble}", err=True)
    if result.troubles:
        raise typer.Exit(TROUBLE)
