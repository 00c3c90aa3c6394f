"""What went wrong between a schedule and the rates that were applied."""

import dataclasses
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import lrsched as L
from faulted import COSINE, DRAWN, FAULTS, explains, faulty, rank, used, within


@pytest.mark.parametrize("fault", FAULTS)
@given(data=st.data(), schedule=DRAWN, updates=st.integers(1, 200))
def test_every_fault_of_every_schedule_is_explained(fault, data, schedule, updates):
    numbers = data.draw(FAULTS[fault])
    if fault in ("skipped", "unexplained"):  # to be told from others, steps must differ
        some = np.sort(schedule(np.arange(updates + 130)))
        assume((np.diff(some) > 1e-7 * some[-1]).all())
        places = [place for place in numbers["places"] if place < updates]
        assume(fault == "skipped" or not places or updates - places[-1] >= 3)
    rates = faulty(schedule, updates, fault, **numbers)
    found = L.diagnose(rates, schedule)
    planned = schedule(np.arange(updates))
    assume(not 0 < planned.max() < 1e-30)  # which is 0 in float32
    if found.fault == "none":
        assert within(rates, planned, planned)
    else:
        assert within(rates[: found.first], planned[: found.first], planned)
        assert (rates[found.first], planned[found.first]) == (found.applied, found.planned)
        assert found.applied != found.planned
    assert rank(found.fault, min) <= rank(fault)
    for each in (found, *found.alternatives):
        assert explains(each, schedule, rates), (each, numbers)


@pytest.mark.parametrize("start", [[0.3], [0.0, 0.2, 0.1]])
def test_late_after_other_rates(start):
    rates = [*start, *COSINE(np.arange(90))]
    found = L.diagnose(rates, COSINE)
    assert (found.fault, found.steps, found.first) == ("late", len(start), 0 if start[0] else 1)


def told(rates, schedule=COSINE, *args, **how):
    """The faults that would explain the rates, with their numbers, the first of them first."""
    found = L.diagnose(rates, schedule, *args, **how)
    numbers = ("steps", "times", "at", "factor")
    return [
        (each.fault, *(n for n in map(each.__getattribute__, numbers) if n is not None))
        for each in (found, *found.alternatives)
    ]


def test_what_cannot_be_told_apart_is_named_together():
    t = np.arange(100)
    assert told(COSINE(np.maximum(t - 1, 0))) == [("late", 1), ("skipped", 1, 1)]
    periodic = L.Cyclical(0.1, 0.5, step_size_up=10)
    assert told(periodic(t + 1), periodic) == [("early", k) for k in (1, 21, 41, 61)]
    halves = L.Exponential(1.0, decay_rate=0.5, decay_steps=3)
    assert told(halves(t + 3), halves) == [("early", 3), ("scaled", 0.5)]
    assert told(halves(0 * t[:9]), halves) == [("constant",), ("slow", 9)]
    assert told(halves(0 * t[:9]), halves, 20) == [("constant",), ("slow", 20)]
    steps = L.StepDecay(0.1, 30)
    late = steps(np.maximum(t - 15, 0))
    assert told(late, steps) == [("late", 15), ("restarted", 15), ("skipped", 15, 30)]
    by_epoch = L.StepDecay(0.1, 2).per_epoch(10)
    fast = by_epoch(12 * t[:5])
    assert told(fast, by_epoch) == [("fast", 10), ("fast", 11), ("fast", 12), ("fast", 13)]
    assert told(fast, by_epoch, 12)[0] == ("fast", 12)
    over = L.MultiStep(0.5, [15, 30], gamma=0.5)
    assert told(over(t[:30] + 30), over) == [("constant",), ("early", 30)]


T = np.arange(70)
SLOW = L.Linear(1, 0, decay_steps=10**13)


@pytest.mark.parametrize(
    ("rates", "schedule", "said"),
    [
        ([0.1] * 5, L.Constant(0.1), "The 5 rates are those of the schedule, which does not change "
         "here: most faults would not show."),
        ([0.3], L.Cosine(0.3, 5), "The one rate is that of the schedule, which does not change"),
        (L.Cosine(0.3, 10**9)(T), L.Cosine(0.3, 10**9), "which does not change here"),
        (SLOW(np.arange(9) * 10**11), SLOW,
         "which changes so little here that a step too many would not show."),
        (COSINE(T), COSINE, "The 70 rates are those of the schedule."),
        ([0.2] * 5, L.Constant(0.1), "every rate is 2 times the one planned. Is there a second"),
        (COSINE(T // 7), COSINE, "the schedule was stepped once in 7 updates. Step the scheduler"),
        (COSINE(T // 10), COSINE, "the schedule was stepped once an epoch. Step the scheduler"),
        (COSINE(T * 4), COSINE, "each update moved the schedule by 4 steps. Step the scheduler"),
        (COSINE(T + 1), COSINE, "Update 0: planned was 0, applied 0.06; every rate is the one "
         "planned 1 update later. Call scheduler.step() after optimizer.step()"),
        (COSINE(T + 100), COSINE, "100 updates later. Train with a new scheduler"),
        (COSINE(T % 30), COSINE, "the schedule began again from its first rate 2 times, at updates "
         "30 and 60. Load"),
        (COSINE(T - 20 * (T > 50)), COSINE, "the schedule went 20 steps back at update 51. Save"),
        ([0.06], COSINE, "So few updates prove little."),
        (COSINE(T) + 0.1 * (T == 40), COSINE, "no single fault that is known here explains"),
    ],
)  # fmt: skip
def test_sentences(rates, schedule, said):
    steps = np.arange(9) * 10**11 if schedule is SLOW else None
    assert said in str(L.diagnose(rates, schedule, 10, steps=steps))


def test_as_a_value():
    rates = COSINE(np.arange(50) // 2)
    found = L.diagnose(rates, COSINE)
    assert found == L.diagnose(list(rates), COSINE) != L.diagnose(rates[:40] * 2, COSINE)
    assert {found: 1}[pickle.loads(pickle.dumps(found))] == 1
    assert repr(found) == "Diagnosis(fault='slow', times=2, first=1, planned=0.06, applied=0.0)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.fault = "none"
    rates[:] = 0
    assert found.run.rates.any()
    with pytest.raises(ValueError, match="read-only"):
        found.run.rates[0] = 1


@pytest.mark.parametrize("cls", [list, tuple, pd.Series, torch.tensor, np.float32, np.asarray])
def test_rates_of_any_kind(cls):
    rates = cls(list(L.Linear(1, 0, decay_steps=64)(np.arange(20))))
    found = L.diagnose(rates, L.Linear(1, 0, decay_steps=64))
    assert (found.fault, len(found.run.rates)) == ("none", 20)


# Some of the updates


def test_some_steps():
    steps = np.arange(49, 1000, 50)
    plan = L.Cosine(0.3, 1000)
    for fault, numbers in [
        ("none", {}), ("late", {"steps": 7}), ("early", {"steps": 7}), ("slow", {"times": 9}),
        ("fast", {"times": 3}), ("stopped", {"at": 500}), ("restarted", {"places": (333,)}),
        ("unexplained", {"steps": -100, "places": (449,)}),
    ]:  # fmt: skip
        rates = plan(np.maximum(used(steps, fault, **numbers), 0))
        found = L.diagnose(rates, plan, steps=steps)
        assert found.fault == fault
        for name in numbers.keys() & {"steps", "times"}:
            assert getattr(found, name) == numbers[name]
    resumed = plan(np.arange(500, 600))
    assert L.diagnose(resumed, plan, steps=range(500, 600)).fault == "none"
    assert told(resumed, plan) == [("early", 500)]


def test_skipped_between_some_steps():
    steps = np.arange(0, 1000, 10)
    rates = L.Cosine(0.3, 1000)(steps - 3 * (steps > 400) - 8 * (steps > 700))
    found = L.diagnose(rates, L.Cosine(0.3, 1000), steps=steps)
    assert (found.fault, found.steps, found.places) == ("skipped", 11, (410, 710))


# Groups


def test_groups():
    rates = COSINE(np.arange(50))
    late = COSINE(np.maximum(np.arange(50) - 1, 0))
    both = np.stack([rates, rates], axis=1)
    assert L.diagnose(both, COSINE).fault == "none"
    assert [each.factor for each in L.diagnose(both * [0.1, 1], COSINE).groups] == [0.1, None]
    assert str(L.diagnose(both * [1, 0.1], COSINE)) == (
        "Group 0: The 50 rates are those of the schedule. "
        "Group 1: The 50 rates are 0.1 times those of the schedule."
    )
    found = L.diagnose(np.stack([rates, late], axis=1), COSINE)
    assert (found.fault, found.steps) == ("late", 1)
    assert [each.fault for each in found.groups] == ["none", "late"]
    found = L.diagnose(np.stack([late * 0.1, late], axis=1).astype(np.float32), COSINE)
    assert [each.fault for each in found.groups] == ["late", "late"]
    assert found.groups[0].factor == pytest.approx(0.1)
    assert "Group 0: Update 1: planned was 0.06, applied 0; every rate" in str(found)
    assert L.diagnose(both * [0.1, 0.2], COSINE).fault == "scaled"


def test_groups_with_schedules_of_their_own():
    t = np.arange(50)
    plans = [COSINE, L.StepDecay(0.1, 20), COSINE * 0.1]
    rates = np.stack([plan(t) for plan in plans], axis=1)
    assert L.diagnose(rates, plans).fault == "none"
    assert L.diagnose(torch.tensor(rates), tuple(plans)).fault == "none"
    found = L.diagnose(rates, [COSINE, L.StepDecay(0.1, 20), COSINE])
    assert [each.fault for each in found.groups] == ["none", "none", "scaled"]
    assert (found.fault, found.groups[2].factor) == ("scaled", pytest.approx(0.1))
    assert L.diagnose(rates[:, :1], [COSINE]).fault == "none"


@pytest.mark.parametrize(
    ("rates", "how", "error", "message"),
    [
        ([], {}, ValueError, "at least one rate"),
        (np.ones((0, 2)), {}, ValueError, "at least one rate"),
        (0.1, {}, TypeError, "rates must be"),
        ("0.1", {}, TypeError, "rates must be"),
        ({"loss": [0.1]}, {}, ValueError, "learning_rate"),
        (np.ones((2, 2, 2)), {}, ValueError, r"shape .* got \[2, 2, 2\]"),
        ([0.1, float("nan")], {}, ValueError, r"rates\[1\] .* got nan"),
        ([[0.1, 0.1], [0.1, float("inf")]], {}, ValueError, r"rates\[1, 1\] .* got inf"),
        ([0.1, -0.1], {}, ValueError, r"rates\[1\] .* got -0.1"),
        ([0.1], {"schedule": 0.1}, TypeError, "schedule must be a schedule"),
        ([0.1], {"schedule": [COSINE] * 2}, ValueError, "a list of 1, .* got 2"),
        ([0.1], {"schedule": ["x"]}, TypeError, r"schedule\[0\] must be a schedule"),
        ([0.1], {"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be"),
        ([0.1], {"steps_per_epoch": 1.5}, TypeError, "steps_per_epoch must be"),
        ([0.1], {"steps_per_epoch": True}, TypeError, "steps_per_epoch must be"),
        ([0.1], {"steps": [1, 2]}, ValueError, "steps must be 1 numbers"),
        ([0.1] * 2, {"steps": [2, 2]}, ValueError, "must increase .* got 2 after 2"),
        ([0.1] * 2, {"steps": [0, 0.5]}, ValueError, "steps must be whole numbers .* got 0.5"),
        ([0.1], {"steps": [-1]}, ValueError, "steps must be whole numbers"),
        ([0.1], {"rounding": -1}, ValueError, "rounding must be"),
        ([0.1], {"rounding": [0.1, 0.1]}, ValueError, "rounding must be"),
    ],
)
def test_refused(rates, how, error, message):
    with pytest.raises(error, match=message):
        L.diagnose(rates, **{"schedule": COSINE} | how)


def test_plot():
    t = np.arange(40)
    ax = L.diagnose(COSINE(t // 2), COSINE).plot(Figure().subplots())
    planned, applied, first = ax.get_lines()
    np.testing.assert_array_equal(planned.get_ydata(), COSINE(t))
    np.testing.assert_array_equal(applied.get_ydata(), COSINE(t // 2))
    assert list(first.get_xdata()) == [1, 1]
    assert [line.get_label() for line in ax.get_lines()] == [
        "planned", "applied", "first difference: update 1"
    ]  # fmt: skip
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "learning rate")
    two = np.stack([COSINE(t), L.Constant(0.1)(t)], axis=1)
    ax = L.diagnose(two, [COSINE, L.Constant(0.1)]).plot(Figure().subplots())
    assert len(ax.get_lines()) == 4
    ax = L.diagnose(two[:, :1] * [1, 0.5], COSINE).plot(Figure().subplots())
    assert len(ax.get_lines()) == 3
