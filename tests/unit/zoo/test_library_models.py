"""Models of torchvision and timm by name: random weights, the right sizes, and clear words where there is none."""

import builtins
import sys
from typing import Any

import pytest
import torch

from placenorm.errors import ModelError
from placenorm.zoo import find_example, find_model


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:resnet18"])
def test_find_model_of_a_library_has_as_many_classes_as_there_are_outputs(name: str) -> None:
    model = find_model(name, sample_shape=(3, 32, 32), outputs=7)()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_find_model_of_timm_is_built_for_the_channels_of_the_data() -> None:
    model = find_model("timm:resnet18", sample_shape=(1, 32, 32), outputs=7)()
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 7)


def test_find_model_of_a_library_draws_new_weights_each_time() -> None:
    make = find_model("torchvision:resnet18", sample_shape=(3, 32, 32), outputs=2)
    torch.manual_seed(0)
    first = make().conv1.weight
    second = make().conv1.weight
    torch.manual_seed(0)
    assert not torch.equal(first, second)
    assert torch.equal(make().conv1.weight, first)


def test_find_model_without_auxiliary_heads_gives_one_output_in_training() -> None:
    model = find_model("torchvision:googlenet", sample_shape=(3, 64, 64), outputs=7)().train()
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)


MADE_FOR = {
    "torchvision:resnet18": (3, 224, 224),
    "torchvision:inception_v3": (3, 299, 299),
    "torchvision:r3d_18": (3, 16, 112, 112),
    "torchvision:lraspp_mobilenet_v3_large": (3, 224, 224),
    "timm:efficientnet_b1": (3, 240, 240),
    "timm:xcit_nano_12_p16_224": (3, 224, 224),
    "cnn": (1, 8, 8),
    "mlp:2": (1, 8, 8),
}


@pytest.mark.parametrize(("name", "shape"), MADE_FOR.items(), ids=MADE_FOR.keys())
def test_find_example_knows_what_a_model_is_made_for(name: str, shape: tuple[int, ...]) -> None:
    assert find_example(name, None)[1] == shape


def test_find_example_takes_another_shape() -> None:
    model, shape = find_example("cnn", (3, 16, 16))
    assert model(torch.zeros(2, *shape)).shape == (2, 10)


def test_find_example_of_ones_own_model_needs_a_shape() -> None:
    with pytest.raises(ModelError, match=r"Cannot run examples/my_net.py:Net: .*--input 3x224x224"):
        find_example("examples/my_net.py:Net", None)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_find_model_without_the_library_says_how_to_get_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == library or name.startswith(f"{library}.")]:
        monkeypatch.delitem(sys.modules, name)
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {library!r}")
        return original(name, *args, **kwargs)

    monkeypatch.setattr("placenorm.zoo.libraries.import_module", refuse)
    with pytest.raises(ModelError, match=f"{library} is not installed .*; run pip install {library}"):
        find_model(f"{library}:resnet18", sample_shape=(3, 8, 8), outputs=2)
