"""One result in several forms: text for a terminal of some width, and a file by its ending."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from placenorm.errors import UsageError
from placenorm.report.files import replace_file


def print_to_text(print_it: Callable[[Console], None], width: int) -> str:
    """Return what is printed to a console of a width, in characters."""
    text = io.StringIO()
    print_it(Console(file=text, width=width, force_jupyter=False))  # in a notebook each print would be shown too
    return text.getvalue()


def print_to_html(print_it: Callable[[Console], None], width: int, pictures: Sequence[str] = ()) -> str:
    """Return what is printed to a console as HTML, for a notebook, with pictures below.

    Args:
        print_it: prints it.
        width: width of the console, in characters.
        pictures: each as the text of an SVG; shown as an image, in which no script runs.
    """
    console = Console(
        file=io.StringIO(), width=width, record=True, force_terminal=True, force_jupyter=False, color_system="standard"
    )
    print_it(console)
    pre = (
        '<pre style="white-space:pre;overflow-x:auto;line-height:1.35;background:transparent;color:inherit;'
        "font-family:Menlo,'DejaVu Sans Mono',Consolas,monospace\">{code}</pre>"
    )
    parts = [console.export_html(inline_styles=True, code_format=pre)]
    for picture in pictures:
        data = base64.b64encode(picture.encode()).decode()
        parts.append(f'<img alt="" style="max-width:100%;background:#fff" src="data:image/svg+xml;base64,{data}">')
    return "".join(parts)


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
