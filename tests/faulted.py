"""Rates as faults leave them: which step of the schedule each update used, by fault."""

import numpy as np
from hypothesis import strategies as st

import lrsched as L
from drawn import EXAMPLES, SCHEDULES

ORDER = [
    ("none",), ("constant",), ("early", "late", "slow", "fast", "scaled", "restarted", "skipped"),
    ("stopped", "restarted"), ("skipped",), ("late",), ("unexplained",),
]  # fmt: skip

COUNTS = st.integers(1, 40)
ALL = st.lists(st.integers(1, 150), min_size=1, max_size=4, unique=True).map(sorted)
# Three updates apart: where the schedule moves more often there is nothing to go by.
PLACES = st.lists(st.integers(1, 50).map(lambda k: 3 * k), min_size=1, max_size=4, unique=True)
PLACES = PLACES.map(sorted)
#: The numbers of each fault, as a strategy.
FAULTS = {
    "none": st.just({}),
    "constant": st.just({}),
    "early": st.fixed_dictionaries({"steps": COUNTS}),
    "late": st.fixed_dictionaries({"steps": COUNTS}),
    "slow": st.fixed_dictionaries({"times": st.integers(2, 40)}),
    "fast": st.fixed_dictionaries({"times": st.integers(2, 40)}),
    "scaled": st.fixed_dictionaries({"factor": st.floats(0.01, 100)}),
    "stopped": st.fixed_dictionaries({"at": st.integers(1, 150)}),
    "restarted": st.fixed_dictionaries({"places": PLACES}),
    "skipped": st.fixed_dictionaries({"places": ALL}),
    "unexplained": st.fixed_dictionaries({"steps": st.integers(1, 30), "places": PLACES}),
}
DRAWN = st.sampled_from(EXAMPLES) | SCHEDULES


def used(t, fault, steps=0, times=1, at=None, places=(), **_):
    """The step of the schedule whose rate update t used; below 0 where that is open."""
    reached = np.searchsorted(places, t, side="right")
    return {
        "none": t, "scaled": t, "constant": 0 * t - 1,
        "early": t + steps, "late": t - steps, "slow": t // times, "fast": t * times,
        "stopped": np.minimum(t, (at or 1) - 1),
        "restarted": t - np.concatenate([[0], places]).astype(int)[reached],
        "skipped": t - reached, "unexplained": t + steps * reached,
    }[fault]  # fmt: skip


def faulty(schedule, updates, fault, **numbers):
    """The rates of a run with a fault; a late one begins with the first rate."""
    t = np.arange(updates)
    return schedule(np.maximum(used(t, fault, **numbers), 0)) * numbers.get("factor", 1.0)


def explains(found, schedule, rates, off=2e-9):
    """Whether an explanation, put to work on the schedule, gives these rates, to rounding."""
    t = np.arange(len(rates))
    numbers = {name: getattr(found, name) for name in ("steps", "times", "at", "places")}
    step = used(t, found.fault, **{k: n for k, n in numbers.items() if n is not None})
    factor = found.factor if found.factor is not None else 1.0
    frozen = t >= {"constant": 0, "stopped": found.at}.get(found.fault, len(t))
    known = (step >= 0) & ~frozen
    again = factor * schedule(step[known])
    level = not frozen.any() or np.ptp(rates[frozen]) <= 1e-9 * rates.max()
    return level and within(rates[known], again, factor * schedule(t), off)


def within(rates, planned, all_planned, off=2e-9):
    """Whether rates are those planned: as exact as float64, or as float32 if they are such."""
    with np.errstate(over="ignore"):
        single = (rates == rates.astype(np.float32)).all()
    allowed = max(off, 1e-5 * single) * planned + (2e-6 if single else 4e-12) * all_planned.max()
    return bool((np.abs(rates - planned) <= allowed).all())


def rank(fault, of=max):
    """How late, or by min how early, a fault is looked for."""
    return of(k for k, faults in enumerate(ORDER) if fault in faults)


COSINE = L.Cosine(0.3, 100).warmup(5)
