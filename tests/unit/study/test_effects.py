"""Effects of blocks, from placements drawn at random: their intervals, and the words for them."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from placenorm.facts.search import BlockEffect, Choice, SearchSpace
from placenorm.study.effects import judge_blocks
from placenorm.study.proposals import draw_placements

THREE = ("before-activation", "after-activation", "none")
SIX = SearchSpace(tuple(Choice((f"b{index}",), THREE) for index in range(6)))
FOUND = {f"b{index}": "none" for index in range(6)}
EFFECT = 0.05


def draw(space: SearchSpace, count: int) -> list[tuple[int, ...]]:
    return draw_placements(space, count, (), lambda indices: True)


def judge(values: list[float], drawn: list[tuple[int, ...]], margin: float = 0.01) -> tuple[BlockEffect, ...]:
    return judge_blocks(SIX, drawn, values, FOUND, margin, 0.0)  # type: ignore[arg-type]


def simulate(count: int, worth: dict[int, float], noise: float, seed: int) -> tuple[BlockEffect, ...]:
    """Return what is said where the first position of some blocks is worth more than the others."""
    drawn = draw(SIX, count)
    rng = np.random.default_rng(seed)
    true = [sum(gain for block, gain in worth.items() if indices[block] == 0) for indices in drawn]
    return judge([each + rng.normal(0, noise) for each in true], drawn)


def covers(blocks: tuple[BlockEffect, ...], worth: dict[int, float]) -> bool:
    """Whether every interval holds the true difference."""
    for index, block in enumerate(blocks):
        for effect in block.effects:
            true = sum(
                sign * worth.get(index, 0.0) * (position == THREE[0])
                for sign, position in ((1, effect.first), (-1, effect.second))
            )
            if effect.low is not None and not effect.low <= true <= effect.high:
                return False
    return True


@pytest.mark.parametrize(
    ("count", "worth"),
    [(40, {}), (40, {0: EFFECT}), (40, {0: EFFECT, 3: -0.02}), (15, {}), (15, {0: EFFECT, 3: -0.02})],
    ids=["null-together", "one-together", "two-together", "null-each-alone", "two-each-alone"],
)
def test_intervals_cover_the_truth_jointly(count: int, worth: dict[int, float]) -> None:
    runs = [simulate(count, worth, 0.01, seed) for seed in range(400)]
    covered = sum(covers(run, worth) for run in runs)
    # 95 % of 400 are 380; fewer than 368 come once in 500 times where the intervals hold.
    assert covered >= 368
    assert all(effect.low is not None for run in runs for block in run for effect in block.effects)


def test_block_that_matters_is_found_and_the_others_do_not_matter() -> None:
    for seed in range(20):
        words = [block.word for block in simulate(60, {2: EFFECT}, 0.002, seed)]
        assert words == ["does not matter"] * 2 + ["matters"] + ["does not matter"] * 3


def test_where_no_block_matters_none_is_said_to() -> None:
    runs = [simulate(40, {}, 0.01, seed) for seed in range(200)]
    wrong = sum(any(block.word == "matters" for block in run) for run in runs)
    # At most 5 % may; more than 18 of 200 come once in 200 times where they do not.
    assert wrong <= 18


def test_too_much_noise_says_that_nothing_is_known() -> None:
    words = {block.word for block in simulate(40, {}, 0.3, 0)}
    assert words == {"not known"}


@pytest.mark.parametrize("count", [0, 1, 2], ids=str)
def test_too_few_placements_say_that_nothing_is_known(count: int) -> None:
    blocks = judge([0.5] * count, draw(SIX, 40)[:count])
    assert {block.word for block in blocks} == {"not known"}
    assert all(effect.low is None for block in blocks for effect in block.effects)


def test_position_that_was_never_drawn_leaves_its_block_open() -> None:
    drawn = [indices for indices in draw(SIX, 200) if indices[0] != 1]
    rng = np.random.default_rng(0)
    blocks = judge(list(rng.normal(0, 0.001, len(drawn))), drawn)
    assert blocks[0].word == "not known"


def test_effects_of_a_full_table_are_differences_of_means_with_students_interval() -> None:
    space = SearchSpace((Choice(("a",), ("before-activation", "none")), Choice(("b",), ("after-activation", "none"))))
    drawn = [*product(range(2), repeat=2)] * 4
    values = list(np.random.default_rng(1).normal(0, 0.1, len(drawn)))
    blocks = judge_blocks(space, drawn, values, {"a": "none", "b": "none"}, 0.0, 0.0)
    for place, block in enumerate(blocks):
        (effect,) = block.effects
        parts = [[v for v, indices in zip(values, drawn, strict=True) if indices[place] == option] for option in (0, 1)]
        assert effect.difference == pytest.approx(np.mean(parts[0]) - np.mean(parts[1]))
    design = np.array([[1, a, b] for a, b in drawn], dtype=float)
    fit = np.linalg.lstsq(design, np.array(values), rcond=None)
    spread = np.sqrt(fit[1][0] / (len(values) - 3))
    half = stats.t.ppf(1 - 0.05 / 2 / 2, len(values) - 3) * spread * np.sqrt(4 / len(values))
    assert blocks[0].effects[0].high - blocks[0].effects[0].low == pytest.approx(2 * half)


def test_equal_values_of_a_metric_that_moves_in_steps_are_no_certainty() -> None:
    drawn = draw(SIX, 20)
    blocks = judge_blocks(SIX, drawn, [0.9] * 20, FOUND, 0.001, 0.01)  # type: ignore[arg-type]
    assert {block.word for block in blocks} == {"not known"}


# -- what is drawn


def test_drawn_placements_have_every_position_equally_often() -> None:
    drawn = draw(SIX, 30)
    assert len(set(drawn)) == 30
    for place in range(6):
        counts = [sum(indices[place] == option for indices in drawn) for option in range(3)]
        assert max(counts) - min(counts) <= 3, "a shuffled column has ten of each; few are drawn twice and left out"


def test_drawn_placements_are_new_allowed_and_end_with_the_space() -> None:
    small = SearchSpace(tuple(Choice((f"b{index}",), ("before-activation", "none")) for index in range(3)))
    drawn = draw_placements(small, 100, [(0, 0, 0)], lambda indices: indices != (1, 1, 1))
    assert sorted(drawn) == [each for each in product(range(2), repeat=3) if each not in {(0, 0, 0), (1, 1, 1)}]
