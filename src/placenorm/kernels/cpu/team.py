"""Loops that a team of threads shares, called from within a compiled kernel: no Python runs in the workers.

GOMP_parallel, and what stands in for it in `placenorm.kernels.threads`, call one C function in every thread. That
function is made here for each loop and the types of its arguments: it takes one share of the work after the other from
a counter until none is left, so that the work is done whatever the number of threads that come.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_WORD, _INT, _NOTHING = ir.IntType(64), ir.IntType(32), ir.VoidType()

_NEXT, _SHARES, _COUNT, _GIVEN = range(4)
"""Fields of the block that the threads read: the next share, how many there are, the length of the range, arguments."""


def _type_sharing(typing: Any, team: Any, loop: Any, given: Any, count: Any) -> Any:
    """Return the signature of `share_out` for some types, and what writes its code."""
    called = loop.get_call_type(typing, (*given.types, types.intp, types.intp, types.intp), {})

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        compiled = loop.dispatcher.overloads[called.args]
        context.active_code_library.add_linking_library(compiled.library)
        start, shares = cgutils.unpack_tuple(builder, arguments[0])
        values = zip(cgutils.unpack_tuple(builder, arguments[2]), given.types, strict=True)
        lent = context.make_tuple(builder, given, [_lend(context, builder, *each) for each in values])
        fields = [_WORD(0), shares, arguments[3], lent]
        block = cgutils.alloca_once_value(builder, cgutils.pack_struct(builder, fields))
        work = _write_work(context, builder.module, block.type, called, compiled.fndesc)
        with builder.if_else(builder.icmp_signed("==", start, _WORD(0))) as (alone, together):
            with alone:
                builder.call(work, [block])
            with together:
                parallel = ir.FunctionType(_NOTHING, [work.type, block.type, _INT, _INT]).as_pointer()
                builder.call(builder.inttoptr(start, parallel), [work, block, _INT(0), _INT(0)])
        return context.get_dummy_value()

    return types.void(team, loop, given, count), generate


share_out: Final[Any] = intrinsic(_type_sharing)
"""Call ``loop(*given, share, start, stop)`` for every share of a range; for compiled code alone.

Args:
    team: a `placenorm.kernels.threads.Team`.
    loop: a compiled function that returns nothing and raises nothing.
    given: a tuple of what it takes in front of the number of a share, from 0, and its bounds.
    count: length of the range, which begins at 0.
"""


def _lend(context: Any, builder: Any, value: Any, kind: Any) -> Any:
    """Return an array without an owner, or another value as it is.

    Each view of an array counts its owner's references, and several threads that count wait for each other: a pool
    took twice as long in two threads as in one. The caller owns the arrays until all are done.
    """
    if not isinstance(kind, types.Array):
        return value
    array = context.make_array(kind)(context, builder, value)
    array.meminfo = cgutils.get_null_value(array.meminfo.type)
    return array._getvalue()


def _write_work(context: Any, module: Any, block_type: Any, called: Any, loop: Any) -> Any:
    """Write the C function that a thread runs: it does shares of a loop until the block has no more."""
    name = module.get_unique_name("work")
    work = ir.Function(module, ir.FunctionType(_NOTHING, [block_type]), name)
    work.linkage = "internal"
    builder = ir.IRBuilder(work.append_basic_block("entry"))
    take, run, leave = (work.append_basic_block(each) for each in ("take", "run", "leave"))
    (block,) = work.args
    builder.branch(take)
    builder.position_at_end(take)
    share = builder.atomic_rmw("add", cgutils.gep_inbounds(builder, block, 0, _NEXT), _WORD(1), "monotonic")
    shares, count, given = (
        builder.load(cgutils.gep_inbounds(builder, block, 0, field)) for field in (_SHARES, _COUNT, _GIVEN)
    )
    builder.cbranch(builder.icmp_signed("<", share, shares), run, leave)
    builder.position_at_end(run)
    bounds = [builder.sdiv(builder.mul(count, each), shares) for each in (share, builder.add(share, _WORD(1)))]
    context.call_internal_no_propagate(builder, loop, called, [*cgutils.unpack_tuple(builder, given), share, *bounds])
    builder.branch(take)
    builder.position_at_end(leave)
    builder.ret_void()
    return work
