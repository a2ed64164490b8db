"""What a notebook shows of a result."""

from pathlib import Path

import torch
from torch import nn

import placenorm as pn
from placenorm.verbs.comparing import ComparisonResult
from support.comparisons import make_comparison


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.norm(self.conv(x)).relu().mean((2, 3)))
        return out


Net.__name__ = Net.__qualname__ = "<script>alert(1)</script>"


def test_advice_and_check_are_tables_in_which_names_stay_text() -> None:
    x = torch.randn(4, 1, 8, 8)
    for shown in (pn.advise(Net(), x)._repr_html_(), pn.check(Net(), x)._repr_html_()):
        assert shown.startswith("<pre")
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown


def test_watch_shows_its_readings() -> None:
    model = Net()
    with pn.watch(model, every=1) as probe:
        model(torch.randn(4, 1, 8, 8)).sum().backward()
    assert "norm" in probe._repr_html_()


def test_outliers_show_the_worst_samples() -> None:
    data = torch.randn(30, 1, 8, 8)
    assert "input:channels" in pn.outliers(Net().eval(), data)._repr_html_()


def test_comparison_shows_its_table_and_its_picture() -> None:
    comparison = make_comparison()
    shown = ComparisonResult(comparison, Path())._repr_html_()
    assert comparison.verdict is not None
    assert comparison.variants[0].label in shown
    assert shown.count('src="data:image/svg+xml;base64,') == 1
