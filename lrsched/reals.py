"""Numbers as users have them: which count as real, and as plain arrays."""

import math
import numbers
import sys
from array import array
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["bad_dtype", "check_jax", "check_torch", "is_real", "real_array", "to_float"]


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
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if isinstance(value, range):
        value = np.asarray(value)
    elif isinstance(value, Sequence) and not isinstance(value, _NO_LIST):
        value = _listed(name, value)
    elif torch is not None and isinstance(value, torch.Tensor):
        check_torch(torch, name, value)
        try:
            value = value.detach().to("cpu", torch.float64).numpy()
        except RuntimeError as error:  # a tensor without values
            raise _no_numbers(name, value) from error
    elif isinstance(value, getattr(jax, "Array", ())):
        check_jax(jax, name, value)
        try:
            value = np.asarray(value).astype(np.float64)
        except TypeError as error:  # a tracer
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
        raise bad_dtype(name, value.dtype)
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
        raise bad_dtype(name, dtype)
    for unit in ("unit", "units"):
        if hasattr(value, unit):
            raise TypeError(f"{name} must have no {unit}, which would be lost, got {value!r}")
    try:
        return np.asanyarray(value)
    except Exception as error:  # whatever another library raises
        raise _no_numbers(name, value) from error


def check_torch(torch: Any, name: str, tensor: Any) -> None:
    """Raise TypeError for a torch tensor that is not a dense one of real numbers."""
    if tensor.dtype == torch.bool or tensor.is_complex() or tensor.is_quantized:
        raise bad_dtype(name, tensor.dtype)
    if isinstance(tensor, torch.masked.MaskedTensor):
        raise TypeError(f"{name} must have no mask, which would be lost, got {tensor!r}")
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = "a nested one" if tensor.is_nested else f"one with layout {tensor.layout}"
        raise TypeError(f"{name} must be a dense tensor, got {kind}")


def check_jax(jax: Any, name: str, value: Any) -> None:
    """Raise TypeError for a JAX array of what is no real number, such as a random key."""
    kinds = jax.numpy.integer, jax.numpy.floating
    if not any(jax.numpy.issubdtype(value.dtype, kind) for kind in kinds):
        raise bad_dtype(name, value.dtype)


def _no_numbers(name: str, value: Any) -> TypeError:
    return TypeError(f"{name} must be a number or an array of numbers of at least 0, got {value!r}")


def bad_dtype(name: str, dtype: Any) -> TypeError:
    """The error for an array of what is no real number."""
    return TypeError(f"{name} must hold real numbers, got an array of {dtype}")
