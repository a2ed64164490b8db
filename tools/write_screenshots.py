"""Write docs/images/pages: the top of every page that placenorm writes, as a browser shows it (needs chromium).

python tools/write_screenshots.py
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import nn

import placenorm as pn
from placenorm.data import load_data
from placenorm.verbs.claiming import ClaimsResult, read_claims
from placenorm.verbs.reporting import read_comparison, write_report

DOCS = Path(__file__).parents[1] / "docs"
IMAGES = DOCS / "images" / "pages"
WIDTH_PX, HEIGHT_PX = 1200, 1500
STEPS, BATCH = 60, 64


def make_net() -> nn.Module:
    """Return a network for digits with two faults: a dropout in front of a norm, and a norm behind a norm."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.Dropout(0.3), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, 10)),
    )


def write_pages(folder: Path) -> list[Path]:
    """Write a page of every kind and return the files."""
    torch.manual_seed(0)
    comparison = read_comparison(Path(shutil.copytree(DOCS / "runs" / "fashion-mnist", folder / "comparison")))
    claims = ClaimsResult(read_claims(DOCS / "runs" / "claims"), folder)
    pages = []
    for lang in ("en", "fa"):
        write_report(comparison, folder / f"compare-{lang}.html", lang)
        pages += [folder / f"compare-{lang}.html", claims.report(folder / f"claims-{lang}.html", lang)]
        checked = pn.check(make_net(), torch.randn(4, 1, 8, 8), name="net.py:Net")
        pages.append(checked.report(folder / f"check-{lang}.html", lang=lang))
        advised = pn.advise(make_net(), torch.zeros(2, 1, 8, 8), name="net.py:Net")
        pages.append(advised.report(folder / f"advise-{lang}.html", lang=lang))
    x, y = load_data("digits").train[:]
    x = x / 16
    net = make_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    with pn.watch(net, every=5) as probe:
        for step in range(STEPS):
            at = step * BATCH % (len(x) - BATCH)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[at : at + BATCH]), y[at : at + BATCH]).backward()
            optimizer.step()
    far = pn.outliers(net.eval(), x)
    for lang in ("en", "fa"):
        pages.append(probe.report(folder / f"watch-{lang}.html", lang=lang))
        pages.append(far.report(folder / f"outliers-{lang}.html", lang=lang))
    return pages


def main() -> None:
    """Write the pages and take a picture of each."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("There is no chromium on the PATH; install Debian's package chromium.")
    IMAGES.mkdir(parents=True, exist_ok=True)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=8000"]
    with tempfile.TemporaryDirectory() as name:
        for page in write_pages(Path(name)):
            target = IMAGES / f"{page.stem}.png"
            shot = [f"--window-size={WIDTH_PX},{HEIGHT_PX}", f"--screenshot={target}", page.as_uri()]
            subprocess.run([browser, *flags, *shot], check=True, capture_output=True)
            print(target)


if __name__ == "__main__":
    main()
