"""Laws of placing, over generated networks."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.facts.placement import Policy
from placenorm.graph.placements import policy_position

ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.GELU)
NORM_PLACES = ("none", "before", "after")
POLICIES: tuple[Policy, ...] = ("none", "before-activation", "after-activation", "after-pool")
FEW = settings(max_examples=25, deadline=None)
FEWER = settings(max_examples=10, deadline=None)
"""For laws that rewrite several times an example."""


class Chain(nn.Module):
    """A drawn network of conv blocks and linear blocks, with its activations as modules or as functions."""

    def __init__(self, blocks: list[tuple[str, type[nn.Module], bool, bool]], functional: bool) -> None:
        super().__init__()
        self.functional = functional
        self.plan = blocks
        channels = 2
        for place, (norm, activation, _, bias) in enumerate(blocks):
            width = 2 + place % 3
            self.add_module(f"conv{place}", nn.Conv2d(channels, width, 3, padding=1, bias=bias))
            if norm != "none":
                self.add_module(f"bn{place}", nn.BatchNorm2d(width))
            self.add_module(f"act{place}", activation())
            channels = width
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        for place, (norm, _, pooled, _) in enumerate(self.plan):
            x = self.get_submodule(f"conv{place}")(x)
            if norm == "before":
                x = self.get_submodule(f"bn{place}")(x)
            x = F.relu(x) if self.functional else self.get_submodule(f"act{place}")(x)
            if norm == "after":
                x = self.get_submodule(f"bn{place}")(x)
            if pooled:
                x = self.pool(x)
        return self.head(x.mean((2, 3)))


chains = st.builds(
    Chain,
    st.lists(
        st.tuples(st.sampled_from(NORM_PLACES), st.sampled_from(ACTIVATIONS), st.booleans(), st.booleans()),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
IMAGES = torch.linspace(-1, 1, 4 * 2 * 16 * 16).reshape(4, 2, 16, 16)


@FEW
@given(chains, st.sampled_from(POLICIES))
def test_every_block_stands_where_the_policy_wants_it(model: Chain, policy: Policy) -> None:
    wanted = {block.key: policy_position(block, policy) for block in pn.trace(model, IMAGES).blocks}
    placed = pn.place(model, IMAGES, policy)
    assert placed.graph.placement() == wanted
    assert pn.trace(placed.model, IMAGES).placement() == wanted


@FEW
@given(chains, st.sampled_from(POLICIES))
def test_twice_is_once(model: Chain, policy: Policy) -> None:
    once = pn.place(model, IMAGES, policy)
    twice = pn.place(once.model, IMAGES, policy)
    assert twice.changes == ()
    assert twice.model.state_dict().keys() == once.model.state_dict().keys()


@FEW
@given(chains, st.sampled_from(POLICIES))
def test_original_is_bit_equal_and_weights_are_kept(model: Chain, policy: Policy) -> None:
    state = copy.deepcopy(model.state_dict())
    placed = pn.place(model, IMAGES, policy).model.state_dict()
    assert model.state_dict().keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(model.state_dict()[key], value)
        if value.dim() > 1:
            assert torch.equal(placed[key], value)


@pytest.mark.slow
@FEW
@given(chains, st.sampled_from(POLICIES), st.sampled_from(POLICIES))
def test_the_way_there_does_not_matter(model: Chain, first: Policy, last: Policy) -> None:
    """By way of another placement, a network ends with the norms and parameter shapes of going there at once."""
    direct = pn.place(model, IMAGES, last)
    detour = pn.place(pn.place(model, IMAGES, first).model, IMAGES, last)
    assert detour.graph.placement() == direct.graph.placement()
    assert [norm.in_shape for norm in detour.graph.norms] == [norm.in_shape for norm in direct.graph.norms]


@FEW
@given(chains)
def test_none_leaves_no_norm_and_the_plain_function(model: Chain) -> None:
    """Without norms, the network computes what its weight ops, activations and pools alone compute."""
    placed = pn.place(model, IMAGES, "none").model.eval()
    x = IMAGES
    for place, (_, _, pooled, _) in enumerate(model.plan):
        conv = model.get_submodule(f"conv{place}")
        x = F.conv2d(x, conv.weight, conv.bias, padding=1)
        x = F.relu(x) if model.functional else model.get_submodule(f"act{place}")(x)
        x = model.pool(x) if pooled else x
    torch.testing.assert_close(placed(IMAGES), model.head(x.mean((2, 3))))


@FEW
@given(chains, st.sampled_from(POLICIES))
def test_placed_network_trains_and_every_parameter_gets_a_gradient(model: Chain, policy: Policy) -> None:
    placed = pn.place(model, IMAGES, policy).model.train()
    target = torch.linspace(-1, 1, 12).reshape(4, 3)
    F.mse_loss(placed(IMAGES), target).backward()
    used = {name for name, _ in placed.named_parameters()}
    assert {name for name, parameter in placed.named_parameters() if parameter.grad is not None} == used


@FEWER
@given(chains, st.sampled_from(POLICIES), st.booleans())
def test_preserved_network_computes_the_same(model: Chain, policy: Policy, falling: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_mean.copy_(torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(torch.rand(norm.num_features, generator=generator) + 0.1)
            norm.weight.copy_(torch.randn(norm.num_features, generator=generator))
            norm.bias.copy_(torch.randn(norm.num_features, generator=generator))
            if not falling:
                norm.weight.abs_()
    double = model.double().eval()
    images = IMAGES.double()
    placed = pn.place(double, images, policy, preserve=images)
    other = torch.flip(images, (0, 3)) * 1.5 + 0.1
    expected = double(other)
    bound = 1e-9 * float(expected.detach().abs().max())
    torch.testing.assert_close(placed.model.eval()(other), expected, rtol=0.0, atol=bound)
    kept = {skip.site for skip in placed.skipped if skip.reason.startswith("what was learned would be lost")}
    wanted = {block.key: policy_position(block, policy) for block in pn.trace(double, images).blocks}
    assert {key for key, position in placed.placement.items() if position != wanted[key]} == kept


@FEWER
@given(chains)
def test_none_and_back_gives_the_same_parameter_shapes(model: Chain) -> None:
    """A network at a policy, brought to none and back to it, has the parameters that it had at first."""
    bare = pn.place(model, IMAGES, "none").model  # without biases that a norm makes needless
    for policy in POLICIES[1:]:
        first = pn.place(bare, IMAGES, policy).model
        back = pn.place(pn.place(first, IMAGES, "none").model, IMAGES, policy).model
        shapes = [sorted(tuple(p.shape) for p in each.parameters()) for each in (first, back)]
        assert shapes[0] == shapes[1]
