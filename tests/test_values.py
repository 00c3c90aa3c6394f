"""A schedule as a value: printed, compared, hashed, saved, drawn, and looked up backwards."""

import copy
import dataclasses
import json
import math
import pickle
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

import lrsched as L
from drawn import EXAMPLES, LAST_STEP, SCHEDULES, STEPS

NAMESPACE = {name: getattr(L, name) for name in L.__all__}


@given(schedule=SCHEDULES, step=STEPS)
def test_repr_and_json_make_it_again(schedule, step):
    text = json.dumps(schedule.to_dict(), allow_nan=False)
    for again in (eval(repr(schedule), NAMESPACE), L.from_dict(json.loads(text))):
        assert again == schedule
        assert hash(again) == hash(schedule)
        assert json.dumps(again.to_dict()) == text
        assert again(step) == schedule(step)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_every_class_as_a_value(schedule):
    schedule(5)  # what a call remembers must not count
    again = L.from_dict(json.loads(json.dumps(schedule.to_dict())))
    copies = [again, eval(repr(schedule), NAMESPACE), copy.deepcopy(schedule), copy.copy(schedule)]
    copies += [pickle.loads(pickle.dumps(schedule, p)) for p in range(2, 6)]
    for other in copies:
        assert other == schedule
        assert not (other != schedule)  # noqa: SIM202
        assert hash(other) == hash(schedule)
        assert {schedule: 1}[other] == 1
        assert repr(other) == repr(schedule)
    assert all(schedule != other for other in EXAMPLES if other is not schedule)
    assert schedule != schedule.to_dict()
    assert schedule != repr(schedule)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_frozen(schedule):
    name = dataclasses.fields(schedule)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(schedule, name, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.other = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(schedule, name)


def test_arguments_are_kept_as_plain_python():
    numpy = L.PiecewiseConstant(np.array([5, 9]), np.array([1, 0.5, 0.25], np.float32))
    plain = L.PiecewiseConstant([5, 9], [1, 0.5, 0.25])
    assert numpy == plain
    assert (
        repr(numpy)
        == repr(plain)
        == ("PiecewiseConstant(boundaries=(5, 9), values=(1.0, 0.5, 0.25))")
    )
    json.dumps(numpy.to_dict())
    given = [5, 9]
    schedule = L.MultiStep(0.1, given)
    given.append(1)
    assert schedule.milestones == (5, 9)
    assert repr(L.StepDecay(np.float64(0.1), np.int64(5))) == "StepDecay(base_lr=0.1, step_size=5)"


def test_repr_leaves_defaults_out():
    assert repr(L.Cosine(0.3, 20, end_lr=0)) == "Cosine(base_lr=0.3, decay_steps=20)"
    assert repr(L.Cosine(0.3, 20, end_lr=0.1)) == "Cosine(base_lr=0.3, decay_steps=20, end_lr=0.1)"
    assert repr(L.Cosine(0.3, 20).warmup(5)) == (
        "Warmup(schedule=Cosine(base_lr=0.3, decay_steps=20), warmup_steps=5)"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "dict"),
        ("Cosine", "dict"),
        ([], "dict"),
        ({}, "class"),
        ({"class": None}, "None"),
        ({"class": ["Constant"]}, "Constant"),
        ({"class": "Cosinus", "base_lr": 0.1}, "'Cosinus'"),
        ({"class": "Value"}, "'Value'"),
        ({"class": "Plateau", "base_lr": 0.1, "lr": 0.1}, "Plateau has wrong .*unknown 'lr'"),
        ({"class": "Plateau", "base_lr": 0.1, "factor": 2}, "Plateau: factor"),
        (
            {"class": "Scaled", "factor": 1, "schedule": {"class": "Plateau", "base_lr": 0.1}},
            "schedule must be a Schedule, got Plateau",
        ),
        ({"class": "Schedule"}, "'Schedule'"),
        ({"class": "Cosine", "base_lr": 0.1}, "missing 'decay_steps'"),
        ({"class": "Constant", "base_lr": 0.1, "gamma": 1}, "unknown 'gamma'"),
        ({"class": "Constant", "base_lr": -0.1}, "base_lr"),
        ({"class": "Constant", "base_lr": None}, "base_lr"),
        ({"class": "Warmup", "schedule": 0.1, "warmup_steps": 5}, "schedule"),
        ({"class": "Warmup", "schedule": {"class": "X"}, "warmup_steps": 5}, "'X'"),
    ],
)
def test_from_dict_refuses(data, message):
    with pytest.raises((TypeError, ValueError), match=message):
        L.from_dict(data)


def test_from_dict_takes_defaults_and_leaves_its_argument_alone():
    data = {"class": "StepDecay", "base_lr": 0.1, "step_size": 5}
    assert L.from_dict(data) == L.StepDecay(0.1, 5)
    assert data == {"class": "StepDecay", "base_lr": 0.1, "step_size": 5}


# Formulas


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_formula_is_latex(schedule):
    formula = schedule.formula
    assert formula
    assert schedule._repr_latex_() == rf"$\displaystyle \eta_t = {formula}$"
    assert "$" not in formula
    depth = 0
    for bracket in re.findall(r"(?<!\\)[{}]", formula):
        depth += 1 if bracket == "{" else -1
        assert depth >= 0
    assert depth == 0
    for opening, closing in ((r"\begin", r"\end"), (r"\left", r"\right")):
        assert formula.count(opening) == formula.count(closing)
    if r"\begin" not in formula:  # Matplotlib reads it, but for a few names
        for latex, mathtext in (
            (r"\\tfrac", r"\\frac"), (r"\\([gl])e\b", r"\\\1eq"), (r"\\bmod", "mod")
        ):  # fmt: skip
            formula = re.sub(latex, mathtext, formula)
        MathTextParser("agg").parse(rf"$\eta_t = {formula}$")


def test_formula_follows_the_arguments():
    staircase = L.Exponential(0.1, decay_rate=0.5, staircase=True).formula
    assert "lfloor" in staircase
    assert "lfloor" not in L.Exponential(0.1, decay_rate=0.5).formula
    assert "lceil" in L.Polynomial(0.1, 5, cycle=True).formula
    assert (
        L.Exponential(0.1, decay_rate=0.5).formula
        in L.Exponential(0.1, decay_rate=0.5).warmup(3).formula
    )
    modes = ["triangular", "triangular2", "exp_range"]
    assert len({L.Cyclical(0.1, 0.2, step_size_up=5, mode=mode).formula for mode in modes}) == 3
    shapes = ["linear", "exponential", "constant"]
    assert (
        len({L.Constant(0.1).warmup(5, start_lr=0.01, shape=shape).formula for shape in shapes})
        == 3
    )


# Looking a rate up


def first_below(schedule, rate, steps):
    return next((step for step in range(steps) if schedule(step) < rate), None)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_first_step_below_every_rate(schedule):
    levels = {0.0, 1e-9, 1.0, *(schedule(step) for step in range(40))}
    for rate in levels | {level * 1.01 for level in levels}:
        found = schedule.first_step_below(rate, within=3000)
        expected = first_below(schedule, rate, 3000)
        if expected is None:
            assert found is None or found >= 3000
        else:
            assert found == expected


SMALL = SCHEDULES.filter(lambda s: (s.falls_from() or 0) < 10**6)


@given(schedule=SMALL, share=st.floats(0.01, 1.1))
@example(
    schedule=L.Constant(0).warmup(20_000, start_lr=1.0), share=0.4
)  # falls for good after `within`
def test_first_step_below_is_the_first(schedule, share):
    rate = share * max(schedule(step) for step in (0, 10, 1000))
    found = schedule.first_step_below(rate, within=10_000)
    if found is None:
        falls_from = schedule.falls_from()
        falls = falls_from is not None and falls_from <= 10_000
        last = LAST_STEP if falls else 10_000
        assert not (schedule(np.arange(10_001)) < rate).any()
        assert not schedule(last) < rate
    else:
        assert type(found) is int
        assert schedule(found) < rate
        before = [found - 1 - k for k in range(100)] + [found >> k for k in range(1, 50)]
        assert not any(schedule(step) < rate for step in before if 0 <= step < found)


@pytest.mark.parametrize(
    ("schedule", "rate", "step"),
    [
        (L.Constant(0.1), 0.1, None),
        (L.Constant(0.1), 0.2, 0),
        (L.Exponential(0.1, decay_rate=0.96, decay_steps=1000), 0.01, 56406),
        (L.InverseTime(1.0, decay_rate=1.0), 2.0**-50, 2**50),
        (L.Linear(1.0, 0.0, decay_steps=2**50), 2.0**-49, 2**50 - 1),
        (L.Power(1.0), 1e-6, 10**12),
        (L.Power(1.0), 1e-9, None),
        (L.Cosine(0.1, 100, end_lr=0.01), 0.01, None),
        (L.Cosine(0.1, 100), 0.05, 51),
        (L.StepDecay(0.1, 30), 0.05, 30),
        (L.StepDecay(0.1, 30).per_epoch(100), 0.05, 3000),
        (L.Cosine(0.1, 100).warmup(10, start_lr=0.05), 0.05, 61),
        (L.Cosine(0.1, 100).warmup(10), 0.05, 0),
        (
            L.Sequence([L.Constant(1.0), L.Linear(1.0, 0.0, decay_steps=10)], [10**6]),
            0.95,
            10**6 + 1,
        ),
        (L.Cyclical(0.1, 0.5, step_size_up=10), 0.1, None),
        (L.CosineRestarts(1.0, 10, t_mul=1, m_mul=0.5), 0.1, 8),
        (L.PiecewiseConstant([5, 9], [0.1, 0.3, 0.05]), 0.1, 9),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_first_step_below(schedule, rate, step):
    assert schedule.first_step_below(rate) == step


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf, "0.1", True, None])
def test_first_step_below_refuses(rate):
    with pytest.raises((TypeError, ValueError), match="rate"):
        L.Constant(0.1).first_step_below(rate)
    with pytest.raises((TypeError, ValueError), match="within"):
        L.Constant(0.1).first_step_below(0.1, within=0.5 if rate is None else rate)


@given(schedule=SMALL, step=STEPS, ahead=STEPS)
def test_after_falls_from_no_rate_rises(schedule, step, ahead):
    start = schedule.falls_from()
    if start is not None and start + step + ahead <= LAST_STEP:
        now, later = schedule(start + step), schedule(start + step + ahead)
        assert later <= now + 1e-12 * max(now, 1.0)


# Drawing


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_plot(ax):
    schedule = L.Cosine(0.3, 20).warmup(5)
    assert schedule.plot(30, ax) is ax
    line = ax.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(31))
    np.testing.assert_array_equal(line.get_ydata(), schedule(np.arange(31)))
    assert line.get_label() == repr(schedule)
    assert ax.get_xlabel() == "step"
    assert ax.get_ylabel() == "learning rate"
    schedule.plot([0, 5, 9], ax, label="mine", color="red")
    assert ax.lines[1].get_label() == "mine"
    assert ax.lines[1].get_color() == "red"
    assert list(ax.lines[1].get_xdata()) == [0, 5, 9]
    plt.sca(ax)
    assert L.Constant(0.1).plot(3) is ax


@pytest.mark.parametrize("steps", [0, -3, True, "10", None, [-1], [0, math.nan]])
def test_plot_refuses(ax, steps):
    with pytest.raises((TypeError, ValueError), match="step"):
        L.Constant(0.1).plot(steps, ax)
    assert not ax.lines
