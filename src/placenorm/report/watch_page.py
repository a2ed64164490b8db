"""A training that was watched, as one HTML file that loads nothing from anywhere, in the reader's language."""

from placenorm.facts.reading import Watched
from placenorm.report.findings import SHOWN_SITES
from placenorm.report.language import Language
from placenorm.report.pages import as_written, render_page
from placenorm.report.palette import PAGE
from placenorm.report.sheet import choose_font, read_part
from placenorm.report.vega import bundle_vega
from placenorm.report.watch_courses import draw_drift, draw_gradient
from placenorm.report.watch_maps import draw_activity, draw_signal
from placenorm.report.watch_wording import list_tables, say_headline, say_watched


def render_watch_page(watched: Watched, language: Language) -> str:
    """Return the text of that page: what the rules found, what happened over the steps and at the sites, and numbers.

    Args:
        watched: what was seen.
        language: of the reader; what the rules say themselves is in English.
    """
    history, theme = watched.history, choose_font(PAGE, language)
    gradient = draw_gradient(history, language, theme)
    drift, signal = draw_drift(history, language, theme), draw_signal(history, language, theme)
    activity = draw_activity(history, language, theme)
    drawings = [*([gradient] if gradient else []), *drift.drawings, *activity, *signal.drawings]
    context = {
        "history": history,
        "findings": watched.findings,
        "shown_sites": SHOWN_SITES,
        "headline": say_headline(watched, language),
        "facts": [as_written(history.model), say_watched(history, language)],
        "gradient": gradient,
        "drift": drift,
        "activity": activity,
        "signal": signal,
        "tables": [
            (key, heads, [(as_written(site), *cells) for site, *cells in rows])
            for key, heads, rows in list_tables(history, language)
        ],
    }
    scripts = (bundle_vega(), read_part("page.js"))
    charts = {drawing.name: drawing.spec for drawing in drawings}
    return render_page("watch.html.jinja", language, context, scripts=scripts, data={"charts": charts})
