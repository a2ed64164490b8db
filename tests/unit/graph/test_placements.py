import pytest
from torch import nn

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
        ("conv1", "after-pool-before-activation", "the position after-pool-before-activation is not there yet"),
    ],
    ids=["pool", "activation", "not-yet"],
)
def test_plan_edits_site_that_is_not_there_is_skipped(key: str, position: str, reason: str) -> None:
    plan = plan_edits(pn.trace(FunctionalNet(), IMAGES), {key: position})  # type: ignore[dict-item]
    assert [(skip.site, skip.reason) for skip in plan.skipped] == [(key, reason)]


def test_plan_edits_weight_op_that_runs_twice_is_skipped() -> None:
    fc = nn.Linear(64, 64)
    model = nn.Sequential(nn.Flatten(), fc, nn.ReLU(), fc, nn.ReLU(), nn.Linear(64, 2))
    plan = plan_edits(pn.trace(model, IMAGES), "after-activation")
    assert [skip.site for skip in plan.skipped if "runs 2 times" in skip.reason] == ["1", "1#2"]


def test_plan_edits_norm_on_the_input_is_skipped_with_reason() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    plan = plan_edits(pn.trace(model, IMAGES), "none")
    assert [skip.site for skip in plan.skipped] == ["0"]


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
