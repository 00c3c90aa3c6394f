"""Bad arguments and bad steps: one clear error each, and what torch and Keras do instead."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as t

import lrsched as L
from drawn import CLASSES, EXAMPLES, LAST_STEP, SCHEDULES, STEPS, lengths_in, steps_around
from native import rates_of, sgd

NAN, INF = math.nan, math.inf
HUGE = 10**400  # an int that no float holds
INNER = L.Constant(0.1)

# What is wrong for each kind of argument, whatever the schedule.
NO_NUMBER = ["0.1", True, np.True_, None, 1j, [0.1], {}, object, INNER, np.timedelta64(1, "ns")]
NOT_FINITE = [NAN, INF, -INF, HUGE, np.float32("nan")]
KINDS = {
    "rate": [*NO_NUMBER, *NOT_FINITE, -0.1, -1, np.float64(-1e-300)],
    "rate or none": [*(x for x in NO_NUMBER if x is not None), *NOT_FINITE, -0.1],
    "number": [*NO_NUMBER, *NOT_FINITE, -0.1, -1],  # a gamma, a power, a variance ...
    "above 0": [*NO_NUMBER, *NOT_FINITE, 0, 0.0, -0.0, -5],
    "length": [*NO_NUMBER, *NOT_FINITE, 0, 0.0, -5, -1e-9],
    "length or none": [*(x for x in NO_NUMBER if x is not None), *NOT_FINITE, 0, -5],
    "count": [*NO_NUMBER, *NOT_FINITE, -1, -1e-9],
    "at least 1": [*NO_NUMBER, *NOT_FINITE, 0.5, 0, -2, 1.0000001],
    "share": [*NO_NUMBER, *NOT_FINITE, 0, 1, -0.3, 1.5],
    "whole": [*NO_NUMBER, -1, 1.0, NAN],
    "flag": ["yes", 0, 1, None, 1.0, []],
    "boundaries": [
        5, "5, 9", None, {5, 9}, {5: 9}, [[5]], [5, "9"], [5, True], [5, None], [5, NAN],
        [5, INF], [0, 5], [-5, 5], [9, 5], [5, 5], [5, 5.0],
    ],
    "rates": [5, "0.1", None, {0.1}, [0.1, "0.1", 0.1], [0.1, -0.1, 0.1], [0.1, NAN, 0.1], []],
    "mode": ["Triangular", "", "exp", None, 1, True, ["triangular"]],
    "schedule": [None, 0.1, "Constant", L.Constant, {"class": "Constant", "base_lr": 0.1}],
    "schedules": [None, INNER, [], [INNER, 0.1, INNER], [INNER, None, INNER], "schedules"],
}  # fmt: skip

# The kind of each argument, by its name; and where a class means another one by it.
KIND_OF = {
    name: kind
    for kind, names in {
        "rate": "base_lr start_lr end_lr max_lr min_lr floor_lr",
        "number": "gamma decay_rate factor num_periods alpha beta m_mul initial_variance "
                  "variance_decay threshold eps",
        "above 0": "div_factor final_div_factor",
        "length": "step_size decay_steps t_max first_decay_steps step_size_up total_steps "
                  "steps_per_epoch",
        "length or none": "step_size_down",
        "count": "warmup_steps stable_steps",
        "at least 1": "t_mul",
        "share": "pct_start",
        "whole": "seed patience cooldown",
        "flag": "staircase cycle smooth",
        "boundaries": "boundaries milestones",
        "rates": "values",
        "mode": "mode threshold_mode anneal shape",
        "schedule": "schedule",
        "schedules": "schedules",
    }.items()
    for name in names.split()
}  # fmt: skip
SPECIAL = {
    (L.Clipped, "max_lr"): "rate or none", (L.Power, "power"): "number",
    (L.Polynomial, "power"): "above 0",
}  # fmt: skip
# Wrong combinations beside the argument that the error must name, and its value.
COMBINATIONS = [
    (L.PiecewiseConstant, {"values": [0.1, 0.2]}, "values", "2"),
    (L.PiecewiseConstant, {"boundaries": [5]}, "values", "3"),
    (L.Factor, {"floor_lr": 9}, "floor_lr", "9"),
    (L.CosineRestarts, {"end_lr": 0.2}, "end_lr", "0.2"),
    (L.Cyclical, {"max_lr": 0.05}, "max_lr", "0.05"),
    (L.Cyclical, {"gamma": 0.9}, "gamma", "0.9"),
    (L.OneCycle, {"total_steps": 3}, "total_steps", "3"),
    (L.OneCycle, {"pct_start": 0.01}, "pct_start", "0.01"),
    (L.Warmup, {"shape": "exponential"}, "start_lr", "0.0"),
    (L.Warmup, {"shape": "exponential", "start_lr": 0.1, "schedule": L.Constant(0)}, "schedule",
     "Constant(base_lr=0.0)"),
    (L.Sequence, {"boundaries": [5]}, "schedules", "3"),
    (L.Sequence, {"schedules": [INNER]}, "schedules", "1"),
    (L.Clipped, {"min_lr": 0.2, "max_lr": 0.1}, "max_lr", "0.1"),
    (L.Plateau, {"factor": 1.0}, "factor", "1.0"),
    (L.Plateau, {"min_lr": 0.2}, "min_lr", "0.2"),
]  # fmt: skip
EVERY = sorted(CLASSES | {L.Plateau}, key=lambda cls: cls.__name__)
RIGHT = {type(example): example for example in [L.Plateau(0.1), *reversed(EXAMPLES)]}


def arguments_of(cls):
    """Right arguments by name: those of the first example."""
    fields = [field for field in dataclasses.fields(cls) if field.init]
    return {field.name: getattr(RIGHT[cls], field.name) for field in fields}


def kind_of(cls, name):
    return SPECIAL.get((cls, name)) or KIND_OF[name]


WRONG = [
    pytest.param(cls, {name: value}, name, repr(value), id=f"{cls.__name__}-{name}-{value!r}"[:80])
    for cls in EVERY
    for name in arguments_of(cls)
    for value in KINDS[kind_of(cls, name)]
]
WRONG += [pytest.param(*wrong, id=f"{wrong[0].__name__}-{wrong[1]}") for wrong in COMBINATIONS]


@pytest.mark.parametrize(("cls", "wrong", "name", "shown"), WRONG)
def test_wrong_argument(cls, wrong, name, shown):
    with pytest.raises((TypeError, ValueError)) as caught:
        cls(**arguments_of(cls) | wrong)
    message = str(caught.value)
    assert cls.__name__ in message
    assert name in message
    value = wrong.get(name)
    items = map(repr, value) if isinstance(value, list) else ()  # the wrong item is enough
    assert shown in message or any(item in message for item in items)


@pytest.mark.parametrize("cls", EVERY)
def test_kind_of_error(cls):
    """A wrong kind of thing is a TypeError, a wrong value a ValueError."""
    right = arguments_of(cls)
    name = next(iter(right))
    with pytest.raises(TypeError, match=name):
        cls(**right | {name: object()})
    if kind_of(cls, name) == "rate":
        with pytest.raises(ValueError, match=name):
            cls(**right | {name: -1})
    for wrong in (right | {"unknown": 1}, {}):
        with pytest.raises(TypeError):
            cls(**wrong)


# What torch and Keras do today with arguments that are errors here: measured with torch 2.13,
# Keras 3.15 and TensorFlow 2.21. Rates are those of steps 0, 1, 2 ... or of the steps named.

UP = [0.1, NAN, NAN, NAN]
PEERS = [
    # ours, the name of theirs and its arguments, what it gives, the steps
    (lambda: L.CosineAnnealing(0.1, -2), "CosineAnnealingLR", [-2], [0.1, 0.05, 0.0, 0.05]),
    (lambda: L.CosineAnnealing(0.1, 0), "CosineAnnealingLR", [0], ZeroDivisionError),
    (lambda: L.CosineAnnealing(0.1, NAN), "CosineAnnealingLR", [NAN], UP),
    (lambda: L.CosineAnnealing(0.1, 2, end_lr=-0.3), "CosineAnnealingLR", [2, -0.3],
     [0.1, -0.1, -0.3, -0.1]),
    (lambda: L.StepDecay(0.1, 0), "StepLR", [0], ZeroDivisionError),
    (lambda: L.StepDecay(0.1, -2), "StepLR", [-2], [0.1, 0.1, 0.01, 0.01]),
    (lambda: L.StepDecay(0.1, 1, gamma=-0.5), "StepLR", [1, -0.5], [0.1, -0.05, 0.025, -0.0125]),
    (lambda: L.Exponential(0.1, decay_rate=NAN), "ExponentialLR", [NAN], UP),
    (lambda: L.Exponential(0.1, decay_rate=-0.5), "ExponentialLR", [-0.5],
     [0.1, -0.05, 0.025, -0.0125]),
    (lambda: L.Exponential(0.1, decay_rate=True), "ExponentialLR", [True], [0.1] * 4),
    (lambda: L.MultiStep(0.1, [3, 1]), "MultiStepLR", [[3, 1]], [0.1, 0.01, 0.01, 0.001]),
    (lambda: L.MultiStep(0.1, [1, 1]), "MultiStepLR", [[1, 1]], [0.1, 0.001, 0.001, 0.001]),
    (lambda: L.Linear(0.1, 0.2, decay_steps=-3), "LinearLR", [0.5, 1.0, -3], [0.05] * 4),
    (lambda: L.Polynomial(0.1, -3), "PolynomialLR", [-3], [0.1] * 4),
    (lambda: L.Cyclical(0.1, 0.05, step_size_up=2), "CyclicLR", [0.1, 0.05, 2],
     [0.1, 0.075, 0.05, 0.075]),
    (lambda: L.Cyclical(-0.1, 0.1, step_size_up=2), "CyclicLR", [-0.1, 0.1, 2],
     [-0.1, 0.0, 0.1, 0.0]),
    (lambda: L.OneCycle(-1.0, 10), "OneCycleLR", [-1.0, 10], [-0.04, -0.52, -1.0, -0.9505]),
    (lambda: L.OneCycle(1.0, 3), "OneCycleLR", [1.0, 3], [0.9944, 0.4626, 0.0]),
    (lambda: L.Sequence([INNER, INNER, INNER], [3, 1]), "SequentialLR",
     [lambda o: [t.ConstantLR(o, f, 99) for f in (0.5, 0.25, 0.125)], [3, 1]],
     [0.05, 0.0125, 0.0125, 0.0125, 0.0125]),  # the second never runs
    (lambda: L.Exponential(0.1, decay_rate=0.5, decay_steps=-2), "ExponentialDecay",
     [0.1, -2, 0.5], ValueError),
    (lambda: L.Exponential(0.1, decay_rate=0.5, decay_steps=0), "ExponentialDecay",
     [0.1, 0, 0.5], ValueError),
    (lambda: L.Exponential(-0.1, decay_rate=0.5), "ExponentialDecay", [-0.1, 1, 0.5],
     [-0.1, -0.05, -0.025, -0.0125]),
    (lambda: L.Exponential(0.1, decay_rate=-0.5, decay_steps=2), "ExponentialDecay",
     [0.1, 2, -0.5], [0.1, NAN, -0.05, NAN]),
    (lambda: L.InverseTime(0.1, decay_rate=-0.5), "InverseTimeDecay", [0.1, 1, -0.5],
     [0.1, 0.2, INF, -0.2]),
    (lambda: L.Exponential(0.1, decay_rate=NAN), "ExponentialDecay", [0.1, 1, NAN], UP),
    (lambda: L.Cosine(0.1, NAN), "CosineDecay", [0.1, NAN], [NAN] * 4),
    (lambda: L.Cosine(0.1, 2, end_lr=-0.1), "CosineDecay", [0.1, 2, -1.0], [0.1, 0.0, -0.1, -0.1]),
    (lambda: L.PiecewiseConstant([2, 1], [0.1, 0.2, 0.3]), "PiecewiseConstantDecay",
     [[2, 1], [0.1, 0.2, 0.3]], [0.1, 0.1, 0.4, 0.3]),  # 0.4 is none of the values
    (lambda: L.PiecewiseConstant([1], [0.1, -0.2]), "PiecewiseConstantDecay",
     [[1], [0.1, -0.2]], [0.1, 0.1, -0.2, -0.2]),
    (lambda: L.PiecewiseConstant([], []), "PiecewiseConstantDecay", [[], [0.1]], IndexError),
    (lambda: L.CosineRestarts(0.1, 2, t_mul=0.5), "CosineDecayRestarts", [0.1, 2, 0.5],
     [0.1, 0.05, 0.1, 0.1, NAN, NAN]),
    (lambda: L.NaturalExponential(0.1, decay_rate=0.5, decay_steps=-2), "natural_exp_decay",
     [0.1, "t", -2, 0.5], [0.1, 0.1284, 0.1649, 0.2117]),
    (lambda: L.Cosine(0.1, 0), "cosine_decay", [0.1, "t", 0], [NAN] * 4),
    (lambda: L.Linear(0.1, 0, decay_steps=-5), "polynomial_decay", [0.1, "t", -5, 0.0], [0.0] * 4),
    (lambda: L.Exponential(0.1, decay_rate=0.5)(-2), "ExponentialDecay", [0.1, 1, 0.5], [0.4], -2),
    (lambda: L.Cosine(0.1, 10)(-5), "CosineDecay", [0.1, 10], [0.05], -5),
    (lambda: L.Cosine(0.1, 10)(NAN), "CosineDecay", [0.1, 10], [NAN], NAN),
]  # fmt: skip


def rates_of_peer(name, arguments, count, *steps):
    if hasattr(t, name):
        optimizer = sgd(0.1)
        options = {"cycle_momentum": False} if "Cycl" in name else {}
        arguments = [a(optimizer) if callable(a) else a for a in arguments]
        return rates_of(optimizer, getattr(t, name)(optimizer, *arguments, **options), count)
    steps = steps or range(count)
    if hasattr(keras.optimizers.schedules, name):
        schedule = getattr(keras.optimizers.schedules, name)(*arguments)
        return [float(schedule(step)) for step in steps]
    native = getattr(tf.compat.v1.train, name)
    return [float(native(*(step if a == "t" else a for a in arguments))()) for step in steps]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("ours", "name", "arguments", "gives", "steps"), [
    (*peer[:4], peer[4:]) for peer in PEERS
])  # fmt: skip
def test_what_the_peers_do(ours, name, arguments, gives, steps):
    with pytest.raises((TypeError, ValueError)):
        ours()
    if isinstance(gives, type):
        with pytest.raises(gives):
            rates_of_peer(name, arguments, 4)
    else:
        rates = rates_of_peer(name, arguments, len(gives), *steps)
        assert list(rates) == pytest.approx(gives, nan_ok=True, abs=1e-4)


# Steps

BAD_STEPS = {
    "number": [-1, -0.5, NAN, INF, -INF, 2**53 + 1, HUGE, np.float64("nan"), np.int64(-1)],
    "no number": [None, "5", True, np.True_, 1j, {}, {5}, object, b"5", L.Constant(0.1)],
    "array": [
        [-1], [0, NAN], [[1, 2], [3, -4]], [INF], [2**54], range(-1, 3), np.array(-1),
        np.array([1.0, -0.1]), np.array([1, 2**53 + 1], np.uint64), np.array([NAN], np.float32),
    ],
    "no array": [
        [True], ["5"], [None], [1j], [HUGE], [1, [2, 3]], np.array(["5"]), np.array([True]),
        np.array([1j]), np.array([None]), np.array(["2020-01-01"], "M8[D]"),
    ],
    "torch": [
        torch.tensor(-1), torch.tensor([0, -3]), torch.tensor([[1.0, NAN]]), torch.tensor(INF),
        torch.tensor([2**53 + 1]), torch.tensor(-3.0, requires_grad=True),
    ],
    "no torch": [torch.tensor(True), torch.tensor([1j])],
    "tf": [
        tf.constant(-1), tf.constant([0, -3]), tf.constant([[1.0, NAN]]), tf.constant(INF),
        tf.constant([2**53 + 1]), tf.Variable(-1),
    ],
    "no tf": [tf.constant(True), tf.constant(["5"]), tf.constant(1j)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "error"),
    [
        pytest.param(
            step,
            (TypeError, ValueError) if kind.startswith("no ") else ValueError,
            id=f"{kind}-{step!r}"[:60],
        )
        for kind, steps in BAD_STEPS.items()
        for step in steps
    ],
)
def test_wrong_step(step, error):
    for schedule in (L.Constant(0.1), L.Cosine(0.1, 10).warmup(5)):
        with pytest.raises(error, match="step"):
            schedule(step)


def test_the_error_shows_the_step():
    steps = [3, np.array([3.0]), torch.tensor([3]), tf.constant([3]), tf.constant(3)]
    for step in steps:
        with pytest.raises(ValueError, match="-3"):
            L.Constant(0.1)(step * -1)


def test_the_last_step_is_allowed():
    for step in (LAST_STEP, float(LAST_STEP), [LAST_STEP], torch.tensor(LAST_STEP)):
        for schedule in EXAMPLES:
            assert fine(schedule(step))


# Valid schedules


def fine(rates):
    rates = np.asarray(rates)
    return bool(np.isfinite(rates).all() and (rates >= 0).all())


@settings(max_examples=150)
@given(schedule=SCHEDULES, steps=st.lists(STEPS, max_size=10))
def test_a_valid_schedule_never_yields_nan_infinite_or_negative(schedule, steps):
    steps = [*steps_around(*list(lengths_in(schedule))[:4]), *steps]
    assert fine(schedule(np.array(steps, float)))
    assert all(fine(schedule(step)) for step in steps)


EXTREME = {
    "tiny step size": lambda: L.StepDecay(0.1, 1e-300),
    "tiny decay steps": lambda: L.NaturalExponential(0.1, decay_rate=0, decay_steps=1e-300),
    "tiny decay steps of a staircase": lambda: L.InverseTime(
        0.1, decay_rate=0, decay_steps=1e-300, staircase=True
    ),
    "tiny half period": lambda: L.CosineAnnealing(0.1, 1e-300),
    "tiny linear cosine": lambda: L.LinearCosine(0.1, 1e-300, num_periods=3),
    "huge half period": lambda: L.CosineAnnealing(0.1, 1e308),
    "huge cycle": lambda: L.Cyclical(0.1, 0.2, step_size_up=1e308),
    "huge warmup and plateau": lambda: L.WarmupStableDecay(
        0.1, warmup_steps=1e308, stable_steps=1e308, decay_steps=1
    ),
    "growing peaks": lambda: L.CosineRestarts(1e10, 10, t_mul=1, m_mul=2),
    "growing cycles": lambda: L.Cyclical(0.1, 1e10, step_size_up=10, mode="exp_range", gamma=1.5),
    "tiny divisor": lambda: L.OneCycle(0.1, 100, div_factor=1e-310),
    "tiny final divisor": lambda: L.OneCycle(0.1, 100, final_div_factor=1e-310),
    "tiny start": lambda: L.Constant(0.1).warmup(10, start_lr=1e-320, shape="exponential"),
    "huge alpha": lambda: L.LinearCosine(10, 10, alpha=1e308),
    "huge scale": lambda: L.Exponential(1.0, decay_rate=2.0) * 1e30,
    "huge rate": lambda: L.Exponential(1e308, decay_rate=2.0),
    "tiny epoch": lambda: L.StepDecay(0.1, 3).per_epoch(1e-300),
}


@pytest.mark.parametrize("make", EXTREME.values(), ids=EXTREME)
def test_extreme_arguments_give_an_error_or_fine_rates(make):
    try:
        schedule = make()
    except ValueError:
        return
    steps = [0, 1, 5, 10, 50, 99, 1000, 10**5, LAST_STEP]
    assert fine(schedule(steps))
    assert all(fine(schedule(step)) for step in steps)


def test_growing_cycles_keep_their_base():
    """Where the peaks have grown large, the rate between them still returns to its base."""
    flat = L.Cyclical(0.1, 0.1, step_size_up=10, mode="exp_range", gamma=1.01)
    assert flat([0, 5, 4010, 10_010]) == pytest.approx(0.1)
