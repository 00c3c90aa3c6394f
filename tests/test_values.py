"""A schedule as a value: printed, compared, hashed, saved, drawn, and looked up backwards."""

import copy
import dataclasses
import json
import pickle
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from IPython.core.formatters import LatexFormatter
from matplotlib.mathtext import MathTextParser

import lrsched as L
from drawn import EXAMPLES, LAST_STEP, SCHEDULES, STEPS

NAMESPACE = {name: getattr(L, name) for name in L.__all__}


def written_and_read(schedule):
    text = json.dumps(schedule.to_dict(), allow_nan=False)
    return [eval(repr(schedule), NAMESPACE), L.from_dict(json.loads(text))]


@given(schedule=SCHEDULES, step=STEPS)
def test_repr_and_json_make_it_again(schedule, step):
    for again in written_and_read(schedule):
        assert again == schedule
        assert again.to_dict() == schedule.to_dict()
        assert again(step) == schedule(step)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_every_class_as_a_value(schedule):
    schedule(5)  # what a call remembers must not count
    copies = [*written_and_read(schedule), copy.deepcopy(schedule), copy.copy(schedule)]
    copies += [pickle.loads(pickle.dumps(schedule, p)) for p in range(2, 6)]
    for other in copies:
        assert other == schedule
        assert {schedule: 1}[other] == 1
        assert repr(other) == repr(schedule)
    assert all(schedule != other for other in EXAMPLES if other is not schedule)
    assert schedule != schedule.to_dict()
    for change in (lambda: setattr(schedule, "other", 1), lambda: delattr(schedule, "rate")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()


def test_arguments_are_kept_as_plain_python():
    schedule = L.PiecewiseConstant(np.array([5, 9]), np.array([1, 0.5, 0.25], np.float32))
    assert repr(schedule) == "PiecewiseConstant(boundaries=(5, 9), values=(1.0, 0.5, 0.25))"
    json.dumps(schedule.to_dict())
    given = [5, 9]
    schedule = L.MultiStep(0.1, given)
    given.append(1)
    assert schedule.milestones == (5, 9)
    assert repr(L.StepDecay(np.float64(0.1), np.int64(5))) == "StepDecay(base_lr=0.1, step_size=5)"


def test_repr_leaves_defaults_out():
    end = L.Cosine(0.3, 20, end_lr=0.1)
    assert repr(end) == "Cosine(base_lr=0.3, decay_steps=20, end_lr=0.1)"
    assert repr(L.Cosine(0.3, 20, end_lr=0).warmup(5)) == (
        "Warmup(schedule=Cosine(base_lr=0.3, decay_steps=20), warmup_steps=5)"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "dict"),
        ({}, "class"),
        ({"class": ["Constant"]}, "Constant"),
        ({"class": "Cosinus", "base_lr": 0.1}, "'Cosinus'"),
        ({"class": "Plateau", "base_lr": 0.1, "lr": 0.1}, "Plateau has wrong .*unknown 'lr'"),
        (
            {"class": "Scaled", "factor": 1, "schedule": {"class": "Plateau", "base_lr": 0.1}},
            "schedule must be a Schedule, got Plateau",
        ),
        ({"class": "Schedule"}, "'Schedule'"),
        ({"class": "Cosine", "base_lr": 0.1}, "missing 'decay_steps'"),
        ({"class": "Constant", "base_lr": 0.1, "gamma": 1}, "unknown 'gamma'"),
        ({"class": "Constant", "base_lr": -0.1}, "base_lr"),
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


MATHTEXT = {  # what Matplotlib's parser does not know
    r"\\begin\{cases\}|\\end\{cases\}": "", r"&|\\\\": r"\\,",
    r"\\tfrac": r"\\frac", r"\\([gl])e\b": r"\\\1eq", r"\\bmod": "mod",
}  # fmt: skip


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_formula_is_latex(schedule):
    formula = schedule.formula
    assert formula
    assert LatexFormatter()(schedule) == rf"$\displaystyle \eta_t = {formula}$"
    assert formula.count(r"\begin{cases}") == formula.count(r"\end{cases}")
    for latex, mathtext in MATHTEXT.items():
        formula = re.sub(latex, mathtext, formula)
    MathTextParser("agg").parse(rf"$\eta_t = {formula}$")


def test_formula_follows_the_arguments():
    shapes, modes = (
        ("linear", "exponential", "constant"),
        ("triangular", "triangular2", "exp_range"),
    )
    for variants in (
        [L.Exponential(0.1, decay_rate=0.5, staircase=staircase) for staircase in (False, True)],
        [L.Polynomial(0.1, 5, cycle=cycle) for cycle in (False, True)],
        [L.Cyclical(0.1, 0.2, step_size_up=5, mode=mode) for mode in modes],
        [L.Constant(0.1).warmup(5, start_lr=0.01, shape=shape) for shape in shapes],
    ):
        assert len({schedule.formula for schedule in variants}) == len(variants)
        assert all(schedule.formula in (schedule * 0.5).formula for schedule in variants)


# Looking a rate up


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_first_step_below_every_rate(schedule):
    levels = {0.0, 1e-9, 1.0, *(schedule(step) for step in range(40))}
    for rate in levels | {level * 1.01 for level in levels}:
        found = schedule.first_step_below(rate, within=3000)
        expected = next((step for step in range(3000) if schedule(step) < rate), None)
        assert found == expected or (expected is None and found >= 3000)


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


def test_first_step_below():
    falling = L.Linear(1, 0, decay_steps=10)
    for schedule, rate, step in [
        (L.Linear(1.0, 0.0, decay_steps=2**50), 2.0**-49, 2**50 - 1),
        (L.Power(1.0), 1e-6, 10**12),
        (L.Power(1.0), 1e-9, None),
        (L.Sequence([L.Constant(1), falling], [10**6]), 0.95, 10**6 + 1),
    ]:
        assert schedule.first_step_below(rate) == step


@pytest.mark.parametrize(("wrong", "error"), [(-1, ValueError), (True, TypeError)])
@pytest.mark.parametrize("name", ["rate", "within"])
def test_first_step_below_refuses(name, wrong, error):
    with pytest.raises(error, match=name):
        L.Constant(0.1).first_step_below(**{"rate": 0.1} | {name: wrong})


@given(schedule=SMALL, step=STEPS, ahead=STEPS)
def test_after_falls_from_no_rate_rises(schedule, step, ahead):
    start = schedule.falls_from()
    if start is not None and start + step + ahead <= LAST_STEP:
        now, later = schedule(start + step), schedule(start + step + ahead)
        assert later <= now + 1e-12 * max(now, 1.0)
