"""One result in several forms: text for a terminal of some width, and a file by its ending."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from placenorm.errors import UsageError
from placenorm.report.files import replace_file


def print_to_text(print_it: Callable[[Console], None], width: int) -> str:
    """Return what is printed to a console of a width, in characters."""
    text = io.StringIO()
    print_it(Console(file=text, width=width))
    return text.getvalue()


def write_form(path: Path | str, what: str, forms: Mapping[str, Callable[[], str]]) -> Path:
    """Write the form that a file's ending asks for, and return the path of the file.

    Args:
        path: the file.
        what: what is written, for the error: ``advice``.
        forms: what makes each form, by ending (``.html``; ``.htm`` is the same).

    Raises:
        UsageError: if the file has another ending.
        StoreError: if it cannot be written.
    """
    target = Path(path)
    ending = {".htm": ".html"}.get(target.suffix.lower(), target.suffix.lower())
    if ending not in forms:
        *others, last = forms
        raise UsageError(f"Cannot write the {what} {target}: name a file that ends in {', '.join(others)} or {last}.")
    replace_file(target, forms[ending]().encode())
    return target
