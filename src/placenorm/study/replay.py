"""A comparison that ran to its end in, the same comparison out as it would have been had it stopped early."""

from collections.abc import Mapping
from dataclasses import replace

from placenorm.errors import StoreError
from placenorm.facts.comparison import MIN_SEEDS, Comparison
from placenorm.facts.trial import TrialKey, TrialOrder, TrialResult
from placenorm.study.agenda import make_agenda
from placenorm.study.assembly import assemble_results
from placenorm.study.rate_search import end_early


def replay_early(head: Comparison, results: Mapping[TrialKey, TrialResult]) -> Comparison:
    """Return what a comparison that ran to its end would have been with one worker and ``--stop early``.

    The trials are those that are stored: the same key gives the same result, and one that would have ended early is
    the same up to there.

    Args:
        head: the comparison that ran to its end, without trials.
        results: its trials.

    Raises:
        StoreError: if a learning rate would have been tried that the comparison did not try.
    """
    planned = max(head.settings.seeds, MIN_SEEDS)
    head = replace(head, settings=replace(head.settings, stop="early", planned=planned))
    agenda = make_agenda(head, {})
    run: dict[TrialKey, TrialResult] = {}
    while (order := agenda.take()) is not None:
        run[order.key] = _run(order, head, results)
        agenda.note(run[order.key])
    return assemble_results(head, run)


def _run(order: TrialOrder, head: Comparison, results: Mapping[TrialKey, TrialResult]) -> TrialResult:
    if order.key not in results:
        raise StoreError(
            f"Cannot replay {head.settings.model} with an early stop: it would have run {order.key}, and that trial is "
            "not in the store; run the comparison with --stop early instead."
        )
    return end_early(results[order.key], order.bar, head.settings.epochs)
