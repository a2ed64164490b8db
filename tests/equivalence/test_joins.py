"""Norms on joins and forks (pre-activation and dense networks), pools and activations that change places, odd axes."""

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.facts.placement import Policy
from placenorm.layers.features_last import FeaturesLast

IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class PreActivation(nn.Module):
    """A residual network whose norms stand before the convs; each add is read by a branch and by the next add."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(4))
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(4))
        self.last = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for place in (0, 2):
            y = self.convs[place](torch.relu(self.norms[place](x)))
            x = x + self.convs[place + 1](torch.relu(self.norms[place + 1](y)))
        return self.head(torch.relu(self.last(x)).mean((2, 3)))


class Dense(nn.Module):
    """Concatenations feed norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.relu = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        self.conv, self.last, self.head = nn.Conv2d(4, 2, 3, padding=1), nn.BatchNorm2d(6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([x, self.conv(self.relu(self.norm(x)))], 1)
        return self.head(self.relu(self.last(x)).mean((2, 3)))


JOINED = pytest.mark.parametrize("net", [PreActivation, Dense])


@JOINED
def test_join_that_feeds_a_norm_opens_a_block(net: type[nn.Module]) -> None:
    graph = pn.trace(net(), IMAGES)
    joined = [block for block in graph.blocks if block.joined]
    assert {block.position for block in joined} == {"before-activation"}
    assert sorted(index for block in graph.blocks for index in block.norms) == [
        index for index, op in enumerate(graph.ops) if op.kind == "norm"
    ]


@JOINED
def test_before_activation_changes_nothing_and_says_why(net: type[nn.Module]) -> None:
    """No second norm is added where a join's norm serves the block already."""
    placed = pn.place(net(), IMAGES, "before-activation")
    assert placed.changes == ()
    assert any("normalises it behind a join" in skip.reason for skip in placed.skipped)


@JOINED
def test_none_removes_the_norms_of_joins_too(net: type[nn.Module]) -> None:
    assert pn.place(net(), IMAGES, "none").graph.norms == ()


@JOINED
@pytest.mark.parametrize("way", ["after-activation", "after-pool"])
def test_norm_of_a_join_moves_behind_its_activation_and_back(net: type[nn.Module], way: Policy) -> None:
    model = net()
    there = pn.place(model, IMAGES, way)
    assert {block.position for block in there.graph.blocks if block.joined} == {"after-activation"}
    assert pn.place(there.model, IMAGES, way).changes == ()
    back = pn.place(there.model, IMAGES, "before-activation")
    assert back.graph.placement() == pn.trace(model, IMAGES).placement()
    assert {name: p.shape for name, p in back.model.named_parameters()} == {
        name: p.shape for name, p in model.named_parameters()
    }
    model.eval()
    torch.testing.assert_close(back.model.eval()(IMAGES), model(IMAGES))


def test_norm_of_one_edge_leaves_the_other_readers_alone() -> None:
    """The shortcut of a pre-activation network is not normalised, wherever the branch's norm stands."""
    model = PreActivation().eval()
    with torch.no_grad():
        for norm in (*model.norms, model.last):
            norm.running_mean.fill_(0.5)
    placed = pn.place(model, IMAGES, {"stem->:relu_1": "after-activation"}).model.eval()
    norm = placed.norms[0]
    x = model.stem(IMAGES)
    y = model.convs[0](norm(torch.relu(x)))
    y = x + model.convs[1](torch.relu(model.norms[1](y)))
    z = model.convs[2](torch.relu(model.norms[2](y)))
    z = y + model.convs[3](torch.relu(model.norms[3](z)))
    torch.testing.assert_close(placed(IMAGES), model.head(torch.relu(model.last(z)).mean((2, 3))))


def test_mapping_may_put_a_norm_behind_an_add() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv, self.head = nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.stem(x))
            return self.head(torch.relu(x + self.conv(x)).mean((2, 3)))

    model = Residual()
    assert [join.key for join in pn.trace(model, IMAGES).joins] == [":add_1"]
    assert ":add_1" not in pn.place(model, IMAGES, "before-activation").graph.placement()
    placed = pn.place(model, IMAGES, {":add_1": "before-activation"})
    assert placed.graph.placement()[":add_1"] == "before-activation"
    assert placed.placement == {"stem": "none", "conv": "none", "head": "none", ":add_1": "before-activation"}
    again = pn.place(Residual(), IMAGES, placed.placement)
    assert again.graph.placement() == placed.graph.placement()
    assert pn.place(placed.model, IMAGES, {":add_1": "none"}).graph.norms == ()


# -- a pool before its activation


class Functions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        return self.head(x.mean((2, 3)))


def modules() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 3)
    )


@pytest.mark.parametrize(("make", "key"), [(Functions, "conv"), (modules, "0")], ids=["functions", "modules"])
def test_norm_between_pool_and_activation_and_back(make: type[nn.Module], key: str) -> None:
    model = make().eval()
    placed = pn.place(model, IMAGES, {key: "after-pool-before-activation"})
    graph = placed.graph
    block = next(block for block in graph.blocks if block.key == key)
    assert [graph.ops[index].kind for index in block.chain][:3] == ["pool", "norm", "activation"]
    assert graph.ops[block.norms[0]].in_shape[2:] == (3, 3)
    assert pn.place(placed.model, IMAGES, {key: "after-pool-before-activation"}).changes == ()
    back = pn.place(placed.model, IMAGES, {key: "before-activation"})
    torch.testing.assert_close(back.model.eval()(IMAGES), model(IMAGES))  # max pool and ReLU commute


@pytest.mark.parametrize(
    "layers",
    [(nn.GELU(), nn.MaxPool2d(2)), (nn.ReLU(), nn.AvgPool2d(2)), (nn.ReLU(), nn.Dropout(), nn.MaxPool2d(2))],
    ids=["falls", "average", "dropout-between"],
)
def test_norm_between_pool_and_activation_is_refused_where_they_do_not_commute(layers: tuple[nn.Module, ...]) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), *layers, nn.Conv2d(4, 2, 3))
    placed = pn.place(model, IMAGES, {"0": "after-pool-before-activation"})
    assert [skip.reason for skip in placed.skipped] == [
        "it has no max pool next to an activation that never falls, so they cannot change places"
    ]


# -- features that are last


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(6, 8), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.up(x)))


TOKENS = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("position", ["before-activation", "after-activation"])
def test_mapping_puts_a_norm_on_features_that_are_last(position: str) -> None:
    model = Tokens()
    assert pn.place(model, TOKENS, "after-activation").changes == ()
    placed = pn.place(model, TOKENS, {"up": position})  # type: ignore[dict-item]
    assert placed.graph.placement()["up"] == position
    (norm,) = (module for module in placed.model.modules() if isinstance(module, FeaturesLast))
    x = torch.randn(3, 7, 8)
    expected = nn.BatchNorm1d(8)(x.flatten(0, 1)).view_as(x)
    torch.testing.assert_close(norm.train()(x), expected)
    bare = pn.place(placed.model, TOKENS, "none")
    assert bare.graph.norms == ()
    assert not any(isinstance(module, FeaturesLast) for module in bare.model.modules())


def test_features_that_are_last_are_preserved_too() -> None:
    placed = pn.place(Tokens().eval(), TOKENS, {"up": "after-activation"}, preserve=TOKENS)
    assert placed.changes
    assert placed.max_error is not None
    assert placed.max_error < 1e-12


# -- calls of one line


class Twins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.encoder(x) - self.encoder(x.flip(3))).abs().mean((2, 3)))


def test_module_that_runs_twice_has_one_norm_for_both() -> None:
    placed = pn.place(Twins(), IMAGES, "after-activation")
    assert placed.graph.placement() == {
        "encoder.0": "after-activation",
        "encoder.0#2": "after-activation",
        "head": "none",
    }
    assert sum(isinstance(module, nn.BatchNorm2d) for module in placed.model.modules()) == 1
    assert [change.reason for change in placed.changes if change.site == "encoder.0#2"] == [
        "with encoder.0, the same line of the source"
    ]
    assert pn.place(placed.model, IMAGES, "after-activation").changes == ()
