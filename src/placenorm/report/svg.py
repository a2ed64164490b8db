"""Pictures as SVG and PNG, made of Vega-Lite without a browser, with the font that their language needs."""

import base64
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import vl_convert

from placenorm.report.files import replace_file
from placenorm.report.language import Language
from placenorm.report.sheet import FONT, FONT_FILE, read_font

PNG_SCALE: Final = 2.0
"""Pixels of the PNG for each pixel of the layout, for dense screens."""


def write_svg(svg: str, path: Path, language: Language) -> None:
    """Write a picture that is the text of an SVG, as it is or as a .png.

    Raises:
        StoreError: if it cannot be written.
    """
    if path.suffix.lower() == ".svg":
        replace_file(path, embed_font(svg, language).encode())
    else:
        _register_fonts()
        replace_file(path, vl_convert.svg_to_png(svg, scale=PNG_SCALE))


def draw_svg(spec: dict[str, Any], language: Language) -> str:
    """Return a specification as the text of an SVG."""
    _register_fonts()
    svg: str = vl_convert.vegalite_to_svg(spec, format_locale=language.numerals)
    return svg


def embed_font(svg: str, language: Language) -> str:
    """Return an SVG with the font that its language needs in it, as an image can load nothing."""
    if language.direction == "ltr":
        return svg
    end = svg.index(">", svg.index("<svg")) + 1
    data = base64.b64encode(read_font(FONT_FILE)).decode()
    face = f"@font-face{{font-family:{FONT};font-weight:100 900;src:url(data:font/woff2;base64,{data})}}"
    return f"{svg[:end]}<style>{face}</style>{svg[end:]}"


@cache
def _register_fonts() -> None:
    """Let pictures be drawn in the Persian font, once a process."""
    with resources.as_file(resources.files("placenorm.report").joinpath("fonts")) as folder:
        vl_convert.register_font_directory(str(folder))
