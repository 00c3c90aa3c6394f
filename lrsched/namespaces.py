"""The array namespaces that schedules compute in: numbers, NumPy, torch, TensorFlow, JAX.

A schedule's formula is written once, over a namespace ``xp`` and steps ``t`` in
float64. The functions it may use are those of :class:`Namespace`, next to the
operators of ``t`` itself. Where a function takes two arguments, the first one
is of the namespace and the second may be a Python number.
"""

import functools
import math
import operator
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .reals import bad_dtype, check_jax, check_torch, is_real, real_array, to_float

LAST_STEP = 2**53 - 1
"""The last step of those that float64 counts one by one; a schedule is not defined past it."""

# Long arrays are computed in blocks whose intermediate results stay in the CPU's cache.
BLOCK = 32_768


class Namespace(Protocol):
    """What a formula may call. Names follow the Python array API standard."""

    def cos(self, x: Any, /) -> Any: ...
    def exp(self, x: Any, /) -> Any: ...
    def log(self, x: Any, /) -> Any: ...
    def sqrt(self, x: Any, /) -> Any: ...
    def floor(self, x: Any, /) -> Any: ...
    def ceil(self, x: Any, /) -> Any: ...
    def minimum(self, x: Any, y: Any, /) -> Any: ...
    def maximum(self, x: Any, y: Any, /) -> Any: ...
    def where(self, condition: Any, x: Any, y: Any, /) -> Any: ...
    def full_like(self, x: Any, value: float, /) -> Any: ...
    def int64(self, x: Any, /) -> Any: ...
    def float64(self, x: Any, /) -> Any: ...

    def divide(self, x: Any, y: Any, /) -> Any:
        """x / y for x >= 0 and y > 0, rounded correctly.

        XLA, which compiles JAX and may compile TensorFlow, takes ``x / 49`` for ``x * (1 / 49)``,
        and so 49 / 49 for a number below 1. It must not know that the divisor is a constant.
        """

    def count_reached(self, boundaries: Sequence[float], t: Any, /) -> Any:
        """How many of the increasing boundaries are <= t, as indices for `take`."""

    def take(self, values: Sequence[float], index: Any, /) -> Any:
        """The values at these indices."""


Formula = Callable[[Any, Any], Any]


class _Numbers:
    """Python floats."""

    cos, exp, log, sqrt = math.cos, math.exp, math.log, math.sqrt
    int64, float64, divide = int, float, operator.truediv

    @staticmethod
    def floor(x: float) -> float:
        return float(math.floor(x))

    @staticmethod
    def ceil(x: float) -> float:
        return float(math.ceil(x))

    @staticmethod
    def minimum(x: float, y: float) -> float:
        return x if x <= y else y

    @staticmethod
    def maximum(x: float, y: float) -> float:
        return x if x >= y else y

    @staticmethod
    def where(condition: bool, x: float, y: float) -> float:
        return x if condition else y

    @staticmethod
    def full_like(x: float, value: float) -> float:
        return value

    @staticmethod
    def count_reached(boundaries: Sequence[float], t: float) -> int:
        return bisect_right(boundaries, t)

    @staticmethod
    def take(values: Sequence[float], index: int) -> float:
        return values[index]


class _NumPy:
    """NumPy arrays."""

    def __init__(self) -> None:
        self.cos, self.exp, self.log, self.sqrt = np.cos, np.exp, np.log, np.sqrt
        self.floor, self.ceil, self.minimum, self.maximum = (
            np.floor,
            np.ceil,
            np.minimum,
            np.maximum,
        )
        self.where, self.full_like, self.divide = np.where, np.full_like, np.divide

    def int64(self, x: Any) -> Any:
        return x.astype(np.int64)

    def float64(self, x: Any) -> Any:
        return x.astype(np.float64)

    def count_reached(self, boundaries: Sequence[float], t: Any) -> Any:
        return np.searchsorted(np.asarray(boundaries, np.float64), t, side="right")

    def take(self, values: Sequence[float], index: Any) -> Any:
        return np.asarray(values, np.float64)[index]


class _Torch:
    """Torch tensors."""

    def __init__(self, torch: Any) -> None:
        self.cos, self.exp, self.log, self.sqrt = torch.cos, torch.exp, torch.log, torch.sqrt
        self.floor, self.ceil = torch.floor, torch.ceil
        self.where, self.full_like, self.divide = torch.where, torch.full_like, torch.divide
        self._torch = torch

    def minimum(self, x: Any, y: Any) -> Any:
        return x.clamp(max=y)

    def maximum(self, x: Any, y: Any) -> Any:
        return x.clamp(min=y)

    def int64(self, x: Any) -> Any:
        return x.to(self._torch.int64)

    def float64(self, x: Any) -> Any:
        return x.to(self._torch.float64)

    def _tensor(self, values: Sequence[float], like: Any) -> Any:
        return like.new_tensor(values, dtype=self._torch.float64)

    def count_reached(self, boundaries: Sequence[float], t: Any) -> Any:
        return self._torch.searchsorted(self._tensor(boundaries, t), t.contiguous(), right=True)

    def take(self, values: Sequence[float], index: Any) -> Any:
        flat = self._tensor(values, index).index_select(0, index.reshape(-1))
        return flat.reshape(index.shape)


class _TensorFlow:
    """TensorFlow tensors, eager or in a graph."""

    def __init__(self, tf: Any) -> None:
        self.cos, self.exp, self.log, self.sqrt = tf.cos, tf.exp, tf.math.log, tf.sqrt
        self.floor, self.ceil, self.minimum, self.maximum = (
            tf.floor,
            tf.math.ceil,
            tf.minimum,
            tf.maximum,
        )
        self._tf = tf

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        tensor = self._tf.convert_to_tensor
        return self._tf.where(condition, tensor(x, self._tf.float64), tensor(y, self._tf.float64))

    def full_like(self, x: Any, value: float) -> Any:
        return self._tf.fill(self._tf.shape(x), self._tf.constant(value, self._tf.float64))

    def int64(self, x: Any) -> Any:
        return self._tf.cast(x, self._tf.int64)

    def float64(self, x: Any) -> Any:
        return self._tf.cast(x, self._tf.float64)

    def divide(self, x: Any, y: Any) -> Any:
        return x / self.maximum(-x, y)

    def count_reached(self, boundaries: Sequence[float], t: Any) -> Any:
        if not boundaries:
            return self._tf.zeros_like(t, self._tf.int32)
        flat = self._tf.searchsorted(
            self._tf.constant(boundaries, self._tf.float64),
            self._tf.reshape(t, [-1]),
            side="right",
        )
        return self._tf.reshape(flat, self._tf.shape(t))

    def take(self, values: Sequence[float], index: Any) -> Any:
        return self._tf.gather(self._tf.constant(values, self._tf.float64), index)


class _Jax:
    """JAX arrays, traced or not. Its 64-bit types must be enabled."""

    def __init__(self, jax: Any) -> None:
        jnp = jax.numpy
        self.cos, self.exp, self.log, self.sqrt = jnp.cos, jnp.exp, jnp.log, jnp.sqrt
        self.floor, self.ceil, self.where, self.full_like = (
            jnp.floor,
            jnp.ceil,
            jnp.where,
            jnp.full_like,
        )
        self._jnp = jnp

    # Where the two are equal the slope is that of one of them; JAX's own give the mean.
    def minimum(self, x: Any, y: Any) -> Any:
        return self.where(x >= y, y, x)

    def maximum(self, x: Any, y: Any) -> Any:
        return self.where(x < y, y, x)

    def int64(self, x: Any) -> Any:
        return x.astype(np.int64)

    def float64(self, x: Any) -> Any:
        return x.astype(np.float64)

    def divide(self, x: Any, y: Any) -> Any:
        return x / self.maximum(-x, y)

    def count_reached(self, boundaries: Sequence[float], t: Any) -> Any:
        method = "compare_all" if len(boundaries) <= 64 else "scan"  # whichever is faster
        array = np.asarray(boundaries, np.float64)
        return self._jnp.searchsorted(array, t, side="right", method=method)

    def take(self, values: Sequence[float], index: Any) -> Any:
        return self._jnp.take(np.asarray(values, np.float64), index, mode="clip")


NUMBERS: Any = _Numbers()
NUMPY: Any = _NumPy()


def evaluate(formula: Formula, step: Any) -> Any:
    """Rates of ``formula`` at ``step``, in the namespace that ``step`` belongs to.

    Raises TypeError for a step that is no number and no array of numbers, and
    ValueError for steps that are negative, NaN, or 2**53 and more. Where a graph is
    compiled or traced, steps have no values to check yet.
    """
    if is_real(step):
        number = to_float(step)
        if not 0 <= number <= LAST_STEP:
            raise _bad_step(step)
        return formula(NUMBERS, number)
    # A tensor's framework has been imported by whoever made the tensor.
    torch, tf = sys.modules.get("torch"), sys.modules.get("tensorflow")
    jax_array: Any = getattr(sys.modules.get("jax"), "Array", ())
    counters: Any = getattr(sys.modules.get("keras"), "Variable", ())
    if torch is not None and isinstance(step, torch.Tensor):
        return _evaluate_torch(torch, formula, step)
    if torch is not None and "torch.fx" in sys.modules and isinstance(step, torch.fx.Proxy):
        return formula(_Torch(torch), step.to(torch.float64))
    if tf is not None and isinstance(step, tf.Tensor | tf.Variable):
        return _evaluate_tensorflow(tf, formula, step)
    if isinstance(step, jax_array):
        return _evaluate_jax(sys.modules["jax"], formula, step)
    if isinstance(step, counters):  # an optimizer's own count
        return evaluate(formula, step.value)
    return _evaluate_numpy(formula, real_array("step", step))


def _bad_step(value: Any) -> ValueError:
    return ValueError(f"step must be a number of at least 0 and below 2**53, got {value}")


def _evaluate_numpy(formula: Formula, step: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    flat = step.reshape(-1)
    rates = np.empty(flat.shape)
    for start in range(0, flat.size, BLOCK):
        t = flat[start : start + BLOCK].astype(np.float64, copy=False)
        if not (t.min() >= 0 and t.max() <= LAST_STEP):  # written so that NaN fails
            raise _bad_step(t[~((t >= 0) & (t <= LAST_STEP))][0])
        rates[start : start + BLOCK] = formula(NUMPY, t)
    return rates.reshape(step.shape)


def _evaluate_torch(torch: Any, formula: Formula, step: Any) -> Any:
    check_torch(torch, "step", step)
    t = step.to(torch.float64)
    # Reading a value from an accelerator would stall it, and a graph has none to read.
    graph = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if t.device.type == "cpu" and not graph:
        allowed = (t >= 0) & (t <= LAST_STEP)
        try:
            fine = bool(allowed.all())
        except RuntimeError:  # nor has a tensor under vmap, or one that make_fx follows
            fine = True
        if not fine:
            raise _bad_step(t[~allowed][0].item())
    return formula(_Torch(torch), t)


def _evaluate_tensorflow(tf: Any, formula: Formula, step: Any) -> Any:
    step = tf.convert_to_tensor(step)
    if not (step.dtype.is_integer or step.dtype.is_floating):
        raise bad_dtype("step", step.dtype.name)
    t = tf.cast(step, tf.float64)
    if hasattr(t, "numpy"):  # eager
        values = t.numpy()
        bad = values[~((values >= 0) & (values <= LAST_STEP))]
        if bad.size:
            raise _bad_step(bad[0])
    return formula(_TensorFlow(tf), t)


def _evaluate_jax(jax: Any, formula: Formula, step: Any) -> Any:
    check_jax(jax, "step", step)
    if not hasattr(jax, "enable_x64"):
        raise ImportError(f"steps on JAX arrays need JAX 0.8 or later, got {jax.__version__}")
    known = not isinstance(step, jax.core.Tracer) and step.is_fully_addressable
    if known and {device.platform for device in step.devices()} == {"cpu"}:
        t = np.asarray(step).astype(np.float64)
        bad = t[~((t >= 0) & (t <= LAST_STEP))]
        if bad.size:
            raise _bad_step(bad[0])
    return _jax_rates(jax, formula, step)


def _jax_rates(jax: Any, formula: Formula, step: Any) -> Any:
    """Rates in JAX's float type: computed in float64, also where JAX has it switched off."""
    dtype = jax.numpy.result_type(float)

    def rates(step: Any) -> Any:
        with jax.enable_x64(True):
            t = jax.numpy.asarray(step, np.float64)  # it may be a Python number
            return jax.numpy.asarray(formula(_Jax(jax), t), dtype)

    if not jax.numpy.issubdtype(step.dtype, np.floating):
        return rates(step)

    # JAX would take derivatives of the float64 operations where float64 is off again.
    def tangent(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
        slope = _jax_rates(jax, _slope(jax, formula), *primals)
        return differentiable(*primals), slope * tangents[0].astype(dtype)

    differentiable = jax.custom_jvp(rates)
    differentiable.defjvp(tangent)
    return differentiable(step)


def _slope(jax: Any, formula: Formula) -> Formula:
    """The derivative of a formula by the step."""

    def slope(xp: Any, t: Any) -> Any:
        _, slopes = jax.jvp(functools.partial(formula, xp), (t,), (xp.full_like(t, 1.0),))
        # 0 times infinity: a root at its end, from where on the rate stands still.
        return xp.where(jax.numpy.isnan(slopes), 0.0, slopes)

    return slope
