"""Placing on networks as users write them: what changes, what stays, and that the result is an ordinary model."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.errors import NoEffectWarning
from placenorm.facts.placement import POLICIES, Policy
from placenorm.layers import BatchNorm2d
from support.networks import ALL, IMAGES, FunctionalNet, ModuleNet, NestedNet, ResidualNet

NETS = pytest.mark.parametrize("net", ALL.values(), ids=ALL.keys())
PLACED = pytest.mark.parametrize("policy", POLICIES, ids=POLICIES)


def draw(model: nn.Module) -> nn.Module:
    """Give a model statistics and parameters as training leaves them."""
    generator = torch.Generator().manual_seed(1)
    for value in (*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())):
        value.data = torch.rand(value.shape, generator=generator) + 0.1
    return model


@NETS
@PLACED
def test_place_original_is_bit_equal_afterwards(net: type[nn.Module], policy: Policy) -> None:
    model = draw(net())
    state, names = copy.deepcopy(model.state_dict()), [name for name, _ in model.named_modules()]
    pn.place(model, IMAGES, policy)
    assert [name for name, _ in model.named_modules()] == names
    assert type(model) is net
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key


@NETS
@PLACED
def test_place_twice_is_once(net: type[nn.Module], policy: Policy) -> None:
    once = pn.place(net(), IMAGES, policy)
    twice = pn.place(once.model, IMAGES, policy)
    assert twice.changes == ()
    assert twice.model.state_dict().keys() == once.model.state_dict().keys()
    assert twice.max_error == 0.0


@NETS
@PLACED
def test_place_untouched_parameters_keep_key_and_value(net: type[nn.Module], policy: Policy) -> None:
    model = draw(net())
    placed = pn.place(model, IMAGES, policy).model.state_dict()
    weights = [key for key, value in model.state_dict().items() if value.dim() > 1]
    assert weights
    for key in weights:
        assert torch.equal(placed[key], model.state_dict()[key]), key


@NETS
def test_place_none_leaves_no_norm(net: type[nn.Module]) -> None:
    placed = pn.place(net(), IMAGES, "none")
    assert placed.graph.norms == ()
    assert not any("BatchNorm" in type(module).__name__ for module in placed.model.modules())


@NETS
@PLACED
def test_place_result_is_an_ordinary_model(net: type[nn.Module], policy: Policy) -> None:
    """It is of the user's class, copies, pickles, is saved and loaded, is traced by torch.fx, and trains."""
    model = pn.place(net(), IMAGES, policy).model
    assert isinstance(model, net)
    for parameter in model.parameters():
        parameter.grad = None
    model.train()(IMAGES).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.eval()
    expected = model(IMAGES)
    assert torch.equal(copy.deepcopy(model)(IMAGES), expected)
    assert torch.equal(pickle.loads(pickle.dumps(model))(IMAGES), expected)
    traced = torch.fx.symbolic_trace(model, concrete_args={"scale": None} if net is FunctionalNet else None)
    assert torch.equal(traced(IMAGES), expected)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    fresh = pn.place(net(), IMAGES, policy).model.eval()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(fresh(IMAGES), expected)


@pytest.mark.slow
@NETS
@PLACED
def test_place_result_compiles_and_exports(net: type[nn.Module], policy: Policy) -> None:
    model = pn.place(net(), IMAGES, policy).model.eval()
    expected = model(IMAGES)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(IMAGES), expected)
    torch.testing.assert_close(torch.export.export(model, (IMAGES,)).module()(IMAGES), expected)
    torch.compiler.reset()


def test_place_moved_norm_runs_where_it_should() -> None:
    """The rewritten network equals the same network written by hand, with the norms moved in the source."""
    model = draw(NestedNet()).eval()
    placed = pn.place(model, IMAGES, "after-activation").model
    norms = [draw(nn.BatchNorm2d(width)).eval() for width in (4, 6)]
    for path, norm in zip(("first.bn", "second.bn"), norms, strict=True):
        placed.get_submodule(path).load_state_dict(norm.state_dict())
    x = norms[0](torch.relu(nn.functional.conv2d(IMAGES, model.first.conv.weight, padding=1)))
    x = norms[1](torch.relu(nn.functional.conv2d(model.pool(x), model.second.conv.weight, padding=1)))
    torch.testing.assert_close(placed(IMAGES), model.head(x.mean((2, 3))))


def test_place_moved_norm_keeps_its_path_and_starts_fresh() -> None:
    placed = pn.place(draw(ModuleNet()), IMAGES, "after-pool")
    norm = placed.model.get_submodule("features.1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert torch.equal(norm.running_mean, torch.zeros(4))
    assert torch.equal(norm.weight, torch.ones(4))
    assert placed.graph.placement() == {"features.0": "after-pool", "features.4": "after-activation", "head": "none"}


def test_place_norm_at_a_module_is_its_child() -> None:
    placed = pn.place(FunctionalNet(), IMAGES, "before-activation")
    assert "conv1.norm.weight" in placed.model.state_dict()
    assert placed.model.conv1.bias is None


def test_place_norm_behind_a_shared_pool_serves_one_call() -> None:
    placed = pn.place(FunctionalNet(), IMAGES, "after-pool")
    norms = [op.key for op in placed.graph.norms]
    assert norms == ["conv1_norm", "conv2_norm", "fc1_norm"]


def test_place_bias_comes_and_goes_with_the_norm() -> None:
    placed = pn.place(ModuleNet(), IMAGES, "after-activation").model
    assert torch.equal(placed.features[0].bias, torch.zeros(4))
    assert pn.place(placed, IMAGES, "before-activation").model.features[0].bias is None


def test_place_there_and_back_gives_the_same_shapes() -> None:
    model = ModuleNet()
    back = pn.place(pn.place(model, IMAGES, "none").model, IMAGES, "before-activation").model
    shapes = sorted(tuple(parameter.shape) for parameter in model.parameters())
    assert sorted(tuple(parameter.shape) for parameter in back.parameters()) == shapes


def test_place_residual_branch_keeps_its_norm_before_the_add() -> None:
    placed = pn.place(ResidualNet(), IMAGES, "after-activation")
    assert placed.graph.placement() == {
        "stem": "after-activation",
        "conv1": "after-activation",
        "conv2": "before-activation",
        "head": "none",
    }


def test_place_optional_argument_at_another_value_is_refused_when_called() -> None:
    placed = pn.place(FunctionalNet(), IMAGES, "after-activation").model.eval()
    placed(IMAGES)
    with pytest.raises(ValueError, match=r"rewritten for scale=None, so it cannot be called with scale=2\.0"):
        placed(IMAGES, 2.0)


def test_place_optional_argument_given_in_the_example_is_skipped_with_reason() -> None:
    placed = pn.place(FunctionalNet(), {"x": IMAGES, "scale": 2.0}, "after-activation")
    reasons = {skip.reason for skip in placed.skipped if skip.site == "conv1"}
    assert len(reasons) == 1
    assert "called with an optional argument" in reasons.pop()
    assert placed.changes == ()


def test_place_train_and_eval_keep_their_difference() -> None:
    """A rewritten forward drops units out in training only, as its source does."""
    placed = pn.place(FunctionalNet(), IMAGES, "after-activation").model
    placed.eval()
    assert torch.equal(placed(IMAGES), placed(IMAGES))
    placed.train()
    torch.manual_seed(0)
    first = placed(IMAGES)
    assert not torch.equal(first, placed(IMAGES))


@pytest.mark.parametrize("norm", ["placenorm", lambda channels, rank: nn.SyncBatchNorm(channels)], ids=["ours", "own"])
def test_place_takes_the_norm_it_is_given(norm: object) -> None:
    placed = pn.place(FunctionalNet(), IMAGES, {"conv1": "before-activation"}, norm=norm)  # type: ignore[arg-type]
    kind = BatchNorm2d if norm == "placenorm" else nn.SyncBatchNorm
    assert isinstance(placed.model.conv1.norm, kind)


def test_place_keeps_hooks_mode_and_methods() -> None:
    class Named(FunctionalNet):
        def greet(self) -> str:
            return "hello"

    seen: list[Tensor] = []
    model = Named().eval()
    model.fc2.register_forward_hook(lambda module, args, output: seen.append(output))
    placed = pn.place(model, IMAGES, "after-activation").model
    assert placed.greet() == "hello"
    assert not any(module.training for module in placed.modules())
    seen.clear()
    output = placed(IMAGES)
    assert len(seen) == 1
    assert seen[0] is output


def test_place_half_precision_network_gets_float32_norms() -> None:
    model = ModuleNet().bfloat16()
    placed = pn.place(model, IMAGES.bfloat16(), "none").model
    back = pn.place(placed, IMAGES.bfloat16(), {"features.0": "before-activation"}).model
    assert back.features[0].norm.weight.dtype == torch.float32


def test_place_in_place_changes_the_model_itself() -> None:
    model = FunctionalNet()
    placed = pn.place_(model, IMAGES, "before-activation")
    assert placed.model is model
    assert isinstance(model.conv1.norm, nn.BatchNorm2d)


@pytest.mark.parametrize("mapping", [{}, {"nowhere": "none"}], ids=["empty", "unknown"])
def test_place_mapping_without_a_match_warns(mapping: dict[str, str]) -> None:
    with pytest.warns(NoEffectWarning, match="matched no block"):
        pn.place(FunctionalNet(), IMAGES, mapping)  # type: ignore[arg-type]


def test_place_policy_without_effect_is_quiet() -> None:
    placed = pn.place(FunctionalNet(), IMAGES, "none")
    assert placed.changes == ()
    assert placed.max_error == 0.0
