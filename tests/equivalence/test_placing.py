"""Placing on networks as users write them: what changes, what stays, and that the result is an ordinary model."""

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import NoEffectWarning, UsageError
from placenorm.facts.placement import POLICIES, Policy, Position
from placenorm.layers import BatchNorm2d
from placenorm.rewrite import proving
from placenorm.rewrite.placing import Placed, place_model
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


def test_place_optional_argument_is_held_at_what_the_example_gives() -> None:
    model = FunctionalNet().eval()
    placed = pn.place(model, {"x": IMAGES, "scale": 2.0}, {"conv1": "after-activation"}).model.eval()
    x = model.conv1(IMAGES * 2.0).relu()
    torch.testing.assert_close(placed.conv1_norm(x), x / (1 + placed.conv1_norm.eps) ** 0.5)
    assert placed(IMAGES, 2.0).shape == (8, 3)
    with pytest.raises(ValueError, match=r"rewritten for scale=2\.0, so it cannot be called with scale=None"):
        placed(IMAGES)


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


def reason_of(placed: Placed, site: str) -> str:
    """Return why a block was left as it is."""
    return next(skip.reason for skip in placed.skipped if skip.site == site)


# -- what a traced forward would lose


class Frozen(nn.Module):
    """Trains its second conv only."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.second = nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = F.relu(self.first(x))
        return self.head(F.relu(self.second(x)).mean((2, 3)))


def test_place_forward_with_no_grad_keeps_its_gradients() -> None:
    placed = pn.place(Frozen(), IMAGES, "after-activation")
    assert "switches gradients" in reason_of(placed, "first")
    placed.model(IMAGES).square().sum().backward()
    assert placed.model.first.weight.grad is None


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.sign(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient


class Binary(nn.Module):
    """Its backward is its own: torch.fx traces the forward and loses it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(_StraightThrough.apply(self.conv(x)))
        return self.head(x.mean((2, 3)))


def test_place_forward_with_its_own_backward_keeps_it() -> None:
    placed = pn.place(Binary(), IMAGES, {"conv": "after-activation"})
    assert placed.changes == ()
    placed.model(IMAGES).sum().backward()
    assert placed.model.conv.weight.grad.abs().sum() > 0


class Counting(FunctionalNet):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


def test_place_forward_that_counts_its_calls_goes_on_counting() -> None:
    model = Counting()
    placed = pn.place(model, IMAGES, "after-activation")
    assert "changes its own state (calls)" in reason_of(placed, "conv1")
    placed.model(IMAGES)
    assert (model.calls, placed.model.calls) == (0, 1)


# -- containers


def blocks_of_sequential() -> nn.Sequential:
    """Return two blocks with a norm before each activation."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()
    )


def test_place_plain_sequential_stays_one() -> None:
    """It can be sliced and extended, and its children run in the order in which it holds them."""
    placed = pn.place(blocks_of_sequential(), IMAGES, "after-activation").model.eval()
    assert type(placed) is nn.Sequential
    assert [name for name, _ in placed.named_children()] == ["0", "2", "1", "3", "4", "5"]  # the last gives the output
    whole = placed(IMAGES)
    assert torch.equal(placed[3:](placed[:3](IMAGES)), whole)
    assert torch.equal(placed.append(nn.Tanh())(IMAGES), whole.tanh())
    assert placed.state_dict().keys() >= {"1.weight", "4.weight"}


class SharedNames(nn.Module):
    """Holds its layers in a list and, once more, in a Sequential."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(blocks_of_sequential())
        self.body = nn.Sequential(*self.layers)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


@PLACED
def test_place_norm_under_two_names_changes_under_both(policy: Policy) -> None:
    placed = pn.place(SharedNames(), IMAGES, policy)
    wanted = {"as-is": "before-activation", "after-pool": "after-activation"}.get(policy, policy)
    assert placed.graph.placement() == {"layers.0": wanted, "layers.3": wanted, "head": "none"}
    assert {id(child) for child in placed.model.layers} == {id(child) for child in placed.model.body}


class Pair(nn.Module):
    """Conv and norm are a Sequential, the activation stands in the forward around it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.body(x)).mean((2, 3)))


def test_place_norm_that_leaves_a_sequential_gets_a_path_of_its_own() -> None:
    placed = pn.place(Pair(), IMAGES, "after-activation")
    assert placed.graph.placement() == {"body.0": "after-activation", "head": "none"}
    assert isinstance(placed.model.body[1], nn.Identity)
    assert "body_0_norm.weight" in placed.model.state_dict()


def test_place_graph_module_is_refused_where_a_copy_would_lose_the_change() -> None:
    placed = pn.place(fx.symbolic_trace(Pair()), IMAGES, "after-activation")
    assert "GraphModule" in reason_of(placed, "body.0")
    assert copy.deepcopy(placed.model)(IMAGES).shape == (8, 3)


# -- odd forwards


class OwnConv(nn.Conv2d):
    """A conv with standardised weights."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


def test_place_bias_in_a_forward_of_the_users_own_is_named() -> None:
    model = nn.Sequential(OwnConv(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    placed = pn.place(model, IMAGES, "none")
    assert [change.reason for change in placed.changes] == [
        "BatchNorm2d 1 removed; bias of 0:conv2d_1 left as it is, since that stands in a forward of your own"
    ]


@dataclass
class Answer:
    logits: Tensor


class GivesDataclass(Pair):
    def forward(self, x: Tensor) -> Answer:  # type: ignore[override]
        return Answer(super().forward(x))


class GivesNest(Pair):
    def forward(self, x: Tensor) -> dict[str, object]:  # type: ignore[override]
        return {"logits": (super().forward(x), None)}


@pytest.mark.parametrize("net", [GivesDataclass, GivesNest])
def test_place_any_output_can_be_proved(net: type[nn.Module]) -> None:
    placed = pn.place(net(), IMAGES, "after-activation")
    assert placed.graph.placement()["body.0"] == "after-activation"
    assert type(placed.model(IMAGES)) is type(net()(IMAGES))


@pytest.mark.parametrize("policy", ["none", "before-activation"])
def test_place_unknown_norm_is_a_usage_error(policy: Policy) -> None:
    with pytest.raises(UsageError, match="Unknown norm 'bogus': use one of torch, placenorm"):
        pn.place(FunctionalNet(), IMAGES, policy, norm="bogus")  # type: ignore[arg-type]


# -- the proof


class Branches(nn.Module):
    """Many owners: blocks whose activation stands in their forward, one of them with a hidden state."""

    class Block(nn.Module):
        def __init__(self, factors: list[float]) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)
            self.scale = Branches.scale_by(factors)

        def forward(self, x: Tensor) -> Tensor:
            return self.scale(F.relu(self.conv(x)))

    @staticmethod
    def scale_by(factors: list[float]) -> Callable[[Tensor], Tensor]:
        """Return a function whose factor hangs on whether it is being traced."""
        return lambda x: x * factors[isinstance(x, fx.Proxy)]

    def __init__(self, owners: int, odd: int | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Branches.Block([1.0, 2.0 if place == odd else 1.0]) for place in range(owners))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The copies of modules that the proof made."""
    made: list[nn.Module] = []
    original = proving.copy_with_gradients

    def copy_and_note(module: nn.Module) -> nn.Module:
        made.append(original(module))
        return made[-1]

    monkeypatch.setattr(proving, "copy_with_gradients", copy_and_note)
    return made


def test_place_proof_runs_each_owner_by_itself(copies: list[nn.Module]) -> None:
    place_model(Branches(5, odd=None), IMAGES, {f"blocks.{place}.conv": "after-activation" for place in range(5)})
    assert [type(copied).__name__ for copied in copies] == ["Block"] * 2 * 5


def test_place_proof_finds_the_one_forward_that_differs() -> None:
    mapping: dict[str, Position] = {f"blocks.{place}.conv": "after-activation" for place in range(3)}
    placed = place_model(Branches(3, odd=1), IMAGES, mapping)
    assert {change.site for change in placed.changes} == {"blocks.0.conv", "blocks.2.conv"}
    assert "gives other outputs when torch.fx has traced it" in reason_of(placed, "blocks.1.conv")


def test_place_without_proof_runs_no_copy(copies: list[nn.Module]) -> None:
    placed = place_model(FunctionalNet(), IMAGES, "after-pool", prove=False)
    assert copies == []
    assert placed.graph.placement() == pn.place(FunctionalNet(), IMAGES, "after-pool").graph.placement()


class ManyInTraining(FunctionalNet):
    """Cannot train on one sample; traced in training mode, it does something else."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x) * (self.factor if self.training and isinstance(x, fx.Proxy) else 1.0)
        return self.norm(x)


@pytest.mark.parametrize("factor", [1.0, 2.0], ids=["same", "other"])
def test_place_one_sample_is_doubled_for_the_proof_in_training(factor: float) -> None:
    """A norm behind the odd factor hides it from the outputs, its running statistics do not."""
    placed = pn.place(ManyInTraining(factor), IMAGES[:1], {"conv1": "after-activation"})
    assert bool(placed.changes) is (factor == 1.0)
    if factor != 1.0:
        assert "when torch.fx has traced it" in reason_of(placed, "conv1")


class NeverTrains(FunctionalNet):
    class Picky(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                raise ValueError("too few samples")
            return x

    def __init__(self) -> None:
        super().__init__()
        self.picky = NeverTrains.Picky()

    def forward(self, x: Tensor) -> Tensor:
        return self.picky(super().forward(x))


def test_place_network_that_does_not_train_on_the_example_is_skipped() -> None:
    placed = pn.place(NeverTrains(), IMAGES[:1], {"conv1": "after-activation"})
    assert placed.changes == ()
    assert "does not train on the example input, nor on that input doubled (too few" in reason_of(placed, "conv1")


def test_place_leaves_the_example_as_it_was() -> None:
    class InPlace(FunctionalNet):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.mul_(1.5))

    images = IMAGES.clone()
    assert pn.place(InPlace(), images, "after-activation").changes
    assert torch.equal(images, IMAGES)


@pytest.mark.parametrize("fused", [{"after": "relu"}, {"before": "relu"}], ids=["after", "before"])
def test_layer_that_holds_an_activation_is_left_alone_and_named(fused: dict[str, str]) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), BatchNorm2d(4, **fused), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU())
    x = torch.randn(2, 3, 9, 9)
    done = pn.place(model, x, "none")
    assert type(done.model[1]) is BatchNorm2d
    assert type(done.model[3]) is nn.Identity
    assert any(skip.site == "1" and "holds an activation or a pool" in skip.reason for skip in done.skipped)
