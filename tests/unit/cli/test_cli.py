"""The command line: arguments in, verbs called, one sentence for what is wrong."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from placenorm.cli.main import app
from placenorm.study.store import open_store
from support.comparisons import make_comparison
from support.results import make_trial
from support.trials import write_data


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], "Cannot compare with --seeds 0"),
        (["--jobs", "-1"], "Cannot compare with --jobs -1"),
        (["--placements", "none,sideways"], "Unknown placement 'sideways'"),
        (["--placements", ","], "no placement to compare"),
        (["--lr", "fast"], "Cannot read --lr 'fast'"),
        (["--input", "3xx4"], "Cannot read --input '3xx4'"),
        (["--data", "digit"], "did you mean digits"),
        (["--data", "npz:nowhere.npz"], "nowhere.npz"),
        (["--data", "folder:nowhere"], "nowhere"),
        (["--data", "fashion-mnist", "--data-dir", "nowhere"], "nowhere"),
        (["--limit", "0"], "Cannot use a limit of 0"),
        (["cnnn"], "did you mean cnn"),
        (["missing.py:Net"], "missing.py"),
        (["mlp:2", "--weights", "nowhere.pt"], "nowhere.pt"),
        (["mlp:2", "--metric", "speed"], "Unknown metric 'speed'"),
        (["mlp:2", "--train", "nowhere.py:train"], "nowhere.py"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_compare_bad_usage_is_one_sentence_and_exit_code_2(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("compare", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_compare_out_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = invoke("compare", "mlp:1", "--data", write_data(tmp_path), "--out", str(tmp_path / "file"))
    assert result.exit_code == 2
    assert "Cannot write results to" in result.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_compare_corrupt_data_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and then nothing")
    result = invoke("compare", "mlp:1", "--data", f"npz:{tmp_path / 'bad.npz'}")
    assert result.exit_code == 2
    assert "bad.npz" in result.stderr


def test_compare_labels_that_do_not_fit_are_one_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32), y=np.full(60, -1))
    result = invoke("compare", "mlp:1", "--data", f"npz:{tmp_path / 'd.npz'}")
    assert result.exit_code == 2
    assert "-1" in result.stderr


def test_report_without_a_comparison_is_one_sentence(tmp_path: Path) -> None:
    result = invoke("report", str(tmp_path))
    assert result.exit_code == 2
    assert "There is no comparison in" in result.stderr


@pytest.mark.parametrize("code", ["import placenorm", "import placenorm.cli.main"], ids=["package", "command-line"])
def test_import_takes_no_torch(code: str) -> None:
    heavy = "{'torch', 'altair', 'optuna', 'sklearn'}"
    check = f"{code}; import sys; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_report_takes_no_torch() -> None:
    check = "import placenorm.verbs.reporting, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_report_interrupted_while_it_is_written_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("placenorm.verbs.reporting.write_report", interrupt)
    with open_store(tmp_path, replace(make_comparison(), trials=(), verdict=None), resume=False) as store:
        store.add(make_trial())
    result = invoke("report", str(tmp_path))
    assert result.exit_code == 130
    assert "report.html was written; the finished trials are kept." in result.stderr
