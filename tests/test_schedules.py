"""Every schedule against the real objects of PyTorch, Keras and TensorFlow 1, and exact math."""

import dataclasses
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st

import lrsched as L
import native
from drawn import EXAMPLES, LAST_STEP, steps_around
from native import close

# PyTorch


@pytest.mark.parametrize("name", native.TORCH)
@given(data=st.data())
def test_torch_step_by_step(name, data):
    pair = native.TORCH[name]
    arguments = data.draw(pair.arguments)
    optimizer = native.sgd(arguments["lr"])
    scheduler = pair.native(optimizer, **arguments)
    steps = arguments.get("total", 250) if name == "OneCycleLR" else 250
    close(pair.ours(**arguments)(range(steps)), native.rates_of(optimizer, scheduler, steps))


LONG = {
    "StepLR": {"size": 30, "gamma": 0.97},
    "MultiStepLR": {"milestones": [100, 5000, 9999], "gamma": 0.1},
    "ExponentialLR": {"gamma": 0.999},
    "LinearLR": {"start": 0.1, "end": 1.0, "total": 9000},
    "PolynomialLR": {"total": 9000, "power": 2.0},
    "CosineAnnealingLR": {"t_max": 37, "low": 0.1},
    "CosineAnnealingWarmRestarts": {"first": 10, "mul": 3, "low": 0.0},
    "CyclicLR": {"top": 5.0, "up": 7, "down": 11, "mode": {"mode": "triangular2"}},
    "OneCycleLR": {
        "total": 10_000, "start": 0.3, "anneal": "cos", "div": 25.0, "last": 1e4
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_torch_for_10_000_steps(name):
    pair, arguments = native.TORCH[name], {"lr": 0.3} | LONG[name]
    optimizer = native.sgd(0.3)
    rates = native.rates_of(optimizer, pair.native(optimizer, **arguments), 10_000)
    # Torch multiplies step by step and drifts by some 1e-12.
    close(pair.ours(**arguments)(range(10_000)), rates, rtol=1e-9, atol=1e-11)


def test_one_cycle_goes_on_where_torch_raises():
    optimizer = native.sgd(1.0)
    scheduler = native.t.OneCycleLR(optimizer, 1.0, 10, pct_start=0.5, cycle_momentum=False)
    rates = [*native.rates_of(optimizer, scheduler, 9), optimizer.param_groups[0]["lr"]]
    scheduler.step()  # one too many, which torch allows
    with pytest.raises(ValueError, match="Tried to step"):
        scheduler.step()
    ours = L.OneCycle(1.0, 10, pct_start=0.5)
    close(ours(range(10)), rates)
    assert ours(10) == ours(LAST_STEP) == ours(9)


# Keras and TensorFlow 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", native.KERAS)
@given(data=st.data())
def test_keras(name, dtype, data):
    """As users call it, in float32; and with a float64 rate, which makes Keras compute in that."""
    pair = native.KERAS[name]
    arguments = data.draw(pair.arguments)
    given_to_keras = dict(arguments)
    if dtype == "float64":
        for key, value in arguments.items():
            if isinstance(value, float):
                given_to_keras[key] = tf.constant(value, tf.float64)
    theirs, ours = pair.native(**given_to_keras), pair.ours(**arguments)
    steps = [t for t in steps_around(*pair.boundaries(**arguments)) if t <= 1000]
    rates = [float(theirs(step)) for step in steps]
    tolerance = 3e-5 if dtype == "float32" else 1e-10
    close(ours(steps), rates, rtol=tolerance, atol=tolerance * arguments["lr"])


@pytest.mark.parametrize("name", native.TF1)
@given(data=st.data())
def test_tensorflow_1(name, data):
    pair = native.TF1[name]
    arguments = data.draw(pair.arguments)
    cosine = "cosine" in name  # they compute in float32 alone
    theirs = {
        key: tf.constant(value, tf.float64) if isinstance(value, float) and not cosine else value
        for key, value in arguments.items()
    }
    steps = np.arange(300)
    if arguments.get("cycle"):  # its cond takes one step at a time
        rates = np.array([float(pair.native(int(t), **theirs)) for t in steps[:40]])
    else:
        rates = pair.native(tf.constant(steps, tf.int64), **theirs).numpy()
    tolerance = 3e-5 if cosine else 1e-10
    ours = pair.ours(**arguments)(steps[: len(rates)])
    close(ours, rates, rtol=tolerance, atol=tolerance * arguments["lr"])


def test_piecewise_constant_of_tensorflow_1():
    ours = L.PiecewiseConstant([11, 21], [1.0, 0.5, 0.25])
    for step in (0, 9, 10, 11, 12, 20, 21, 22, 1000):
        theirs = tf.compat.v1.train.piecewise_constant(step, [10, 20], [1.0, 0.5, 0.25])
        assert ours(step) == float(theirs())


@pytest.mark.parametrize("example", EXAMPLES, ids=repr)
def test_whole_numbers_as_int_and_as_float(example):
    def of(kind):
        """The example with its numbers made whole, as ints or as floats."""
        given = {f.name: getattr(example, f.name) for f in dataclasses.fields(example)}
        seed = {"seed": given["seed"]} if "seed" in given else {}
        return type(example)(**{name: whole(given[name], kind) for name in given} | seed)

    def whole(value, kind):
        if isinstance(value, tuple):
            return [whole(item, kind) for item in value]
        return kind(math.ceil(value)) if type(value) in (int, float) else value

    try:
        ints, floats = of(int), of(float)
    except ValueError:  # no schedule with numbers so large
        assert type(example) is L.OneCycle
        return
    steps = np.arange(30)
    np.testing.assert_array_equal(ints(steps), floats(steps))
    assert ints == floats
    assert [ints(int(step)) for step in steps] == [floats(float(step)) for step in steps]


# Restarts


@given(first=st.integers(1, 1000), t_mul=st.integers(1, 5))
def test_restarts_are_peaks_up_to_the_last_step(first, t_mul):
    schedule = L.CosineRestarts(0.3, first, t_mul=t_mul, end_lr=0.1)
    start, length = 0, first
    for _ in range(60):
        if start + length > LAST_STEP:
            break
        assert schedule(start) == 0.3
        before_end = (start + length - 1, 0.2 + 0.1 * math.cos(math.pi * (1 - Fraction(1, length))))
        assert schedule(before_end[0]) == pytest.approx(before_end[1], abs=1e-12)
        start, length = start + length, length * t_mul


@given(
    first_tenths=st.builds(lambda n, k: n * 10**k, st.integers(10, 1000), st.integers(0, 8)),
    tenths=st.integers(10, 39),
)
@example(first_tenths=11, tenths=10)
@example(first_tenths=10**8, tenths=11)
def test_restarts_at_decimal_multiples(first_tenths, tenths):
    """Where the exact restart, of the numbers as written, is a whole step, the peak is there."""
    schedule = L.CosineRestarts(0.3, first_tenths / 10, t_mul=tenths / 10)
    start, length = Fraction(0), Fraction(first_tenths, 10)
    for _ in range(300):
        if start > LAST_STEP:
            break
        if start.denominator == 1:
            assert schedule(int(start)) == pytest.approx(0.3, abs=1e-12)
        start, length = start + length, length * Fraction(tenths, 10)


def test_restarts_where_logarithms_err():
    theirs = native.t.CosineAnnealingWarmRestarts(native.sgd(1.0), 10, 3)
    theirs.step(1210)
    assert theirs.get_last_lr()[0] < 1e-3
    assert L.CosineRestarts(1.0, 10, t_mul=3)(1210) == 1.0

    restarts = keras.optimizers.schedules.CosineDecayRestarts
    assert float(restarts(1.0, 50, t_mul=1.1)(105)) < 1e-3
    assert L.CosineRestarts(1.0, 50, t_mul=1.1)(105) == 1.0

    late = 1000 * 32767
    assert float(restarts(1.0, 1000, t_mul=2.0)(late)) != 1.0
    assert L.CosineRestarts(1.0, 1000, t_mul=2)(late) == 1.0


# Beyond the steps that float32 counts


def power(base, exponent):
    with localcontext(prec=60):
        return float(Decimal(base) ** Decimal(exponent))


BIG = 10**15 + 7
FAR = [
    (L.Exponential(1.0, decay_rate=0.999999), 9_200_000, power(0.999999, 9_200_000)),
    (L.Exponential(1.0, decay_rate=0.5, decay_steps=2**24 + 1, staircase=True), 2**24, 1.0),
    (L.Exponential(1.0, decay_rate=0.5, decay_steps=2**24 + 1, staircase=True), 2**24 + 1, 0.5),
    (L.StepDecay(1.0, 3, gamma=1 - 1e-9), 3 * 10**9 - 1, power(1 - 1e-9, 10**9 - 1)),
    (L.StepDecay(1.0, 3, gamma=1 - 1e-9), 3 * 10**9, power(1 - 1e-9, 10**9)),
    (L.MultiStep(1.0, [2**53 - 1], gamma=0.5), 2**53 - 2, 1.0),
    (L.MultiStep(1.0, [2**53 - 1], gamma=0.5), 2**53 - 1, 0.5),
    (L.PiecewiseConstant([2**24 + 1], [1.0, 0.5]), 2**24, 1.0),
    (L.PiecewiseConstant([2**24 + 1], [1.0, 0.5]), 2**24 + 1, 0.5),
    (L.NaturalExponential(1.0, decay_rate=1e-6), 2**24 + 1, math.exp(-(2**24 + 1) * 1e-6)),
    (L.InverseTime(1.0, decay_rate=1e-6), 2**40, float(1 / (1 + Fraction(2**40) * Fraction(1e-6)))),
    (L.Power(1.0), 2**40 - 1, 2.0**-20),
    (L.Factor(1.0, factor=1 - 1e-9, floor_lr=1e-3), 2**31, power(1 - 1e-9, 2**31)),
    (L.Linear(1.0, 0.0, decay_steps=2**50), 2**50 - 1, 2.0**-50),
    (L.Polynomial(1.0, 2**50, power=2), 2**50 - 2**30, 2.0**-40),
    (L.Polynomial(1.0, 10, cycle=True), 2**24 + 4, float(1 - Fraction(2**24 + 4, 2**24 + 4))),
    (L.Polynomial(1.0, 10, cycle=True), BIG, float(3 / Fraction(BIG + 3))),
    (L.Cosine(1.0, 10**6), 10**6 - 77, math.sin(math.pi * 77 / 2e6) ** 2),
    (L.CosineAnnealing(1.0, 7), BIG, 0.5 + 0.5 * math.cos(math.pi * (BIG % 14) / 7)),
    (L.CosineAnnealing(1.0, 10**6), 10**12, 1.0),
    (L.CosineRestarts(1.0, 3, t_mul=1), BIG, 0.5 + 0.5 * math.cos(math.pi * (BIG % 3) / 3)),
    (L.CosineRestarts(1.0, 3, t_mul=2), 3 * (2**45 - 1), 1.0),
    (L.LinearCosine(1.0, 2**50, num_periods=0, beta=0), 2**50 - 1, 2.0**-50),
    (L.Cyclical(0.0, 1.0, step_size_up=3), 6 * 10**14 + 3, 1.0),
    (L.Cyclical(0.0, 1.0, step_size_up=3), 6 * 10**14 + 5, 1 / 3),
    (L.OneCycle(1.0, 2**50, pct_start=0.5, anneal="linear", div_factor=2.0), 2**49 - 1, 1.0),
    (L.WarmupStableDecay(1.0, warmup_steps=2**50, stable_steps=5, decay_steps=2**50),
     2**50 + 5 + 2**49, 0.5),
    (L.Linear(1.0, 0.0, decay_steps=2).warmup(2**50), 2**50 + 1, 0.5),
    (L.Sequence([L.Constant(1.0), L.Linear(1.0, 0.0, decay_steps=2)], [2**52]), 2**52 + 1, 0.5),
    (L.StepDecay(1.0, 1, gamma=0.5).per_epoch(2**51), 2**52 - 1, 0.5),
    (L.StepDecay(1.0, 1, gamma=0.5).per_epoch(2**51), 2**52, 0.25),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "step", "exact"), FAR, ids=lambda value: repr(value)[:60])
def test_far_steps_are_exact(schedule, step, exact):
    # Near an end a cosine is a difference of numbers near 1, hence the absolute term.
    assert schedule(step) == pytest.approx(exact, rel=1e-12, abs=1e-16)
    close(schedule([step])[0], exact, rtol=1e-12, atol=1e-16)


def test_keras_is_wrong_at_far_steps():
    """Why the table above compares with exact numbers and not with Keras."""
    k = keras.optimizers.schedules
    assert float(k.ExponentialDecay(1.0, 1, 0.999999)(9_200_000)) == pytest.approx(
        0.885 * power(0.999999, 9_200_000), rel=0.01
    )
    staircase = k.ExponentialDecay(1.0, 2**24 + 1, 0.5, staircase=True)
    assert float(staircase(2**24)) == 0.5
    assert float(k.CosineDecay(1.0, 10**6)(10**6 - 77)) == 0.0


# Noise


def epsilon(seed, steps):
    """The noise alone: no decay of its spread, no cosine, far above the floor."""
    schedule = L.NoisyLinearCosine(
        1.0, 10**7, num_periods=0, alpha=50, beta=0, variance_decay=0, seed=seed
    )
    return schedule(steps) - L.LinearCosine(1.0, 10**7, num_periods=0, alpha=50, beta=0)(steps)


@pytest.mark.parametrize("step", [0, 30, 99, 100, 1000])
def test_noise_has_the_mean_and_variance_of_tensorflow(step):
    arguments = {"num_periods": 1.0, "alpha": 5.0, "beta": 0.01, "initial_variance": 0.7}
    tf.random.set_seed(1)
    draw = tf.compat.v1.train.noisy_linear_cosine_decay(
        0.1, tf.fill([50_000], step), 100, variance_decay=0.4, **arguments
    )
    theirs = draw().numpy()
    seeds = range(4000)
    ours = np.array(
        [
            L.NoisyLinearCosine(0.1, 100, variance_decay=0.4, seed=s, **arguments)(step)
            for s in seeds
        ]
    )
    mean, spread = float(theirs.mean()), float(theirs.std())
    assert ours.mean() == pytest.approx(mean, abs=5 * spread / math.sqrt(len(ours)) + 1e-8)
    assert ours.std() == pytest.approx(spread, rel=5 / math.sqrt(2 * len(ours)), abs=1e-8)


def test_noise_is_normal_and_independent():
    n = 100_000
    x = epsilon(7, np.arange(n))
    assert abs(x.mean()) < 4 / math.sqrt(n)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((x**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96 / n)
    cdf = 0.5 * (1 + np.vectorize(math.erf)(np.sort(x) / math.sqrt(2)))
    assert np.abs(cdf - np.arange(n) / n).max() < 1.95 / math.sqrt(n)  # Kolmogorov and Smirnov
    others = [x[lag:] for lag in (1, 2, 3, 64, 1000)]  # later steps
    others += [epsilon(seed, np.arange(n)) for seed in (0, 6, 8, 7 + 2**32)]  # other seeds
    others += [epsilon(7, np.arange(n) + 2**32)]  # steps with the same low bits
    for y in others:
        m = len(y)
        assert abs((x[:m] * y).mean()) < 5 / math.sqrt(m)
        assert abs(((x[:m] ** 2 - 1) * (y**2 - 1)).mean()) < 5 * 2 / math.sqrt(m)


def test_noise_stops_at_zero_where_tensorflow_is_negative():
    steps = np.arange(101)
    tf.random.set_seed(0)
    v1 = tf.compat.v1.train.noisy_linear_cosine_decay
    assert v1(0.1, tf.constant(steps), 100)().numpy().min() < 0
    rates = np.concatenate([L.NoisyLinearCosine(0.1, 100, seed=s)(steps) for s in range(200)])
    assert rates.min() == 0.0
    assert 0.05 < (rates == 0).mean() < 0.3
    assert L.NoisyLinearCosine(0.1, 100, initial_variance=0)(7) == L.LinearCosine(0.1, 100)(7)


def test_noise_depends_on_the_whole_step_and_the_seed_alone():
    schedule = L.NoisyLinearCosine(0.1, 100, num_periods=0, alpha=9, variance_decay=0, seed=3)
    steps = np.arange(50)
    assert np.array_equal(schedule(steps), schedule(steps[::-1])[::-1])
    line = L.LinearCosine(0.1, 100, num_periods=0, alpha=9)
    noise_at = [schedule(t) - line(t) for t in (5.0, 5.25, 5.99, 6.0)]
    assert noise_at[0] == pytest.approx(noise_at[1]) == pytest.approx(noise_at[2])
    assert noise_at[2] != pytest.approx(noise_at[3])
