"""A run of the claims as a page of the documentation, with its pictures beside it."""

import os
from pathlib import Path
from typing import Final

from placenorm.facts.claim import ClaimResult, ClaimsReport
from placenorm.report.claims_picture import compose_chart, write_board
from placenorm.report.claims_wording import (
    list_environment,
    list_settings,
    name_effect,
    say_facts,
    say_headline,
    say_left_out,
    say_missing,
    say_part,
    say_verdict,
    show_interval,
    show_value,
)
from placenorm.report.files import replace_file
from placenorm.report.language import Language
from placenorm.report.svg import draw_svg, write_svg
from placenorm.report.wording import repeat_command

BOARD: Final = "claims"
"""Name of the picture of all verdicts."""

_SPECIAL: Final = str.maketrans({letter: f"\\{letter}" for letter in "\\*_[]#|"} | {"<": "&lt;", ">": "&gt;"})


def write_claims_markdown(report: ClaimsReport, path: Path, pictures: Path, language: Language) -> list[Path]:
    """Write the claims as Markdown with a picture a chart, and return the files.

    Args:
        report: the claims.
        path: the page.
        pictures: folder of the pictures; a language has its own, ``<chart>.svg`` and ``<chart>.fa.svg``.
        language: of the reader.

    Raises:
        StoreError: if they cannot be written.
    """
    written = [path]
    ending = ".svg" if language.code == "en" else f".{language.code}.svg"
    if report.results:
        written.append(pictures / f"{BOARD}{ending}")
        write_board(report, written[-1], language)
    for result in report.results:
        for chart in result.charts:
            written.append(pictures / f"{chart.name}{ending}")
            write_svg(draw_svg(compose_chart(chart, language), language), written[-1], language)
    folder = Path(os.path.relpath(pictures, path.parent)).as_posix()
    replace_file(path, render_claims_markdown(report, language, folder, ending).encode())
    return written


def render_claims_markdown(report: ClaimsReport, language: Language, folder: str, ending: str = ".svg") -> str:
    """Return the text of that page.

    Args:
        report: the claims.
        language: of the reader.
        folder: where its pictures are, from the page.
        ending: of their names.
    """
    say = language.say
    lines = [f"# {say('claims-title')}", f"**{_text(say_headline(report, language))}**", _text(say("claims-lead"))]
    lines.append(_text(" · ".join(say_facts(report, language))))
    lines += [_text(words) for words in (say_left_out(report, language), say_missing(report, language)) if words]
    if report.results:
        lines.append(_picture(say("claims-board-title"), f"{folder}/{BOARD}{ending}"))
        lines.append(_text(say("claims-effects-note")))
    for result in report.results:
        lines += _list_claim(result, language, folder, ending)
    lines += [
        f"## {say('claims-made')}",
        f"### {say('claims-settings')}",
        _list_entries(list_settings(report, language)),
    ]
    lines += [f"### {say('claims-environment')}", _list_entries(list_environment(report, language))]
    lines += [f"## {say('page-again')}", _code(repeat_command(report.environment.command), language)]
    text = "\n\n".join(lines)
    return f'<div dir="rtl">\n\n{text}\n\n</div>\n' if language.direction == "rtl" else f"{text}\n"


def _list_entries(entries: list[tuple[str, str]]) -> str:
    return "\n".join(f"- {_text(name)}: {_text(value)}" for name, value in entries)


def _list_claim(result: ClaimResult, language: Language, folder: str, ending: str) -> list[str]:
    say = language.say
    lines = [
        f'<a id="{result.slug}"></a>',
        f"## {result.number}: {_text(say_part(result, 'title', language))}",
        f"**{say('claims-says')}.** {_text(say_part(result, 'article', language))}",
        f"**{say('claims-found')}: {say(f'outcome-{result.ruling.outcome}')}.** {_text(say_verdict(result, language))}",
        f"**{say('claims-advice')}.** {_text(say_part(result, 'advice', language))}",
    ]
    lines += [_picture(say(f"{chart.name}-title"), f"{folder}/{chart.name}{ending}") for chart in result.charts]
    if result.ruling.effects:
        lines.append(_tabulate(result, language))
    parts = ("question", "design", "measure", "rule")
    lines += [f"*{say(f'claims-{part}')}.* {_text(say_part(result, part, language))}" for part in parts]
    if result.published:
        lines.append(f"*{say('claims-published')}.*")
        lines.append("\n".join(f"- {_quote(result, place, language)}" for place in range(len(result.published))))
    return lines


def _quote(result: ClaimResult, place: int, language: Language) -> str:
    figure = result.published[place]
    says = _text(language.say(figure.key, **result.ruling.facts))
    source = _text(figure.source)
    return f"{says} [{source}]({figure.url})" if figure.url.startswith("https://") else f"{says} ({source})"


def _tabulate(result: ClaimResult, language: Language) -> str:
    heads = [language.say(f"claims-head-{name}") for name in ("effect", "value", "interval", "seeds")]
    rows = [
        (
            _text(name_effect(result, effect, language)),
            show_value(effect, language),
            show_interval(effect, language) or language.say("claims-none"),
            language.number(effect.seeds, 0),
        )
        for effect in result.ruling.effects
    ]
    lines = [f"| {' | '.join(heads)} |", "|---|---:|---:|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def _text(sentence: str) -> str:
    """Return a sentence in which only the code between backticks is markup."""
    parts = sentence.split("`")
    return "".join(f"`{part}`" if place % 2 else part.translate(_SPECIAL) for place, part in enumerate(parts))


def _picture(title: str, path: str) -> str:
    return f"![{_text(title)}]({path})"


def _code(command: str, language: Language) -> str:
    block = f"```sh\n{command}\n```"
    return block if language.direction == "ltr" else f'</div>\n\n{block}\n\n<div dir="rtl">'
