"""What kernels of a GPU need of its shared memory and registers, as they are compiled; no device is needed."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from placenorm.kernels.chain import Chain  # noqa: E402
from placenorm.kernels.pool_chain import MaxPool  # noqa: E402
from placenorm.kernels.triton import (  # noqa: E402
    chain,
    chain_pool_kernels,
    held_kernels,
    launch,
    pool_chain,
    pool_chain_kernels,
)
from placenorm.kernels.triton.pool_chain import count_cells, plan_pool  # noqa: E402
from support.cases.chains import LAYOUTS, find_activation  # noqa: E402

TARGET = GPUTarget("cuda", 90, 32)
KINDS = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}
NUMBERS = {"count": "fp32", "parameter": "fp32", "eps": "fp32", "share": "fp32"}
OF_INPUT = ("x_ptr", "y_ptr", "residual_ptr", "dx_ptr", "dy_ptr", "dresidual_ptr", "winner_ptr")
BYTES = ("place_ptr", "bits_ptr", "told_ptr")
SIZE = (112, 112)

LAST, PLANES = torch.channels_last, torch.contiguous_format
CASES = [
    (kernel, pool, dtype, layout)
    for kernel in ("through", "gradients")
    for pool, dtype, layout in (
        (MaxPool((3, 3), (1, 1), (1, 1)), torch.float32, LAST),
        (MaxPool((3, 3), (1, 1), (1, 1)), torch.float32, PLANES),
        (MaxPool((3, 3), (2, 2), (1, 1)), torch.float32, LAST),
        (MaxPool((3, 3), (1, 1), (1, 1)), torch.bfloat16, LAST),
        (MaxPool((3, 3), (2, 2), (1, 1)), torch.bfloat16, LAST),
        (MaxPool((2, 2), (1, 1)), torch.float32, LAST),
        (MaxPool((2, 2), (2, 2)), torch.float32, LAST),
    )
]


def name_case(case: Any) -> str:
    kernel, pool, dtype, layout = case
    kind = f"{dtype}-{layout}".replace("torch.", "")
    return f"{kernel}-{'x'.join(map(str, pool.kernel_size))}-{pool.stride[0]}-{kind}"


@pytest.mark.parametrize("case", CASES, ids=name_case)
def test_kernel_fits_into_the_shared_memory_of_every_device(case: Any) -> None:
    name, pool, dtype, layout = case
    x = torch.empty(1, 64, *SIZE, dtype=dtype).contiguous(memory_format=layout)
    cells = count_cells(SIZE, pool)
    if name == "through":
        kernel = chain_pool_kernels.spread_through
        plan = plan_pool(kernel, x, cells, (0,) * 6, launch.UNPOOL, pool, reads_input=True, AFTER="relu")
    else:
        kernel = pool_chain_kernels.spread_gradients
        plan = plan_pool(kernel, x, cells, (0,) * 6, launch.UNPOOL, pool, BEFORE="relu")
    assert compile_for(TARGET, kernel, plan, KINDS[dtype]).metadata.shared <= launch.LEAST_SHARED_BYTES


def compile_for(
    target: Any,
    kernel: launch.Kernel,
    plan: launch.Plan,
    kind: str,
    absent: Mapping[str, None] = MappingProxyType({}),
    kinds: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    function = kernel._function
    if not hasattr(function, "signature") or triton.knobs.runtime.interpret:
        pytest.skip("Triton's interpreter compiles nothing")

    constants = plan.constants | {name: value for name, value in absent.items() if name in function.arg_names}

    def describe(name: str) -> str:
        if name in constants:
            return "constexpr"
        if name in kinds:
            return kinds[name]
        if name.endswith("_ptr"):
            return (
                kind if name in OF_INPUT else "*u8" if name in BYTES else "*i64" if name == "tracked_ptr" else "*fp32"
            )
        return NUMBERS.get(name, "i32")

    names = function.arg_names
    source = ASTSource(
        fn=function,
        signature={name: describe(name) for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs={(at,): [["tt.divisibility", 16]] for at, name in enumerate(names) if name.endswith("_ptr")},
    )
    return triton.compile(source, target=target, options={"num_warps": plan.warps})


HELD = [
    *(((512, 64, 1), "rows"), ((64, 128, 1), "rows"), ((64, 1000, 1), "rows")),  # 16 and 128 columns, full or not
    *(((32, 64, 256), "planes"), ((128, 64, 49), "planes"), ((4, 16, 2047), "planes")),
]
FORWARD = [("identity", "relu"), ("gelu", "identity"), ("identity", "gelu")]
BACKWARD = [("identity", "relu", "told"), ("gelu", "identity", ""), ("identity", "gelu", "")]


@pytest.mark.slow
@pytest.mark.parametrize("names", [*FORWARD, *BACKWARD], ids=lambda names: "-".join(names) or "all")
@pytest.mark.parametrize("dtype", KINDS, ids=str)
@pytest.mark.parametrize(("shape", "layout"), HELD, ids=str)
def test_what_a_program_holds_fits_into_its_registers(
    shape: tuple[int, int, int], layout: str, dtype: torch.dtype, names: tuple[str, ...], tmp_path: Path
) -> None:
    x, absent = LAYOUTS[layout](torch.empty(shape, dtype=dtype)), set()
    by_bits = bool(chain.count_bytes_of_bits(x, Chain(after=find_activation("relu"), adds=True)))
    if names[-1] == "told":
        names = (*names[:-1], "bits" if by_bits else "output")
    if names[1] != "relu":
        absent = {"residual_ptr", "bits_ptr", "told_ptr", "dresidual_ptr"}
    elif not by_bits:
        absent = {"bits_ptr"}
    kernel = held_kernels.norm_held if len(names) == 2 else held_kernels.differentiate_held
    plan = chain.plan_held(kernel, x, *names)
    assert plan is not None
    assert plan.constants["ROWS"] * plan.constants["WIDTH"] == launch.HELD[-1].values
    program = tmp_path / "program.ptx"
    kinds = {"told_ptr": KINDS[dtype]} if names[-1] == "output" else {}
    compiled = compile_for(TARGET, kernel, plan, KINDS[dtype], dict.fromkeys(absent), kinds)
    program.write_text(compiled.asm["ptx"], encoding="utf-8")
    command = [triton.knobs.nvidia.ptxas.path, "-arch=sm_90a", "-v", program, "-o", tmp_path / "program.cubin"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert re.findall(r"(\d+) bytes spill", told) == ["0", "0"], told


def test_tiles_are_under_way_where_they_fit() -> None:
    how, shared = launch.Launch(2048, 2, 8, 3), 2 * 2048 * 20
    assert [launch.fit_stages(how, size, shared).stages for size in (1, 20, 21, 100)] == [3, 3, 1, 1]
    assert launch.fit_stages(how, 1, shared) == how


@pytest.mark.parametrize(("shared", "stages"), [(101_376, 1), (232_448, 3)], ids=["8.9", "9.0"])
def test_stem_of_a_resnet_has_tiles_under_way_on_large_devices(
    shared: int, stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_chain, "count_shared_bytes", lambda device: shared)
    monkeypatch.setattr(pool_chain, "_PLANS", {})
    pool = MaxPool((3, 3), (2, 2), (1, 1))
    x = torch.empty(1, 64, *SIZE).contiguous(memory_format=LAST)
    plan = plan_pool(
        chain_pool_kernels.spread_through, x, count_cells(SIZE, pool), (0,) * 6, launch.UNPOOL, pool, reads_input=True,
        AFTER="relu",
    )  # fmt: skip
    assert plan.constants["STAGES"] == stages
    needed = compile_for(TARGET, chain_pool_kernels.spread_through, plan, "*fp32").metadata.shared
    assert needed <= shared
