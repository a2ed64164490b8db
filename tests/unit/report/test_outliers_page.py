"""The page of `outliers` in both languages."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

import placenorm as pn
from placenorm.errors import UsageError
from placenorm.report.language import LANGUAGES
from placenorm.verbs.outlying import Outlying

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def found() -> Outlying:
    """Images of which the last is far from the others, in a network with a hostile name, without clean data."""
    torch.manual_seed(0)
    net = type(HOSTILE, (nn.Sequential,), {})(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    images = torch.randn(30, 1, 6, 6)
    images[29] = 50.0
    return pn.outliers(net, images, top=3)


@pytest.mark.parametrize("code", LANGUAGES)
def test_outliers_page_speaks_the_language(code: str, found: Outlying, tmp_path: Path) -> None:
    page = found.report(tmp_path / "page.html", lang=code).read_text(encoding="utf-8")
    text = re.sub("</?bdi>", "", page)
    assert f'<html lang="{code}" dir="{"rtl" if code == "fa" else "ltr"}"' in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("data:image/png;base64") == 3
    assert {"en": 'alt="sample 29"', "fa": 'alt="نمونه‌ی ۲۹"'}[code] in page
    assert {"en": "With 30 samples nothing rarer than 1 in 30", "fa": "با ۳۰ نمونه، چیزی نادرتر از ۱ در ۳۰"}[
        code
    ] in text
    assert '<li lang="en" dir="ltr">The data say themselves' in page
    assert ("جمله‌های دیگر به انگلیسی است." in page) == (code == "fa")


def test_outliers_page_in_no_language_is_refused(found: Outlying, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no language 'de' here"):
        found.report(tmp_path / "page.html", lang="de")
