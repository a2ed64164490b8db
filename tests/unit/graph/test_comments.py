"""Comments in a model's source that silence rules."""

import pytest
import torch
from torch import Tensor, nn

import placenorm as pn
from placenorm.graph.comments import IgnoreComments


class Commented(nn.Module):
    """Comments where modules are made, where they are used, and none."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)  # placenorm: ignore[BN101]
        self.bn = nn.BatchNorm2d(4)
        self.body = nn.Sequential(
            nn.Conv2d(4, 4, 3),
            nn.BatchNorm2d(4),
            nn.Conv2d(4, 4, 3),  # placenorm: ignore[BN1, BN302] it is as it is
            nn.BatchNorm2d(4),
        )
        self.used = nn.Conv2d(4, 4, 3)
        self.used_bn = nn.BatchNorm2d(4)
        self.inner = Inner()
        self.plain = nn.Conv2d(4, 4, 3)  # placenorm is fine here, ignore nothing
        self.plain_bn = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(self.bn(self.conv(x)))
        x = self.used_bn(self.used(x))  # placenorm: ignore
        if x.dim() == 4:
            x = self.inner(x)
        return torch.relu(self.plain_bn(self.plain(x)))


class Inner(nn.Module):  # placenorm: ignore[BN101]
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


@pytest.mark.parametrize(
    ("site", "code", "silenced"),
    [
        ("conv", "BN101", True),
        ("conv", "BN102", False),
        ("bn", "BN101", False),
        ("body.2", "BN104", True),
        ("body.2", "BN302", True),
        ("body.2", "BN301", False),
        ("body.0", "BN101", False),
        ("body.0->add", "BN101", False),
        ("used", "BN211", True),
        ("used#2", "BN211", True),
        ("used_bn", "BN211", True),
        ("inner.conv", "BN101", True),
        ("inner:relu_1", "BN101", True),
        ("inner.conv", "BN102", False),
        ("plain", "BN101", False),
        ("nowhere.at.all", "BN101", False),
        ("", "BN101", False),
    ],
)
def test_comment_silences_what_its_line_names(site: str, code: str, silenced: bool) -> None:
    assert IgnoreComments(Commented()).silences(site, code) is silenced


def test_check_counts_what_comments_silence() -> None:
    found = pn.check(Commented(), torch.zeros(2, 1, 16, 16), select=["BN101"])
    assert [finding.sites for finding in found] == [("body.0",), ("plain",)]
    assert found.check.silenced == 4
    assert "4 findings silenced by comments" in found.table()


class Heir(Inner):
    """The comments of the class that it is made from count."""


def test_comments_are_inherited_and_may_name_rules() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 2)  # placenorm: ignore[norm-twice]

    assert IgnoreComments(Heir()).silences("conv", "BN101")
    assert IgnoreComments(Named()).silences("a", "BN104", "norm-twice")
    assert not IgnoreComments(Named()).silences("a", "BN105", "norm-before-output")


def test_classes_without_a_source_have_no_comments() -> None:
    kind = type("Made", (Inner,), {})
    assert not IgnoreComments(kind()).silences("conv", "BN102")
