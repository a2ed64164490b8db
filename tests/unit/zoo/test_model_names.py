"""Models by name."""

import pickle

import pytest
import torch
from torch import nn

from placenorm.errors import ModelError, UsageError
from placenorm.zoo import find_model
from placenorm.zoo.plain import CNN_WIDTHS, MLP_WIDTH

IMAGE = (1, 8, 8)


def build(name: str, sample_shape: tuple[int, ...] = IMAGE, outputs: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return find_model(name, sample_shape=sample_shape, outputs=outputs)()


def count(model: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in model.modules())


@pytest.mark.parametrize(
    ("name", "convs", "pools"),
    [
        pytest.param("cnn", 8, 2, id="default"),
        pytest.param("cnn:1", 1, 0, id="one-stage"),
        pytest.param("cnn:2", 2, 1, id="two-stages"),
        pytest.param("cnn:3", 3, 2, id="three-stages"),
        pytest.param("cnn:20", 20, 2, id="deep"),
    ],
)
def test_cnn_has_its_depth(name, convs, pools):
    model = build(name)
    assert (count(model, nn.Conv2d), count(model, nn.MaxPool2d)) == (convs, pools)
    assert count(model, nn.ReLU) == convs
    assert model(torch.randn(3, *IMAGE)).shape == (3, 10)


def test_cnn_equals_cnn_8():
    assert str(build("cnn")) == str(build("cnn:8"))


def test_cnn_widens_from_stage_to_stage():
    widths = [module.out_channels for module in build("cnn").modules() if isinstance(module, nn.Conv2d)]
    assert widths == sorted(widths)
    assert set(widths) == set(CNN_WIDTHS)


@pytest.mark.parametrize(
    ("shape", "pools"),
    [
        pytest.param((3, 1, 1), 0, id="one-pixel"),
        pytest.param((3, 2, 9), 1, id="flat"),
        pytest.param((3, 28, 28), 2, id="fashion"),
    ],
)
def test_cnn_pools_as_far_as_the_map_goes(shape, pools):
    model = build("cnn", shape)
    assert count(model, nn.MaxPool2d) == pools
    assert model(torch.randn(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize(
    ("shape", "flattens"),
    [pytest.param((13,), 0, id="features"), pytest.param(IMAGE, 1, id="image"), pytest.param((4, 7), 1, id="signal")],
)
def test_mlp_takes_any_samples(shape, flattens):
    model = build("mlp:3", shape, outputs=2)
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert [linear.out_features for linear in linears] == [MLP_WIDTH] * 3 + [2]
    assert count(model, nn.Flatten) == flattens
    assert model(torch.randn(5, *shape)).shape == (5, 2)


@pytest.mark.parametrize("name", ["cnn:12", "mlp:12"])
def test_signal_keeps_its_size_through_a_deep_plain_network(name):
    """Torch's default initialisation shrinks it to under 1e-3 here; He's keeps it."""
    torch.manual_seed(0)
    logits = build(name)(torch.randn(64, *IMAGE))
    assert 0.05 < logits.std() < 20


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_built_in_models_have_no_norm_and_zero_biases(name):
    model = build(name)
    assert not any("Norm" in type(module).__name__ for module in model.modules())
    assert all(not parameter.any() for key, parameter in model.named_parameters() if key.endswith("bias"))


@pytest.mark.parametrize("name", ["cnn", "mlp"])
def test_seed_decides_the_weights(name):
    make = find_model(name, sample_shape=IMAGE, outputs=10)
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(torch.cat([parameter.flatten() for parameter in make().parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


OWN = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))
class Sized(nn.Module):
    def __init__(self, width):
        super().__init__()
def build():
    return Net()
def number():
    return 7
ready = Net()
TEXT = "net"
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path}/own.py"


@pytest.mark.parametrize("name", ["Net", "build", "ready"])
def test_own_model_is_built_anew_each_time(own, name):
    make = find_model(f"{own}:{name}", sample_shape=IMAGE, outputs=10)
    first, second = make(), make()
    assert type(first).__name__ == "Net"
    assert first[1].weight is not second[1].weight


def test_ready_model_has_the_same_weights_wherever_its_file_is_loaded(tmp_path):
    copies = []
    for seed in (1, 2):
        file = tmp_path / f"own{seed}.py"
        file.write_text(OWN)
        torch.manual_seed(seed)
        make = find_model(f"{file}:ready", sample_shape=IMAGE, outputs=10)
        copies.append(make()[1].weight)
        assert torch.initial_seed() == seed
    assert torch.equal(*copies)


def test_model_of_installed_package_is_found():
    make = find_model("torch.nn:Flatten", sample_shape=IMAGE, outputs=64)
    assert isinstance(make(), nn.Flatten)


@pytest.mark.parametrize("name", ["cnn", "mlp:2"])
def test_found_model_pickles(name):
    make = find_model(name, sample_shape=IMAGE, outputs=10)
    assert str(pickle.loads(pickle.dumps(make))()) == str(make())


def test_found_own_model_pickles(own):
    make = find_model(f"{own}:Net", sample_shape=IMAGE, outputs=10)
    assert str(pickle.loads(pickle.dumps(make))()) == str(make())


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        pytest.param(
            "cn", IMAGE, ["No model is called 'cn'", "did you mean cnn", "cnn:DEPTH", "file.py:Name"], id="close"
        ),
        pytest.param("CNN", IMAGE, ["did you mean cnn"], id="capitals"),
        pytest.param("cnnn:8", IMAGE, ["'cnnn:8'", "did you mean cnn"], id="close-with-depth"),
        pytest.param("transformer9", IMAGE, ["'transformer9'", "a model is cnn"], id="unknown"),
        pytest.param("resnet18", IMAGE, ["did you mean torchvision:resnet18 or timm:resnet18?"], id="library-left-out"),
        pytest.param("cnn:0", IMAGE, ["'0'", "whole number from 1 up", "cnn:8"], id="depth-zero"),
        pytest.param("mlp:deep", IMAGE, ["'deep'", "whole number", "mlp:6"], id="depth-word"),
        pytest.param("cnn:", IMAGE, ["''", "whole number"], id="depth-missing"),
        pytest.param("cnn", (64,), ["[64]", "images [C, H, W]", "use mlp"], id="features-into-cnn"),
        pytest.param("cnn", (8, 8), ["[8, 8]", "channel axis"], id="no-channel-axis"),
        pytest.param(
            "torchvision:resnet19",
            IMAGE,
            ["torchvision has no model called 'resnet19'", "did you mean resnet18"],
            id="tv",
        ),
        pytest.param("timm:resnt18", IMAGE, ["timm has no model called 'resnt18'", "resnet18"], id="timm"),
        pytest.param("timm:", IMAGE, ["timm has no model called ''", "timm.list_models() lists them"], id="nameless"),
        pytest.param(
            "torchvision:ssd300_vgg16", IMAGE, ["its family (detection)", "name a classifier"], id="detection"
        ),
    ],
)
def test_find_model_refuses_with_one_sentence(name, shape, words):
    with pytest.raises(ModelError) as caught:
        find_model(name, sample_shape=shape, outputs=10)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("number", ["gave type int", "not an nn.Module"], id="returns-number"),
        pytest.param("TEXT", ["is of type str", "without arguments"], id="text"),
        pytest.param("Sized", ["without arguments", "TypeError", "'width'"], id="wants-arguments"),
    ],
)
def test_own_model_that_cannot_be_built_is_refused(own, name, words):
    make = find_model(f"{own}:{name}", sample_shape=IMAGE, outputs=10)
    with pytest.raises(ModelError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        pytest.param(":Nett", "did you mean Net", id="missing-name"),
        pytest.param("", "own.py:Name", id="no-colon"),
    ],
)
def test_missing_own_model_is_refused_before_it_is_built(own, tail, words):
    with pytest.raises(UsageError, match=words):
        find_model(own + tail, sample_shape=IMAGE, outputs=10)
