"""Weights from files."""

import sys

import pytest
import torch
from torch import nn

from placenorm.errors import ModelError
from placenorm.zoo import load_weights


def make(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def test_state_dict_is_loaded(tmp_path):
    saved, model = make(0), make(1)
    torch.save(saved.state_dict(), tmp_path / "net.pt")
    load_weights(model, tmp_path / "net.pt")
    torch.testing.assert_close(dict(model.state_dict()), dict(saved.state_dict()), rtol=0, atol=0)


def test_checkpoint_without_batch_counters_is_loaded(tmp_path):
    state = {key: value for key, value in make(0).state_dict().items() if "num_batches" not in key}
    torch.save(state, tmp_path / "old.pt")
    model = make(1)
    load_weights(model, tmp_path / "old.pt")
    assert torch.equal(model[0].weight, state["0.weight"])


def test_safetensors_file_is_loaded(tmp_path):
    from safetensors.torch import save_file

    saved, model = make(0), make(1)
    save_file(saved.state_dict(), tmp_path / "net.safetensors")
    load_weights(model, tmp_path / "net.safetensors")
    assert torch.equal(model[0].weight, saved[0].weight)


def test_safetensors_without_the_package_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "net.safetensors").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ModelError, match="needs the package safetensors; run pip install safetensors"):
        load_weights(make(), tmp_path / "net.safetensors")


def change(**changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    state = {**make().state_dict(), **{key.replace("_", ".", 1): value for key, value in changes.items()}}
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param({}, ["the file lacks 0.weight, 0.bias, 1.weight and 5 more"], id="empty"),
        pytest.param(change(**{"3_bias": None}), ["the file lacks 3.bias;"], id="missing-key"),
        pytest.param(change(**{"7_bias": torch.ones(1)}), ["the model lacks 7.bias;"], id="unknown-key"),
        pytest.param(
            change(**{"3_bias": torch.ones(4)}), ["shapes differ at 3.bias (model [3], file [4])"], id="other-shape"
        ),
        pytest.param({"epoch": 3, "model": {}}, ["epoch, model", "torch.save(model.state_dict()"], id="nested"),
        pytest.param([1, 2], ["list", "not a state dict"], id="list"),
        pytest.param(nn.Linear(1, 1), ["more than tensors", "torch.save(model.state_dict()"], id="whole-model"),
        pytest.param(b"", ["damaged"], id="no-bytes"),
        pytest.param(b"hello", ["damaged"], id="text"),
        pytest.param(None, ["no such file", "check the path"], id="missing-file"),
    ],
)
def test_load_weights_refuses_and_leaves_the_model_alone(tmp_path, content, words):
    file = tmp_path / "net.pt"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        torch.save(content, file)
    model = make(1)
    with pytest.raises(ModelError) as caught:
        load_weights(model, file)
    for word in [str(file), *words]:
        assert word in str(caught.value)
    torch.testing.assert_close(dict(model.state_dict()), dict(make(1).state_dict()), rtol=0, atol=0)


def test_truncated_checkpoint_is_refused(tmp_path):
    file = tmp_path / "net.pt"
    torch.save(make().state_dict(), file)
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(ModelError, match="damaged"):
        load_weights(make(), file)
