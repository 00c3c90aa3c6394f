"""Schedules against exact math, and where others hold a function; what is read: test_natives_*."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
import transformers
from hypothesis import example, given
from hypothesis import strategies as st

import lrsched as L
import native
from drawn import LAST_STEP
from native import close

v1 = tf.compat.v1.train

# PyTorch: what is read from its schedulers stands in test_natives_pytorch.py. These are written
# with functions, which nothing can be read from.

LAMBDAS = {
    "ExponentialLR with a floor": (
        {"gamma": native.SHARE, "floor": st.floats(0, 1)},
        lambda gamma, floor: lambda step: max(gamma**step, floor),
        lambda lr, gamma, floor: L.Factor(lr, factor=gamma, floor_lr=lr * floor),
    ),
    "square root": ({}, lambda: lambda step: pow(step + 1.0, -0.5), lambda lr: L.Power(lr)),
    "trapezoid": (
        dict.fromkeys(["rise", "stay", "fall"], native.STEPS),
        lambda rise, stay, fall: (
            lambda step: max(0.0, min(step / rise, 1.0, (rise + stay + fall - step) / fall))
        ),
        lambda lr, rise, stay, fall: L.WarmupStableDecay(
            lr, warmup_steps=rise, stable_steps=stay, decay_steps=fall
        ),
    ),
}


@pytest.mark.parametrize("name", LAMBDAS)
@given(data=st.data())
def test_torch_lambdas(name, data):
    strategies, factor, ours = LAMBDAS[name]
    lr, arguments = data.draw(native.LR), data.draw(st.fixed_dictionaries(strategies))
    optimizer = native.sgd(lr)
    scheduler = native.t.LambdaLR(optimizer, factor(**arguments))
    close(ours(lr, **arguments)(range(250)), native.rates_of(optimizer, scheduler, 250))


@given(
    lr=native.LR, share=st.floats(0, 1),
    rise=st.integers(0, 9), stay=st.integers(0, 30), fall=st.integers(1, 30),
    decay=st.sampled_from(["linear", "cosine", "1-sqrt"]),
)  # fmt: skip
def test_warmup_stable_decay_of_transformers(lr, share, rise, stay, fall, decay):
    """Without a share to begin with: theirs also starts the warmup at ``min_lr_ratio``."""
    optimizer = native.sgd(lr)
    share = 0.0 if rise else share
    scheduler = transformers.get_wsd_schedule(
        optimizer, rise, fall, num_stable_steps=stay, decay_type=decay, min_lr_ratio=share
    )
    ours = L.WarmupStableDecay(
        lr, warmup_steps=rise, stable_steps=stay, decay_steps=fall, end_lr=share * lr, decay=decay
    )
    close(ours(range(80)), native.rates_of(optimizer, scheduler, 80))


def test_whole_numbers_as_int_and_as_float():
    def made(of):
        inner = L.Exponential(of(3), decay_rate=of(2), decay_steps=of(4)).clip(of(1), of(20))
        steps = L.PiecewiseConstant([of(4), of(9)], [of(2), of(0), of(1)])
        parts = [L.Polynomial(of(2), of(7), end_lr=of(1), power=of(2)), inner * of(2), steps]
        return L.Sequence(parts, [of(8), of(20)]).warmup(of(3), start_lr=of(1)).per_epoch(of(2))

    assert made(int) == made(float)
    np.testing.assert_array_equal(made(int)(range(99)), made(float)(range(99)))


# Restarts


@given(first=st.integers(1, 1000), t_mul=st.integers(1, 5))
@example(first=10, t_mul=3)  # where logarithms err
def test_restarts_are_peaks_up_to_the_last_step(first, t_mul):
    schedule = L.CosineRestarts(0.3, first, t_mul=t_mul, end_lr=0.1)
    start, length = 0, first
    for _ in range(60):
        if start + length > LAST_STEP:
            break
        assert schedule(start) == 0.3
        before_end = 0.2 - 0.1 * math.cos(math.pi / length)
        assert schedule(start + length - 1) == pytest.approx(before_end, abs=1e-12)
        start, length = start + length, length * t_mul


@given(
    first_tenths=st.builds(lambda n, k: n * 10**k, st.integers(10, 1000), st.integers(0, 8)),
    tenths=st.integers(10, 39),
)
@example(first_tenths=11, tenths=10)
@example(first_tenths=10**8, tenths=11)
@example(first_tenths=500, tenths=11)
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


# Beyond the steps that float32 counts


def power(base, exponent):
    with localcontext(prec=60):
        return float(Decimal(base) ** Decimal(exponent))


BIG = 10**15 + 7
FAR = [
    (L.Exponential(1.0, decay_rate=0.999999), 9_200_000, power(0.999999, 9_200_000)),
    (L.Exponential(1.0, decay_rate=0.5, decay_steps=2**24 + 1, staircase=True), 2**24, 1.0),
    (L.StepDecay(1.0, 3, gamma=1 - 1e-9), 3 * 10**9, power(1 - 1e-9, 10**9)),
    (L.MultiStep(1.0, [2**53 - 1], gamma=0.5), 2**53 - 1, 0.5),
    (L.PiecewiseConstant([2**24 + 1], [1.0, 0.5]), 2**24, 1.0),
    (L.NaturalExponential(1.0, decay_rate=1e-6), 2**24 + 1, math.exp(-(2**24 + 1) * 1e-6)),
    (L.InverseTime(1.0, decay_rate=1e-6), 2**40, float(1 / (1 + Fraction(2**40) * Fraction(1e-6)))),
    (L.Power(1.0), 2**40 - 1, 2.0**-20),
    (L.Factor(1.0, factor=1 - 1e-9, floor_lr=1e-3), 2**31, power(1 - 1e-9, 2**31)),
    (L.Linear(1.0, 0.0, decay_steps=2**50), 2**50 - 1, 2.0**-50),
    (L.Polynomial(1.0, 10, cycle=True), BIG, float(3 / Fraction(BIG + 3))),
    (L.Cosine(1.0, 10**6), 10**6 - 77, math.sin(math.pi * 77 / 2e6) ** 2),
    (L.CosineAnnealing(1.0, 7), BIG, 0.5 + 0.5 * math.cos(math.pi * (BIG % 14) / 7)),
    (L.LinearCosine(1.0, 2**50, num_periods=0, beta=0), 2**50 - 1, 2.0**-50),
    (L.Cyclical(0.0, 1.0, step_size_up=3), 6 * 10**14 + 5, 1 / 3),
    (L.Cyclical(0.1, 0.1, step_size_up=10, mode="exp_range", gamma=1.01), 10_010, 0.1),
    (L.OneCycle(1.0, 2**50, pct_start=0.5, anneal="linear", div_factor=2.0), 2**49 - 1, 1.0),
    (L.WarmupStableDecay(1.0, warmup_steps=2**50, stable_steps=5, decay_steps=2**50),
     2**50 + 5 + 2**49, 0.5),
    (L.Linear(1.0, 0.0, decay_steps=2).warmup(2**50), 2**50 + 1, 0.5),
    (L.Sequence([L.Constant(1.0), L.Linear(1.0, 0.0, decay_steps=2)], [2**52]), 2**52 + 1, 0.5),
    (L.StepDecay(1.0, 1, gamma=0.5).per_epoch(2**51), 2**52, 0.25),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "step", "exact"), FAR, ids=lambda value: repr(value)[:60])
def test_far_steps_are_exact(schedule, step, exact):
    # Near an end a cosine is a difference of numbers near 1, hence the absolute term.
    assert schedule(step) == pytest.approx(exact, rel=1e-12, abs=1e-16)
    close(schedule([step])[0], exact, rtol=1e-12, atol=1e-16)


# Noise


def epsilon(seed, steps):
    """The noise alone: no decay of its spread, no cosine, far above the floor."""
    schedule = L.NoisyLinearCosine(
        1.0, 10**7, num_periods=0, alpha=50, beta=0, variance_decay=0, seed=seed
    )
    return schedule(steps) - L.LinearCosine(1.0, 10**7, num_periods=0, alpha=50, beta=0)(steps)


@pytest.mark.parametrize("step", [0, 30, 99, 100, 1000])
def test_noise_has_the_mean_and_variance_of_tensorflow(step):
    given = {"num_periods": 1.0, "alpha": 5.0, "beta": 0.01, "initial_variance": 0.7}
    given["variance_decay"] = 0.4
    tf.random.set_seed(1)
    theirs = v1.noisy_linear_cosine_decay(0.1, tf.fill([50_000], step), 100, **given)().numpy()
    seeds = range(4000)
    ours = np.array([L.NoisyLinearCosine(0.1, 100, seed=s, **given)(step) for s in seeds])
    mean, spread = float(theirs.mean()), float(theirs.std())
    assert ours.mean() == pytest.approx(mean, abs=5 * spread / math.sqrt(len(ours)) + 1e-8)
    assert ours.std() == pytest.approx(spread, rel=5 / math.sqrt(2 * len(ours)), abs=1e-8)


def test_noise_is_normal_and_independent():
    n = 100_000
    x = epsilon(7, np.arange(n))
    assert abs(x.mean()) < 4 / math.sqrt(n)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / n)
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
    assert v1.noisy_linear_cosine_decay(0.1, tf.constant(steps), 100)().numpy().min() < 0
    rates = np.concatenate([L.NoisyLinearCosine(0.1, 100, seed=s)(steps) for s in range(200)])
    assert rates.min() == 0.0
    assert 0.05 < (rates == 0).mean() < 0.3
    assert L.NoisyLinearCosine(0.1, 100, initial_variance=0)(7) == L.LinearCosine(0.1, 100)(7)


def test_noise_depends_on_the_whole_step_and_the_seed_alone():
    schedule = L.NoisyLinearCosine(0.1, 100, num_periods=0, alpha=9, variance_decay=0, seed=3)
    line = L.LinearCosine(0.1, 100, num_periods=0, alpha=9)
    noise_at = [schedule(t) - line(t) for t in (5.0, 5.25, 5.99, 6.0)]
    assert noise_at[0] == pytest.approx(noise_at[1]) == pytest.approx(noise_at[2])
    assert noise_at[2] != pytest.approx(noise_at[3])
