"""Which trial is next: whole plans, comparisons that may stop, and both when they are gone on with."""

from collections import Counter
from dataclasses import replace

import pytest

from placenorm.facts.comparison import Stop
from placenorm.facts.trial import EpochRecord, TrialKey, TrialOrder
from placenorm.study.agenda import make_agenda
from support.results import make_trial
from support.sequences import give_each, make_head, run_out

ARMS = ("none", "before-activation", "after-activation", "after-pool")
RATES = (0.01, 0.03, 0.09)
VALUES = {name: [0.1 * place + 0.001 * (seed % 3) for seed in range(10)] for place, name in enumerate(ARMS)}


def test_whole_agenda_has_every_trial_once_seed_by_seed() -> None:
    trials = run_out(make_agenda(make_head(seeds=3, stop="never", rates=RATES), {}), give_each(VALUES))
    assert len({trial.key for trial in trials}) == len(trials) == 4 * 3 * 3
    assert [trial.key.seed for trial in trials] == sorted(trial.key.seed for trial in trials)


@pytest.mark.parametrize("stop", ["never", "early"])
@pytest.mark.parametrize("done", [0, 1, 5, 12, 17], ids=str)
def test_agenda_that_is_gone_on_with_asks_for_the_rest(stop: Stop, done: int) -> None:
    head = make_head(stop=stop, rates=RATES)
    whole = run_out(make_agenda(head, {}), give_each(VALUES))
    first = {trial.key: trial for trial in whole[:done]}
    rest = run_out(make_agenda(head, first), give_each(VALUES))
    assert Counter(trial.key for trial in (*first.values(), *rest)) == Counter(trial.key for trial in whole)


@pytest.mark.parametrize("stop", ["never", "early"])
def test_agenda_is_as_long_as_what_is_to_come(stop: Stop) -> None:
    head = make_head(seeds=3, stop=stop, rates=RATES)
    agenda = make_agenda(head, {})
    lengths = [len(agenda)]
    while (order := agenda.take()) is not None:
        assert len(agenda) == lengths[-1]  # one that runs is still to come
        agenda.note(give_each(VALUES)(order.key))
        lengths.append(len(agenda))
    assert lengths[0] == 36
    assert lengths[-1] == 0
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize("stop", ["never", "early"])
def test_rate_beyond_the_grid_is_asked_for_when_the_grid_is_tried(stop: Stop) -> None:
    head = make_head(seeds=1, stop=stop, rates=(0.09, 0.27))
    run = give_each(VALUES)
    keys = [TrialKey(name, 0, rate) for rate in (0.09, 0.27) for name in ARMS]
    agenda = make_agenda(head, {key: run(key) for key in keys})
    assert len(agenda) == 4
    orders = [agenda.take() for _ in range(4)]
    assert {order.key.lr for order in orders if order} == {0.03}


def test_search_orders_its_trials_one_after_the_other_each_with_the_bar_of_the_best() -> None:
    agenda = make_agenda(make_head(seeds=1, rates=RATES), {})
    first = [agenda.take() for _ in range(5)]
    assert [order and (order.key.lr, order.bar) for order in first] == [(0.03, ())] * 4 + [None]
    agenda.note(replace(make_trial("none", 0, 0.03), epochs=(EpochRecord(10, 1.0, None, None, 0.7, None),)))
    assert agenda.take() == TrialOrder(TrialKey("none", 0, 0.09), ((10, 0.7),))


def test_ended_comparison_asks_for_nothing_more_though_seeds_are_left() -> None:
    head = make_head()
    trials = run_out(make_agenda(head, {}), give_each(VALUES), jobs=3)
    agenda = make_agenda(head, {trial.key: trial for trial in trials})
    assert (len(agenda), agenda.take()) == (0, None)
    assert max(trial.key.seed for trial in trials) < 9


def test_idle_workers_get_the_next_seed_while_a_seed_waits() -> None:
    agenda = make_agenda(make_head(), {})
    orders = [agenda.take() for _ in range(6)]
    assert [order and order.key.seed for order in orders] == [0, 0, 0, 0, 1, 1]
