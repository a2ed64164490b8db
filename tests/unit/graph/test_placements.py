from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import placenorm as pn
from placenorm.errors import UsageError
from placenorm.facts.placement import Placement
from placenorm.graph.placements import plan_edits
from support.networks import IMAGES, FunctionalNet, ModuleNet, ResidualNet


@pytest.mark.parametrize(
    ("placement", "expected"),
    [
        ("none", [("features.0", "remove", "none", "add"), ("features.4", "remove", "none", "add")]),
        ("before-activation", []),
        (
            "after-activation",
            [("features.0", "move", "after-activation", "add"), ("features.4", "move", "after-activation", "add")],
        ),
        (
            "after-pool",
            [("features.0", "move", "after-pool", "add"), ("features.4", "move", "after-activation", "add")],
        ),
        ("as-is", []),
        ({"features.4": "none"}, [("features.4", "remove", "none", "add")]),
    ],
    ids=["none", "before", "after", "pool", "as-is", "mapping"],
)
def test_plan_edits_says_what_must_change(placement: Placement, expected: list[tuple[str, ...]]) -> None:
    plan = plan_edits(pn.trace(ModuleNet(), IMAGES), placement)
    assert [(edit.block, edit.action, edit.after, edit.bias) for edit in plan.edits] == expected


def test_plan_edits_branch_without_activation_keeps_its_norm_before_the_add() -> None:
    plan = plan_edits(pn.trace(ResidualNet(), IMAGES), "after-activation")
    assert "conv2" not in {edit.block for edit in plan.edits}


def test_plan_edits_names_the_exempt_logits() -> None:
    plan = plan_edits(pn.trace(FunctionalNet(), IMAGES), "before-activation")
    assert [(skip.site, skip.reason) for skip in plan.skipped] == [
        ("fc2", "no norm is added: it gives the network's output")
    ]


def test_plan_edits_mapping_may_norm_the_logits() -> None:
    plan = plan_edits(pn.trace(FunctionalNet(), IMAGES), {"fc2": "before-activation"})
    assert [edit.block for edit in plan.edits] == ["fc2"]


def test_plan_edits_unknown_key_is_skipped_with_reason() -> None:
    plan = plan_edits(pn.trace(FunctionalNet(), IMAGES), {"nowhere": "none", "conv1": "after-pool"})
    assert [(skip.site, skip.reason) for skip in plan.skipped] == [("nowhere", "no block of the network has this key")]
    assert plan.matched == 1


@pytest.mark.parametrize(
    ("key", "position", "reason"),
    [
        ("fc1", "after-pool", "it has no activation with a spatial pool behind it"),
        ("fc2", "after-activation", "it has no activation"),
        (
            "fc1",
            "after-pool-before-activation",
            "it has no max pool next to an activation that never falls, so they cannot change places",
        ),
    ],
    ids=["pool", "activation", "pool-before-activation"],
)
def test_plan_edits_site_that_is_not_there_is_skipped(key: str, position: str, reason: str) -> None:
    plan = plan_edits(pn.trace(FunctionalNet(), IMAGES), {key: position})  # type: ignore[dict-item]
    assert [(skip.site, skip.reason) for skip in plan.skipped] == [(key, reason)]


def test_plan_edits_module_on_two_lines_gets_a_norm_on_each() -> None:
    fc = nn.Linear(64, 64)
    model = nn.Sequential(nn.Flatten(), fc, nn.ReLU(), fc, nn.ReLU(), nn.Linear(64, 2))
    plan = plan_edits(pn.trace(model, IMAGES), {"1": "before-activation"})
    assert [(edit.block, edit.bias) for edit in plan.edits] == [("1", "keep")]
    plan = plan_edits(pn.trace(model, IMAGES), "before-activation")
    assert [(edit.block, edit.bias) for edit in plan.edits] == [("1", "drop"), ("1#2", "drop")]


class Twins(nn.Module):
    """One encoder for two images: each of its lines runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.head((self.encoder(x) - self.encoder(y)).mean((2, 3)))


def test_plan_edits_calls_of_one_line_are_one_edit() -> None:
    plan = plan_edits(pn.trace(Twins(), (IMAGES, IMAGES)), "before-activation")
    assert [(edit.block, edit.also) for edit in plan.edits] == [
        ("encoder.0", ("encoder.0#2",)),
        ("encoder.2", ("encoder.2#2",)),
    ]


def test_plan_edits_one_call_of_a_line_alone_is_skipped() -> None:
    plan = plan_edits(pn.trace(Twins(), (IMAGES, IMAGES)), {"encoder.0": "before-activation"})
    assert plan.edits == ()
    assert [(skip.site, skip.reason) for skip in plan.skipped] == [
        ("encoder.0", "one line of the source runs as encoder.0, encoder.0#2, which would differ; list all")
    ]


def test_plan_edits_norm_on_the_input_is_removed_and_never_added() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    graph = pn.trace(model, IMAGES)
    assert graph.placement()["input:input"] == "before-activation"
    assert [(edit.block, edit.action) for edit in plan_edits(graph, "none").edits] == [("input:input", "remove")]
    bare = pn.trace(model[1:], IMAGES)
    assert "input:input" not in bare.placement()


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        ("afterwards", "Unknown placement 'afterwards': use one of none"),
        ({"conv1": "behind"}, "Unknown position 'behind' for block 'conv1'"),
    ],
    ids=["policy", "position"],
)
def test_plan_edits_unknown_word_is_one_sentence(placement: Placement, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_edits(pn.trace(FunctionalNet(), IMAGES), placement)


def test_plan_edits_norm_with_its_own_forward_stays_and_is_named() -> None:
    class NormWithActivation(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return F.relu(super().forward(x))

    model = nn.Sequential(nn.Conv2d(1, 2, 3), NormWithActivation(2), nn.Flatten(), nn.Linear(72, 2))
    plan = plan_edits(pn.trace(model, IMAGES), "none")
    assert plan.edits == ()
    assert [(skip.site, skip.reason) for skip in plan.skipped] == [
        (
            "1",
            "it is NormWithActivation, whose forward is your own, so that its norm cannot be told from the rest; "
            "it stays as it is",
        )
    ]


@pytest.mark.parametrize(
    ("model", "example", "placement", "reason"),
    [
        (
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3)),
            torch.zeros(1, 8, 8),
            {"0": "before-activation"},
            "its output [4, 6, 6] has no batch axis, so the example input has none; give one",
        ),
        (
            nn.Sequential(nn.Linear(6, 8), nn.Unflatten(2, (2, 4)), nn.ReLU(), nn.Linear(4, 2)),
            torch.zeros(4, 5, 6),
            {"0": "after-activation"},
            "its features are last, on [4, 5, 8], and not where the norm would be, on [4, 5, 2, 4]",
        ),
    ],
    ids=["unbatched", "features-reshaped"],
)
def test_plan_edits_channels_on_another_axis_are_skipped(
    model: nn.Module, example: Tensor, placement: Placement, reason: str
) -> None:
    plan = plan_edits(pn.trace(model, example), placement)
    assert plan.edits == ()
    assert [(skip.site, skip.reason) for skip in plan.skipped] == [("0", reason)]


class OneCall(nn.Module):
    """A conv, a call of the user's own, a head."""

    def __init__(self, call: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Conv2d(4, 2, 3)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.call(self.conv(x)))


def _work_in_place(x: Tensor) -> Tensor:
    F.relu_(x)
    return x


@pytest.mark.parametrize(
    ("call", "follows"),
    [
        (lambda x: x * torch.sigmoid(x), "sigmoid (:sigmoid_1), mul (:mul_1)"),
        (lambda x: x.clamp(min=0), "clamp (:clamp_1)"),
    ],
    ids=["swish", "clamp"],
)
@pytest.mark.parametrize("policy", ["after-activation", "after-pool"], ids=["after", "pool"])
def test_plan_edits_says_that_it_knows_no_activation(
    call: Callable[[Tensor], Tensor], follows: str, policy: Placement
) -> None:
    plan = plan_edits(pn.trace(OneCall(call), IMAGES), policy)
    assert [(edit.block, edit.after) for edit in plan.edits] == [("conv", "before-activation")]
    assert [skip.reason for skip in plan.skipped if skip.site == "conv"] == [
        f"no activation that tracing knows follows (its output goes into {follows}), so its norm stays on the weight op"
    ]


@pytest.mark.parametrize(
    "call",
    [
        torch.relu,
        _work_in_place,
        lambda x: x,
        lambda x: F.max_pool2d(x, 2),
        lambda x: x + 1.0 * torch.relu(x),
        lambda x: torch.relu(x) + x,
    ],
    ids=["relu", "in-place", "conv-conv", "pool", "scaled-branch", "branch"],
)
def test_plan_edits_says_nothing_where_nothing_is_unknown(call: Callable[[Tensor], Tensor]) -> None:
    plan = plan_edits(pn.trace(OneCall(call), IMAGES), "after-activation")
    assert [skip.site for skip in plan.skipped] == ["head"]


def test_plan_edits_norm_on_another_axis_is_removed() -> None:
    model = nn.Sequential(nn.Linear(6, 8, bias=False), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(8, 2))
    graph = pn.trace(model, torch.zeros(4, 5, 6))
    assert [(edit.block, edit.action) for edit in plan_edits(graph, "none").edits] == [("0", "remove")]
    assert plan_edits(graph, "after-activation").edits == ()


def test_plan_edits_residual_branch_is_not_unknown() -> None:
    plan = plan_edits(pn.trace(ResidualNet(), IMAGES), "after-activation")
    assert [skip.site for skip in plan.skipped] == ["head"]
