"""What may have gone wrong between a schedule and an optimizer, and which of it fits the rates.

Each explanation says of which step of the schedule each update used the rate. The numbers in
it are found from the rates: a candidate is dropped by the first update that speaks against it,
and with it all others against which the same update speaks.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .applied import Applied, Steps
from .namespaces import LAST_STEP

__all__ = ["Explanation", "explanations"]

WIDEST = 1_000_000  # steps: how far a shift is searched
LONGEST = 1_000_000  # steps: up to which single steps are followed
SEVERAL = 4  # as many explanations of one kind are named
TRIES = 100
ENOUGH = 3  # updates that a move of the schedule must explain, but at the end


@dataclass(frozen=True)
class Explanation:
    """A fault with its numbers; see :class:`lrsched.Diagnosis`."""

    fault: str
    steps: int | None = None
    times: int | None = None
    at: int | None = None
    factor: float | None = None
    places: tuple[int, ...] = ()


def explanations(applied: Applied, steps_per_epoch: int | None = None) -> list[Explanation]:
    """The simplest explanations that fit all rates, the first of them first."""
    if applied.right.all():
        return [Explanation("none")]
    found = [*_constant(applied, steps_per_epoch)]
    for kind in (_one_number, _one_place, _skipped, _late_start, _jumped, _drifted):
        found = found or [*kind(applied)]
    if found and found[0].fault != "constant":  # of numbers that fit alike, the one with a reason
        found.sort(key=lambda each: each.times is None or each.times != steps_per_epoch)
    return found or [Explanation("unexplained")]


# Constant


def _constant(applied: Applied, steps_per_epoch: int | None) -> Iterator[Explanation]:
    if not applied.level() or len(applied.rates) == 1:
        return
    last = int(applied.steps[-1])
    if np.ptp(applied.planned) <= 1e-12 * applied.planned.max():
        scaled = [*_scaled(applied)]
        yield from scaled
        if scaled:
            return
    yield Explanation("constant")
    if applied.close(slice(0, 1), np.zeros(1)).all():
        yield Explanation("slow", times=max(last + 1, steps_per_epoch or 0))
    yield from _early(applied, 1)


# One number


def _one_number(applied: Applied) -> Iterator[Explanation]:
    last = int(applied.steps[-1])
    yield from _early(applied)
    shifts = np.arange(1, min(last, WIDEST))
    late = [*_fitting(applied, shifts, lambda u, k: np.maximum(u - k, 0))]
    yield from (Explanation("late", steps=k) for k in late)
    for m in _fitting(applied, np.arange(2, min(last, WIDEST) + 1), lambda u, m: u // m):
        yield Explanation("slow", times=m)
    most = min(100_000, LAST_STEP // max(last, 1))
    for m in _fitting(applied, np.arange(2, most + 1), lambda u, m: u * m):
        yield Explanation("fast", times=m)
    yield from _scaled(applied)
    for k in late:  # which may have waited, or begun again, while the rate was the first one
        if k > 1 and applied.right[applied.steps < k].all():
            yield Explanation("restarted", at=k, places=(k,))
    if late:
        yield from _skipped(applied)


def _early(applied: Applied, several: int = SEVERAL) -> Iterator[Explanation]:
    last = int(applied.steps[-1])
    ahead = np.arange(1, min(max(10 * last, 10_000), WIDEST, LAST_STEP - last) + 1)
    for k in _fitting(applied, ahead, lambda u, k: u + k, several):
        yield Explanation("early", steps=k)


def _scaled(applied: Applied) -> Iterator[Explanation]:
    planned = applied.planned
    top = int(np.argmax(planned))
    if planned[top] > 0 and applied.rates[top] > 0:
        factor = float(applied.rates[top]) / float(planned[top])
        if abs(factor - 1) > 1e-6 and 1e-99 < factor < 1e99 and applied.divided(factor).right.all():
            yield Explanation("scaled", factor=factor)


Place = Callable[[Any, Any], Any]


def _fitting(
    applied: Applied, candidates: Steps, place: Place, several: int = SEVERAL
) -> Iterator[int]:
    """The first few of increasing numbers k for which the rates are those of place(steps, k)."""
    steps, found = applied.steps, 0
    wrong = np.flatnonzero(~applied.right)
    against = [int(wrong[0]), int(wrong[-1])] if len(wrong) else [0]
    some = np.unique(np.linspace(0, len(steps) - 1, 1000).astype(int))
    for _ in range(TRIES):
        for i in against:
            candidates = candidates[applied.close(i, place(steps[i], candidates))]
        if not len(candidates) or found == several:
            return
        k, against = int(candidates[0]), []
        for which in (some, np.arange(len(steps))):
            wrong = which[~applied.close(which, place(steps[which], k))]
            if len(wrong):
                against = [int(wrong[-1]), int(wrong[0]), int(wrong[len(wrong) // 2])]
                break
        else:
            candidates = candidates[1:]
            if not applied.drifted or applied.off(place(steps, k)) < applied.off(steps) / 8:
                yield k
                found += 1


# One place


def _one_place(applied: Applied) -> Iterator[Explanation]:
    at = int(np.argmin(applied.right))
    level = at > 0 and applied.level(at)
    stopped = Explanation("stopped", at=int(applied.steps[at]))
    kept = level and applied.level(at - 1)
    if kept:
        yield stopped
    places = _segments(applied, _beginnings)
    if places:
        yield Explanation("restarted", at=places[0][0], places=tuple(step for step, _ in places))
    if level and not kept and len(applied.rates) - at > 1:
        yield stopped


Moves = list[tuple[int, int]]
"""Updates from which on the schedule goes on at another step, each with the shift."""


def _beginnings(applied: Applied, i: int, moves: Moves) -> tuple[Steps, Steps]:
    """Where the schedule may have begun again, at the latest with update i."""
    step = int(applied.steps[i])
    since = max(moves[-1][0] if moves else 0, step - WIDEST)
    begun = np.arange(step, since, -1)
    begun = begun[applied.close(i, step - begun)]
    return begun, -begun


def _segments(
    applied: Applied, propose: Callable[[Applied, int, Moves], tuple[Steps, Steps]]
) -> Moves | None:
    """The moves of the schedule that explain all rates; None if there are none."""
    moves: Moves = []
    end, count = applied.agrees_until(0, 0), len(applied.rates)
    while 0 < end < count:
        until, step, shift = _furthest(applied, *propose(applied, end, moves))
        if until < min(end + ENOUGH, count):
            return None
        moves.append((step, shift))
        end = until
    return moves


def _furthest(applied: Applied, starts: Steps, shifts: Steps) -> tuple[int, int, int]:
    """Of moves to shifts at starts the one that fits for longest: until which update, and it."""
    best = 0, 0, 0
    for _ in range(TRIES):
        if not len(starts):
            break
        start, shift = int(starts[0]), int(shifts[0])
        until = applied.agrees_until(int(np.searchsorted(applied.steps, start)), shift)
        best = max(best, (until, start, shift))
        if until == len(applied.rates):
            break
        # What is to fit for longer must fit there, if it has begun.
        step = applied.steps[until]
        longer = (starts > step) | applied.close(until, np.maximum(step + shifts, 0))
        longer[0] = False
        starts, shifts = starts[longer], shifts[longer]
    return best


# Several places


def _skipped(applied: Applied) -> Iterator[Explanation]:
    """Follow the schedule, and stay where only that fits."""
    steps, first = applied.steps, int(np.argmin(applied.right))
    if steps[-1] > LONGEST:
        return
    between = np.arange(steps[first - 1] if first else 0, steps[first])
    if not applied.close(first, between).any():
        return
    at = np.arange(int(steps[-1]) + 2)
    planned = applied.schedule(at)
    near = applied.margin(planned) + (applied.slack(at, planned) if applied.single else 0.0)
    places, used, now, before = [], [], 0, 0
    low, high = planned - near, planned + near
    rounding = np.broadcast_to(applied.rounding, steps.shape).tolist()
    lows, highs = low.tolist(), high.tolist()
    for step, rate, more in zip(steps.tolist(), applied.rates.tolist(), rounding, strict=True):
        to = now + step - before
        if not lows[to] - more <= rate <= highs[to] + more:
            part = slice(now, to + 1)
            fits = (low[part] - more <= rate) & (rate <= high[part] + more)
            if not fits.any():
                return
            to = now + int(np.flatnonzero(fits)[-1])
            places.append(step)
        used.append(to)
        now, before = to, step
    followed = np.array(used)
    beside = np.abs(planned[followed + 1] - planned[followed])
    beside = np.maximum(beside, np.abs(planned[np.maximum(followed - 1, 0)] - planned[followed]))
    if len(places) <= np.count_nonzero(beside > near[followed]):  # or anything would fit
        yield Explanation("skipped", steps=int(steps[-1]) - now, at=places[0], places=tuple(places))


def _late_start(applied: Applied) -> Iterator[Explanation]:
    """Late, with other rates before the schedule begins."""
    steps = applied.steps
    last = min(int(steps[-1]) - 2, WIDEST)
    candidates = np.arange(1, last + 1)
    for i in len(steps) - 2 ** np.arange(len(steps).bit_length()):  # the last ones know most
        known = steps[i] >= candidates
        fits = applied.close(int(i), np.maximum(steps[i] - candidates, 0))
        candidates = candidates[fits | ~known]
    for k in candidates[:TRIES]:
        which = np.flatnonzero(steps >= k)
        level = applied.level(int(which[0]))
        if len(which) >= ENOUGH and not level and applied.close(which, steps[which] - k).all():
            yield Explanation("late", steps=int(k))
            return


def _jumped(applied: Applied) -> Iterator[Explanation]:
    """No fault of those named: the schedule went on at another step, and perhaps so again."""
    first = int(np.argmin(applied.right))
    if not first:
        return
    for move in _moved(applied, first):
        moves = _segments(applied, functools.partial(_again, move))
        if moves and len(applied.rates) - np.searchsorted(applied.steps, moves[-1][0]) >= ENOUGH:
            places = tuple(step for step, _ in moves)
            yield Explanation("unexplained", steps=move, at=places[0], places=places)
            return


def _again(move: int, applied: Applied, i: int, moves: Moves) -> tuple[Steps, Steps]:
    step, shift = applied.steps[i : i + 1], np.array([move * (len(moves) + 1)])
    return (step, shift) if step[0] + shift[0] >= 0 else (step[:0], shift[:0])


def _moved(applied: Applied, i: int) -> list[int]:
    """By how many steps the schedule may have moved at update i: the smallest moves that fit."""
    step, last = int(applied.steps[i]), len(applied.rates) - 1
    ahead = min(
        max(10 * int(applied.steps[-1]), 10_000), WIDEST, LAST_STEP - int(applied.steps[-1])
    )
    moves = np.arange(max(-step, -WIDEST), ahead + 1)
    for j in dict.fromkeys(min(i + 2**k - 1, last) for k in range(last.bit_length() + 1)):
        fits = applied.close(j, np.maximum(applied.steps[j] + moves, 0))
        if not fits.any():
            break
        moves = moves[fits]
    return sorted(moves.tolist(), key=abs)[:SEVERAL]


# Rounding that has added up


def _drifted(applied: Applied) -> Iterator[Explanation]:
    """A rate that is multiplied again and again in float32 keeps the rounding of each time."""
    if applied.drifted:
        yield Explanation("none")
