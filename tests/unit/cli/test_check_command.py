"""`placenorm check` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

import placenorm as pn
from placenorm.cli.main import app
from placenorm.facts.check import Check
from placenorm.facts.codec import decode
from placenorm.facts.outliers import Outliers
from placenorm.zoo import find_example

LOGITS = """
from torch import nn
def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False), nn.BatchNorm1d(10))
"""


@pytest.fixture
def logits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A network whose output a norm gives, in a folder of its own that is the working directory."""
    (tmp_path / "net.py").write_text(LOGITS)
    monkeypatch.chdir(tmp_path)
    return f"{tmp_path / 'net.py'}:net"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "200"})


def test_check_says_what_where_and_how_to_mend_it(logits: str) -> None:
    result = invoke(logits, "--input", "1x8x8")
    assert result.exit_code == 1
    assert "warning BN105 norm-before-output  1" in result.output
    assert "Mend: Take the norm out: 1 gives the output. (safe: --fix writes it)" in result.output
    assert "1 warning." in result.output


def test_check_of_notes_alone_is_good() -> None:
    result = invoke("torchvision:resnet18", "--input", "3x64x64")
    assert result.exit_code == 0
    assert "info BN113 idle-gamma" in result.output


def test_check_fix_writes_a_placement_that_place_applies(logits: str) -> None:
    result = invoke(logits, "--input", "1x8x8", "--fix")
    assert result.exit_code == 1
    assert "pn.place(model, example_inputs, 'placement.json', preserve=batches).model" in result.output
    model, shape = find_example(logits, (1, 8, 8))
    placed = pn.place(model, torch.zeros(2, *shape), "placement.json", preserve=torch.rand(8, *shape))
    assert placed.graph.norms == ()
    assert placed.max_error is not None
    assert placed.max_error < 1e-12


def test_check_without_a_safe_fix_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("cnn:2", "--fix")
    assert result.exit_code == 0
    assert "There is no safe fix to write; nothing was written." in result.output
    assert list(tmp_path.iterdir()) == []


def test_check_json_is_the_whole_check(logits: str) -> None:
    result = invoke(logits, "--input", "1x8x8", "--select", "BN1", "--ignore", "BN113", "--json")
    check = decode(Check, json.loads(result.output), "the output")
    assert [finding.code for finding in check.findings] == ["BN105"]
    assert "BN113" not in check.rules
    assert all(code.startswith("BN1") for code in check.rules)


def test_check_on_data_compares_statistics(tmp_path: Path) -> None:
    placed = pn.place(find_example("cnn:1", None)[0], torch.zeros(2, 1, 8, 8), "before-activation").model
    source = tmp_path / "net.py"
    source.write_text("import torch\ndef net():\n    return torch.load('net.pt', weights_only=False)\n")
    placed.features[0].norm.running_mean.fill_(9.0)
    placed.features[0].norm.num_batches_tracked.fill_(1000)
    torch.save(placed.state_dict(), tmp_path / "weights.pt")
    source.write_text(
        "import torch, placenorm as pn\nfrom placenorm.zoo import find_example\n"
        "def net():\n"
        "    return pn.place(find_example('cnn:1', None)[0], torch.zeros(2, 1, 8, 8), 'before-activation').model\n"
    )
    arguments = (f"{source}:net", "--input", "1x8x8", "--weights", str(tmp_path / "weights.pt"))
    found = invoke(*arguments, "--data", "digits", "--select", "BN211")
    assert found.exit_code == 1, found.output
    assert "warning BN211 misfit-statistics  features.0.norm" in found.output
    assert invoke(*arguments, "--select", "BN211").exit_code == 0


def test_check_heeds_the_nearest_pyproject(logits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.placenorm]\nignore = ["norm-before-output"]\n')
    deeper = tmp_path / "deeper"
    deeper.mkdir()
    monkeypatch.chdir(deeper)
    assert invoke(logits, "--input", "1x8x8").exit_code == 0
    (tmp_path / "pyproject.toml").write_text('[tool.placenorm]\nselect = ["BN2"]\n')
    assert invoke(logits, "--input", "1x8x8").exit_code == 0
    assert invoke(logits, "--input", "1x8x8", "--select", "BN105").exit_code == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('select = "BN1"', 'write a list such as ["BN101"]'),
        ("selct = []", "Unknown key 'selct' in [tool.placenorm]"),
        ('ignore = ["BN999"]', "Unknown rule 'BN999'"),
        ("select = [", "Cannot read"),
    ],
    ids=["no list", "key", "code", "syntax"],
)
def test_check_wrong_settings_are_one_sentence(logits: str, tmp_path: Path, settings: str, words: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.placenorm]\n{settings}\n")
    result = invoke(logits, "--input", "1x8x8")
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cnn", "--select", "BN10x"), "Unknown rule 'BN10x': did you mean"),
        (("cnn", "--ignore", "norm-twic"), "did you mean norm-twice?"),
        (("cnn", "--select", "everything"), "give a code such as BN102, a family such as BN1, or a name"),
        (("cnn", "--data", "digit"), "did you mean digits"),
        (("torchvision:resnet18", "--data", "digits"), "does not run on batch 1 of the data"),
    ],
    ids=["code", "name", "word", "data", "other data"],
)
def test_check_wrong_arguments_are_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def test_check_outliers_writes_a_page_of_the_worst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1, 8, 8)).astype(np.float32)
    x[17] *= 30
    np.savez("data.npz", x=x, y=rng.integers(0, 3, 200))
    result = invoke("cnn:1", "--data", "npz:data.npz", "--outliers")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    heads = next(index for index, row in enumerate(rows) if row[:2] == ["sample", "surprise"])
    assert rows[heads + 2][0] == "17"
    assert "Written: outliers.html" in result.output
    assert "<img" in Path("outliers.html").read_text()
    lines = invoke("cnn:1", "--data", "npz:data.npz", "--outliers", "--json").output.splitlines()
    assert decode(Outliers, json.loads(lines[1]), "the output").samples[0].index == 17


def test_check_outliers_without_data_is_one_sentence() -> None:
    result = invoke("cnn:1", "--outliers")
    assert result.exit_code == 2
    assert "Cannot look for outliers without data: name them with --data." in result.output


def test_check_in_persian_says_so_in_the_terminal_and_on_the_page(
    logits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["placenorm", "check", logits, "--lang", "fa"])
    page = tmp_path / "check.html"
    result = invoke(logits, "--input", "1x8x8", "--lang", "fa", "--page", str(page), "--fix")
    assert result.exit_code == 1, result.output
    assert "warning BN105 norm-before-output  1" in result.output
    lines = result.output.splitlines()
    assert "جمله‌های قاعده‌ها به انگلیسی است." in lines
    assert f"نوشته شد: {page}" in lines
    assert "model = pn.place(model, example_inputs, 'placement.json', preserve=batches).model" in lines
    text = page.read_text(encoding="utf-8")
    assert 'dir="rtl"' in text
    assert f"placenorm check {logits} --lang fa</code>" in text


def test_check_in_no_language_is_one_sentence_before_the_check() -> None:
    result = invoke("no-such-network", "--lang", "de")
    assert result.exit_code == 2
    assert result.output == "placenorm: There is no language 'de' here; use en or fa.\n"
