"""The verb `claims`: the article's claims, put to the test on data."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from placenorm.article.registry import find_claims
from placenorm.article.running import DataRequest, OnProgress, assemble, has_images, run_claims
from placenorm.article.store import open_store, read_store
from placenorm.data import describe, load_data, split
from placenorm.errors import DataError, UsageError
from placenorm.facts.claim import ClaimResult, ClaimSettings, ClaimsReport
from placenorm.report.claims_page import write_claims_page
from placenorm.report.claims_picture import compose_board, write_board, write_chart
from placenorm.report.claims_terminal import print_claims
from placenorm.report.forms import print_to_html, print_to_text
from placenorm.report.language import Language
from placenorm.report.svg import draw_svg
from placenorm.study.planning import describe_environment
from placenorm.study.request import check_device
from placenorm.verbs.results import RESULTS, name_folder, told_when_stopped

QUICK_SEEDS, FULL_SEEDS = 5, 10

QUICK_DATA, FULL_DATA = "digits", "fashion-mnist"

FULL_LIMIT = 6000
"""Samples of fashion-mnist that the long run takes: enough for 90 %, and a training stays at seconds."""

TABLE_WIDTH = 120


@dataclass(frozen=True, slots=True)
class ClaimsResult:
    """A run of the claims.

    Attributes:
        facts: the claims with their verdicts.
        folder: where the observations lie.
    """

    facts: ClaimsReport
    folder: Path

    @property
    def claims(self) -> tuple[ClaimResult, ...]:
        """The claims in the article's order."""
        return self.facts.results

    def table(self, lang: str = "en") -> str:
        """Return the table and the verdicts as text, for 120 columns."""
        return print_to_text(lambda console: print_claims(self.facts, console, Language(lang)), TABLE_WIDTH)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the table, the verdicts, and the picture of all of them."""
        english = Language("en")
        pictures = [draw_svg(compose_board(self.facts, english), english)] if self.claims else []
        return print_to_html(lambda console: print_claims(self.facts, console, english), TABLE_WIDTH, pictures)

    def report(self, path: Path | str | None = None, lang: str = "en") -> Path:
        """Write the report and return its path.

        Args:
            path: ``claims.html`` in the folder, or any .html file; a .png or .svg gets the picture of all verdicts.
            lang: language of the reader: ``en`` or ``fa``.

        Raises:
            UsageError: if the file has another ending, there is no such language, or nothing to draw.
            StoreError: if it cannot be written.
        """
        language = Language(lang)
        target = Path(path) if path is not None else self.folder / "claims.html"
        match target.suffix.lower():
            case ".html" | ".htm":
                write_claims_page(self.facts, target, language)
            case ".png" | ".svg":
                write_board(self.facts, target, language)
            case _:
                raise UsageError(f"Cannot write the report {target}: name a file that ends in .html, .png or .svg.")
        return target

    def save_charts(self, folder: Path | str | None = None, lang: str = "en") -> list[Path]:
        """Write every chart as an SVG and a PNG, and return the files.

        Args:
            folder: where to; by default the folder ``charts`` of the run.
            lang: language of the reader.

        Raises:
            UsageError: if there is no such language.
            StoreError: if they cannot be written.
        """
        target = Path(folder) if folder is not None else self.folder / "charts"
        language = Language(lang)
        charts = [chart for result in self.claims for chart in result.charts]
        return [path for chart in charts for path in write_chart(chart, target, language)]


def claims(
    names: Sequence[str] = (),
    data: str | None = None,
    *,
    full: bool = False,
    seeds: int | None = None,
    limit: int | None = None,
    data_dir: Path | str | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    command: str | None = None,
) -> ClaimsResult:
    """Put the article's claims to the test and return what holds, with effect, interval and number of seeds.

    Args:
        names: numbers or slugs, such as ``A4`` or ``dead-units``; all of them for none.
        data: ``digits``, ``fashion-mnist``, ``folder:PATH``, ``npz:PATH`` or ``path/to/file.py:function``; classes.
        full: the long run, by default on fashion-mnist, with more seeds, depths and sizes.
        seeds: number of seeds; 5, or 10 in the long run.
        limit: at most so many training samples and so many test samples.
        data_dir: folder of the fashion-mnist files.
        device: where networks run.
        jobs: worker processes; by default one a core. The numbers do not depend on it.
        out: folder for the observations; by default ``placenorm-results/claims-<data>``.
        resume: go on with what the folder holds.
        on_progress: told after every trial how many are finished, and of how many.
        command: the command that repeats the run, for the report.

    Raises:
        UsageError: if there is no such claim, or a claim that is named needs images and the data have none, or an
            option cannot be used.
        DataError: if the data cannot be found or read, or are not classes.
        StoreError: if the folder cannot be used.
        TrialError: if a trial failed; what was observed is kept.
        ComparisonInterrupted: on Ctrl-C; what was observed is kept.
    """
    if jobs is not None and jobs < 1:
        raise UsageError(f"Cannot test claims with --jobs {jobs}: trials need a process; give 1 or more.")
    if seeds is not None and seeds < 1:
        raise UsageError(f"Cannot test claims with --seeds {seeds}: one seed is the least that can be trained.")
    check_device(device)
    chosen = find_claims(names)
    name = data or (FULL_DATA if full else QUICK_DATA)
    if full and data is None and limit is None:
        limit = FULL_LIMIT
    source = load_data(name, data_dir=None if data_dir is None else Path(data_dir), limit=limit)
    if source.task != "classification":
        raise DataError(f"Cannot put the claims to {name}: its targets are values, and accuracy needs classes.")
    facts = describe(source, split(source, 0))
    unfit = [claim for claim in chosen if claim.needs_images and not has_images(facts)]
    if names and unfit:
        raise UsageError(
            f"Cannot put {unfit[0].number} {unfit[0].slug} to {name}: it needs images, and a sample is "
            f"{list(facts.sample_shape)}; leave that claim out, or use data with images."
        )
    head = ClaimsReport(
        settings=ClaimSettings(
            data=name,
            full=full,
            seeds=seeds or (FULL_SEEDS if full else QUICK_SEEDS),
            claims=tuple(claim.number for claim in chosen if claim not in unfit),
            limit=limit,
            left_out=tuple(claim.number for claim in unfit),
        ),
        data=facts,
        environment=describe_environment(device, command or f"pn.claims(...) in {Path(sys.argv[0]).name or 'Python'}"),
        results=(),
        seconds=0.0,
    )
    folder = Path(out) if out is not None else RESULTS / name_folder("claims", name)
    request = DataRequest(name, None if data_dir is None else Path(data_dir), limit, device)
    tell = on_progress or (lambda finished, total: None)
    with (
        open_store(folder, head, resume=resume) as store,
        told_when_stopped(lambda: len(store.observations), folder),
    ):
        report = run_claims(store, request, jobs or len(os.sched_getaffinity(0)), tell)
    return ClaimsResult(report, folder)


def read_claims(folder: Path) -> ClaimsReport:
    """Return the claims in a folder, judged anew from what is stored.

    Raises:
        StoreError: if there are none, or they cannot be read.
    """
    return assemble(read_store(folder))
