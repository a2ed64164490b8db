"""`placenorm fold` as a user meets it."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from placenorm.cli.main import app
from placenorm.facts.codec import decode
from placenorm.facts.folding import Folding
from placenorm.zoo import find_example

SOURCE = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    front = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
    back = nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)
    return nn.Sequential(*front, *back)

def stuck():
    return nn.Sequential(nn.ReLU(), nn.BatchNorm2d(1), nn.ReLU())

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
"""


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fold", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def source(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(SOURCE)
    return str(tmp_path / "net.py")


def test_fold_says_what_is_gone_how_exact_it_is_and_writes_nothing(source: str) -> None:
    result = invoke(f"{source}:net", "--input", "1x8x8", "--data", "digits", "--dtype", "bfloat16")
    assert result.exit_code == 0, result.output
    assert "net.py:net: 1 of 1 norm folded" in result.output
    assert "into 0 before it" in result.output
    assert "in float64" in result.output
    assert "in float32" in result.output
    assert "in bfloat16." in result.output
    assert "Proved on inputs of 2x1x8x8; " in result.output
    assert "The top-1 answer is the same for " in result.output
    assert "Nothing was written; --out DIR writes files." in result.output


def test_fold_gives_all_of_it_as_json_and_takes_weights(source: str, tmp_path: Path) -> None:
    model, _ = find_example(f"{source}:net", (1, 8, 8))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    arguments = ("--weights", str(tmp_path / "weights.pt"), "--json", "--no-verify")
    result = invoke(f"{source}:net", "--input", "1x8x8", *arguments)
    assert result.exit_code == 0, result.output
    done = decode(Folding, json.loads(result.output), "the output")
    assert (done.norms, done.skipped, done.files, done.max_error, done.dtype) == (1, (), (), None, "float32")
    assert [change.site for change in done.changes] == ["1"]


def test_fold_tells_norms_that_stay_with_the_reason_and_exit_code_1(source: str) -> None:
    result = invoke(f"{source}:stuck", "--input", "1x8x8")
    assert result.exit_code == 1
    assert "net.py:stuck: 0 of 1 norm folded" in result.output
    assert "Norms that stay:" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cnnn",), "did you mean cnn"),
        (("examples/my_net.py:Net",), "give that of one sample with --input"),
        (("cnn", "--input", "axb"), "Cannot read --input 'axb'"),
        (("cnn", "--data", "digit"), "did you mean digits"),
        (("cnn", "--weights", "nowhere.pt"), "nowhere.pt"),
        (("cnn",), "Nothing to fold: PlainCnn has no batch norms; give a model that has some."),
        (("torchvision:resnet18", "--input", "1x64x64"), "does not run on an input of shape [2, 1, 64, 64]"),
    ],
    ids=["model", "shape", "input", "data", "weights", "no-norms", "channels"],
)
def test_fold_wrong_arguments_are_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_fold_writes_what_it_lists(source: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke(f"{source}:net", "--input", "1x8x8", "--out", str(out))
    assert result.exit_code == 0, result.output
    names = ["fold.json", "model.onnx", "model.pt2", "weights.safetensors"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert "batch, size" in result.output
    assert f"Written to {out}, with fold.json." in result.output.replace("\n", "")
    done = decode(Folding, json.loads((out / "fold.json").read_text()), "it")
    assert done.model == f"{source}:net"


@pytest.mark.slow
def test_fold_into_a_folder_that_cannot_be_is_one_sentence(source: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    result = invoke(f"{source}:net", "--input", "1x8x8", "--out", str(tmp_path / "taken"))
    assert result.exit_code == 2
    assert "give a folder that can be written to" in result.output
