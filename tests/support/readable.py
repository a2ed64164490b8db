"""What a reader sees of a page."""

from html.parser import HTMLParser

UNREAD = frozenset({"script", "style", "title"})
VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})


class _Reader(HTMLParser):
    """Gathers text; apart from it, what is kept in a direction of its own: code, Latin terms, what rules say."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[str] = []
        self.latin: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        kept = dict(attrs).get("dir") == "ltr" or tag in ("bdi", "code", "pre")
        before = self._open[-1] if self._open else "own"
        self._open.append("unread" if tag in UNREAD else "latin" if kept and tag != "html" else before)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        where = self._open[-1] if self._open else "own"
        if where == "own":
            self.own.append(data)
        elif where == "latin":
            self.latin.append(data)


def read_own_words(page: str) -> str:
    """Return the text of a page in the reader's language, without code, Latin terms and what rules say in English."""
    reader = _Reader()
    reader.feed(page)
    return " ".join("".join(reader.own).split())
