"""What is read from the schedules of optax is what they give."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched as L
from drawn import lengths_in, steps_around
from lrsched.natives import read, table
from native import LR, STEPS, refused

optax = pytest.importorskip("optax", reason="optax is not installed")


def arguments(**strategies):
    return st.fixed_dictionaries(strategies)


SCALES = st.dictionaries(STEPS, st.floats(0, 1.5), max_size=4)
DECAY = {"transition_steps": STEPS, "decay_rate": st.floats(0.05, 1.01)}
LATER = {"transition_begin": st.integers(0, 20), "staircase": st.booleans()}
ENDS = st.none() | st.floats(0, 1)
COSINES = arguments(
    init_value=LR, peak_value=LR, warmup_steps=st.integers(0, 20),
    decay_steps=st.integers(21, 120), end_value=st.floats(0, 1),
)  # fmt: skip
OPTAX = {
    "constant_schedule": arguments(value=LR),
    "linear_schedule": arguments(
        init_value=LR, end_value=LR, transition_steps=st.just(0) | STEPS,
        transition_begin=st.integers(0, 20),
    ),
    "polynomial_schedule": arguments(
        init_value=LR, end_value=LR, power=st.sampled_from([0.0, 1, 1.0]) | st.floats(0.5, 3),
        transition_steps=st.just(0) | STEPS, transition_begin=st.integers(0, 20),
    ),
    "piecewise_constant_schedule": arguments(
        init_value=LR, boundaries_and_scales=st.none() | SCALES
    ),
    "piecewise_interpolate_schedule": arguments(
        interpolate_type=st.sampled_from(["linear", "cosine"]), init_value=LR,
        boundaries_and_scales=SCALES.filter(bool),
    ),
    "exponential_decay": arguments(init_value=LR, **DECAY, **LATER, end_value=ENDS),
    "cosine_decay_schedule": arguments(init_value=LR, decay_steps=STEPS, alpha=st.floats(0, 2)),
    "warmup_constant_schedule": arguments(init_value=LR, peak_value=LR, warmup_steps=STEPS),
    "warmup_cosine_decay_schedule": COSINES,
    "warmup_exponential_decay_schedule": arguments(
        init_value=LR, peak_value=LR, warmup_steps=st.integers(0, 20), **DECAY, **LATER,
        end_value=ENDS,
    ),
    "linear_onecycle_schedule": arguments(
        transition_steps=STEPS, peak_value=LR, pct_start=st.floats(0, 0.5)
    ),
    "cosine_onecycle_schedule": arguments(
        transition_steps=STEPS, peak_value=LR, pct_start=st.floats(0, 0.9)
    ),
    "sgdr_schedule": arguments(cosine_kwargs=st.lists(COSINES, min_size=1, max_size=3)),
    "join_schedules": st.tuples(
        st.lists(STEPS, min_size=3, max_size=3), st.lists(LR, min_size=4, max_size=4)
    ).map(
        lambda drawn: {
            "schedules": [
                optax.cosine_decay_schedule(drawn[1][0], drawn[0][0]),
                optax.constant_schedule(drawn[1][1]),
                optax.exponential_decay(drawn[1][2], drawn[0][1], 0.5),
                optax.linear_schedule(drawn[1][3], 0.0, drawn[0][2]),
            ],
            "boundaries": list(itertools.accumulate(drawn[0])),
        }
    ),
}  # fmt: skip


def test_the_table_names_all_of_optax():
    helpers = ("inject", "scale_by", "Wrapped")
    functions = {name for name in dir(optax.schedules) if name[0] != "_" and name[0].islower()}
    functions = {name for name in functions if not name.startswith(helpers)}
    assert functions == {
        row.name.rpartition(".")[-1] for row in table() if row.framework == "optax"
    }
    assert functions == OPTAX.keys()


@pytest.mark.parametrize("name", OPTAX)
@settings(max_examples=12)
@given(data=st.data())
def test_optax(name, data):
    made = getattr(optax, name)(**data.draw(OPTAX[name]))
    schedule = read(made)
    # One by one: over an array XLA multiplies by a reciprocal, and a staircase steps late.
    steps = {*range(0, 250, 10), *(t for t in steps_around(*lengths_in(schedule)) if t < 300)}
    theirs = [float(made(step)) for step in sorted(steps)]
    scale = float(np.max(np.abs(theirs)))
    np.testing.assert_allclose(schedule(sorted(steps)), theirs, rtol=3e-5, atol=3e-5 * scale)


READ = [
    (lambda: optax.warmup_cosine_decay_schedule(0.0, 0.3, 0, 20), L.Cosine(0.3, 20)),
    (lambda: optax.warmup_cosine_decay_schedule(0.0, 0.3, 5, 25),
     L.Sequence([L.Linear(0.0, 0.3, decay_steps=5), L.Cosine(0.3, 20)], [5])),
    (lambda: optax.exponential_decay(0.1, 10, 0.5, 3, end_value=0.01),
     L.Sequence([L.Constant(0.1), L.Exponential(0.1, decay_rate=0.5, decay_steps=10)], [3])
     .clip(min_lr=0.01)),
    (lambda: optax.piecewise_constant_schedule(0.1, {10: 0.5, 5: 0.5}),
     L.PiecewiseConstant([5, 10], [0.1, 0.05, 0.025])),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), READ, ids=[repr(case[1])[:60] for case in READ])
def test_read_as(make, expected):
    assert read(make()) == expected


REFUSED = [
    (lambda: optax.cosine_decay_schedule(0.1, 10, exponent=2.0), ValueError, "exponent=2.0"),
    (lambda: optax.join_schedules([lambda step: 0.1, optax.constant_schedule(0.1)], [5]), TypeError,
     "join_schedules.*no schedule of optax"),
    (lambda: optax.join_schedules([optax.constant_schedule(0.1)] * 3, [9, 5]), ValueError, "order"),
    (lambda: optax.linear_schedule(0.1, -0.1, 5), ValueError, "end_lr.*-0.1"),
    (lambda: optax.sgd(0.1), TypeError, "is no schedule of"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_refused(make, error, message):
    refused(read, make(), error, message)
