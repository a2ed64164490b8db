"""`placenorm place` as a user meets it."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

import placenorm as pn
from placenorm.cli.main import app
from placenorm.facts.codec import decode
from placenorm.facts.placing import Placing
from placenorm.zoo import find_example


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["place", *arguments], env={"COLUMNS": "200"})


def test_place_says_block_by_block_what_would_change_and_writes_nothing(tmp_path: Path) -> None:
    result = invoke("cnn:2", "--to", "after-pool", "--out", str(tmp_path / "out"), "--dry-run")
    assert result.exit_code == 0
    assert "cnn:2: 2 blocks would change, of 3" in result.output
    assert "BatchNorm2d features.2.norm added behind MaxPool2d features.2" in result.output
    assert "logits: no norm is added: it gives the network's output" in result.output
    assert not (tmp_path / "out").exists()


def test_place_writes_a_placement_and_weights_that_a_fresh_model_takes(tmp_path: Path) -> None:
    torch.manual_seed(3)
    result = invoke("cnn:3", "--to", "after-pool", "--preserve", "digits", "--out", str(tmp_path))
    assert result.exit_code == 0
    assert "It computes the same in evaluation" in result.output
    fresh, shape = find_example("cnn:3", None)
    placed = pn.place(fresh, torch.zeros(2, *shape), tmp_path / "placement.json").model
    placed.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert len(pn.trace(placed, torch.zeros(2, *shape)).norms) == 3


def test_place_preserving_writes_the_biases_that_took_norms_in(tmp_path: Path) -> None:
    """A norm behind an activation goes into the next layer, which has no bias of its own."""
    source = tmp_path / "net.py"
    source.write_text(
        "from torch import nn\n"
        "def net():\n"
        "    layers = nn.Linear(64, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3, bias=False)\n"
        "    return nn.Sequential(nn.Flatten(), *layers)\n"
    )
    out = tmp_path / "out"
    result = invoke(f"{source}:net", "--input", "1x8x8", "--to", "none", "--preserve", "digits", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert json.loads((out / "placement.json").read_text())["biases"] == ["4"]
    fresh, _ = find_example(f"{source}:net", (1, 8, 8))
    placed = pn.place(fresh, torch.zeros(2, 1, 8, 8), out / "placement.json").model
    placed.load_state_dict(torch.load(out / "weights.pt", weights_only=True))


def test_place_takes_pairs_a_file_and_a_filter(tmp_path: Path) -> None:
    result = invoke("cnn:3", "--to", "features.0=after-activation", "--out", str(tmp_path), "--json")
    done = decode(Placing, json.loads(result.output), "the output")
    assert done.after == {**done.before, "features.0": "after-activation"}
    again = invoke("cnn:3", "--to", str(tmp_path / "placement.json"), "--json")
    assert decode(Placing, json.loads(again.output), "the output").after == done.after
    narrow = invoke("cnn:3", "--to", "after-pool", "--filter", "features.0", "--json")
    assert [change.site for change in decode(Placing, json.loads(narrow.output), "it").changes] == ["features.0"]


def test_place_loads_weights_and_builds_our_norms(tmp_path: Path) -> None:
    model, _ = find_example("cnn:1", None)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    out = tmp_path / "out"
    arguments = ("--weights", str(tmp_path / "weights.pt"), "--norm", "placenorm", "--out", str(out))
    assert invoke("cnn:1", "--to", "after-activation", *arguments).exit_code == 0
    saved = torch.load(out / "weights.pt", weights_only=True)
    assert torch.equal(saved["features.0.weight"], model.features[0].weight)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cnn", "--to", "sideways"), "Unknown placement 'sideways': use one of none"),
        (("cnn", "--to", "features.0=behind"), "Unknown position 'behind' for block 'features.0'"),
        (("cnn", "--to", "nowhere.json"), "Cannot read the placement nowhere.json: there is no such file"),
        (("cnnn", "--to", "none"), "did you mean cnn"),
        (("examples/my_net.py:Net", "--to", "none"), "give that of one sample with --input"),
        (("cnn", "--to", "none", "--input", "1x8"), "images [C, H, W]"),
        (("cnn", "--to", "none", "--input", "axb"), "Cannot read --input 'axb'"),
        (("cnn", "--to", "after-pool", "--preserve", "digit"), "did you mean digits"),
        (("cnn", "--to", "none", "--weights", "nowhere.pt"), "nowhere.pt"),
        (
            ("torchvision:resnet18", "--to", "none", "--input", "1x64x64"),
            "does not run on an input of shape [2, 1, 64, 64]",
        ),
    ],
    ids=["policy", "position", "file", "model", "shape", "rank", "input", "data", "weights", "channels"],
)
def test_place_wrong_arguments_are_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def test_place_keys_that_match_nothing_are_named() -> None:
    result = invoke("cnn:1", "--to", "conv=none")
    assert result.exit_code == 2
    assert "The placement matched no block: it asked for the keys conv; the network has features.0" in result.output
