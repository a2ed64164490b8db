"""`placenorm claims` and `placenorm report` of a folder of claims."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import placenorm as pn
from placenorm.article.store import open_store
from placenorm.cli.main import app
from placenorm.facts.claim import CLAIMS_FILE, ClaimsReport
from placenorm.facts.codec import loads
from placenorm.study.store import open_store as open_comparison
from placenorm.verbs.claiming import ClaimsResult, read_claims
from support.claims_report import make_claims_report, make_unfinished_report
from support.comparisons import make_comparison


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def one_sentence(result: Result) -> str:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of the quickest claim."""
    out = tmp_path_factory.mktemp("claims")
    result = invoke("claims", "transform", "--seeds", "3", "--jobs", "1", "--out", str(out), "--lang", "fa")
    assert result.exit_code == 0, result.stderr
    assert "A1 transform" in result.stdout
    assert "نوشته شد" in result.stdout
    return out


def test_claims_writes_its_page_and_its_charts(folder: Path) -> None:
    assert 'dir="rtl"' in (folder / "claims.html").read_text(encoding="utf-8")
    names = {path.name for path in (folder / "charts").iterdir()}
    assert names == {"A1-variance.svg", "A1-variance.png"}


def test_report_of_claims_is_written_in_another_language(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    result = invoke("report", str(folder), "--out", str(target))
    assert result.exit_code == 0, result.stderr
    assert f"Written: {target}" in result.stdout.replace("\n", "")
    assert 'lang="en"' in target.read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_report_of_claims_is_a_picture_by_its_name(folder: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"board{suffix}"
    assert invoke("report", str(folder), "--out", str(target), "--lang", "fa").exit_code == 0
    assert target.read_bytes()[:4] in (b"<svg", b"\x89PNG")


def test_claims_as_json_are_the_facts(folder: Path) -> None:
    result = invoke("report", str(folder), "--json")
    assert loads(ClaimsReport, result.stdout, "stdout").results[0].slug == "transform"


def test_unknown_claim_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "There is no claim 'deth'; did you mean A8 depth?" in one_sentence(invoke("claims", "deth"))
    assert list(tmp_path.iterdir()) == []


def test_unknown_language_is_one_sentence(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = "There is no language 'de' here; use en or fa."
    assert words in one_sentence(invoke("claims", "A1", "--lang", "de"))
    assert words in one_sentence(invoke("report", str(folder), "--lang", "de"))
    assert list(tmp_path.iterdir()) == []


def test_report_of_claims_with_another_ending_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    result = invoke("report", str(folder), "--out", str(tmp_path / "claims.pdf"), "--json")
    assert result.exit_code == 2
    assert "name a file that ends in .html, .png or .svg" in result.stderr


def test_folder_of_another_format_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / CLAIMS_FILE).write_text(json.dumps({"format": 99, "fact": {}}))
    words = one_sentence(invoke("report", str(tmp_path)))
    assert "it is in format 99" in words


def test_folder_that_holds_claims_needs_resume(folder: Path) -> None:
    words = one_sentence(invoke("claims", "A1", "--out", str(folder)))
    assert "it holds claims already; go on with --resume" in words


@pytest.mark.parametrize("code", ["en", "fa"])
def test_report_of_a_comparison_is_in_the_readers_language(code: str, tmp_path: Path) -> None:
    with open_comparison(tmp_path, replace(make_comparison(), trials=(), verdict=None), resume=False):
        pass
    result = invoke("report", str(tmp_path), "--lang", code)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f'lang="{code}"' in page
    assert {"en": "Not finished yet", "fa": "هنوز تمام نشده است"}[code] in re.sub("<[^>]*>", "", page)


def test_comparison_in_no_language_is_refused_before_its_trials(tmp_path: Path) -> None:
    words = one_sentence(invoke("compare", "--lang", "de", "--out", str(tmp_path / "out")))
    assert "There is no language 'de' here; use en or fa." in words
    assert not (tmp_path / "out").exists()


def test_report_of_a_comparison_in_no_language_is_refused(tmp_path: Path) -> None:
    with open_comparison(tmp_path, replace(make_comparison(), trials=(), verdict=None), resume=False):
        pass
    words = one_sentence(invoke("report", str(tmp_path), "--lang", "de"))
    assert "There is no language 'de' here; use en or fa." in words


def test_unfinished_claims_say_how_to_go_on(tmp_path: Path) -> None:
    with open_store(tmp_path, make_unfinished_report(), resume=False):
        pass
    result = invoke("report", str(tmp_path))
    assert result.exit_code == 0, result.stderr
    assert "placenorm claims A1 A3 A11 --resume" in result.stdout
    assert (tmp_path / "claims.html").is_file()


def test_result_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    result = ClaimsResult(make_claims_report(), tmp_path)
    shown = result._repr_html_()
    assert "A3 outliers" in shown
    assert shown.count("data:image/svg+xml;base64,") == 1
    assert result.report(lang="fa") == tmp_path / "claims.html"
    assert "A11 shape" in result.table("fa")


def test_claims_stay_a_function_however_they_are_called_or_imported(tmp_path: Path) -> None:
    code = (
        "import placenorm as pn\n"
        "import placenorm.article.registry\n"
        "for name in ('a', 'b'):\n"
        "    pn.claims(['A1'], seeds=1, jobs=1, out=name)\n"
        "from placenorm import claims\n"
        "assert claims is pn.claims\n"
        "public = [name for name in pn.__all__ if name != 'layers']\n"
        "assert not [name for name in public if type(getattr(pn, name)).__name__ == 'module']\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert (tmp_path / "b" / CLAIMS_FILE).exists()


def test_run_that_was_stopped_is_judged_by_its_whole_seeds(folder: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(folder, part)
    lines = (part / "observations.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (part / "observations.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    report = read_claims(part)
    assert [result.ruling.facts["seeds"] for result in report.results] == [2]
    result = invoke("report", str(part))
    assert "Not finished yet: A1" in result.stdout


@pytest.mark.parametrize("device", ["cuda:77", "gpu"])
def test_device_that_is_not_there_is_one_sentence(device: str, tmp_path: Path) -> None:
    said = one_sentence(invoke("claims", "A1", "--device", device, "--out", str(tmp_path)))
    assert f"Cannot use the device '{device}'" in said


def test_report_of_what_is_no_folder_of_results_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("")
    (tmp_path / "empty").mkdir()
    assert "it is a file" in one_sentence(invoke("report", str(tmp_path / "file.txt")))
    assert "there is no such folder" in one_sentence(invoke("report", str(tmp_path / "nowhere")))
    assert "it has no comparison.json" in one_sentence(invoke("report", str(tmp_path / "empty")))


def test_claims_are_public_and_take_no_torch_to_name() -> None:
    assert "claims" in pn.__all__
    check = "import placenorm, placenorm.cli.main, sys; assert not {'torch', 'altair', 'babel'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.fixture
def features(tmp_path: Path) -> str:
    """Data of classes whose samples are no images."""
    labels = np.arange(60) % 3
    x = np.random.default_rng(0).normal(size=(60, 5)) + labels[:, None]
    np.savez(tmp_path / "features.npz", x=x.astype(np.float32), y=labels)
    return f"npz:{tmp_path / 'features.npz'}"


def test_claim_about_pools_on_data_without_images_is_one_sentence(features: str, tmp_path: Path) -> None:
    words = one_sentence(invoke("claims", "A1", "pooling", "--data", features, "--out", str(tmp_path / "out")))
    assert "Cannot put A10 pooling to npz:" in words
    assert "it needs images, and a sample is [5]" in words
    assert not (tmp_path / "out").exists()


def test_claims_that_were_not_asked_are_named_in_every_report(tmp_path: Path) -> None:
    report = make_claims_report()
    report = replace(report, settings=replace(report.settings, left_out=("A10",)))
    result = ClaimsResult(report, tmp_path)
    assert "Not asked, as samples of these data are no images: A10." in result.table()
    assert "Not asked, as samples of these data are no images: A10." in result.report().read_text()
