"""The array namespaces that schedules compute in: numbers, NumPy, torch, TensorFlow.

A schedule's formula is written once, over a namespace ``xp`` and steps ``t`` in
float64. The functions it may use are those of :class:`Namespace`, next to the
operators of ``t`` itself. Where a function takes two arguments, the first one
is of the namespace and the second may be a Python number.
"""

import math
import numbers
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

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

    def count_reached(self, boundaries: Sequence[float], t: Any, /) -> Any:
        """How many of the increasing boundaries are <= t, as indices for `take`."""

    def take(self, values: Sequence[float], index: Any, /) -> Any:
        """The values at these indices."""


Formula = Callable[[Any, Any], Any]


class _Numbers:
    """Python floats."""

    cos, exp, log, sqrt = math.cos, math.exp, math.log, math.sqrt
    int64, float64 = int, float

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
        self.where, self.full_like = np.where, np.full_like

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
        self.where, self.full_like = torch.where, torch.full_like
        self._torch = torch

    def minimum(self, x: Any, y: Any) -> Any:
        return x.clamp(max=y)

    def maximum(self, x: Any, y: Any) -> Any:
        return x.clamp(min=y)

    def int64(self, x: Any) -> Any:
        return x.to(self._torch.int64)

    def float64(self, x: Any) -> Any:
        return x.to(self._torch.float64)

    def _tensor(self, values: Sequence[float], device: Any) -> Any:
        return self._torch.tensor(values, dtype=self._torch.float64, device=device)

    def count_reached(self, boundaries: Sequence[float], t: Any) -> Any:
        return self._torch.searchsorted(
            self._tensor(boundaries, t.device), t.contiguous(), right=True
        )

    def take(self, values: Sequence[float], index: Any) -> Any:
        return self._tensor(values, index.device)[index]


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


NUMBERS: Any = _Numbers()
NUMPY: Any = _NumPy()


def evaluate(formula: Formula, step: Any) -> Any:
    """Rates of ``formula`` at ``step``, in the namespace that ``step`` belongs to.

    Raises TypeError for a step that is no number and no array of numbers, and
    ValueError for steps that are negative, NaN, or 2**53 and more. Inside a compiled
    graph steps have no values to check yet.
    """
    if isinstance(step, numbers.Real) and not isinstance(step, bool | np.bool_):
        number = int(step) if isinstance(step, numbers.Integral) else float(step)
        if not 0 <= number <= LAST_STEP:
            raise _bad_step(step)
        return formula(NUMBERS, float(number))
    if isinstance(step, list | tuple | range):
        try:
            step = np.asarray(step)
        except ValueError as error:  # rows of different lengths
            raise TypeError(f"step must be a number or an array of numbers: {error}") from None
    if isinstance(step, np.ndarray):
        return _evaluate_numpy(formula, step)
    # A tensor's framework has been imported by whoever made the tensor.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(step, torch.Tensor):
        return _evaluate_torch(torch, formula, step)
    tf = sys.modules.get("tensorflow")
    if tf is not None and isinstance(step, tf.Tensor | tf.Variable):
        return _evaluate_tensorflow(tf, formula, step)
    raise TypeError(f"step must be a number or an array of numbers of at least 0, got {step!r}")


def _bad_step(value: Any) -> ValueError:
    return ValueError(f"step must be a number of at least 0 and below 2**53, got {value}")


def _bad_dtype(dtype: Any) -> TypeError:
    return TypeError(f"step must hold real numbers, got an array of {dtype}")


def _evaluate_numpy(formula: Formula, step: Any) -> Any:
    if step.dtype.kind not in "iuf":
        raise _bad_dtype(step.dtype)
    flat = step.reshape(-1)
    rates = np.empty(flat.shape)
    for start in range(0, flat.size, BLOCK):
        t = flat[start : start + BLOCK].astype(np.float64, copy=False)
        if not (t.min() >= 0 and t.max() <= LAST_STEP):  # written so that NaN fails
            raise _bad_step(t[~((t >= 0) & (t <= LAST_STEP))][0])
        rates[start : start + BLOCK] = formula(NUMPY, t)
    return rates.reshape(step.shape)


def _evaluate_torch(torch: Any, formula: Formula, step: Any) -> Any:
    if step.dtype == torch.bool or step.is_complex():
        raise _bad_dtype(step.dtype)
    t = step.to(torch.float64)
    # Reading a value from an accelerator would stall it, and a graph has none to read.
    if t.device.type == "cpu" and not torch.compiler.is_compiling():
        bad = t[~((t >= 0) & (t <= LAST_STEP))]
        if bad.numel():
            raise _bad_step(bad[0].item())
    return formula(_Torch(torch), t)


def _evaluate_tensorflow(tf: Any, formula: Formula, step: Any) -> Any:
    step = tf.convert_to_tensor(step)
    if not (step.dtype.is_integer or step.dtype.is_floating):
        raise _bad_dtype(step.dtype.name)
    t = tf.cast(step, tf.float64)
    if hasattr(t, "numpy"):  # eager
        values = t.numpy()
        bad = values[~((values >= 0) & (values <= LAST_STEP))]
        if bad.size:
            raise _bad_step(bad[0])
    return formula(_TensorFlow(tf), t)
