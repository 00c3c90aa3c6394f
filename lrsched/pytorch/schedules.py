"""Schedules of parameter groups: one for all of them, or one for each."""

from math import inf, nextafter
from operator import mul
from typing import Any

from ..arguments import Real
from ..compositions import Scaled
from ..namespaces import NUMBERS
from ..schedule import Schedule, is_schedule
from ..shapes import LARGEST
from ..value import from_dict
from .rates import RATE, checked

__all__ = ["PerGroup"]

Schedules = Schedule | tuple[Schedule, ...]


class PerGroup:
    """One schedule for all parameter groups, or a list with one each; ``at`` gives the numbers.

    Args:
        name: the argument that they are, for errors.
        schedule: a schedule, or a list or tuple of them.
        what: what they give, for errors.
        range: the check of that.

    Attributes:
        schedule: the schedule, or a tuple of them.
        shared: whether it is one for all groups, also for those added later.
    """

    def __init__(self, name: str, schedule: Any, what: str = "rate", range: Real = RATE) -> None:
        self._one: Schedule | None = None
        self._each: tuple[Schedule, ...] = ()
        if isinstance(schedule, Schedule):
            self._one = schedule
        elif isinstance(schedule, list | tuple) and all(isinstance(s, Schedule) for s in schedule):
            self._each = tuple(schedule)
        else:
            raise TypeError(
                f"{name} must be a schedule or a list with one for each parameter group, "
                f"got {schedule!r}"
            )
        self.shared = self._one is not None
        self.schedule: Schedules = schedule if self.shared else self._each
        self._name, self._what, self._range = name, what, range
        self._end = min(range.high, nextafter(range.largest, inf))
        self._distinct, self._which, self._factors = _shared(self._each)

    def at(self, step: int, groups: int) -> list[float]:
        """The number of each of so many parameter groups at a step."""
        t = float(step) if step > 0 else 0.0  # SequentialLR has one wait at step -1
        one = self._one
        if one is not None:
            rate = one.rate(NUMBERS, t)
            if type(rate) is not float or not 0.0 <= rate < self._end:
                rate = self._checked(one, rate, step, self._range)
            return [rate] * groups
        if len(self._which) != groups:
            raise ValueError(
                f"{self._name} must be one schedule or a list of {groups}, one for each parameter "
                f"group of the optimizer, got {len(self._which)}"
            )
        each = [schedule.rate(NUMBERS, t) for schedule in self._distinct]
        for rate in each:
            if type(rate) is not float or not 0.0 <= rate < inf:
                pairs = zip(self._distinct, each, strict=True)
                each = [self._checked(schedule, rate, step, RATE) for schedule, rate in pairs]
                break
        rates = each * groups if len(each) == 1 else [each[index] for index in self._which]
        products = list(map(mul, rates, self._factors))
        most = max(products)
        if most > LARGEST or most >= self._end:
            again = ((item, item.rate(NUMBERS, t)) for item in self._each)
            return [self._checked(item, rate, step, self._range) for item, rate in again]
        return products

    def _checked(self, schedule: Schedule, rate: Any, step: int, range: Real) -> float:
        return checked(f"the {self._what} of {schedule!r} at step {step}", rate, range)

    def described(self) -> Any:
        """As plain values."""
        if isinstance(self.schedule, Schedule):
            return self.schedule.to_dict()
        return [item.to_dict() for item in self.schedule]

    def expect(self, name: str, described: Any, step: int) -> None:
        """Refuse the description, in a state, of any other schedules."""
        try:
            saved = _restored(described)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error
        if PerGroup(name, saved).described() != self.described():
            raise ValueError(
                f"state_dict is of the {self._name} {saved!r}, but this scheduler has "
                f"{self.schedule!r}; to go on with another {self._name}, make the scheduler with "
                f"last_epoch={step - 1}"
            )


def _restored(described: Any) -> Schedules:
    if isinstance(described, list | tuple):
        return tuple(is_schedule("schedule", from_dict(item)) for item in described)
    return is_schedule("schedule", from_dict(described))


def _shared(
    schedules: tuple[Schedule, ...],
) -> tuple[list[Schedule], list[int], list[float]]:
    """The distinct schedules to compute, and for each group which of them and times what.

    Groups whose schedules are equal, or the same but for ``* factor``, share one computation.
    """
    distinct: list[Schedule] = []
    index: dict[Any, int] = {}
    which, factors = [], []
    for item in schedules:
        inner, factor = (item.schedule, item.factor) if isinstance(item, Scaled) else (item, 1.0)
        key = _key(inner)
        if key not in index:
            index[key] = len(distinct)
            distinct.append(inner)
        which.append(index[key])
        factors.append(factor)
    return distinct, which, factors


def _key(schedule: Schedule) -> Any:
    try:
        hash(schedule)
    except TypeError:  # a schedule of one's own that holds an array
        return id(schedule)
    return schedule
