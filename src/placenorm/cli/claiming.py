"""The command `placenorm claims`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from placenorm.cli.console import command_line, errors_in_words, show_progress

if TYPE_CHECKING:
    from placenorm.verbs.claiming import ClaimsResult

LANGUAGE_HELP = "Language of the report: en or fa (Persian)."


def claims(
    names: Annotated[
        list[str] | None, typer.Argument(help="Numbers or names, such as A4 or dead-units; all of them by default.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="digits (default), fashion-mnist, folder:PATH, npz:PATH or path/to/file.py:function."),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="The long run: fashion-mnist, more seeds, depths and sizes.")
    ] = False,
    seeds: Annotated[int | None, typer.Option(help="Number of paired seeds; 5, or 10 with --full.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many training and so many test samples.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the four fashion-mnist files.")] = None,
    device: Annotated[str, typer.Option(help="Where trials run: cpu, or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(help="Worker processes; one a core by default.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results; placenorm-results/claims-<data> by default.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")] = False,
    lang: Annotated[str, typer.Option(help=LANGUAGE_HELP)] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print the claims with their verdicts as JSON.")] = False,
) -> None:
    """Put the claims of the article to the test: what holds, with effect, interval and number of seeds.

    Writes claims.html into the folder, and every chart as an SVG and a PNG into its folder charts.
    """
    from placenorm.report.language import Language

    with errors_in_words("Stopped before the first trial; nothing was written."):
        Language(lang)  # a language that is not there is said before the trials and not after them
        from placenorm.verbs.claiming import claims as run

        with show_progress(quiet=as_json) as progress:
            result = run(
                names or (),
                data,
                full=full,
                seeds=seeds,
                limit=limit,
                data_dir=data_dir,
                device=device,
                jobs=jobs,
                out=out,
                resume=resume,
                on_progress=progress,
                command=command_line(),
            )
    with errors_in_words(f"Stopped before the report was written; what was observed is kept in {result.folder}."):
        show_claims(result, None, lang, as_json=as_json)


def show_claims(result: "ClaimsResult", target: Path | None, lang: str, *, as_json: bool) -> None:
    """Print claims and write their report.

    Args:
        result: the claims.
        target: where to; None for the page and the charts in the folder.
        lang: language of the reader.
        as_json: whether the claims are printed as JSON, and nothing else is.
    """
    from placenorm.facts.codec import dumps
    from placenorm.report.claims_terminal import print_claims
    from placenorm.report.language import Language

    language = Language(lang)
    if as_json:
        sys.stdout.write(dumps(result.facts) + "\n")
    else:
        let_letters_through()
        print_claims(result.facts, Console(), language)
    written = [result.report(target, lang)]
    if target is None and result.claims:
        written += result.save_charts(lang=lang)
    if not as_json:
        shown = [str(written[0]), *sorted({str(path.parent) for path in written[1:]})]
        typer.echo(language.say("terminal-written", files=", ".join(shown)))


def show_claims_of(folder: Path, target: Path | None, lang: str, *, as_json: bool) -> None:
    """Print the claims in a folder and write their report again."""
    from placenorm.report.language import Language

    Language(lang)
    from placenorm.verbs.claiming import ClaimsResult, read_claims

    show_claims(ClaimsResult(read_claims(folder), folder), target, lang, as_json=as_json)


def let_letters_through() -> None:
    """Let a letter that the terminal does not know be replaced, where printing it would end the command."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
