"""Networks as strips of blocks, on the pages of `check` and `advise`."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import placenorm as pn
from placenorm.errors import UsageError
from placenorm.report.check_page import judge_blocks
from placenorm.report.language import LANGUAGES
from placenorm.report.strips import StripBlock, draw_moved, draw_strip

X = torch.zeros(4, 3, 16, 16)
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """A network with one fault: a norm behind a norm, in the block ``0``."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(200, 2)),
    )


def kinds(strip: tuple[StripBlock, ...], key: str) -> list[str]:
    """Return what runs in a block; the Identity that stands where a norm was says nothing."""
    return [op.kind for block in strip if block.key == key for op in block.ops if op.kind != "identity"]


def test_strip_has_every_op_once_in_the_order_of_the_network(net: nn.Module) -> None:
    graph = pn.trace(net, X)
    strip = draw_strip(graph)
    names = [op.name for block in strip for op in block.ops if op.kind not in ("input", "output")]
    assert names == [type(module).__name__ for module in net]
    assert [block.key for block in strip if block.key] == [block.key for block in graph.blocks]


@pytest.mark.parametrize("policy", ["none", "before-activation", "after-activation", "after-pool"])
def test_moved_strip_is_the_strip_of_the_placed_network(policy: str) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    plain.append(nn.Linear(8 * 49, 2))
    placed = pn.place(plain, X, policy)
    found = draw_moved(pn.trace(plain, X), {"0": placed.graph.placement()["0"]})
    assert kinds(found, "0") == kinds(draw_strip(placed.graph), "0")


def test_health_is_the_worst_finding_of_a_block(net: nn.Module) -> None:
    done = pn.check(net, X, select=["BN104", "BN106"])
    assert judge_blocks(done.check, done.graph) == {"0": done[0].severity}
    clean = pn.check(net, X, select=["BN106"])
    assert judge_blocks(clean.check, clean.graph) == {}


@pytest.mark.parametrize("code", LANGUAGES)
def test_check_page_names_the_finding_at_its_block(code: str, net: nn.Module, tmp_path: Path) -> None:
    done = pn.check(net, X, name=HOSTILE)
    health = judge_blocks(done.check, done.graph)
    page = done.report(tmp_path / "check.html", lang=code).read_text(encoding="utf-8")
    assert f'<html lang="{code}"' in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert all(finding.code in page for finding in done)
    marked = re.findall('<li class="block (error|warning|info)"', page)
    assert marked == [health[block.key] for block in done.graph.blocks if block.key in health]
    assert {"en": "Every box is a block", "fa": "هر کادر یک بلوک است"}[code] in page
    assert ("جمله‌های قاعده‌ها به انگلیسی است." in page) == (code == "fa")


def test_check_page_in_no_language_is_refused(net: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no language 'de' here"):
        pn.check(net, X).report(tmp_path / "check.html", lang="de")


def test_advice_page_shows_the_network_now_and_as_advised(tmp_path: Path) -> None:
    deep = nn.Sequential(*(layer for _ in range(7) for layer in (nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU())))
    deep.append(nn.Linear(8, 2))
    page = pn.advise(deep, torch.zeros(4, 8)).report(tmp_path / "advice.html").read_text(encoding="utf-8")
    now, then = re.findall('<ol class="strip".*?</details>', page, re.DOTALL)
    order = [re.findall('class="op (weight|activation|norm)"', strip)[:3] for strip in (now, then)]
    assert order == [["weight", "norm", "activation"], ["weight", "activation", "norm"]]
