"""The array namespaces that schedules compute in: numbers, NumPy, torch, TensorFlow.

A schedule's formula is written once, over a namespace ``xp`` and steps ``t`` in
float64. The functions it may use are those of :class:`Namespace`, next to the
operators of ``t`` itself. Where a function takes two arguments, the first one
is of the namespace and the second may be a Python number.
"""

import math
import numbers
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

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
    counters: Any = getattr(sys.modules.get("keras"), "Variable", ())
    if torch is not None and isinstance(step, torch.Tensor):
        return _evaluate_torch(torch, formula, step)
    if torch is not None and "torch.fx" in sys.modules and isinstance(step, torch.fx.Proxy):
        return formula(_Torch(torch), step.to(torch.float64))
    if tf is not None and isinstance(step, tf.Tensor | tf.Variable):
        return _evaluate_tensorflow(tf, formula, step)
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
    _check_torch(torch, "step", step)
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
        raise _bad_dtype("step", step.dtype.name)
    t = tf.cast(step, tf.float64)
    if hasattr(t, "numpy"):  # eager
        values = t.numpy()
        bad = values[~((values >= 0) & (values <= LAST_STEP))]
        if bad.size:
            raise _bad_step(bad[0])
    return formula(_TensorFlow(tf), t)


# Numbers as users have them


def is_real(value: Any) -> bool:
    """Whether this is one real number. NumPy counts its time spans as integers; they are not."""
    return isinstance(value, _REAL) and not isinstance(value, _NOT_REAL)


_REAL = (int, float, numbers.Real, Decimal)
_NOT_REAL = (bool, np.bool_, np.timedelta64)


def to_float(value: Any) -> float:
    """The float nearest to a real number: infinite beyond the largest."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except ValueError:  # a signalling NaN of decimal
        return math.nan


def real_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Real numbers as a plain NumPy array of the same shape, whatever holds them.

    That is an array, a buffer, a list (nested, of mixed types), a tensor with values, or an
    object that NumPy can make an array of, such as a pandas column. Raises TypeError for
    anything else, and where a mask, a unit or a type that is no number's would be lost.
    """
    torch = sys.modules.get("torch")
    if isinstance(value, range):
        value = np.asarray(value)
    elif isinstance(value, Sequence) and not isinstance(value, _NO_LIST):
        value = _listed(name, value)
    elif torch is not None and isinstance(value, torch.Tensor):
        _check_torch(torch, name, value)
        try:
            value = value.detach().to("cpu", torch.float64).numpy()
        except RuntimeError as error:  # a tensor without values
            raise _no_numbers(name, value) from error
    elif not isinstance(value, np.ndarray):
        value = _converted(name, value)
    if np.ma.is_masked(value):
        raise TypeError(f"{name} must have no masked values, got {value!r}")
    if type(value) not in _PLAIN:
        kind = type(value).__name__
        raise TypeError(
            f"{name} must be a plain array: what a {kind} adds to it, such as a unit, would be "
            f"lost; got {value!r}"
        )
    if value.dtype.kind == "O":
        for item in value.flat:
            if not is_real(item):
                raise TypeError(f"{name} must hold real numbers, got {item!r}")
        return np.array([to_float(item) for item in value.flat]).reshape(value.shape)
    if value.dtype.kind not in "iuf":
        raise _bad_dtype(name, value.dtype)
    return np.asarray(value)


_NO_LIST = (str, bytes, bytearray, memoryview, array)
_PLAIN = (np.ndarray, np.memmap, np.matrix, np.ma.MaskedArray)


def _listed(name: str, values: Sequence[Any]) -> npt.NDArray[Any]:
    if {*map(type, values)} <= {int, float}:
        return np.asarray(values)
    if all(map(is_real, values)):
        return np.array([to_float(value) for value in values])
    rows = [
        np.array(to_float(value)) if is_real(value) else real_array(f"{name}[{k}]", value)
        for k, value in enumerate(values)
    ]
    if len({row.shape for row in rows}) > 1:
        raise TypeError(f"{name} must have rows of the same length, got {values!r}")
    return np.stack(rows)


def _converted(name: str, value: Any) -> npt.NDArray[Any]:
    if not (hasattr(value, "__array__") or isinstance(value, memoryview | array)):
        raise _no_numbers(name, value)
    dtype = getattr(value, "dtype", None)
    if getattr(dtype, "kind", "i") not in "iuf" and not isinstance(dtype, np.dtype):
        # What pandas calls a category becomes an array of numbers without a word.
        raise _bad_dtype(name, dtype)
    for unit in ("unit", "units"):
        if hasattr(value, unit):
            raise TypeError(f"{name} must have no {unit}, which would be lost, got {value!r}")
    try:
        return np.asanyarray(value)
    except Exception as error:  # whatever another library raises
        raise _no_numbers(name, value) from error


def _check_torch(torch: Any, name: str, tensor: Any) -> None:
    if tensor.dtype == torch.bool or tensor.is_complex() or tensor.is_quantized:
        raise _bad_dtype(name, tensor.dtype)
    if isinstance(tensor, torch.masked.MaskedTensor):
        raise TypeError(f"{name} must have no mask, which would be lost, got {tensor!r}")
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = "a nested one" if tensor.is_nested else f"one with layout {tensor.layout}"
        raise TypeError(f"{name} must be a dense tensor, got {kind}")


def _no_numbers(name: str, value: Any) -> TypeError:
    return TypeError(f"{name} must be a number or an array of numbers of at least 0, got {value!r}")


def _bad_dtype(name: str, dtype: Any) -> TypeError:
    return TypeError(f"{name} must hold real numbers, got an array of {dtype}")
