"""Write docs/claims.md and docs/fa/claims.md, with their pictures, from a folder that `placenorm claims` wrote.

python tools/write_claims_pages.py docs/runs/claims-digits
"""

import sys
from pathlib import Path

from placenorm.report.claims_markdown import write_claims_markdown
from placenorm.report.language import Language
from placenorm.verbs.claiming import read_claims

DOCS = Path(__file__).parents[1] / "docs"

PAGES = {"en": DOCS / "claims.md", "fa": DOCS / "fa" / "claims.md"}


def main(folder: Path) -> None:
    """Write both pages."""
    report = read_claims(folder)
    for code, page in PAGES.items():
        for path in write_claims_markdown(report, page, DOCS / "images" / "claims", Language(code)):
            print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
