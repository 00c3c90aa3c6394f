"""Pieces one after another, each with the step at which it begins."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from ..cosines import Cosine
from ..decays import Linear
from ..piecewise import PiecewiseConstant
from ..schedule import Schedule
from ..sequence import Sequence as ScheduleSequence

__all__ = ["arc", "joined", "jumps", "stepwise"]

Item = TypeVar("Item")


def stepwise(
    owner: str, starts: Sequence[float], items: Sequence[Item]
) -> Iterator[tuple[float, Item]]:
    """Those of some items, each behind its start, that have a step of their own.

    The first begins at step 0, the others at ``starts``; one that ends where it begins, or
    before step 0, is left out. Raises ValueError for starts that are not in order.
    """
    if any(after < before for before, after in itertools.pairwise(starts)):
        raise ValueError(
            f"{owner} cannot be read: its boundaries must be in order, got {list(starts)!r}"
        )
    begins = [0, *(max(start, 0) for start in starts)]
    for k, item in enumerate(items):
        if k == len(starts) or begins[k + 1] > begins[k]:
            yield begins[k], item


def joined(pieces: Iterable[tuple[float, Schedule]]) -> Schedule:
    """Schedules one after another; one alone stays itself."""
    starts, schedules = zip(*pieces, strict=True)
    return ScheduleSequence(schedules, starts[1:]) if len(schedules) > 1 else schedules[0]


def jumps(pieces: Iterable[tuple[float, float]]) -> PiecewiseConstant:
    """Rates one after another."""
    starts, rates = zip(*pieces, strict=True)
    return PiecewiseConstant(starts[1:], rates)


def arc(kind: str, start: float, end: float, steps: float) -> Schedule:
    """Half a cosine wave, or else a line, from one rate to another."""
    if "cos" in kind:
        return Cosine(start, steps, end_lr=end)
    return Linear(start, end, decay_steps=steps)
