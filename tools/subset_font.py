"""Make the Persian font of the pages: Vazirmatn, cut down to the letters, digits and marks that Persian needs.

    npm pack vazirmatn@33.0.3 && tar xzf vazirmatn-33.0.3.tgz
    pip install fonttools brotli
    python tools/subset_font.py package

The pages take the WOFF2, in all weights and without Latin letters, which they draw in the font of the system. The
pictures that are drawn without a browser take the TTF, in one weight and with Latin letters.
"""

import shutil
import string
import sys
from pathlib import Path

from fontTools import subset  # type: ignore[import-not-found]

TARGET = Path(__file__).parents[1] / "src" / "placenorm" / "report" / "fonts"

LETTERS = "ءآأؤئابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهیۀة\u0643\u064a"
"""Two Arabic letters among them, so that a name that has them is not half in another font."""

VOWELS = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0654\u0670"
DIGITS = "۰۱۲۳۴۵۶۷۸۹"
MARKS = " ،؛؟٪٫٬«»…–—−×÷±=<>+-*/.:!()[]{}\"'’“”‘\u00a0"
INVISIBLE = "\u200c\u200d\u200e\u200f\u2066\u2067\u2068\u2069\u202a\u202b\u202c"

LATIN = string.ascii_letters + string.digits + string.punctuation + "⁰¹²³⁴⁵⁶⁷⁸⁹⁻√γβε"

FILES = {"fonts/variable/Vazirmatn[wght].ttf": "woff2", "fonts/ttf/Vazirmatn-Regular.ttf": "ttf"}


def main(package: Path) -> None:
    """Write both subsets and the licence next to them."""
    TARGET.mkdir(exist_ok=True)
    for name, flavour in FILES.items():
        target = TARGET / f"vazirmatn-subset.{flavour}"
        text = LETTERS + VOWELS + DIGITS + MARKS + INVISIBLE + (LATIN if flavour == "ttf" else "")
        options = [f"--text={text}", "--layout-features=*", "--no-hinting"]
        options += [f"--flavor={flavour}"] if flavour == "woff2" else []
        subset.main([str(package / name), *options, "--ignore-missing-unicodes", f"--output-file={target}"])
        print(f"{target.name}: {target.stat().st_size:,} bytes")
    shutil.copyfile(package / "OFL.txt", TARGET / "OFL.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
