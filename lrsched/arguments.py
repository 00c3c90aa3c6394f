"""Checks for the arguments of schedules.

A field of a schedule is annotated with its check, ``base_lr: Rate``, or with a plain type,
``base_lr: float``, and :class:`lrsched.Schedule` runs the check when the schedule is made
(:func:`check_of` says which it is). A check takes the argument's full name and its value,
returns the value in plain Python types and raises an error that names the argument, the
value and what would be right: ``TypeError`` for the wrong kind of thing, ``ValueError`` for
the wrong value. A check of your own is ``Annotated[float, check]``.
"""

import dataclasses
import functools
import itertools
import math
import numbers
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np

from .namespaces import LAST_STEP
from .reals import is_real, real_array, to_float

__all__ = [
    "AsFloat",
    "Boundaries",
    "Choice",
    "Duration",
    "DurationOrZero",
    "Flag",
    "Increasing",
    "Instance",
    "Number",
    "OrNone",
    "PositiveNumber",
    "Rate",
    "Rates",
    "Real",
    "Several",
    "Whole",
    "check_fields",
    "check_of",
    "flag",
    "number",
    "plain_type",
    "text",
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

    low: float = 0
    high: float = math.inf

    def __call__(self, name: str, value: Any) -> int:
        bounds = [f"of at least {self.low}"] if self.low > -math.inf else []
        bounds += [f"at most {self.high}"] if self.high < math.inf else []
        wanted = " ".join(["an integer", " and ".join(bounds)]).strip()
        if not isinstance(value, numbers.Integral) or not is_real(value):
            raise TypeError(f"{name} must be {wanted}, got {value!r}")
        whole = int(value)
        if not self.low <= whole <= self.high:
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
class OrNone:
    """None, or what ``check`` accepts."""

    check: Check

    def __call__(self, name: str, value: Any) -> Any:
        return None if value is None else self.check(name, value)


@dataclass(frozen=True)
class Instance:
    """An object of a class."""

    of: type

    def __call__(self, name: str, value: Any) -> Any:
        if not isinstance(value, self.of):
            raise TypeError(f"{name} must be a {self.of.__name__}, got {value!r}")
        return value


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


def text(name: str, value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {value!r}")
    return str(value)


def _anything(name: str, value: Any) -> Any:
    return value


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
Rates = Annotated[tuple[float, ...], Several(_number, at_least=1)]
Duration = Annotated[float, _length]
"""A length in steps: a finite number above 0, whole or not."""
DurationOrZero = Annotated[float, Real(low=0, largest=LAST_STEP)]
"""A length in steps that may be 0."""
Boundaries = Annotated[tuple[float, ...], Increasing(_length)]
"""Steps above 0, each above the one before."""
Flag = Annotated[bool, flag]

_UNIONS = (typing.Union, types.UnionType)
_PLAIN: dict[Any, Check] = {
    float: AsFloat(Real(largest=math.inf)),
    int: Whole(low=-math.inf),
    bool: flag,
    str: text,
    tuple: Several(_anything),
    Any: _anything,
    object: _anything,
}


def check_of(name: str, hint: Any) -> Check:
    """The check that an argument's annotation stands for.

    ``Annotated[type, check]`` stands for the check; ``float`` for a finite number, ``int``,
    ``bool``, ``str`` and any other class for one of it, ``Literal["a", "b"]`` for one of these;
    ``X | None`` and ``tuple[X, ...]`` for None or several of what X stands for; ``Any`` and
    ``object`` for anything, unchecked.

    Raises TypeError, which shows ``name``, for an annotation that stands for no check.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return next(filter(callable, args[1:]), None) or check_of(name, args[0])
    if origin in _UNIONS and len(args) == 2 and types.NoneType in args:
        return OrNone(check_of(name, args[args[0] is types.NoneType]))
    if origin is tuple and args[1:] == (...,):
        return Several(check_of(name, args[0]))
    if origin is Literal and all(isinstance(option, str) for option in args):
        return Choice(args)
    if origin is None and isinstance(hint, type):
        return _PLAIN.get(hint) or Instance(hint)
    raise TypeError(
        f"{name}: no check is known for {hint!r}; annotate it with one of lrsched.arguments, "
        f"with Annotated[type, check], or with Any for no check"
    )


def plain_type(hint: Any) -> Any:
    """An annotation without its checks, as readers of a signature want it."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return plain_type(args[0])
    if origin in _UNIONS:
        return functools.reduce(operator.or_, map(plain_type, args))
    if origin is tuple and args[1:] == (...,):
        return types.GenericAlias(tuple, (plain_type(args[0]), ...))
    return hint


def check_fields(instance: Any, checks: Mapping[str, Check] | None = None) -> None:
    """Run the check of each field of a dataclass instance and keep its result.

    Without ``checks`` they are those that the annotations of its class stand for.
    """
    cls: Any = type(instance)
    for name, check in (_field_checks(cls) if checks is None else checks).items():
        value = check(f"{cls.__name__}: {name}", getattr(instance, name))
        object.__setattr__(instance, name, value)  # the instance may be frozen


@functools.cache
def _field_checks(cls: Any) -> dict[str, Check]:
    hints = typing.get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: check_of(f"{cls.__name__}.{name}", hints[name]) for name in names}
