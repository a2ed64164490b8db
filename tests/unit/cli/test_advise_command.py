"""`placenorm advise` as a user meets it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from placenorm.cli.main import app
from placenorm.facts.advice import Advice
from placenorm.facts.codec import decode


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["advise", *arguments], env={"COLUMNS": "160"})


def test_advise_ends_with_the_command_that_would_settle_it() -> None:
    result = invoke("cnn")
    assert result.exit_code == 0
    assert "placenorm compare cnn" in result.output
    assert "after-pool" in result.output


def test_advise_json_is_the_advice() -> None:
    advice = decode(Advice, json.loads(invoke("torchvision:resnet18", "--input", "3x64x64", "--json").output), "it")
    assert advice.depth == 18
    assert len(advice.blocks) == 21


@pytest.mark.parametrize("ending", ["html", "json", "txt"])
def test_advise_writes_a_report(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"advice.{ending}"
    assert invoke("mlp", "--out", str(file)).exit_code == 0
    assert "placenorm compare mlp" in file.read_text()


def test_advise_in_persian_says_so_in_the_terminal_and_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "advice.html"
    result = invoke("mlp", "--lang", "fa", "--out", str(file))
    assert result.exit_code == 0, result.output
    assert "هزینه‌ی BN" in result.output.splitlines()
    assert f"نوشته شد: {file}" in result.output
    assert 'dir="rtl"' in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cnnn",), "did you mean cnn"),
        (("cnn", "--out", "advice.pdf"), "name a file that ends in .html, .json or .txt"),
        (("cnn", "--input", "3x"), "Cannot read --input '3x'"),
        (("examples/my_net.py:Net",), "give that of one sample with --input"),
        (("no-such-network", "--lang", "de"), "There is no language 'de' here; use en or fa."),
    ],
    ids=["model", "ending", "input", "shape-missing", "language"],
)
def test_advise_wrong_arguments_are_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.output
