from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from placenorm.errors import DataError, UsageError
from placenorm.study.request import Request


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 0}, "--seeds 0: .*give 1 or more"),
        ({"epochs": 0}, "--epochs 0: .*give 1 or more"),
        ({"batch_size": 1}, "--batch-size 1: a norm needs at least two samples"),
        ({"margin": -0.1}, r"margin of -0\.1: .*give 0 or more"),
        ({"margin": float("nan")}, "margin of nan"),
        ({"margin": float("inf")}, "margin of inf: .*no infinity"),
        ({"placements": ["sideways"]}, "Unknown placement 'sideways': use one of none"),
        ({"placements": []}, "no placement to compare"),
        ({"placements": [{"stem": "none"}]}, "Cannot compare a list that holds .*: name policies in it, or give"),
        ({"placements": {"mine": {"conv": "beside"}}}, "Unknown position 'beside'"),
        ({"lr": [0.1, -1.0]}, "give numbers from 1e-08 to 1000"),
        ({"lr": []}, "give numbers from 1e-08 to 1000"),
        ({"lr": 1e13}, "give numbers from 1e-08 to 1000"),
        ({"lr": 1e-13}, "give numbers from 1e-08 to 1000"),
        ({"lr": float("nan")}, "give numbers from 1e-08 to 1000"),
        ({"lr": 0.1, "train": "file.py:train"}, "leave --lr out"),
        ({"optimizer": "adam"}, "Unknown optimizer 'adam': use sgd or adamw"),
        ({"schedule": "linear"}, "Unknown schedule 'linear': use constant or cosine"),
        ({"norm": "group"}, "Unknown norm 'group': use torch or placenorm"),
        ({"device": "abacus"}, "Cannot use the device 'abacus'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_request_bad_option_is_one_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Request(**options)


def test_request_rates_are_sorted_and_unique() -> None:
    assert Request(lr=[0.1, 0.01, 0.1]).rates() == (0.01, 0.1)


def test_request_own_loop_has_no_rates() -> None:
    assert Request(train="file.py:train").rates() == (None,)


def test_request_placements_keep_their_order() -> None:
    assert list(Request(placements=["after-pool", "none"]).named_placements()) == ["after-pool", "none"]


def test_request_one_placement_needs_no_list() -> None:
    assert Request(placements="none").named_placements() == {"none": "none"}


@pytest.mark.parametrize("data", [TensorDataset(torch.zeros(9, 2), torch.zeros(9)), (1, 2, 3)], ids=["one", "three"])
def test_request_data_that_are_no_pair_are_one_sentence(data: Any) -> None:
    with pytest.raises(DataError, match=r"give a name, or a pair of torch datasets \(train, test\)"):
        Request(data=data)
