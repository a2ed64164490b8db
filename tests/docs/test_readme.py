"""What the documents claim: their code runs, their options and their links exist."""

import doctest
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import typer.main

from placenorm.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
PAGE_IDS = [str(page.relative_to(ROOT)) for page in PAGES]

DOCUMENTED = (
    "placenorm.verbs.advising",
    "placenorm.verbs.checking",
    "placenorm.verbs.outlying",
    "placenorm.verbs.watching",
    "placenorm.verbs.placing",
    "placenorm.verbs.recalibrating",
    "placenorm.verbs.tracing",
    "placenorm.probe.dead_units",
    "placenorm.layers.batch_norm",
)


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def command_options() -> dict[str, set[str]]:
    group: Any = typer.main.get_command(app)
    return {
        name: {
            option
            for each in (command, *getattr(command, "commands", {}).values())
            for parameter in each.params
            for option in parameter.opts
        }
        for name, command in group.commands.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_commands_in_documents_have_options_that_exist(page: Path) -> None:
    known = command_options()
    spans = re.findall(r"`(placenorm [^`]+)`", page.read_text(encoding="utf-8"))
    lines = [line for block in code_blocks(page, "sh") for line in block.splitlines()]
    commands = [*spans, *(line for line in lines if line.startswith(("placenorm ", ".venv/bin/placenorm ")))]
    for command in commands:
        words = shlex.split(command, comments=True)[1:]
        if not words or words[0] not in known:
            continue  # verbs that are not there yet are marked so, which the article's own test checks
        unknown = {word for word in words if word.startswith("--")} - known[words[0]] - {"--help"}
        assert not unknown, command


def test_code_of_the_page_on_layers_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = code_blocks(ROOT / "docs" / "layers.md", "python")
    threads = torch.get_num_threads()
    try:
        exec(block, {})
    finally:
        torch.set_num_threads(threads)
    size, way = capsys.readouterr().out.splitlines()
    assert size == "torch.Size([8, 16, 32, 32])"
    assert way == "fused: kernels of cpu cover norm-relu on this input."


@pytest.mark.parametrize("page", PAGES, ids=PAGE_IDS)
def test_links_in_documents_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [
        target for target in targets if "://" not in target and not (page.parent / target.replace("%20", " ")).exists()
    ]
    assert missing == []


def test_readme_place_example_runs_and_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    block, _ = [block for block in code_blocks(ROOT / "README.md", "python") if "pn.place" in block]
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out == "0 BatchNorm2d 2.norm added behind MaxPool2d 2\n"


def test_readme_preserve_example_runs_and_keeps_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    _, block = [block for block in code_blocks(ROOT / "README.md", "python") if "pn.place" in block]
    scope: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), scope)
    error, *skips = capsys.readouterr().out.splitlines()
    assert float(error) < 1e-14
    assert skips == ["5 no norm is added: it gives the network's output"]
    held = {id(p) for group in scope["optimizer"].param_groups for p in group["params"]}
    assert held == {id(p) for p in scope["done"].model.parameters()}


def test_readme_check_example_runs_and_finds_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [block for block in code_blocks(ROOT / "README.md", "python") if "pn.watch" in block]
    torch.manual_seed(0)
    exec(compile(block, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "BN302 ('1',) The optimizer has weight decay (up to 0.0001)" in printed
    assert "OutlierSample(" in printed


@pytest.mark.slow
def test_readme_compare_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in code_blocks(ROOT / "README.md", "python") if "pn.compare" in block]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_docstring_examples_run(name: str) -> None:
    result = doctest.testmod(import_module(name))
    assert result.failed == 0


def test_docstring_examples_exist() -> None:
    assert sum(doctest.testmod(import_module(name)).attempted for name in DOCUMENTED) >= 6
