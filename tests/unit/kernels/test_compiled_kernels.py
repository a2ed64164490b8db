"""What the pooled kernels of a GPU need of its shared memory, as they are compiled; no device is needed."""

from typing import Any

import pytest
import torch

triton = pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from placenorm.kernels.pool_chain import MaxPool  # noqa: E402
from placenorm.kernels.triton import chain_pool_kernels, launch, pool_chain, pool_chain_kernels  # noqa: E402
from placenorm.kernels.triton.pool_chain import count_cells, plan_pool  # noqa: E402

TARGET = GPUTarget("cuda", 90, 32)
KINDS = {torch.float32: "*fp32", torch.bfloat16: "*bf16"}
NUMBERS = {"count": "fp32", "parameter": "fp32"}
OF_INPUT = ("x_ptr", "dx_ptr", "dy_ptr", "winner_ptr")
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


def compile_for(target: Any, kernel: launch.Kernel, plan: launch.Plan, kind: str) -> Any:
    function = kernel._function
    if not hasattr(function, "signature") or triton.knobs.runtime.interpret:
        pytest.skip("Triton's interpreter compiles nothing")

    def describe(name: str) -> str:
        if name in plan.constants:
            return "constexpr"
        if name.endswith("_ptr"):
            return kind if name in OF_INPUT else "*u8" if name == "place_ptr" else "*fp32"
        return NUMBERS.get(name, "i32")

    names = function.arg_names
    source = ASTSource(
        fn=function,
        signature={name: describe(name) for name in names},
        constexprs={(names.index(name),): value for name, value in plan.constants.items()},
        attrs={(at,): [["tt.divisibility", 16]] for at, name in enumerate(names) if name.endswith("_ptr")},
    )
    return triton.compile(source, target=target, options={"num_warps": plan.warps})


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
