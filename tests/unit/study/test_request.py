from typing import Any

import pytest

from placenorm.errors import UsageError
from placenorm.study.request import Request


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seeds": 0}, "--seeds 0: .*give 1 or more"),
        ({"epochs": 0}, "--epochs 0: .*give 1 or more"),
        ({"batch_size": 1}, "--batch-size 1: a norm needs at least two samples"),
        ({"margin": -0.1}, r"margin of -0\.1: .*give 0 or more"),
        ({"margin": float("nan")}, "margin of nan"),
        ({"placements": ["sideways"]}, "Unknown placement 'sideways': use one of none"),
        ({"placements": []}, "no placement to compare"),
        ({"placements": {"mine": {"conv": "beside"}}}, "Unknown position 'beside'"),
        ({"lr": [0.1, -1.0]}, "give numbers above 0"),
        ({"lr": []}, "give numbers above 0"),
        ({"lr": 0.1, "train": "file.py:train"}, "leave --lr out"),
        ({"optimizer": "adam"}, "Unknown optimizer 'adam': use sgd or adamw"),
        ({"schedule": "linear"}, "Unknown schedule 'linear': use constant or cosine"),
        ({"norm": "group"}, "Unknown norm 'group': use torch or placenorm"),
        ({"device": "abacus"}, "Cannot train on the device 'abacus'"),
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
