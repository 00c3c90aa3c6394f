"""Bad arguments: one clear error each, and what torch and Keras do with the same instead."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as t

import lrsched as L
from drawn import CLASSES, EXAMPLES, LAST_STEP, SCHEDULES, STEPS, lengths_in, steps_around
from native import rates_of, sgd

NAN, INF = math.nan, math.inf
HUGE = 10**400  # an int that no float holds
INNER = L.Constant(0.1)

# What is of a wrong kind, and what has a wrong value, for each kind of argument.
NO_NUMBER = ["0.1", True, np.True_, None, 1j, [0.1], INNER, np.timedelta64(1, "ns")]
NUMBERS = [x for x in NO_NUMBER if x is not None]
NOT_FINITE = [NAN, -INF, HUGE]
KINDS = {
    "number": (NO_NUMBER, [*NOT_FINITE, -0.1, 1e31]),
    "rate or none": (NUMBERS, [*NOT_FINITE, -0.1]),
    "above 0": (NO_NUMBER, [*NOT_FINITE, 0, -5, 1e-31]),
    "length": (NO_NUMBER, [*NOT_FINITE, 0, -5, 1e-300, 1e308]),
    "length or none": (NUMBERS, [*NOT_FINITE, 0, -5]),
    "count": (NO_NUMBER, [*NOT_FINITE, -1e-9, 1e308]),
    "at least 1": (NO_NUMBER, [*NOT_FINITE, 0.5, 1.0000001]),
    "share": (NO_NUMBER, [*NOT_FINITE, 0, 1]),
    "momentum": (NO_NUMBER, [*NOT_FINITE, -0.1, 1]),
    "times": ([*NUMBERS, 1.0], [-1, 0]),
    "whole": ([*NO_NUMBER, 1.0], [-1]),
    "flag": (["yes", 0, None], []),
    "boundaries": (
        [5, "5, 9", None, {5, 9}, {5: 9}, [[5]], [5, "9"]], [[5, NAN], [0, 5], [9, 5], [5, 5.0]]
    ),
    "rates": ([5, "0.1", None, [0.1, "0.1", 0.1]], [[0.1, -0.1, 0.1], [0.1, NAN, 0.1], []]),
    "mode": ([None, 1, ["triangular"]], ["Triangular", ""]),
    "schedule": ([None, 0.1, "Constant", L.Constant, {"class": "Constant", "base_lr": 0.1}], []),
    "schedules": ([None, INNER, "schedules", [INNER, 0.1, INNER]], [[]]),
}  # fmt: skip

# The kind of each argument, by its name; and where a class means another one by it.
KIND_OF = {
    name: kind
    for kind, names in {
        "number": "base_lr start_lr end_lr max_lr min_lr floor_lr gamma decay_rate factor "
                  "num_periods alpha beta m_mul initial_variance variance_decay threshold eps",
        "above 0": "div_factor final_div_factor",
        "length": "step_size decay_steps t_max first_decay_steps step_size_up total_steps "
                  "steps_per_epoch steps",
        "length or none": "step_size_down",
        "count": "warmup_steps stable_steps",
        "at least 1": "t_mul",
        "share": "pct_start",
        "momentum": "base_momentum max_momentum",
        "times": "times",
        "whole": "seed patience cooldown",
        "flag": "staircase cycle smooth three_phase",
        "boundaries": "boundaries milestones",
        "rates": "values",
        "mode": "mode threshold_mode anneal shape decay",
        "schedule": "schedule other",
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
    (L.OneCycle, {"pct_start": 0.52, "three_phase": True}, "pct_start", "0.52"),
    (L.CycleMomentum, {"max_momentum": 0.5}, "max_momentum", "0.5"),
    (L.CycleMomentum, {"schedule": L.Cyclical(0, 1, step_size_up=4, mode="exp_range", gamma=1.1)},
     "schedule", "gamma=1.1"),
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


WRONG = [
    pytest.param(cls, error, {name: value}, name, repr(value), id=f"{cls.__name__}-{name}-{value}")
    for cls in EVERY
    for name in arguments_of(cls)
    for error, values in zip(
        (TypeError, ValueError), KINDS[SPECIAL.get((cls, name)) or KIND_OF[name]], strict=True
    )
    for value in values
]
WRONG += [(cls, ValueError, *wrong) for cls, *wrong in COMBINATIONS]


@pytest.mark.parametrize(("cls", "error", "wrong", "name", "shown"), WRONG)
def test_wrong_argument(cls, error, wrong, name, shown):
    """A wrong kind of thing is a TypeError, a wrong value a ValueError."""
    with pytest.raises(error) as caught:
        cls(**arguments_of(cls) | wrong)
    message = str(caught.value)
    assert cls.__name__ in message
    assert name in message
    value = wrong.get(name)
    items = map(repr, value) if isinstance(value, list) else ()  # the wrong item is enough
    assert shown in message or any(item in message for item in items)


# What torch and Keras do today with arguments that are errors here: measured with torch 2.13,
# Keras 3.15 and TensorFlow 2.21. Rates are those of steps 0, 1, 2 ... or of the steps named.

PEERS = [
    # ours, the name of theirs and its arguments, what it gives, the steps
    (lambda: L.CosineAnnealing(0.1, -2), "CosineAnnealingLR", [-2], [0.1, 0.05, 0.0, 0.05]),
    (lambda: L.CosineAnnealing(0.1, 0), "CosineAnnealingLR", [0], ZeroDivisionError),
    (lambda: L.CosineAnnealing(0.1, 2, end_lr=-0.3), "CosineAnnealingLR", [2, -0.3],
     [0.1, -0.1, -0.3, -0.1]),
    (lambda: L.Exponential(0.1, decay_rate=True), "ExponentialLR", [True], [0.1] * 4),
    (lambda: L.MultiStep(0.1, [3, 1]), "MultiStepLR", [[3, 1]], [0.1, 0.01, 0.01, 0.001]),
    (lambda: L.OneCycle(1.0, 3), "OneCycleLR", [1.0, 3], [0.9944, 0.4626, 0.0]),
    (lambda: L.Sequence([INNER, INNER, INNER], [3, 1]), "SequentialLR",
     [lambda o: [t.ConstantLR(o, f, 99) for f in (0.5, 0.25, 0.125)], [3, 1]],
     [0.05, 0.0125, 0.0125, 0.0125, 0.0125]),  # the second never runs
    (lambda: L.Exponential(0.1, decay_rate=-0.5, decay_steps=2), "ExponentialDecay",
     [0.1, 2, -0.5], [0.1, NAN, -0.05, NAN]),
    (lambda: L.Cosine(0.1, NAN), "CosineDecay", [0.1, NAN], [NAN] * 4),
    (lambda: L.PiecewiseConstant([2, 1], [0.1, 0.2, 0.3]), "PiecewiseConstantDecay",
     [[2, 1], [0.1, 0.2, 0.3]], [0.1, 0.1, 0.4, 0.3]),  # 0.4 is none of the values
    (lambda: L.CosineRestarts(0.1, 2, t_mul=0.5), "CosineDecayRestarts", [0.1, 2, 0.5],
     [0.1, 0.05, 0.1, 0.1, NAN, NAN]),
    (lambda: L.NaturalExponential(0.1, decay_rate=0.5, decay_steps=-2), "natural_exp_decay",
     [0.1, "t", -2, 0.5], [0.1, 0.1284, 0.1649, 0.2117]),
    (lambda: L.Cosine(0.1, 0), "cosine_decay", [0.1, "t", 0], [NAN] * 4),
    (lambda: L.Exponential(0.1, decay_rate=0.5)(-2), "ExponentialDecay", [0.1, 1, 0.5], [0.4], -2),
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
@pytest.mark.parametrize("case", PEERS, ids=lambda case: f"{case[1]}-{case[3]}")
def test_what_the_peers_do(case):
    ours, name, arguments, gives, *steps = case
    with pytest.raises((TypeError, ValueError)):
        ours()
    if isinstance(gives, type):
        with pytest.raises(gives):
            rates_of_peer(name, arguments, 4)
    else:
        rates = rates_of_peer(name, arguments, len(gives), *steps)
        assert list(rates) == pytest.approx(gives, nan_ok=True, abs=1e-4)


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


def test_extreme_arguments_give_fine_rates():
    growing = {"mode": "exp_range", "gamma": 1.5}
    for schedule in (
        L.StepDecay(0.1, 1e-9),  # the least length, and the greatest
        L.WarmupStableDecay(0.1, warmup_steps=LAST_STEP, stable_steps=LAST_STEP, decay_steps=1),
        L.CosineRestarts(1e10, 10, t_mul=1, m_mul=2),
        L.Cyclical(0.1, 1e10, step_size_up=10, **growing),
        L.OneCycle(0.1, 100, div_factor=1e-30),
        L.Constant(0.1).warmup(10, start_lr=1e-320, shape="exponential"),
        L.LinearCosine(10, 10, alpha=1e30),
        L.Exponential(1.0, decay_rate=2.0) * 1e30,
    ):
        steps = [0, 1, 5, 10, 50, 99, 1000, 10**5, LAST_STEP]
        assert fine(schedule(steps))
        assert all(fine(schedule(step)) for step in steps)
