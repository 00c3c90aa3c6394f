"""Checks for the arguments of schedules.

A field of a schedule is annotated with its check, ``base_lr: Rate``, and
:class:`lrsched.Schedule` runs it when the schedule is made. A check takes the
argument's full name and its value, returns the value in plain Python types and
raises an error that names the argument, the value and what would be right:
``TypeError`` for the wrong kind of thing, ``ValueError`` for the wrong value.
"""

import dataclasses
import functools
import itertools
import math
import numbers
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from .namespaces import LAST_STEP, is_real, real_array, to_float

__all__ = [
    "Boundaries",
    "Choice",
    "Count",
    "Duration",
    "Flag",
    "Number",
    "Optional",
    "OptionalDuration",
    "OptionalRate",
    "PositiveNumber",
    "Rate",
    "Rates",
    "Real",
    "Several",
    "Whole",
    "check_fields",
    "number",
]

Check = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Real:
    """A finite number of at least ``low``, or above it if ``low_excluded``; below ``high``.

    ``smallest`` and ``largest`` keep formulas from overflowing; no real argument comes near.
    """

    low: float = -math.inf
    low_excluded: bool = False
    high: float = math.inf
    smallest: float = -math.inf
    largest: float = 1e30

    @property
    def wanted(self) -> str:
        bounds = []
        if self.low > -math.inf:
            bounds.append(
                f"above {self.low:g}" if self.low_excluded else f"of at least {self.low:g}"
            )
        if self.high < math.inf:
            bounds.append(f"below {self.high:g}")
        return " ".join(["a finite number", " and ".join(bounds)]).strip()

    def __call__(self, name: str, value: Any) -> int | float:
        if not is_real(value):
            raise TypeError(f"{name} must be {self.wanted}, got {value!r}")
        number = to_float(value)
        too_low = number <= self.low if self.low_excluded else number < self.low
        if not math.isfinite(number) or too_low or number >= self.high:
            raise ValueError(f"{name} must be {self.wanted}, got {value!r}")
        if number < self.smallest:
            raise ValueError(f"{name} must be at least {self.smallest:g}, got {value!r}")
        if number > self.largest:
            raise ValueError(f"{name} must be at most {self.largest:g}, got {value!r}")
        return int(value) if isinstance(value, numbers.Integral) else number


@dataclass(frozen=True)
class AsFloat:
    """A check whose result is a float, so that an integer rate behaves as the float does."""

    check: Check

    def __call__(self, name: str, value: Any) -> float:
        return float(self.check(name, value))


@dataclass(frozen=True)
class Whole:
    """An integer of at least ``low``, and at most ``high``."""

    low: int = 0
    high: int | None = None

    def __call__(self, name: str, value: Any) -> int:
        wanted = f"an integer of at least {self.low}"
        if self.high is not None:
            wanted += f" and at most {self.high}"
        if not isinstance(value, numbers.Integral) or not is_real(value):
            raise TypeError(f"{name} must be {wanted}, got {value!r}")
        whole = int(value)
        if whole < self.low or (self.high is not None and whole > self.high):
            raise ValueError(f"{name} must be {wanted}, got {value!r}")
        return whole


@dataclass(frozen=True)
class Choice:
    """One of some strings."""

    options: tuple[str, ...]

    def __call__(self, name: str, value: Any) -> str:
        wanted = f"one of {', '.join(map(repr, self.options))}"
        if not isinstance(value, str):
            raise TypeError(f"{name} must be {wanted}, got {value!r}")
        if value not in self.options:
            raise ValueError(f"{name} must be {wanted}, got {value!r}")
        return value


@dataclass(frozen=True)
class Optional:
    """None, or what ``check`` accepts."""

    check: Check

    def __call__(self, name: str, value: Any) -> Any:
        return None if value is None else self.check(name, value)


@dataclass(frozen=True)
class Several:
    """A list or tuple of what ``check`` accepts, kept as a tuple."""

    check: Check
    at_least: int = 0

    def __call__(self, name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, Iterable) or isinstance(value, str | bytes | dict | set):
            raise TypeError(f"{name} must be a list, got {value!r}")
        items = tuple(self.check(f"{name}[{i}]", item) for i, item in enumerate(value))
        if len(items) < self.at_least:
            raise ValueError(f"{name} must hold at least {self.at_least} item(s), got {value!r}")
        return items


@dataclass(frozen=True)
class Increasing:
    """Numbers that ``check`` accepts, each above the one before."""

    check: Check

    def __call__(self, name: str, value: Any) -> tuple[Any, ...]:
        items: tuple[Any, ...] = Several(self.check)(name, value)
        for before, after in itertools.pairwise(items):
            if not before < after:
                raise ValueError(
                    f"{name} must increase from each to the next, got {list(items)!r} "
                    f"where {after!r} follows {before!r}"
                )
        return items


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def number(name: str, value: Any, wanted: str = "a number") -> float:
    """The float in a number, or in an array or a tensor of a single one."""
    if is_real(value):
        return to_float(value)
    try:
        if isinstance(value, list | tuple):
            raise TypeError
        return float(real_array(name, value).item())
    except (TypeError, ValueError):  # no numbers, or several
        raise TypeError(f"{name} must be {wanted}, got {value!r}") from None


_number = AsFloat(Real(low=0))
_length = Real(low=0, low_excluded=True, smallest=1e-9, largest=LAST_STEP)

Number = Annotated[float, _number]
"""A finite number of at least 0: a decay rate, a gamma, a power."""
PositiveNumber = Annotated[float, AsFloat(Real(low=0, low_excluded=True, smallest=1e-30))]
"""A finite number above 0."""
Rate = Number
"""A learning rate: a finite number of at least 0."""
OptionalRate = Annotated[float | None, Optional(_number)]
Rates = Annotated[tuple[float, ...], Several(_number, at_least=1)]
Duration = Annotated[float, _length]
"""A length in steps: a finite number above 0, whole or not."""
OptionalDuration = Annotated[float | None, Optional(_length)]
Count = Annotated[float, Real(low=0, largest=LAST_STEP)]
"""A length in steps that may be 0."""
Boundaries = Annotated[tuple[float, ...], Increasing(_length)]
"""Steps above 0, each above the one before."""
Flag = Annotated[bool, flag]


def check_fields(instance: Any) -> None:
    """Run the check of each annotated field of a dataclass instance and keep its result."""
    cls: Any = type(instance)
    for name, check in _checks(cls).items():
        value = check(f"{cls.__name__}: {name}", getattr(instance, name))
        object.__setattr__(instance, name, value)  # the instance may be frozen


@functools.cache
def _checks(cls: Any) -> dict[str, Check]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: hints[field.name].__metadata__[0]
        for field in dataclasses.fields(cls)
        if hasattr(hints[field.name], "__metadata__")
    }
