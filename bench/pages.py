"""Tables that a bench writes into a page, between two markers."""

from pathlib import Path


def write_between(page: Path, bench: str, text: str) -> None:
    """Replace what stands between the markers of a bench.

    Args:
        page: the page.
        bench: name of the bench's file, as its markers have it.
        text: what stands there then.
    """
    begin, end = (f"<!-- written by bench/{bench}: {which} -->" for which in ("begin", "end"))
    head, rest = page.read_text(encoding="utf-8").split(begin)
    tail = rest.split(end)[1]
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
