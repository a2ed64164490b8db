"""A comparison's request in: the search before it, and the comparison that judges what the search found."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from placenorm.errors import UsageError
from placenorm.facts.placement import Placement, Position
from placenorm.facts.search import SEARCHED, Search
from placenorm.graph.tracing import trace_model
from placenorm.randomness import fix_seed
from placenorm.rewrite.placing import place_model
from placenorm.study.driver import StudyPlan
from placenorm.study.planning import build_plain
from placenorm.study.recipe import Recipe
from placenorm.study.request import Request
from placenorm.study.search_space import Placements, find_terrain
from placenorm.study.searching import SearchPlan, make_search


@fix_seed()
def plan_search(request: Request, named: StudyPlan, afforded: float | None = None) -> tuple[StudyPlan, SearchPlan]:
    """Return the search of a request as a study that can be run, and as a plan.

    Args:
        request: what was asked for.
        named: the comparison of its named placements, which the search starts from.
        afforded: trials that its part of a budget in trials allows; None for another budget, or none.

    Raises:
        UsageError: if no block of the network has a choice, a named placement has the name of what will be found, or
            the trials do not suffice for the named placements.
    """
    if SEARCHED in named.head.settings.placements:
        raise UsageError(
            f"Cannot search with a placement named {SEARCHED!r}: what the search finds has that name; rename yours."
        )
    recipe = named.recipe
    graph = trace_model(build_plain(recipe), recipe.example_inputs)
    terrain = find_terrain(graph, partial(_find_refused, recipe))
    settings = replace(named.head.settings, stop="never", planned=None, seeds=0)
    head = replace(named.head, settings=settings, space=terrain.space)
    placements = Placements(recipe.placements, terrain)
    search = make_search(head, terrain, request.most_search_trials)
    least = (len(head.variants) * len(settings.learning_rates) + 1) * search.seeds
    if request.most_search_trials < least:
        raise UsageError(
            f"Cannot search with --search-trials {request.most_search_trials}: the named placements alone take "
            f"{least - search.seeds} (placements, rates and seeds multiplied), and one more placement {search.seeds}; "
            f"give {least} or more, or fewer --placements or rates with --lr."
        )
    if afforded is not None and afforded < least - search.seeds:
        raise UsageError(
            f"Cannot search within {afforded:g} trials, the search's half of the --budget: the named placements alone "
            f"take {least - search.seeds} (placements, rates and seeds multiplied); give a larger budget, or fewer "
            "--placements or rates with --lr."
        )
    return replace(named, head=head, recipe=replace(recipe, placements=placements, must_report=True)), search


def _find_refused(recipe: Recipe, placement: Mapping[str, Position]) -> list[str]:
    """Return the blocks that a network does not bring where they should be."""
    placed = place_model(build_plain(recipe), recipe.example_inputs, dict(placement), recipe.norm, prove=False)
    return [key for key, position in placement.items() if placed.placement.get(key) != position]


def confirm(request: Request, named: StudyPlan, search: Search) -> Request:
    """Return the request of the comparison that judges what a search found, on seeds that the search never saw.

    It is set beside the baseline and the best named policy.

    Args:
        request: what was asked for.
        named: the comparison of its named placements.
        search: what was found.
    """
    asked = request.named_placements()
    baseline = next(variant.name for variant in named.head.variants if variant.baseline)
    names = dict.fromkeys((baseline, search.policy, *([] if search.found == SEARCHED else [search.found])))
    # A model that has norms brings its own placement, which nobody need have asked for.
    placements: dict[str, Placement] = {name: asked.get(name, "as-is") for name in names}
    if search.found == SEARCHED:
        placements[SEARCHED] = search.placement
    return replace(request, placements=placements)
