"""The verb `report`: a comparison that was run is written down again."""

from pathlib import Path

from placenorm.errors import StoreError
from placenorm.facts.comparison import Comparison
from placenorm.report.html import write_html
from placenorm.study.assembly import assemble
from placenorm.study.store import read_store


def read_comparison(folder: Path) -> Comparison:
    """Return the comparison in a folder, finished or not, judged anew from its stored trials.

    Raises:
        StoreError: if there is none, or it cannot be read.
    """
    return assemble(read_store(folder))


def write_report(comparison: Comparison, target: Path) -> Path:
    """Write the report of a comparison as one HTML file and return its path.

    Raises:
        StoreError: if the file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_html(comparison, target)
    except OSError as error:
        raise StoreError(
            f"Cannot write the report {target}: {error.strerror or error}; name another file with --out."
        ) from error
    return target
