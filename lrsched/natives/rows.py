"""One row for each schedule of another library: its name, ours, and the way from each to the other.

A native schedule is taken as its class and the arguments it was made with, so most rows only
say which argument of theirs is which of ours.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from ..arguments import number
from ..reals import is_real
from ..schedule import Schedule

__all__ = [
    "FRAMEWORKS",
    "Need",
    "NoEquivalent",
    "Row",
    "falls",
    "find",
    "native_class",
    "plain",
    "refusing",
    "same",
    "share",
    "shortest",
    "steps_of",
    "whole",
]

#: Each by what it is called in sentences, and the package that its classes are found in.
FRAMEWORKS = {
    "pytorch": ("PyTorch", "torch"),
    "keras": ("Keras", "keras"),
    "tensorflow1": ("TensorFlow 1", "tensorflow"),
    "optax": ("optax", "optax"),
    "lrsched": ("lrsched", "lrsched"),
}


class NoEquivalent(Exception):
    """No native schedule equals one of ours; the message is a clause that says why, or empty."""


class Need(NamedTuple):
    """What is asked of the native schedule.

    Attributes:
        until: the steps for which it is to be right.
        lr: the base rate that it must start from; None: any.
    """

    until: float = math.inf
    lr: float | None = None


Given = Mapping[str, Any]
Read = Callable[[Any], Any]
Write = Callable[[Any, Need], dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """A native schedule beside the one of ours that equals it.

    Attributes:
        framework: "pytorch", "keras", "tensorflow1" or "optax"; or "lrsched" for adapters.
        name: the native class or function, as it is imported.
        ours: the classes of ours that it can be written for; the first is what is read.
        read: gives ours from the native arguments.
        write: gives the native arguments from ours, or raises ``NoEquivalent``; None
            where no code is written.
        note: where the two differ, in one clause.
        found_as: what the class of native objects is called, if not as in ``name``.
        also: further classes of ours that it is written for, by a detour and for some of
            their arguments.
    """

    framework: str
    name: str
    ours: tuple[str, ...]
    read: Read
    write: Write | None = None
    note: str = ""
    found_as: str = ""
    also: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """The package and the class by which a native object is known."""
        return FRAMEWORKS[self.framework][1], self.found_as or self.name.rpartition(".")[-1]


def same(
    framework: str,
    name: str,
    cls: type[Schedule],
    names: Mapping[str, str],
    note: str = "",
    *,
    found_as: str = "",
    only_whole: Sequence[str] = (),
    defaults: Given | None = None,
) -> Row:
    """A row whose arguments have other names, and nothing else.

    Args:
        names: the native name of each argument of ours.
        only_whole: the native arguments that must be whole numbers.
        defaults: native arguments that need not be written if they have these values.
    """

    def read(given: Given) -> Schedule:
        for theirs in only_whole:
            whole(name, theirs, given[theirs])
        return cls(**{ours: given[theirs] for ours, theirs in names.items()})

    def write(schedule: Any, need: Need) -> dict[str, Any]:
        given = {theirs: getattr(schedule, ours) for ours, theirs in names.items()}
        for theirs in only_whole:
            given[theirs] = steps_of(name, given[theirs])
        return {
            key: value
            for key, value in given.items()
            if key not in (defaults or {}) or value != (defaults or {})[key]
        }

    return Row(framework, name, (cls.__name__,), read, write, note, found_as)


def refusing(framework: str, name: str, why: str, ours: str = "", found_as: str = "") -> Row:
    """A row for what cannot be read; ``why`` is a sentence on it, after its name."""

    def read(given: Any) -> NoReturn:
        raise TypeError(f"{name} cannot be read: {why}")

    note = f"not read: {why.partition(';')[0]}"
    return Row(framework, name, (ours,) if ours else (), read, None, note, found_as)


# Finding the row of an object


def find(rows: Iterable[Row], native: Any) -> Row | None:
    """The row of a native object, or None.

    Raises TypeError for a subclass that does more than its native parent.
    """
    by_key = {row.key: row for row in reversed(list(rows))}
    for cls in type(native).__mro__:
        row = by_key.get((cls.__module__.partition(".")[0], cls.__name__))
        if row:
            _check_nothing_new(row, native, cls)
            return row
    return None


#: What a subclass, or an instance, may have of its own without another rate.
_HARMLESS = {"state_dict", "load_state_dict", "get_config", "from_config", "print_lr"}


def _check_nothing_new(row: Row, native: Any, parent: type) -> None:
    above = type(native).__mro__[: type(native).__mro__.index(parent)]
    own = {name for cls in above for name in vars(cls)}
    own |= {name for name, value in getattr(native, "__dict__", {}).items() if callable(value)}
    for name in sorted(own - _HARMLESS):
        is_method = callable(getattr(parent, name, None))
        if is_method and (not name.startswith("__") or name == "__call__"):
            raise TypeError(
                f"{native_class(native)} cannot be read: it has a {name}() of its own in place of "
                f"that of {row.name}; write what it does as a subclass of lrsched.Schedule"
            )


def native_class(native: Any) -> str:
    """The class of an object, as it is named in sentences."""
    return f"{type(native).__module__}.{type(native).__qualname__}"


# Arguments


def plain(value: Any) -> Any:
    """An argument in plain Python, of whatever array, tensor or variable holds it."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if is_real(value) or not hasattr(value, "__array__") or _is_flag(value):
        return value
    if getattr(value, "shape", ()) not in ((), (1,)):
        return [plain(item) for item in value]
    found = number("an argument", value)
    return int(found) if "int" in str(getattr(value, "dtype", "")) else found


def _is_flag(value: Any) -> bool:
    return getattr(value, "dtype", None) == "bool"


def whole(owner: str, name: str, value: Any) -> int:
    """The int in a whole number. Raises ValueError for any other."""
    if not is_real(value) or not math.isfinite(value) or value != int(value):
        raise ValueError(
            f"{owner} cannot be read: its {name} must be a whole number, since it counts whole "
            f"steps, got {value!r}"
        )
    return int(value)


def steps_of(owner: str, value: float) -> int:
    """A length of ours as the whole number that a native class needs."""
    if value != int(value):
        raise NoEquivalent(f"{owner.rpartition('.')[-1]} counts whole steps, not {value!r}")
    return int(value)


def share(rate: float, base: float) -> float:
    """A rate as the factor that makes it of another, above 0, with few decimals."""
    return shortest(rate / base, lambda factor: math.isclose(factor * base, rate, rel_tol=1e-15))


def falls(owner: str, factor: float) -> None:
    """Refuse to write what grows: its rates become infinite, or NaN, where ours stop."""
    if factor > 1:
        raise NoEquivalent(f"{owner} grows to an infinite rate with a factor above 1")


def shortest(value: float, fits: Callable[[float], bool]) -> float:
    """The number with the fewest decimals, next to a computed one, that fits."""
    if value == 0 or not math.isfinite(value):
        return value
    rounded = (round(value, digits) for digits in range(17))
    return next((number for number in rounded if number and fits(number)), value)
