"""Rates that were applied, beside a schedule: which of them are its own, to rounding."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .namespaces import LAST_STEP
from .reals import is_real, real_array, to_float
from .schedule import Schedule
from .value import Value

__all__ = ["Applied", "precision", "read_rates", "read_rounding", "read_steps"]

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]

# What rounding leaves, as shares of a rate and of the largest rate of the run. PyTorch's
# schedulers, which compute each rate from the one before, stay within the first two.
FLOAT64, FLOAT64_OF_LARGEST = 1e-9, 1e-12
FLOAT32_OF_LARGEST = 2.0**-20
HALF_STEP = 2**22
"""From here on a quotient of steps in float32 can be off by a good part of a step."""
UNIT = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
SMALLEST = 2.0**-24  # of float16, whose rates are multiples of it


def read_rates(rates: Any) -> Floats:
    """Rates as [updates] or [updates, groups]; an error names the first that is none."""
    table = real_array("rates", _held(rates)).astype(np.float64)
    if table.ndim not in (1, 2):
        raise ValueError(
            f"rates must be of shape [updates] or [updates, groups], got {list(table.shape)}"
        )
    if not table.size:
        raise ValueError("rates must hold at least one rate, got none")
    # PyTorch's LinearLR ends at 0 but for a last digit, which may lie below.
    low = -FLOAT32_OF_LARGEST * np.max(table, initial=0.0, where=np.isfinite(table))
    wrong = np.argwhere(~(np.isfinite(table) & (table >= low)))
    if len(wrong):
        place, rate = ", ".join(map(str, wrong[0])), table[tuple(wrong[0])]
        later = "; give a group that was added later by itself, with steps" * (table.ndim > 1)
        raise ValueError(f"rates[{place}] must be a finite number of at least 0, got {rate}{later}")
    return np.maximum(table, 0.0)


def _held(rates: Any) -> Any:
    """The rates in a recorder, in what Keras's ``fit`` returns, or in its dict."""
    logs = getattr(rates, "history", getattr(rates, "rates", rates))
    if not isinstance(logs, Mapping):
        return logs
    if "learning_rate" not in logs:
        raise ValueError(
            f"rates must have 'learning_rate' among the columns of a history, got {', '.join(logs)}"
        )
    return logs["learning_rate"]


def precision(rates: Any) -> float:
    """One unit in the last place of what the rates are stored in, if that is below float32."""
    first = rates[0] if isinstance(rates, list | tuple) and rates else rates
    return UNIT.get(str(getattr(first, "dtype", "")).rpartition(".")[-1], 0.0)


def read_steps(steps: Any, updates: int) -> Steps:
    """The numbers of the updates: all of them from 0, or those that are given."""
    if steps is None:
        return np.arange(updates)
    given = real_array("steps", steps)
    if given.shape != (updates,):
        raise ValueError(
            f"steps must be {updates} numbers, one for each update, got shape {list(given.shape)}"
        )
    for step in given[~((given >= 0) & (given <= LAST_STEP) & (given % 1 == 0))][:1]:
        raise ValueError(f"steps must be whole numbers of at least 0 and below 2**53, got {step}")
    whole = given.astype(np.int64)
    for k in np.flatnonzero(np.diff(whole) <= 0)[:1]:
        raise ValueError(
            f"steps must increase from each to the next, got {whole[k + 1]} after {whole[k]}"
        )
    return whole


def read_rounding(rounding: Any, rates: Floats) -> Floats:
    """How far each update's rate may be off, [updates] or one number."""
    number = np.array(to_float(rounding)) if is_real(rounding) else rounding
    off = real_array("rounding", number).astype(np.float64)
    if off.shape not in ((), rates.shape[:1]) or not (np.isfinite(off) & (off >= 0)).all():
        raise ValueError(
            f"rounding must be a finite number of at least 0, or {len(rates)} of them, one for "
            f"each update, got {rounding!r}"
        )
    return off


@dataclass(frozen=True, eq=False)
class Applied:
    """The rates of one parameter group, and the schedule that was planned for it.

    Attributes:
        rates: [updates], finite and at least 0.
        steps: the number of each update, increasing, [updates].
        schedule: what was planned.
        unit: one unit in the last place of a type below float32, as a share; else 0.
        rounding: how far a log has moved each rate at most, [updates] or one for all.
    """

    rates: Floats
    steps: Steps
    schedule: Schedule
    unit: float = 0.0
    rounding: Floats = field(default_factory=lambda: np.zeros(()))

    @functools.cached_property
    def largest(self) -> float:
        """The largest rate planned until the end: errors of a cosine's end are shares of it."""
        until = np.linspace(0, self.steps[-1], 1025).astype(np.int64)
        return max(float(self.schedule(until).max()), float(self.schedule(self.steps).max()))

    @functools.cached_property
    def single(self) -> bool:
        """Whether the rates may have been computed in float32: each is one, or was printed short.

        A float64 that is none would be one by chance once in 2**29 times.
        """
        with np.errstate(over="ignore"):
            whole = bool((self.rates == self.rates.astype(np.float32)).all())
        return self.printed or whole or self.unit > 0

    @property
    def printed(self) -> bool:
        """Whether the rates were printed with fewer digits than a float64 has."""
        return bool(np.any(self.rounding > 1e-10 * self.largest))

    @functools.cached_property
    def planned(self) -> Floats:
        """The rates of the schedule at the steps of the updates."""
        rates: Floats = self.schedule(self.steps)
        return rates

    @functools.cached_property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which rates are those planned, [updates]."""
        return self.close(slice(None), self.steps, self.largest / 64)

    @functools.cached_property
    def _loose(self) -> float:
        """The most that float32 moves rates: twice that of a thousand of them."""
        some = np.unique(np.linspace(0, len(self.steps) - 1, 1000).astype(int))
        return 2 * float(self.slack(self.steps[some], self.planned[some]).max())

    @functools.cached_property
    def drifted(self) -> bool:
        """Whether roundings to float32, one an update, may have added up to what is wrong.

        They may where each rate was computed from the one before. So the schedule itself then
        comes before what fits hardly better.
        """
        allowed = self.steps * 2.0**-22 * self.largest
        return self.single and bool((np.abs(self.rates - self.planned) <= allowed).all())

    def off(self, steps: Any) -> float:
        """How far the rates are at most from those of the schedule at these steps."""
        return float(np.abs(self.rates - self.schedule(steps)).max())

    def close(self, which: Any, steps: Any, near_by: float | None = None) -> npt.NDArray[np.bool_]:
        """Whether the rates of some updates are those of the schedule at these steps.

        Args:
            which: an index, a slice, or indices.
            steps: one step for each of them, or several for one.
            near_by: how far off a rate may be for it to be looked at whether arithmetic in
                float32 explains it, which is dear; None: as far as that goes in this run.
        """
        planned = self.schedule(steps)
        off = np.abs(self.rates[which] - planned)
        allowed = self.margin(planned) + _of(self.rounding, which)
        close = np.asarray(off <= allowed)
        if self.single:
            near = ~close & (off <= allowed + (self._loose if near_by is None else near_by))
            if near.any():
                slack = self.slack(np.asarray(steps)[near], planned[near])
                close[near] = off[near] <= np.broadcast_to(allowed, near.shape)[near] + slack
        return close

    def margin(self, planned: Any) -> Any:
        """How far rounding alone may move rates."""
        share = FLOAT64 + self.unit
        part = FLOAT32_OF_LARGEST if self.single else FLOAT64_OF_LARGEST
        least = SMALLEST if self.unit == UNIT["float16"] else 0.0
        return share * planned + part * self.largest + least

    def slack(self, steps: Any, planned: Any) -> Any:
        """How far arithmetic in float32 may move them on top of that.

        It rounds the schedule's arguments and the step before it computes: a long exponential
        decay, and the steep end of a root, move by far more than the last digit. The rounded
        step is granted a quarter of what the rate changes from step to step, so that no whole
        step is forgiven, unless float32 no longer tells one step from the next.
        """
        t = np.asarray(steps, dtype=np.float64)
        around = t * np.array([[1.0], [1 - 2.0**-23], [1 + 2.0**-23]])
        rounded = self._single(np.minimum(around, LAST_STEP))
        off, *moved = np.abs(rounded - planned)
        neighbours = np.clip(t + np.array([[-1.0], [1.0]]), 0, LAST_STEP)
        beside = np.abs(self.schedule(neighbours) - planned)
        step = np.minimum(np.maximum(*moved), np.minimum(*beside) / 4)
        return 1.5 * off + np.where(t < HALF_STEP, step, np.maximum(*moved) + np.maximum(*beside))

    @functools.cached_property
    def _single(self) -> Schedule:
        try:
            rounded: Schedule = _rounded(self.schedule)
        except (TypeError, ValueError):  # arguments that rounding has made wrong
            return self.schedule
        return rounded

    def divided(self, factor: float) -> "Applied":
        """The same with rates divided by a number, which are rounded once more."""
        unit = max(self.unit, 2.0**-22 if self.single else 0.0)
        rates = self.rates / factor
        return Applied(rates, self.steps, self.schedule, unit, self.rounding * (2 / factor))

    def agrees_until(self, start: int, shift: int) -> int:
        """The first update from ``start`` on whose rate is not that of its step plus ``shift``."""
        size = 64
        while start < len(self.rates):
            part = slice(start, start + size)
            wrong = np.flatnonzero(~self.close(part, np.maximum(self.steps[part] + shift, 0)))
            if len(wrong):
                return start + int(wrong[0])
            start, size = start + size, 2 * size
        return len(self.rates)

    def level(self, start: int = 0) -> bool:
        """Whether the rates are all the same from an update on."""
        rates = self.rates[start:]
        printed = np.max(_of(self.rounding, slice(start, None)))
        return bool(np.ptp(rates) <= 1e-12 * rates.max() + 2 * printed)


def _of(rounding: Floats, which: Any) -> Any:
    return rounding[which] if rounding.ndim else rounding


def _rounded(value: Any) -> Any:
    """A schedule whose arguments, and those of the schedules in it, are rounded to float32."""
    if isinstance(value, Value):
        given = {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.init}
        return type(value)(**{name: _rounded(each) for name, each in given.items()})
    if isinstance(value, tuple):
        return tuple(_rounded(each) for each in value)
    return float(np.float32(value)) if isinstance(value, float) else value
