"""The page of the layers says from which size on inputs go the fused way."""

import re
from pathlib import Path

import pytest
import torch

from placenorm.layers import BatchNorm2d, MaxPool, explain

PAGE = Path(__file__).parents[2] / "docs" / "layers.md"
POOL = MaxPool((2, 2), (2, 2))
LAYERS = {
    "a norm alone": BatchNorm2d(32),
    "with an activation": BatchNorm2d(32, after="relu"),
    "with a residual alone": BatchNorm2d(32),
    "with a pool in front": BatchNorm2d(32, before="relu", pool=POOL),
    "with a pool behind": BatchNorm2d(32, after="relu", pool_after=POOL),
}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", LAYERS)
def test_inputs_go_the_fused_way_from_the_size_in_the_table(kind: str, layout: str, threads: int) -> None:
    rows = re.findall(r"^ *\| (.+?) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    cells = {name: dict(zip(LAYOUTS, sizes, strict=True)) for name, *sizes in rows if name in LAYERS}
    one, *several = cells[kind][layout].split("; in several threads ")
    least = int((several[0] if several and threads > 1 else one).replace(",", ""))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for samples, way in ((least // (32 * 64), "fused"), (least // (32 * 64) - 1, "torch")):
            x = torch.empty(samples, 32, 8, 8).contiguous(memory_format=LAYOUTS[layout])
            residual = x if kind == "with a residual alone" else None
            assert explain(LAYERS[kind], x, residual).name == way
    finally:
        torch.set_num_threads(before)
