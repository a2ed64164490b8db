"""The command `placenorm bench`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from placenorm.cli.console import command_line, errors_in_words

bench = typer.Typer(help="Time our layers beside torch's on this machine.", no_args_is_help=True)


@bench.command()
def layers(
    ops: Annotated[list[str] | None, typer.Argument(help="Such as norm or relu-maxpool-norm; all by default.")] = None,
    device: Annotated[str, typer.Option(help="cpu, or cuda.")] = "cpu",
    shape: Annotated[
        list[str] | None, typer.Option(help="Such as 64x64x56x56, as often as you like; those of known networks.")
    ] = None,
    layout: Annotated[list[str] | None, typer.Option(help="nchw or channels_last; both by default.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 on the processor, bfloat16 on a GPU by default.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of torch on the processor.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Time torch.compile too; it needs a compiler.")] = False,
    out: Annotated[Path | None, typer.Option(help="File for every sample, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every sample as JSON.")] = False,
) -> None:
    """Time norms with their neighbours, forward and backward: torch's layers, compiled, and ours, in one run."""
    with errors_in_words("Stopped; nothing was written."):
        from placenorm.facts.codec import dumps
        from placenorm.verbs.benching import bench_layers

        result = bench_layers(
            ops or (),
            device=device,
            shapes=shape or (),
            layouts=layout or (),
            dtype=dtype,
            threads=threads,
            compiled=compiled,
            command=command_line(),
        )
        if out is not None:
            result.save(out)
            typer.echo(f"Written: {out}", err=True)
        if as_json:
            typer.echo(dumps(result.facts))
        else:
            from placenorm.report.bench_terminal import print_timings

            print_timings(result.facts, Console())
