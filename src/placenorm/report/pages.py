"""A page from its template: one file that loads nothing, in the frame of all pages and the reader's language."""

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from placenorm import __version__
from placenorm.report.language import Language
from placenorm.report.sheet import make_content_policy, make_style, read_part


class PageWriter:
    """Makes a sentence of a catalogue fit for a page: code between backticks, Latin runs in their own direction.

    Args:
        language: of the reader.
    """

    def __init__(self, language: Language) -> None:
        self._language = language

    def __call__(self, sentence: object) -> Markup:
        """Return a sentence as HTML, escaped but for markup of ours; HTML stays as it is."""
        if isinstance(sentence, Markup):
            return sentence
        parts = [
            Markup('<code dir="ltr">{}</code>').format(part) if place % 2 else self._language.isolate(part)
            for place, part in enumerate(str(sentence).split("`"))
        ]
        return Markup("").join(parts)


def as_written(text: str) -> Markup:
    """Return what a rule or a network says itself, in English or in code: from left to right on every page."""
    return Markup('<bdi lang="en" dir="ltr">{}</bdi>').format(text)


def render_page(
    template: str,
    language: Language,
    context: Mapping[str, Any],
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Mapping[str, Any] | None = None,
    images: bool = False,
) -> str:
    """Return a page as HTML.

    Args:
        template: its template in this folder, which extends ``base.html.jinja``.
        language: of the reader.
        context: what the template shows; `say`, `text` and `language` are there for every template.
        styles: style sheets of this folder that stand behind ``page.css``.
        scripts: texts of its scripts, which run in this order.
        data: what the scripts read, by the id of its element.
        images: whether images stand in it, as data.
    """
    persian = language.direction == "rtl"
    policy = make_content_policy(*scripts, font=persian) + ("; img-src data:" if images else "")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read_part), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # Persian would take three times the room
    environment.globals.update(language=language, say=language.say, text=PageWriter(language))
    return environment.get_template(template).render(
        **context,
        version=__version__,
        policy=policy,
        style=Markup(make_style(*styles, persian=persian)),
        scripts=[Markup(script) for script in scripts],
        data=data or {},
    )
