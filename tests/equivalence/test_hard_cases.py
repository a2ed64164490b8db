"""Networks on which a rewrite could be silently wrong: calls in place, modes that differ, frozen and hooked norms."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import DataError, ModelError
from placenorm.facts.placement import Policy, write_placement
from placenorm.rewrite.placing import Placed

IMAGES = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def reason_of(placed: Placed, site: str) -> str:
    return next(skip.reason for skip in placed.skipped if skip.site == site)


# -- in place


class Branch(nn.Module):
    """A norm stands between a value that two read and a ReLU that works in place."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.bn = nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2)
        self.act, self.conv = nn.ReLU(inplace=inplace), nn.Conv2d(2, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return x + self.conv(self.act(self.bn(x)))


@pytest.mark.parametrize("policy", ["none", "after-activation"])
def test_removed_norm_lets_no_call_in_place_write_into_what_others_read(policy: Policy) -> None:
    placed = pn.place(Branch(True), IMAGES, policy)
    assert any("act no longer in place, since others read" in change.reason for change in placed.changes)
    expected = pn.place(Branch(False), IMAGES, policy).model.eval()
    assert torch.equal(placed.model.eval()(IMAGES), expected(IMAGES))


def test_removed_norm_leaves_the_input_alone() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.ReLU(inplace=True), nn.Conv2d(1, 2, 3))
    placed = pn.place(model, IMAGES, "none").model
    images = IMAGES.clone()
    placed(images)
    assert torch.equal(images, IMAGES)


def test_removed_norm_before_a_function_in_place_stays_with_the_reason() -> None:
    class Function(Branch):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return x + self.conv(F.relu_(self.bn(x)))

    placed = pn.place(Function(False), IMAGES, "none")
    assert placed.changes == ()
    assert "works in place, and without the norm before it would write into what others read" in reason_of(
        placed, "stem->:relu_1"
    )


# -- training and evaluation that differ


class InOneMode(nn.Module):
    def __init__(self, body: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.drop, self.head, self.body = nn.Conv2d(1, 2, 1), nn.Dropout(0.5), nn.Conv2d(2, 2, 1), body

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self, self.conv(x)))


def _twice_in_training(net: nn.Module, x: Tensor) -> Tensor:
    x = net.drop(x)
    if net.training:
        x = F.relu(x) * 2
    return F.relu(x)


def _other_activation(net: nn.Module, x: Tensor) -> Tensor:
    return F.relu(x) if net.training else F.gelu(x)


@pytest.mark.parametrize("body", [_twice_in_training, _other_activation])
def test_call_that_cannot_be_told_in_both_modes_is_skipped(body: Callable[[nn.Module, Tensor], Tensor]) -> None:
    placed = pn.place(InOneMode(body), IMAGES, "after-activation")
    assert placed.changes == ()
    assert "cannot be told from other calls in both modes" in reason_of(placed, "conv")


def test_mode_of_a_child_is_not_held_fixed() -> None:
    def body(net: nn.Module, x: Tensor) -> Tensor:
        return F.dropout(F.relu(x), 0.5, net.drop.training)

    placed = pn.place(InOneMode(body), IMAGES, "after-activation")
    assert "asks a module in it for its mode" in reason_of(placed, "conv")


def test_forward_called_with_other_plain_values_is_skipped() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
            return F.relu(self.conv(x)) * scale + 1

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.head = Scaled(), nn.Conv2d(1, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.block(self.block(x), 2.0))

    placed = pn.place(Twice(), IMAGES, "after-activation")
    assert placed.changes == ()
    assert "is called with other plain values from one call to the next" in reason_of(placed, "block.conv")


# -- what a norm brings along


def blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, eps=1e-2)), nn.ReLU(), nn.Conv2d(4, 2, 3))


def test_moved_norm_keeps_mode_settings_hooks_and_what_of_it_learns() -> None:
    model = blocks().train()
    norm = model[0][1].eval().requires_grad_(False)
    seen: list[int] = []
    norm.register_forward_hook(lambda module, args, output: seen.append(1))
    placed = pn.place_(model, IMAGES, "after-activation")
    moved = placed.model.get_submodule("1.norm")
    assert moved is norm
    assert (moved.eps, moved.training, moved.weight.requires_grad) == (1e-2, False, False)
    seen.clear()
    placed.model(IMAGES)
    assert seen == [1]


def test_optimizer_forgets_what_it_knew_of_a_norm_that_starts_anew() -> None:
    model = blocks()
    optimizer = torch.optim.Adam(model.parameters())
    model(IMAGES).square().sum().backward()
    optimizer.step()
    placed = pn.place_(model, IMAGES, "after-activation")
    placed.remap(optimizer)
    norm = placed.model.get_submodule("1.norm")
    assert norm.weight not in optimizer.state
    assert placed.model[0][0].weight in optimizer.state
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in placed.model.parameters()}


def test_optimizer_gets_the_parameters_of_any_norm() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    placed = pn.place_(model, IMAGES, "after-activation", norm=lambda c, r: nn.Sequential(nn.BatchNorm2d(c), nn.Tanh()))
    placed.remap(optimizer)
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in placed.model.parameters()}


def test_bias_of_a_frozen_layer_is_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
    placed = pn.place(model.requires_grad_(False).eval(), IMAGES, "none", preserve=IMAGES)
    assert placed.model[0].bias is not None
    assert not any(p.requires_grad for p in placed.model.parameters())


# -- preserve


class SharedActivation(nn.Module):
    """One activation serves two Sequentials, so a norm behind it cannot hang on it: it is the Sequential's last."""

    def __init__(self) -> None:
        super().__init__()
        shared = nn.ReLU()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3), shared)
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3), shared)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)).mean((2, 3)))


def test_norm_at_the_end_of_a_sequential_runs_once() -> None:
    placed = pn.place(SharedActivation(), IMAGES, "after-activation")
    assert [norm.key for norm in placed.graph.norms] == ["first.norm", "second.norm"]
    assert list(placed.model.first._modules) == ["0", "1", "norm"]
    without = pn.place(placed.model, IMAGES, "none")
    assert without.graph.norms == ()
    assert list(without.model.first._modules) == ["0", "1"]
    again = pn.place(without.model, IMAGES, "after-activation").model
    assert again.state_dict().keys() == placed.model.state_dict().keys()


class RunsWhateverItHolds(nn.Module):
    """Its forward runs all its children, so a child that a hook runs too would run twice."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.ReLU()
        self.body = RunsWhateverItHolds.Chain(nn.Conv2d(1, 4, 3), self.shared)

    class Chain(nn.ModuleList):
        def __init__(self, *parts: nn.Module) -> None:
            super().__init__(parts)

        def forward(self, x: Tensor) -> Tensor:
            for part in self.children():
                x = part(x)
            return x

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(self.body(x)).mean((2, 3)) @ torch.ones(4, 2)


def test_norm_that_would_run_twice_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"norm of body\.0 at after-activation: after the change 2 norms run there"):
        pn.place(RunsWhateverItHolds(), IMAGES, {"body.0": "after-activation"})


def test_norm_that_carries_an_activation_leaves_its_parameters_under_their_names() -> None:
    norm = timm.layers.BatchNormAct2d(4, act_layer=nn.PReLU)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), norm, nn.Conv2d(4, 2, 3))
    weight = norm.act.weight
    placed = pn.place_(model, IMAGES, "none").model
    assert placed.get_parameter("1.act.weight") is weight
    again = pn.place_(model, IMAGES, "after-activation")
    assert again.graph.placement() == {"0": "after-activation", "2": "none"}
    assert len(again.graph.norms) == 1


def test_preserve_shared_norm_on_two_lines_is_taken_in_once() -> None:
    class Pairs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn, self.head = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            left = torch.relu(self.bn(self.conv(x)))
            right = torch.tanh(self.bn(self.conv(-x)))
            return self.head(left + right)

    torch.manual_seed(0)
    model = Pairs().eval()
    with torch.no_grad():
        model.bn.weight.fill_(-2.0)
        model.bn.running_mean.fill_(0.3)
    placed = pn.place(model, IMAGES, "none", preserve=IMAGES)
    assert placed.graph.norms == ()
    assert placed.max_error is not None
    assert placed.max_error < 1e-12


def test_preserve_norm_without_gamma_and_beta_stays_or_is_taken_in() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()
    assert pn.place(model, IMAGES, "none", preserve=IMAGES).graph.norms == ()
    placed = pn.place(model, IMAGES, "after-activation", preserve=IMAGES)
    assert "has no gamma and beta with which to begin as the identity" in reason_of(placed, "0")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_preserve_on_data_that_are_not_finite_changes_nothing(bad: float) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(DataError, match="Cannot preserve at 0: what its new norm reads on these data is not finite"):
        pn.place_(model, IMAGES, "after-activation", preserve=[IMAGES, IMAGES * bad])
    assert model.state_dict().keys() == before.keys()


@pytest.mark.parametrize("data", [[], 7], ids=["empty", "number"])
def test_preserve_on_no_data_is_refused_even_where_nothing_would_change(data: object) -> None:
    with pytest.raises(DataError):
        pn.place(nn.Sequential(nn.Conv2d(1, 4, 3)), IMAGES, "none", preserve=data)


def test_preserve_pool_of_ones_own_is_not_taken_for_torchs() -> None:
    class Padded(nn.AvgPool2d):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return super().forward(F.pad(x, (0, 1, 0, 1)))

    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), Padded(2), nn.Conv2d(4, 2, 1)).eval()
    with torch.no_grad():
        model[2].bias.fill_(1.0)
    placed = pn.place(model, IMAGES, "after-pool", preserve=IMAGES)
    assert placed.changes == ()
    assert "counts padding, or does more than take the mean" in reason_of(placed, "0")


def test_placement_file_asks_for_biases_and_the_optimizer_gets_them(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    write_placement({"0": "after-activation"}, tmp_path / "placement.json", ["2"])
    placed = pn.place_(model, IMAGES, tmp_path / "placement.json")
    placed.remap(optimizer)
    assert placed.biases == ("2",)
    assert ("2", "a bias added (zero), as the placement file asks for") in [(c.site, c.reason) for c in placed.changes]
    assert {id(p) for g in optimizer.param_groups for p in g["params"]} == {id(p) for p in placed.model.parameters()}


# -- state


def test_trace_leaves_memory_shared() -> None:
    class Views(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("whole", torch.zeros(4))
            self.part = self.whole[:2]
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.whole.add_(1)
            return self.conv(x)

    model = Views()
    pn.trace(model, IMAGES)
    assert model.whole.tolist() == [0.0] * 4
    model.whole.fill_(5)
    assert model.part.tolist() == [5.0, 5.0]


def test_recalibrate_leaves_all_but_the_statistics_and_takes_keywords() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bn, self.calls = nn.BatchNorm2d(1), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.bn(input=x)

    model = Counting()
    done = pn.recalibrate_(model, IMAGES)
    assert model.calls == 0
    torch.testing.assert_close(model.bn.running_mean, IMAGES.mean((0, 2, 3)))
    assert [change.site for change in done.changes] == ["bn"]
