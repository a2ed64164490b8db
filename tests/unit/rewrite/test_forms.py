"""The solver of forms, on rules made by hand; the greedy choice against every subset."""

import copy
from itertools import permutations
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from placenorm.graph.channel_rules import GROUND, ChannelRules, NormUse, WeightUse
from placenorm.graph.channels import follow_channels
from placenorm.rewrite.forms import FormFinder, Forms, choose_forms
from placenorm.rewrite.stuck import StuckError
from support.folded_networks import SIZES, draw_network

CLOSE = 1e-9


class Sketch:
    """Rules in the making, one channel per tensor unless said otherwise."""

    def __init__(self) -> None:
        self.rules = ChannelRules()

    def weight(self, reads: Any, channels: int = 1, varies: bool = False) -> Any:
        gives = self.rules.add_labels(channels)
        self.rules.weights.append(WeightUse(f"w{len(self.rules.weights)}", np.asarray(reads), gives, varies))
        return gives

    def norm(self, reads: Any, scale: Any = 2.0, shift: Any = 1.0, size: int = 1) -> Any:
        reads = np.asarray(reads)
        gives = self.rules.add_labels(len(reads))
        scales, shifts = (np.broadcast_to(np.asarray(each, dtype=np.float64), reads.shape) for each in (scale, shift))
        number = len(self.rules.norms)
        self.rules.norms.append(NormUse(f"n{number}", 0, False, reads, gives, scales, shifts, True, size))
        return gives

    def add(self, one: Any, two: Any, sign: int = 1) -> Any:
        made = self.rules.add_labels(len(one))
        self.rules.scaled_alike.extend([(made, np.asarray(one)), (made, np.asarray(two))])
        self.rules.sums.append((made, np.asarray(one), np.asarray(two), sign, "add"))
        return made

    def close(self, *outputs: Any) -> None:
        for each in outputs:
            self.rules.fix(each, "the output")

    def folds(self, *numbers: int) -> FormFinder:
        """Return the finder with these norms folded, one by one."""
        finder = FormFinder(self.rules)
        for number in numbers:
            finder.fold([self.rules.norms[number]])
        return finder


def assert_keeps_rules(rules: ChannelRules, forms: Forms, folded: list[NormUse]) -> None:
    """Hold forms against every rule, and against what folded norms ask for."""
    scale, shift = forms.scale, forms.shift
    live = [label for label in range(rules.count) if label not in forms.dead]
    assert np.isfinite(scale).all()
    assert np.isfinite(shift).all()
    for label in (GROUND, *rules.fixed):
        assert (scale[label], shift[label]) == (1.0, 0.0)
    for label in rules.centred:
        assert abs(shift[label]) < CLOSE
    for label in rules.positive:
        assert scale[label] >= 0.0
    for one, two in (*rules.scaled_alike, *rules.alike):
        assert_allclose(scale[one], scale[two], rtol=CLOSE)
    for one, two in rules.alike:
        assert_allclose(shift[one], shift[two], atol=CLOSE)
    for made, one, two, sign, _ in rules.sums:
        assert_allclose(shift[made], shift[one] + sign * shift[two], atol=CLOSE)
    read = {int(label) for use in rules.weights for label in use.reads}
    read |= {int(label) for norm in rules.norms if norm not in folded for label in norm.reads}
    assert all(scale[label] != 0.0 for label in read if label in live)
    for norm in folded:
        for x, y, a, b in zip(norm.reads, norm.gives, norm.scale, norm.shift, strict=True):
            if y not in forms.dead:
                assert x not in forms.dead
                assert_allclose(scale[x], scale[y] * a, rtol=CLOSE)
                assert_allclose(shift[x], scale[y] * b + shift[y], atol=CLOSE)
            else:
                assert a == 0.0
                assert forms.dead[y] == b


def check(sketch: Sketch, *numbers: int) -> Forms:
    forms = sketch.folds(*numbers).find()
    assert_keeps_rules(sketch.rules, forms, [sketch.rules.norms[number] for number in numbers])
    return forms


# -- one norm


def test_norm_behind_a_conv_goes_into_it() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    sketch.close(sketch.norm(x, 2.0, 3.0))
    forms = check(sketch, 0)
    assert (forms.scale[x], forms.shift[x]) == (2.0, 3.0)


def test_norm_before_a_conv_goes_into_it() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    sketch.rules.fix(x, "gelu")
    y = sketch.norm(x, 2.0, 3.0)
    sketch.close(sketch.weight(y, varies=True))
    forms = check(sketch, 0)
    assert (forms.scale[y], forms.shift[y]) == (0.5, -1.5)
    opened, lifted = forms.undo(y)
    assert (opened, lifted) == (2.0, 3.0)


def test_shift_goes_where_nothing_is_padded() -> None:
    sketch = Sketch()
    y = sketch.norm(sketch.weight([0]), 2.0, 3.0)
    sketch.close(sketch.weight(y, varies=True))
    assert check(sketch, 0).shift[y] == 0.0


@pytest.mark.parametrize("fixed", ["scale", "shift"])
def test_norm_between_what_stays_is_kept(fixed: str) -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    y = sketch.norm(x, 2.0 if fixed == "scale" else 1.0, 3.0 if fixed == "shift" else 0.0)
    sketch.rules.fix(x, "gelu")
    sketch.close(y)
    with pytest.raises(StuckError):
        sketch.folds(0)


def test_norm_that_reads_the_input_goes_behind() -> None:
    sketch = Sketch()
    y = sketch.norm([0, 0], [2.0, -4.0], [1.0, 3.0])
    sketch.close(sketch.weight(y))
    forms = check(sketch, 0)
    assert_allclose(forms.scale[y], [0.5, -0.25])
    assert_allclose(forms.shift[y], [-0.5, 0.75])


# -- ratios and circles


def test_branches_that_are_added_share_a_scale() -> None:
    """Two norms into one add: the second goes into its conv by the ratio of both."""
    sketch = Sketch()
    one, two = sketch.weight([0]), sketch.weight([0])
    total = sketch.add(sketch.norm(one, 2.0), sketch.norm(two, 8.0))
    sketch.rules.keep_sign(total, "relu")
    sketch.close(sketch.weight(total))
    forms = check(sketch, 0, 1)
    assert forms.scale[two] / forms.scale[one] == 4.0


def test_circle_closes_only_with_the_same_ratio() -> None:
    """x + norm(x), in which the norm's scale would have to be 1."""
    for scale, fits in ((2.0, False), (1.0, True)):
        sketch = Sketch()
        x = sketch.weight([0])
        sketch.close(sketch.weight(sketch.add(x, sketch.norm(x, scale))))
        if fits:
            check(sketch, 0)
        else:
            with pytest.raises(StuckError, match="hang together"):
                sketch.folds(0)


def test_two_norms_of_one_tensor_go_behind_both() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    for scale in (2.0, 3.0):
        sketch.close(sketch.weight(sketch.norm(x, scale)))
    check(sketch, 0, 1)


def test_row_of_norms_goes_whole() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    y = x
    for scale in (2.0, -3.0, 5.0):
        y = sketch.norm(y, scale, 1.0)
    sketch.close(y)
    forms = check(sketch, 0, 1, 2)
    assert forms.scale[x] == -30.0
    assert forms.shift[x] == (1.0 * -3.0 + 1.0) * 5.0 + 1.0


# -- sums


@pytest.mark.parametrize("sign", [1, -1], ids=["sum", "difference"])
def test_channel_added_to_itself_has_twice_its_shift_or_none(sign: int) -> None:
    sketch = Sketch()
    x = sketch.norm(sketch.weight([0]), 2.0, 3.0)
    total = sketch.add(x, x, sign)
    sketch.rules.fix(x, "gelu")
    sketch.close(total)
    check(sketch, 0)
    free = Sketch()
    read = free.weight([0])
    free.rules.fix(read, "gelu")
    x = free.norm(read, 2.0, 3.0)
    free.close(free.weight(free.add(x, x, sign)))
    forms = check(free, 0)
    assert forms.shift[x] == -1.5


def test_shift_passes_an_add_to_its_other_side() -> None:
    sketch = Sketch()
    stays, free = sketch.weight([0]), sketch.weight([0])
    sketch.rules.fix(stays, "gelu")
    y = sketch.norm(stays, 1.0, 3.0)
    sketch.close(sketch.add(y, free))
    forms = check(sketch, 0)
    assert forms.shift[free] == 3.0


def test_labels_that_hang_together_are_read_by_their_own_numbers() -> None:
    """A norm beside shared ones: labels and classes of labels have other numbers then."""
    sketch = Sketch()
    one, two, x = (sketch.weight([0]) for _ in range(3))
    sketch.rules.alike.append((one, two))
    sketch.close(sketch.norm(x, 2.0, 3.0), one, two)
    assert check(sketch, 0).shift[x] == 3.0


# -- signs


def test_negative_gamma_stays_before_what_keeps_signs() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    y = sketch.norm(x, -2.0, 0.0)
    sketch.rules.keep_sign(x, "relu")
    sketch.rules.keep_sign(y, "max_pool")
    with pytest.raises(StuckError, match=r"gamma is negative in 1 channels.*relu.*max_pool"):
        sketch.folds(0)


def test_two_turns_are_none() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    y = sketch.norm(sketch.norm(x, -2.0, 0.0), -3.0, 0.0)
    sketch.rules.keep_sign(x, "relu")
    sketch.rules.keep_sign(y, "max_pool")
    assert check(sketch, 0, 1).scale[x] > 0.0
    sketch.rules.keep_sign(sketch.rules.norms[0].gives, "relu")
    with pytest.raises(StuckError, match="negative"):
        sketch.folds(0)


# -- zeros


def test_zero_gamma_goes_back_where_nobody_else_reads() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    sketch.close(sketch.norm(x, 0.0, 3.0))
    forms = check(sketch, 0)
    assert (forms.scale[x], forms.shift[x]) == (0.0, 3.0)


def test_zero_gamma_goes_on_where_others_read_what_it_reads() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    y = sketch.norm(x, 0.0, 3.0)
    sketch.close(sketch.weight(x), sketch.weight(y))
    forms = check(sketch, 0)
    assert forms.dead == {int(y[0]): 3.0}
    opened, lifted = forms.undo(y)
    assert (opened, lifted) == (0.0, 3.0)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_dead_channel_behind_relu_is_zero_or_stays(shift: float) -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    y = sketch.norm(x, 0.0, shift)
    sketch.rules.centre(y, "relu")
    sketch.close(sketch.weight(x), sketch.weight(y))
    if shift:
        with pytest.raises(StuckError):
            sketch.folds(0)
    else:
        assert check(sketch, 0).dead == {int(y[0]): 0.0}


def test_zero_gamma_that_nobody_can_take_stays() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    sketch.close(sketch.weight(x), sketch.norm(x, 0.0, 3.0))
    with pytest.raises(StuckError, match="gamma is zero"):
        sketch.folds(0)


def test_norm_behind_a_dead_channel_stays_whatever_comes_first() -> None:
    for order in ((0, 1), (1, 0)):
        sketch = Sketch()
        x = sketch.weight([0])
        y = sketch.norm(x, 0.0, 3.0)
        sketch.close(sketch.weight(x), sketch.weight(sketch.norm(y, 2.0, 1.0)))
        with pytest.raises(StuckError):
            sketch.folds(*order)


def test_channel_that_is_zero_for_the_norm_behind_is_not_dead_as_well() -> None:
    """Two norms in a row whose gammas are zero: the second may take its channel's maker, or the first the reader."""
    sketch = Sketch()
    x = sketch.weight([0])
    y = sketch.norm(x, 0.0, 3.0)
    sketch.close(sketch.weight(x), sketch.weight(sketch.norm(y, 0.0, 1.0)))
    check(sketch, 0, 1)
    with pytest.raises(StuckError, match="another norm reads"):
        sketch.folds(1, 0)


# -- going back


def test_refusal_leaves_no_trace() -> None:
    """Two channels of which the second cannot go: the first is as it was, in every number."""
    sketch = Sketch()
    x = sketch.weight([0], 3)
    y = sketch.norm(x, [2.0, 0.0, 5.0], [1.0, 2.0, 3.0])
    sketch.rules.fix([int(x[2]), int(y[2])], "gelu")
    z = sketch.norm(y, 3.0, 1.0)
    sketch.close(sketch.weight(z))
    finder = FormFinder(sketch.rules)

    def state() -> Any:
        scales, shifts = finder._scales, finder._shifts
        held = (scales._parent, scales._ratio, scales._sign, scales._read, scales._zero, scales._grounded, scales.dead)
        return copy.deepcopy((*held, shifts._solved, shifts._order, finder._numbers))

    before = state()
    with pytest.raises(StuckError):
        finder.fold([sketch.rules.norms[0]])
    assert state() == before
    finder.fold([sketch.rules.norms[1]])
    assert_keeps_rules(sketch.rules, finder.find(), [sketch.rules.norms[1]])


# -- the choice


def test_dearer_norm_goes_first() -> None:
    sketch = Sketch()
    x = sketch.weight([0])
    sketch.close(sketch.norm(x, 2.0, size=1), sketch.norm(x, 3.0, size=9))
    choice = choose_forms(sketch.rules, [(norm,) for norm in sketch.rules.norms])
    assert [uses[0].path for uses in choice.folded] == ["n1"]


MOST_BRUTE = 5
"""Most norms of a network whose orders are all tried: 120 orders."""


def test_norm_that_waits_for_another_goes_behind_it() -> None:
    """The dearer norm's gamma is zero, and the channel is dead only when the other reads it no longer."""
    sketch = Sketch()
    x = sketch.weight([0])
    sketch.close(sketch.norm(x, 0.0, 3.0, size=9), sketch.weight(sketch.norm(x, 0.0, 2.0, size=1)))
    choice = choose_forms(sketch.rules, [(norm,) for norm in sketch.rules.norms])
    assert len(choice.folded) == 2


def group_norms(rules: ChannelRules) -> list[tuple[NormUse, ...]]:
    found: dict[str, list[NormUse]] = {}
    for norm in rules.norms:
        found.setdefault(norm.path, []).append(norm)
    return [tuple(uses) for uses in found.values()]


def find_most(rules: ChannelRules, groups: list[tuple[NormUse, ...]]) -> int:
    """Return the most norms that can go, in any order."""
    most = 0
    for order in permutations(groups):
        finder, count = FormFinder(rules), 0
        for uses in order:
            try:
                finder.fold(uses)
            except StuckError:
                continue
            count += 1
        most = max(most, count)
        if most == len(groups):
            break
    return most


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32).map(Random))
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_chosen_forms_keep_every_rule(random: Random) -> None:
    model = draw_network(random, 2)
    note(str(model))
    rules = draw_rules(model)
    choice = choose_forms(rules, group_norms(rules))
    assert choice.forms is not None
    assert_keeps_rules(rules, choice.forms, [use for uses in choice.folded for use in uses])


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.integers(0, 1 << 32).map(Random))
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_choice_is_nearly_the_most_that_can_go(random: Random) -> None:
    """Choosing one by one, the dearest first, may lose a norm to a dearer one, and no more than one here."""
    rules = draw_rules(draw_network(random, 2))
    groups = group_norms(rules)
    if len(groups) <= MOST_BRUTE:
        assert len(choose_forms(rules, groups).folded) >= find_most(rules, groups) - 1


def draw_rules(model: Any) -> ChannelRules:
    return follow_channels(model, torch.linspace(-1, 1, 6 * 17 * 17).double().view(2, 3, *SIZES[2][0]))
