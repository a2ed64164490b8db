"""A fixed sample of both zoos, one network a family, through the coverage run: traced, placed, and preserved."""

from typing import Any

import pytest

from support.scripts import load_script

SAMPLE = (
    *("torchvision:lraspp_mobilenet_v3_large", "torchvision:mnasnet0_5", "torchvision:r3d_18"),
    *("torchvision:shufflenet_v2_x0_5", "torchvision:squeezenet1_0"),
    *("timm:dla46_c", "timm:efficientformerv2_s0", "timm:efficientvit_b0", "timm:fastvit_t8", "timm:ghostnet_050"),
    *("timm:hrnet_w18_small", "timm:levit_128s", "timm:mixnet_s", "timm:mobileone_s0", "timm:mobilevit_xxs"),
    *("timm:regnetx_002", "timm:repvgg_a0", "timm:resnest14d", "timm:rexnet_100", "timm:skresnet18"),
    *("timm:tf_efficientnet_es", "timm:xcit_nano_12_p16_224"),
)
WITH_VALUES = ("torchvision:mnasnet0_5", "timm:dla46_c", "timm:levit_128s", "timm:mobilevit_xxs", "timm:regnetx_002")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLE)
def test_every_block_is_placed_or_named_with_its_reason(name: str) -> None:
    bench = load_script("bench/networks.py")
    row: dict[str, Any] = bench.examine_graph(name)
    if not row["norms"]:
        assert name == "torchvision:squeezenet1_0"
        return
    assert "error" not in row
    row |= bench.examine_shapes(name, tuple(row["input"]), row["device"])
    assert {policy: one["error"] for policy, one in row["placed"].items() if "error" in one} == {}
    assert row["placed"]["none"]["left"] == 0
    assert row["placed"]["none"]["changes"] == row["seen"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WITH_VALUES)
def test_preserved_networks_compute_the_same(name: str) -> None:
    bench = load_script("bench/networks.py")
    row = bench.examine_values(name, tuple(bench.examine_graph(name)["input"]))
    assert "error" not in row["preserved"]
    assert {policy: one["error"] for policy, one in row["preserved"].items() if "error" in one} == {}
    assert sum(one["changes"] for one in row["preserved"].values()) > 0
    assert max(one["error_float64"] for one in row["preserved"].values()) < bench.EXACT


def test_summary_counts_what_the_rows_say() -> None:
    bench = load_script("bench/networks.py")

    def every(one: dict[str, Any]) -> dict[str, Any]:
        return dict.fromkeys(bench.POLICIES, one)

    ok = {"changes": 2, "left": 0, "reasons": {}}
    left = {"changes": 1, "left": 1, "reasons": {"because": 1}}
    kept = {"changes": 2, "kept_back": 0, "error_float64": 1e-15, "error_float32": 1e-7}
    off = {**kept, "error_float64": 1e-8}
    rows = [
        {"model": "timm:a", "norms": 2, "input": [3], "placed": every(ok), "preserved": every(kept)},
        {"model": "timm:b", "norms": 2, "input": [3], "placed": every(left), "preserved": every(off)},
        {"model": "timm:c", "norms": 2, "error": "it takes none of the inputs that were tried"},
        {"model": "timm:d", "norms": 0},
    ]
    page = bench.summarise(rows)
    assert "## timm: 3 of 4 models have batch norms; 2 of 3 (66.7 %) traced" in page
    assert "| `none` | 2 of 2 (100.0 %) | 1 of 2 (50.0 %) | 3 | 1 | 1 of 2 (50.0 %) | 1.0e-08 | 1.0e-07 | 0 |" in page
    assert "- `timm:c`: it takes none of the inputs that were tried" in page
    assert "| 4 | because |" in page
