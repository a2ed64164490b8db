"""The verb `report`: a comparison that was run is written down again; claims are in `placenorm.verbs.claiming`."""

from pathlib import Path

from placenorm.errors import UsageError
from placenorm.facts.claim import CLAIMS_FILE
from placenorm.facts.comparison import Comparison
from placenorm.report.comparison_page import write_comparison_page
from placenorm.report.language import ENGLISH, Language
from placenorm.report.picture import write_picture
from placenorm.report.verdict_wording import put_into_words
from placenorm.study.assembly import assemble
from placenorm.study.databases import DatabaseAddress
from placenorm.study.folders import HEAD
from placenorm.study.store import TrialStore, find_only_study, read_database, read_store
from placenorm.verbs.results import RESULTS

PICTURES = (".png", ".svg")
PAGES = (".html", ".htm")


def holds_claims(folder: Path) -> bool:
    """Return whether a folder holds claims and no comparison."""
    return (folder / CLAIMS_FILE).is_file()


def read_comparison(folder: Path) -> Comparison:
    """Return the comparison in a folder, finished or not, judged anew from its stored trials, in English words.

    Raises:
        UsageError: if it is no folder.
        StoreError: if there is none in it, or it cannot be read.
    """
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "there is no such folder"
        raise UsageError(f"Cannot report on {folder}: {what}; give the folder of a comparison or of claims.")
    with read_store(folder) as store:
        return _judge(store, str(folder))


def find_comparison(folder: Path | None, storage: str | None, study: str | None) -> tuple[Comparison, Path]:
    """Return a comparison, judged anew, in English words; and the folder for its report.

    Args:
        folder: the folder that it lies in, or that its report goes to; None for ``placenorm-results/<study>``.
        storage: address of the database that it lies in; None for the folder. A folder with trials comes first.
        study: name of the study in the database; None for the only one there is.

    Raises:
        UsageError: if nothing is named, or it is no folder, no address or no study.
        StoreError: if it cannot be read.
    """
    if folder is not None and (storage is None or (study is None and (folder / HEAD).is_file())):
        return read_comparison(folder), folder
    if storage is None:
        raise UsageError("Cannot report on nothing: give the folder of a comparison or of claims, or --storage.")
    name = study or find_only_study(storage)
    target = folder or RESULTS / name
    with read_database(DatabaseAddress(storage, name), target) as store:
        return _judge(store, store.place), target


def _judge(store: TrialStore, place: str) -> Comparison:
    if store.head.space is not None:
        raise UsageError(
            f"Cannot report on {place}: it holds the trials of a search, which has no verdict of its own; name the "
            "comparison that it belongs to."
        )
    return put_into_words(assemble(store), ENGLISH)


def write_report(comparison: Comparison, target: Path, lang: str = "en") -> None:
    """Write a comparison as one HTML file, or as a picture if the file's name ends in .png or .svg.

    Args:
        comparison: the comparison.
        target: the file.
        lang: language of the reader, ``en`` or ``fa``.

    Raises:
        StoreError: if the file cannot be written.
        UsageError: if the file has another ending, a picture is wanted and there is no verdict yet, or there is no such
            language.
    """
    language = Language(lang)
    if target.suffix.lower() not in (*PICTURES, *PAGES):
        raise UsageError(f"Cannot write the report {target}: name a file that ends in .html, .png or .svg.")
    if target.suffix.lower() in PICTURES:
        write_picture(comparison, target, language)
    else:
        write_comparison_page(comparison, target, language)
