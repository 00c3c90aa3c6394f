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
from native import sgd

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

DECAY = {"base_lr": "rate", "decay_rate": "number", "decay_steps": "length", "staircase": "flag"}
LINEAR_COSINE = {
    "base_lr": "rate", "decay_steps": "length", "num_periods": "number", "alpha": "number",
    "beta": "number",
}  # fmt: skip

# Each class: arguments that are right, the kind of each argument, and wrong combinations
# beside the argument that the error must name.
TABLE = {
    L.Constant: ([0.1], {"base_lr": "rate"}, []),
    L.PiecewiseConstant: (
        [[5, 9], [0.1, 0.2, 0.3]],
        {"boundaries": "boundaries", "values": "rates"},
        [({"values": [0.1, 0.2]}, "values", "2"), ({"boundaries": [5]}, "values", "3")],
    ),
    L.StepDecay: ([0.1, 5], {"base_lr": "rate", "step_size": "length", "gamma": "number"}, []),
    L.MultiStep: (
        [0.1, [5, 9]], {"base_lr": "rate", "milestones": "boundaries", "gamma": "number"}, []
    ),
    L.Exponential: ([0.1, 0.5], DECAY, []),
    L.NaturalExponential: ([0.1, 0.5], DECAY, []),
    L.InverseTime: ([0.1, 0.5], DECAY, []),
    L.Power: ([0.1], {"base_lr": "rate", "power": "number", "decay_steps": "length"}, []),
    L.Factor: (
        [0.1, 0.5], {"base_lr": "rate", "factor": "number", "floor_lr": "rate"},
        [({"floor_lr": 0.2}, "floor_lr", "0.2")],
    ),
    L.Linear: (
        [0.1, 0.2, 5], {"start_lr": "rate", "end_lr": "rate", "decay_steps": "length"}, []
    ),
    L.Polynomial: (
        [0.1, 5],
        {"base_lr": "rate", "decay_steps": "length", "end_lr": "rate", "power": "above 0",
         "cycle": "flag"},
        [],
    ),
    L.Cosine: ([0.1, 5], {"base_lr": "rate", "decay_steps": "length", "end_lr": "rate"}, []),
    L.CosineAnnealing: ([0.1, 5], {"base_lr": "rate", "t_max": "length", "end_lr": "rate"}, []),
    L.CosineRestarts: (
        [0.1, 5],
        {"base_lr": "rate", "first_decay_steps": "length", "t_mul": "at least 1",
         "m_mul": "number", "end_lr": "rate"},
        [({"end_lr": 0.2}, "end_lr", "0.2")],
    ),
    L.LinearCosine: ([0.1, 5], LINEAR_COSINE, []),
    L.NoisyLinearCosine: (
        [0.1, 5],
        LINEAR_COSINE
        | {"initial_variance": "number", "variance_decay": "number", "seed": "whole"},
        [],
    ),
    L.Cyclical: (
        [0.1, 0.5, 5],
        {"base_lr": "rate", "max_lr": "rate", "step_size_up": "length",
         "step_size_down": "length or none", "mode": "mode", "gamma": "number"},
        [({"max_lr": 0.05}, "max_lr", "0.05"), ({"gamma": 0.9}, "gamma", "0.9")],
    ),
    L.OneCycle: (
        [0.1, 50],
        {"max_lr": "rate", "total_steps": "length", "pct_start": "share", "anneal": "mode",
         "div_factor": "above 0", "final_div_factor": "above 0"},
        [({"total_steps": 3}, "total_steps", "3"), ({"pct_start": 0.01}, "pct_start", "0.01")],
    ),
    L.WarmupStableDecay: (
        [0.1, 5, 5, 5],
        {"base_lr": "rate", "warmup_steps": "count", "stable_steps": "count",
         "decay_steps": "length", "end_lr": "rate"},
        [],
    ),
    L.Warmup: (
        [INNER, 5],
        {"schedule": "schedule", "warmup_steps": "count", "start_lr": "rate", "shape": "mode"},
        [
            ({"shape": "exponential"}, "start_lr", "0.0"),
            ({"shape": "exponential", "start_lr": 0.1, "schedule": L.Constant(0)},
             "schedule", "Constant(base_lr=0.0)"),
        ],
    ),
    L.Sequence: (
        [[INNER, INNER, INNER], [5, 9]],
        {"schedules": "schedules", "boundaries": "boundaries"},
        [({"boundaries": [5]}, "schedules", "3"), ({"schedules": [INNER]}, "schedules", "1")],
    ),
    L.Scaled: ([INNER, 2], {"schedule": "schedule", "factor": "number"}, []),
    L.Clipped: (
        [INNER], {"schedule": "schedule", "min_lr": "rate", "max_lr": "rate or none"},
        [({"min_lr": 0.2, "max_lr": 0.1}, "max_lr", "0.1")],
    ),
    L.PerEpoch: (
        [INNER, 5], {"schedule": "schedule", "steps_per_epoch": "length", "smooth": "flag"}, []
    ),
    L.Plateau: (
        [0.1],
        {"base_lr": "rate", "factor": "number", "patience": "whole", "threshold": "number",
         "cooldown": "whole", "min_lr": "rate", "mode": "mode", "threshold_mode": "mode",
         "eps": "number"},
        [({"factor": 1.0}, "factor", "1.0"), ({"min_lr": 0.2}, "min_lr", "0.2")],
    ),
}  # fmt: skip


def arguments_of(cls):
    """The right arguments by name."""
    names = [field.name for field in dataclasses.fields(cls) if field.init]
    return dict(zip(names, TABLE[cls][0], strict=False))


def test_the_table_covers_every_argument_of_every_class():
    assert TABLE.keys() == CLASSES | {L.Plateau}
    for cls, (_, kinds, _) in TABLE.items():
        assert kinds.keys() == {field.name for field in dataclasses.fields(cls) if field.init}
        cls(**arguments_of(cls))


WRONG = [
    pytest.param(cls, {name: value}, name, repr(value), id=f"{cls.__name__}-{name}-{value!r}"[:80])
    for cls, (_, kinds, _) in TABLE.items()
    for name, kind in kinds.items()
    for value in KINDS[kind]
] + [
    pytest.param(cls, *wrong, id=f"{cls.__name__}-{wrong[0]}")
    for cls, (_, _, combinations) in TABLE.items()
    for wrong in combinations
]


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


@pytest.mark.parametrize("cls", TABLE)
def test_kind_of_error(cls):
    """A wrong kind of thing is a TypeError, a wrong value a ValueError."""
    name, kind = next(iter(TABLE[cls][1].items()))
    with pytest.raises(TypeError, match=name):
        cls(**arguments_of(cls) | {name: object()})
    if kind == "rate":
        with pytest.raises(ValueError, match=name):
            cls(**arguments_of(cls) | {name: -1})
    with pytest.raises(TypeError):
        cls(**arguments_of(cls), unknown=1)
    with pytest.raises(TypeError):
        cls()


# What torch and Keras do today with arguments that are errors here: measured with torch 2.13,
# Keras 3.15 and TensorFlow 2.21. Rates are those of steps 0, 1, 2 ... or of the steps named.


def of_torch(make, steps=4, lr=0.1):
    def run():
        optimizer = sgd(lr)
        scheduler = make(optimizer)
        rates = []
        for _ in range(steps):
            rates.append(round(float(optimizer.param_groups[0]["lr"]), 4))
            optimizer.step()
            scheduler.step()
        return rates

    return run


def of_keras(make, steps=range(4)):
    def run():
        schedule = make(keras.optimizers.schedules)
        return [round(float(schedule(step)), 4) for step in steps]

    return run


def of_tf1(make, steps=range(4)):
    return lambda: [round(float(make(tf.compat.v1.train, step)()), 4) for step in steps]


PEERS = [
    # ours, theirs, what theirs gives
    (lambda: L.CosineAnnealing(0.1, -2), of_torch(lambda o: t.CosineAnnealingLR(o, -2)),
     [0.1, 0.05, 0.0, 0.05]),
    (lambda: L.CosineAnnealing(0.1, 0), of_torch(lambda o: t.CosineAnnealingLR(o, 0)),
     ZeroDivisionError),
    (lambda: L.CosineAnnealing(0.1, NAN), of_torch(lambda o: t.CosineAnnealingLR(o, NAN)),
     [0.1, NAN, NAN, NAN]),
    (lambda: L.CosineAnnealing(0.1, 2, -0.3), of_torch(lambda o: t.CosineAnnealingLR(o, 2, -0.3)),
     [0.1, -0.1, -0.3, -0.1]),
    (lambda: L.StepDecay(0.1, 0), of_torch(lambda o: t.StepLR(o, 0)), ZeroDivisionError),
    (lambda: L.StepDecay(0.1, -2), of_torch(lambda o: t.StepLR(o, -2)), [0.1, 0.1, 0.01, 0.01]),
    (lambda: L.StepDecay(0.1, 1, -0.5), of_torch(lambda o: t.StepLR(o, 1, -0.5)),
     [0.1, -0.05, 0.025, -0.0125]),
    (lambda: L.Exponential(0.1, NAN), of_torch(lambda o: t.ExponentialLR(o, NAN)),
     [0.1, NAN, NAN, NAN]),
    (lambda: L.Exponential(0.1, -0.5), of_torch(lambda o: t.ExponentialLR(o, -0.5)),
     [0.1, -0.05, 0.025, -0.0125]),
    (lambda: L.Exponential(0.1, True), of_torch(lambda o: t.ExponentialLR(o, True)),
     [0.1, 0.1, 0.1, 0.1]),
    (lambda: L.MultiStep(0.1, [3, 1]), of_torch(lambda o: t.MultiStepLR(o, [3, 1])),
     [0.1, 0.01, 0.01, 0.001]),
    (lambda: L.MultiStep(0.1, [1, 1]), of_torch(lambda o: t.MultiStepLR(o, [1, 1])),
     [0.1, 0.001, 0.001, 0.001]),
    (lambda: L.Linear(0.1, 0.2, -3), of_torch(lambda o: t.LinearLR(o, 0.5, 1.0, -3)),
     [0.05, 0.05, 0.05, 0.05]),
    (lambda: L.Polynomial(0.1, -3), of_torch(lambda o: t.PolynomialLR(o, -3)),
     [0.1, 0.1, 0.1, 0.1]),
    (lambda: L.Cyclical(0.1, 0.05, 2),
     of_torch(lambda o: t.CyclicLR(o, 0.1, 0.05, 2, cycle_momentum=False)),
     [0.1, 0.075, 0.05, 0.075]),
    (lambda: L.Cyclical(-0.1, 0.1, 2),
     of_torch(lambda o: t.CyclicLR(o, -0.1, 0.1, 2, cycle_momentum=False)),
     [-0.1, 0.0, 0.1, 0.0]),
    (lambda: L.OneCycle(-1.0, 10),
     of_torch(lambda o: t.OneCycleLR(o, -1.0, 10, cycle_momentum=False)),
     [-0.04, -0.52, -1.0, -0.9505]),
    (lambda: L.OneCycle(1.0, 3),
     of_torch(lambda o: t.OneCycleLR(o, 1.0, 3, cycle_momentum=False), 3),
     [0.9944, 0.4626, 0.0]),
    (lambda: L.Sequence([INNER, INNER, INNER], [3, 1]),
     of_torch(lambda o: t.SequentialLR(
         o, [t.ConstantLR(o, f, 99) for f in (0.5, 0.25, 0.125)], [3, 1]), 5),
     [0.05, 0.0125, 0.0125, 0.0125, 0.0125]),  # the second never runs
    (lambda: L.Exponential(0.1, 0.5, -2), of_keras(lambda k: k.ExponentialDecay(0.1, -2, 0.5)),
     ValueError),
    (lambda: L.Exponential(0.1, 0.5, 0), of_keras(lambda k: k.ExponentialDecay(0.1, 0, 0.5)),
     ValueError),
    (lambda: L.Exponential(-0.1, 0.5), of_keras(lambda k: k.ExponentialDecay(-0.1, 1, 0.5)),
     [-0.1, -0.05, -0.025, -0.0125]),
    (lambda: L.Exponential(0.1, -0.5, 2), of_keras(lambda k: k.ExponentialDecay(0.1, 2, -0.5)),
     [0.1, NAN, -0.05, NAN]),
    (lambda: L.InverseTime(0.1, -0.5), of_keras(lambda k: k.InverseTimeDecay(0.1, 1, -0.5)),
     [0.1, 0.2, INF, -0.2]),
    (lambda: L.Exponential(0.1, NAN), of_keras(lambda k: k.ExponentialDecay(0.1, 1, NAN)),
     [0.1, NAN, NAN, NAN]),
    (lambda: L.Cosine(0.1, NAN), of_keras(lambda k: k.CosineDecay(0.1, NAN)), [NAN] * 4),
    (lambda: L.Cosine(0.1, 2, -0.1), of_keras(lambda k: k.CosineDecay(0.1, 2, -1.0)),
     [0.1, 0.0, -0.1, -0.1]),
    (lambda: L.PiecewiseConstant([2, 1], [0.1, 0.2, 0.3]),
     of_keras(lambda k: k.PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3])),
     [0.1, 0.1, 0.4, 0.3]),  # 0.4 is none of the values
    (lambda: L.PiecewiseConstant([1], [0.1, -0.2]),
     of_keras(lambda k: k.PiecewiseConstantDecay([1], [0.1, -0.2])), [0.1, 0.1, -0.2, -0.2]),
    (lambda: L.PiecewiseConstant([], []),
     of_keras(lambda k: k.PiecewiseConstantDecay([], [0.1])), IndexError),
    (lambda: L.CosineRestarts(0.1, 2, t_mul=0.5),
     of_keras(lambda k: k.CosineDecayRestarts(0.1, 2, t_mul=0.5), range(6)),
     [0.1, 0.05, 0.1, 0.1, NAN, NAN]),
    (lambda: L.NaturalExponential(0.1, 0.5, -2),
     of_tf1(lambda v, step: v.natural_exp_decay(0.1, step, -2, 0.5)),
     [0.1, 0.1284, 0.1649, 0.2117]),
    (lambda: L.Cosine(0.1, 0), of_tf1(lambda v, step: v.cosine_decay(0.1, step, 0)), [NAN] * 4),
    (lambda: L.Linear(0.1, 0, -5),
     of_tf1(lambda v, step: v.polynomial_decay(0.1, step, -5, 0.0)), [0.0] * 4),
    (lambda: L.Exponential(0.1, 0.5)(-2), of_keras(lambda k: k.ExponentialDecay(0.1, 1, 0.5), [-2]),
     [0.4]),
    (lambda: L.Cosine(0.1, 10)(-5), of_keras(lambda k: k.CosineDecay(0.1, 10), [-5]), [0.05]),
    (lambda: L.Cosine(0.1, 10)(NAN), of_keras(lambda k: k.CosineDecay(0.1, 10), [NAN]), [NAN]),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("ours", "theirs", "gives"), PEERS)
def test_what_the_peers_do(ours, theirs, gives):
    with pytest.raises((TypeError, ValueError)):
        ours()
    if isinstance(gives, type):
        with pytest.raises(gives):
            theirs()
    else:
        assert theirs() == pytest.approx(gives, nan_ok=True, abs=1e-4)


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
        torch.tensor([2**53 + 1]),
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
    "tiny decay steps": lambda: L.NaturalExponential(0.1, 0, 1e-300),
    "tiny decay steps of a staircase": lambda: L.InverseTime(0.1, 0, 1e-300, staircase=True),
    "tiny half period": lambda: L.CosineAnnealing(0.1, 1e-300),
    "tiny linear cosine": lambda: L.LinearCosine(0.1, 1e-300, num_periods=3),
    "huge half period": lambda: L.CosineAnnealing(0.1, 1e308),
    "huge cycle": lambda: L.Cyclical(0.1, 0.2, 1e308),
    "huge warmup and plateau": lambda: L.WarmupStableDecay(0.1, 1e308, 1e308, 1),
    "growing peaks": lambda: L.CosineRestarts(1e10, 10, t_mul=1, m_mul=2),
    "growing cycles": lambda: L.Cyclical(0.1, 1e10, 10, mode="exp_range", gamma=1.5),
    "tiny divisor": lambda: L.OneCycle(0.1, 100, div_factor=1e-310),
    "tiny final divisor": lambda: L.OneCycle(0.1, 100, final_div_factor=1e-310),
    "tiny start": lambda: L.Constant(0.1).warmup(10, 1e-320, "exponential"),
    "huge alpha": lambda: L.LinearCosine(10, 10, alpha=1e308),
    "huge scale": lambda: L.Exponential(1.0, 2.0) * 1e30,
    "huge rate": lambda: L.Exponential(1e308, 2.0),
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
    flat = L.Cyclical(0.1, 0.1, 10, mode="exp_range", gamma=1.01)
    assert flat([0, 5, 4010, 10_010]) == pytest.approx(0.1)
