"""Laws of folding, over generated networks: the algebra is right by itself, at every size."""

from random import Random

import pytest
import torch
from hypothesis import assume, given, note, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import placenorm as pn
from placenorm.graph.channels import follow_channels
from support.folded_networks import SIZES, draw_features, draw_network

CLOSE = 1e-10
"""Largest difference of a folded network, as a share of the largest output, in float64."""

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch pads even kernels by a copy

FEW = settings(max_examples=15, deadline=None)
FEWER = settings(max_examples=6, deadline=None)
MANY = settings(max_examples=400, deadline=None)
randoms = st.integers(0, 1 << 32).map(Random)


def draw_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_same_function(model: nn.Module, folded: nn.Module, inputs: Tensor) -> None:
    with torch.no_grad():
        expected, found = model(inputs.clone()), folded(inputs.clone())
    bound = CLOSE * max(float(expected.abs().max()), 1e-3)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=bound)


def assert_folds(model: nn.Module, inputs: list[Tensor]) -> None:
    """A folded network computes what it did, and runs none of the norms that it says are gone."""
    note(str(model))
    try:
        with torch.no_grad():
            for each in inputs:
                model(each.clone())
    except RuntimeError:  # a kernel of the drawn network is larger than what is left of the image
        assume(False)
    done = pn.fold(model, inputs[0], verify=False)
    note(f"{done.changes}\n{done.skipped}")
    for each in inputs:
        assert_same_function(model, done.model, each)
    left = {use.path for use in follow_channels(done.model, inputs[0]).norms}
    assert not left & {change.site for change in done.changes}


def images_of(rank: int) -> list[Tensor]:
    return [draw_images(2 + place, 3, *size, seed=place) for place, size in enumerate(SIZES[rank])]


@FEW
@given(randoms)
def test_folded_network_of_images_computes_the_same(random: Random) -> None:
    assert_folds(draw_network(random, 2), images_of(2))


@pytest.mark.slow
@MANY
@given(randoms)
def test_folded_network_of_images_computes_the_same_often(random: Random) -> None:
    assert_folds(draw_network(random, 2), images_of(2))


@FEWER
@given(randoms)
def test_folding_verifies_at_once(random: Random) -> None:
    """What the proof has to undo would be a fault of the algebra."""
    model, images = draw_network(random, 2), images_of(2)
    note(str(model))
    done = pn.fold(model, images[0])
    assert done.max_error is not None
    assert done.max_error < CLOSE
    assert not [skip for skip in done.skipped if "differed" in skip.reason]
    assert done.changes == pn.fold(model, images[0], verify=False).changes


@FEWER
@given(randoms, st.sampled_from([1, 3]))
def test_folded_network_of_signals_and_volumes_computes_the_same(random: Random, rank: int) -> None:
    assert_folds(draw_network(random, rank), images_of(rank))


@FEWER
@given(randoms)
def test_folded_network_of_features_computes_the_same(random: Random) -> None:
    assert_folds(draw_features(random, ordered=False), [draw_images(n, 5, seed=n) for n in (3, 2, 6)])


@FEWER
@given(randoms)
def test_folded_network_of_sequences_computes_the_same(random: Random) -> None:
    assert_folds(draw_features(random, ordered=True), [draw_images(n, n + 2, 5, seed=n) for n in (3, 2, 6)])
