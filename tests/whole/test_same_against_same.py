"""A placement compared with itself, on real training runs: `better` keeps to its rate."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.stats import binom

from placenorm.facts.trial import TrialKey, TrialResult
from placenorm.study.plan import plan_seed
from placenorm.study.training import Trainer
from placenorm.study.verdict import judge
from support.results import make_variant
from support.trials import make_small_plan, write_data

ARMS = ("A", "B", "C", "D")
RUNS = 160
"""Real runs, each at its own best rate; every comparison draws its arms from them without repetition."""

SEEDS = 10
COMPARISONS = 400
FALSE_RATE = 0.05


@pytest.mark.slow
def test_same_against_same_is_rarely_called_better(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    plan = make_small_plan(tmp_path, data=write_data(tmp_path), epochs=4)
    trainer = Trainer(plan.recipe)
    pool: list[TrialResult] = []
    for seed in range(RUNS):
        results: dict[TrialKey, TrialResult] = {}
        while missing := plan_seed(seed, ["after-activation"], plan.head.settings.learning_rates, results).missing:
            results |= {key: trainer.run(key) for key in missing}
        pool.append(
            plan_seed(seed, ["after-activation"], plan.head.settings.learning_rates, results).chosen.popitem()[1]
        )
    assert len({result.test_metric for result in pool}) > 5

    variants = [make_variant(arm) for arm in ARMS]
    assert plan.head.data is not None
    draw = random.Random(0)
    false = 0
    for _ in range(COMPARISONS):
        drawn = draw.sample(pool, len(ARMS) * SEEDS)
        chosen = [
            replace(result, key=TrialKey(ARMS[place % 4], place // 4, result.key.lr))
            for place, result in enumerate(drawn)
        ]
        verdict = judge(variants, chosen, plan.head.metric, 0.0, 1 / plan.head.data.validation)
        false += any(pair.word == "better" for answer in (verdict.final, verdict.speed) for pair in answer.pairs)
    # Comparisons share runs, so they are not independent; the bound is what 100 independent ones would allow.
    allowed = binom.ppf(0.999, 100, FALSE_RATE) / 100
    assert false / COMPARISONS <= allowed
