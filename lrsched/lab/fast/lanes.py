"""A vector with one number of each of 16 networks, as a type of numba's, and what it can do.

As a type of its own it needs no loop over networks that the compiler might not turn into vector
instructions. No network takes part in the arithmetic of another, and all are computed by the
same instructions: a network's neighbours do not change its result.
"""

import hashlib
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable
from numpy.typing import NDArray

__all__ = [
    "LANES", "Memory", "Vector", "compiled", "compiled_once", "dot", "load", "muladd", "root",
    "same", "store", "tanh", "total", "where_le",
]  # fmt: skip

LANES = 16  # as wide as the registers of today's processors, or a multiple of them

Function = TypeVar("Function", bound=Callable[..., Any])
Memory = NDArray[np.float32]
Vector = Any  # of LANES float32

_INDEX = ir.IntType(32)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


_lanes = _Lanes()
register_model(_Lanes)(_LanesModel)


def _arithmetic(symbol: Callable[..., Any], instruction: str) -> None:
    """Let vectors be added, for example, by ``+``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)

    type_callable(symbol)(lambda context: lambda a, b: _lanes if a == b == _lanes else None)
    lower_builtin(symbol, _lanes, _lanes)(generate)


_arithmetic(operator.add, "fadd")
_arithmetic(operator.sub, "fsub")
_arithmetic(operator.mul, "fmul")
_arithmetic(operator.truediv, "fdiv")


def _call(name: str) -> Callable[..., Any]:
    """What generates a call of LLVM's function of this name."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(args))
        full_name = f"llvm.{name}.v{LANES}f32"
        return builder.call(builder.module.declare_intrinsic(full_name, fnty=kind), args)

    return generate


def _muladd(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return _lanes(_lanes, _lanes, _lanes), _call("fmuladd")


def _root(typing: Any, a: Any) -> Any:
    return _lanes(_lanes), _call("sqrt")


def _where_le(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<=", args[0], args[1]), args[2], args[3])

    return _lanes(_lanes, _lanes, _lanes, _lanes), generate


def _address(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    first = builder.mul(args[1], ir.Constant(args[1].type, LANES))
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


def _load(typing: Any, memory: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_address(context, builder, signature, args), align=4)

    return _lanes(memory, types.intp), generate


def _store(typing: Any, memory: Any, place: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _address(context, builder, signature, args), align=4)
        return context.get_dummy_value()

    return types.void(memory, types.intp, _lanes), generate


def _same(typing: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(_INDEX, 0))
        zeros = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
        return builder.shuffle_vector(first, undefined, zeros)

    return _lanes(types.float32), generate


muladd: Callable[[Vector, Vector, Vector], Vector] = intrinsic(_muladd)  # a * b + c
root: Callable[[Vector], Vector] = intrinsic(_root)
#: x where a <= b, else y, and so too where a or b is NaN
where_le: Callable[[Vector, Vector, Vector, Vector], Vector] = intrinsic(_where_le)
load: Callable[[Memory, int], Vector] = intrinsic(_load)  # places count in vectors
store: Callable[[Memory, int, Vector], None] = intrinsic(_store)
same: Callable[[float], Vector] = intrinsic(_same)  # one number, as float32, for all networks


def compiled(function: Function) -> Function:
    """In strict arithmetic: a network that diverges gives what IEEE 754 says, as in PyTorch."""
    dispatcher: Function = njit(function, error_model="numpy", nogil=True)
    return dispatcher


def compiled_once(function: Function) -> Function:
    """With all that it calls, kept on disk until its file or this one changes."""
    # The compiler looks at the function's file and its name: the name tells of this file.
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    function.__qualname__ += f"_{digest[:8]}"
    dispatcher: Function = njit(function, error_model="numpy", nogil=True, cache=True)
    return dispatcher


@compiled
def tanh(x: Vector) -> Vector:
    """x P(x²) / Q(x²), fitted up to 9.02, where tanh becomes 1; relative error below 4e-7."""
    one, end = same(1.0), same(9.5)  # at the end the quotient is safely above 1
    x = where_le(x, same(-9.5), same(-9.5), x)
    x = where_le(end, x, end, x)
    t = x * x
    p = muladd(same(1.33190548e-08), t, same(2.05834688e-05))
    p = muladd(p, t, same(3.49403381e-03))
    p = muladd(p, t, same(1.33797173e-01))
    p = muladd(p, t, same(9.99999979e-01))
    q = muladd(same(7.76201239e-07), t, same(3.28309161e-04))
    q = muladd(q, t, same(2.58710704e-02))
    q = muladd(q, t, same(4.67130326e-01))
    q = muladd(q, t, one)
    y = x * p / q
    y = where_le(y, same(-1.0), same(-1.0), y)
    return where_le(one, y, one, y)


@compiled
def total(m: Memory, x: int, rows: int) -> Vector:
    """The sum of the values from x on."""
    a = same(0.0)
    fours = rows - rows % 4
    for r in range(x, x + fours, 4):
        a = a + ((load(m, r) + load(m, r + 1)) + (load(m, r + 2) + load(m, r + 3)))
    for r in range(x + fours, x + rows):
        a = a + load(m, r)
    return a


@compiled
def dot(m: Memory, x: int, from_x: Vector, y: int, from_y: Vector, rows: int) -> Vector:
    """The sum of (x - from_x) * (y - from_y) over rows: two sums at a time, for speed."""
    a = b = same(0.0)
    for r in range(0, rows - 1, 2):
        a = muladd(load(m, x + r) - from_x, load(m, y + r) - from_y, a)
        b = muladd(load(m, x + r + 1) - from_x, load(m, y + r + 1) - from_y, b)
    if rows % 2:
        a = muladd(load(m, x + rows - 1) - from_x, load(m, y + rows - 1) - from_y, a)
    return a + b
