import random
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from placenorm.errors import DataError, ModelError, TrialError, UsageError
from placenorm.facts.placement import Placement
from placenorm.study.planning import make_plan
from placenorm.study.request import Request
from support.networks import FunctionalNet, ModuleNet
from support.trials import make_small_plan, write_data


def digits(**options: object) -> Request:
    return Request(**{"limit": 200, "seeds": 1, "epochs": 1, **options})  # type: ignore[arg-type]


def test_make_plan_plain_network_has_none_as_baseline() -> None:
    head = make_plan(digits(model="cnn:3"), "").head
    assert [(variant.name, variant.baseline) for variant in head.variants] == [
        ("none", True),
        ("before-activation", False),
        ("after-activation", False),
        ("after-pool", False),
    ]


def test_make_plan_network_without_pools_merges_equal_placements(tmp_path: Path) -> None:
    head = make_small_plan(tmp_path).head
    assert [variant.label for variant in head.variants] == [
        "none",
        "before-activation",
        "after-activation = after-pool",
    ]


def test_make_plan_network_with_norms_brings_as_is_as_baseline() -> None:
    class Ten(ModuleNet):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 10)

    head = make_plan(digits(model=Ten), "").head
    assert [(variant.label, variant.baseline) for variant in head.variants] == [
        ("as-is = before-activation", True),
        ("none", False),
        ("after-activation", False),
        ("after-pool", False),
    ]
    assert "as-is" not in head.settings.placements


def test_make_plan_as_is_of_a_plain_network_is_none(tmp_path: Path) -> None:
    head = make_small_plan(tmp_path, placements=["as-is", "none", "after-activation"]).head
    assert [variant.label for variant in head.variants] == ["as-is = none", "after-activation"]
    assert head.variants[0].baseline


def test_make_plan_takes_placements_of_the_users_own(tmp_path: Path) -> None:
    placements: dict[str, Placement] = {"plain": "none", "first only": {"hidden.linear0": "after-activation"}}
    head = make_small_plan(tmp_path, placements=placements).head
    assert [variant.name for variant in head.variants] == ["plain", "first only"]


def test_make_plan_placement_that_matches_nothing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'mine' matches no block of the network: it lists nowhere, the network has"):
        make_small_plan(tmp_path, placements={"mine": {"nowhere": "none"}})


def test_make_plan_skipped_blocks_are_kept_with_their_reason() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(64, 64)
            self.last = nn.Linear(64, 10)
            self.calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.last(torch.relu(self.first(x.flatten(1))))

    head = make_plan(digits(model=Counting, placements=["none", "after-activation"]), "").head
    (variant,) = head.variants
    assert variant.label == "none = after-activation"
    assert {skip.site for skip in variant.skipped} == {"first"}


def too_few_outputs() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 7))


def frozen() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10)).requires_grad_(False)


def pooled_only() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.ReLU())


def no_module() -> nn.Module:
    return 3  # type: ignore[return-value]


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.fc(x.flatten(1)), x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (FunctionalNet, r"returns \[8, 3\] for 8 samples, but digits has 10 classes"),
        (too_few_outputs, "one logit per class"),
        (pooled_only, "Sequential has no weight op"),
        (no_module, "returned a int: it must return an nn.Module"),
        (Pairs, "returns a tuple, not a tensor"),
        ("cnn:0", "depth '0' is no whole number from 1 up"),
        ("nowhere.py:Net", "nowhere.py"),
    ],
    ids=["few-classes", "few-outputs", "no-weights", "no-module", "tuple", "depth", "missing-file"],
)
def test_make_plan_model_that_cannot_be_used_is_one_sentence(model: object, words: str) -> None:
    with pytest.raises((ModelError, UsageError), match=words):
        make_plan(digits(model=model), "")


def test_make_plan_frozen_network_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="nothing to train"):
        make_plan(digits(model=frozen, placements=["none"]), "")


def test_make_plan_data_of_another_shape_is_one_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((50, 3), np.float32) + np.arange(3), y=np.arange(50) % 2)
    with pytest.raises(ModelError, match=r"does not run on an input of shape \[8, 3\]"):
        make_plan(digits(model=FunctionalNet, data=f"npz:{tmp_path / 'd.npz'}"), "")


def test_make_plan_nan_in_the_data_is_one_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.full((50, 3), np.nan, np.float32), y=np.arange(50) % 2)
    with pytest.raises(DataError, match="NaN"):
        make_plan(digits(model="mlp:1", data=f"npz:{tmp_path / 'd.npz'}"), "")


def test_make_plan_regression_targets_must_fit(tmp_path: Path) -> None:
    data = write_data(tmp_path, regression=True)
    with pytest.raises(ModelError, match=r"returns \[8, 2\], but the targets of .* are \[8\]"):
        make_plan(digits(model=lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)), data=data), "")


@pytest.mark.parametrize("train", [3, lambda model: 0.0], ids=["no-function", "other-arguments"])
def test_make_plan_own_loop_of_another_form_is_one_sentence(tmp_path: Path, train: object) -> None:
    with pytest.raises(TrialError, match=r"train\(model, seed, report\)"):
        make_small_plan(tmp_path, train=train)


def test_make_plan_own_source_is_part_of_the_identity(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    source = (
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))\n"
    )
    hashes = []
    for text in (source, source + "# changed\n"):
        file.write_text(text)
        hashes.append(make_small_plan(tmp_path, model=f"{file}:make").head.settings.source_hash)
    assert hashes[0] != hashes[1]


class NoWayBack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        raise RuntimeError("there is no way back")


class OneWay(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.fc.register_forward_hook(lambda module, inputs, output: NoWayBack.apply(output))  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


def test_make_plan_model_whose_backward_fails_is_one_sentence() -> None:
    with pytest.raises(ModelError, match="run backwards, it raises RuntimeError: there is no way back"):
        make_plan(digits(model=OneWay, placements=["none"]), "")


def test_make_plan_fewer_samples_than_an_example_has(tmp_path: Path) -> None:
    head = make_small_plan(tmp_path, limit=10, placements=["none"]).head
    assert head.data is not None
    assert head.data.train < 8


def test_make_plan_weights_are_part_of_the_identity(tmp_path: Path) -> None:
    hashes = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(tiny().state_dict(), tmp_path / "w.pt")
        head = make_small_plan(tmp_path, model=tiny, weights=tmp_path / "w.pt", placements=["none"]).head
        hashes.append(head.settings.source_hash)
    assert hashes[0] != hashes[1]


def test_make_plan_example_input_is_part_of_the_identity(tmp_path: Path) -> None:
    hashes = {
        make_small_plan(tmp_path, model=tiny, placements=["none"], example_inputs=x).head.settings.source_hash
        for x in (None, torch.zeros(8, 6), torch.zeros(9, 6))
    }
    assert len(hashes) == 3


def tiny() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))


def test_make_plan_what_cannot_be_sent_is_one_sentence() -> None:
    data = TensorDataset(torch.randn(40, 6), torch.arange(40) % 3)
    data.lock = threading.Lock()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"Cannot send the data to the worker processes: .*pickle"):
        make_plan(digits(model=tiny, data=(data, None)), "")


def test_make_plan_leaves_the_random_states_as_they_were(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    expected = draw()
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002
    torch.set_rng_state(states[2])
    make_small_plan(tmp_path)
    assert draw() == expected
