"""Schedules made of schedules: transparent nesting, and clocks of their own."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
from drawn import BOUNDARIES, COUNTS, LAST_STEP, LEAVES, RATES, SCHEDULES, STEPS, steps_around
from native import close, rates_of, sgd, t

STEP_LISTS = st.lists(STEPS.filter(lambda step: step < 2**52), min_size=1, max_size=10)
SHORT = st.integers(1, 60)


@given(schedule=SCHEDULES, steps=STEP_LISTS)
def test_what_changes_nothing(schedule, steps):
    """Bit for bit, also around a schedule that is composed already."""
    rates = schedule(steps)
    for same in (
        L.Sequence([schedule], []),
        schedule.warmup(0),
        schedule * 1,
        1.0 * schedule,
        schedule.clip(),
        schedule.per_epoch(1, smooth=True),
        schedule.repeat(5, times=1, factor=0.5),
        schedule.repeat(LAST_STEP, factor=3),
        L.Sequence([schedule, schedule], [LAST_STEP]),
    ):
        np.testing.assert_array_equal(same(steps), rates)
    whole = np.floor(steps)
    np.testing.assert_array_equal(schedule.per_epoch(1)(steps), schedule(whole))


@given(schedule=SCHEDULES, warmup_steps=COUNTS, start=RATES, steps=STEP_LISTS)
def test_a_schedule_after_a_warmup_has_its_own_clock(schedule, warmup_steps, start, steps):
    """timm's issues 1242 and 2312: after its warmup the cosine is shifted, or cut short."""
    warm = schedule.warmup(warmup_steps, start_lr=start)
    for step in steps:
        later = step + warmup_steps
        assert warm(later) == schedule(later - warmup_steps)
    if warmup_steps:
        assert warm(0) == pytest.approx(start)
        middle = warm(warmup_steps / 2)
        assert middle == pytest.approx((start + schedule(0)) / 2, rel=1e-9, abs=1e-12)
    assert warm(warmup_steps) == schedule(0)


@given(
    parts=st.lists(LEAVES, min_size=3, max_size=3),
    lengths=st.lists(st.integers(1, 1000), min_size=2, max_size=2),
    steps=STEP_LISTS,
)
def test_a_sequence_in_a_sequence_is_the_flat_one(parts, lengths, steps):
    first, second = lengths
    a, b, c = parts
    flat = L.Sequence([a, b, c], [first, first + second])
    steps = [*steps_around(first, first + second)[:-1], *steps]
    for nested in (
        L.Sequence([L.Sequence([a, b], [first]), c], [first + second]),
        L.Sequence([a, L.Sequence([b, c], [second])], [first]),
    ):
        np.testing.assert_array_equal(nested(steps), flat(steps))


@given(parts=st.lists(SCHEDULES, min_size=5, max_size=5), boundaries=BOUNDARIES)
def test_each_part_of_a_sequence_starts_at_its_step_0(parts, boundaries):
    parts = parts[: len(boundaries) + 1]
    sequence = L.Sequence(parts, boundaries)
    assert sequence(0) == parts[0](0)
    for part, start in zip(parts[1:], boundaries, strict=True):
        assert sequence(start) == part(0)
    assert sequence(LAST_STEP) == parts[-1](float(LAST_STEP) - ([0, *boundaries][-1]))


@given(schedule=SCHEDULES, factor=st.floats(1e-3, 10), limits=st.tuples(RATES, RATES), step=STEPS)
def test_scale_and_clip(schedule, factor, limits, step):
    low, high = sorted(limits)
    rate = schedule(step)
    assert (schedule * factor)(step) == (factor * schedule)(step) == rate * factor
    assert schedule.clip(low, high)(step) == np.clip(rate, low, high)
    assert schedule.clip(min_lr=low)(step) == max(rate, low)
    assert schedule.clip(max_lr=high)(step) == min(rate, high)


@given(schedule=SCHEDULES, n=SHORT, step=st.integers(0, 10**6))
def test_per_epoch(schedule, n, step):
    assert schedule.per_epoch(n)(step) == schedule(step // n)
    assert schedule.per_epoch(n, smooth=True)(step) == schedule(step / n)
    assert schedule.per_epoch(n, smooth=True)(n * step) == schedule(step)


def test_shapes_of_a_warmup():
    cosine = L.Cosine(0.4, 10)
    flat = cosine.warmup(4, start_lr=0.1, shape="constant")
    assert flat([0, 3, 4]) == pytest.approx([0.1, 0.1, 0.4])
    rise = cosine.warmup(2, start_lr=0.1, shape="exponential")
    assert rise([0, 1, 2]) == pytest.approx([0.1, 0.2, 0.4])


def test_methods_are_the_classes():
    inner = L.Cosine(0.3, 20)
    shape = {"start_lr": 0.1, "shape": "constant"}
    assert inner.warmup(5, **shape) == L.Warmup(inner, 5, **shape)
    assert inner * 2 == 2 * inner == np.float64(2) * inner == L.Scaled(inner, 2)
    assert inner.clip(0.1, 0.2) == L.Clipped(inner, 0.1, 0.2)
    assert inner.per_epoch(10, smooth=True) == L.PerEpoch(inner, 10, smooth=True)
    again = {"times": 3, "factor": 0.5}
    assert inner.repeat(30, **again) == L.Repeat(inner, 30, **again)
    assert inner.repeat(30, 3, 0.5) == inner.repeat(30, times=3, factor=0.5)
    with pytest.raises(TypeError):
        inner * "2"


def test_what_is_inside_comes_after_the_warmup():
    cosine = L.Cosine(1.0, 10, end_lr=0.2)
    assert cosine.warmup(5).clip(0.5)([0, 5, 15]) == pytest.approx([0.5, 1.0, 0.5])
    assert cosine.clip(0.5).warmup(5)([0, 5, 15]) == pytest.approx([0.0, 1.0, 0.5])


# Repetition


@given(
    schedule=SCHEDULES,
    tenths=st.integers(1, 3000),
    times=st.none() | st.integers(1, 6),
    factor=st.sampled_from([1.0, 0.5, 2.0, 0.0]),
    ahead=st.integers(0, 300),
)
def test_each_repetition_is_the_schedule_times_a_power(schedule, tenths, times, factor, ahead):
    """Exactly, wherever a restart is a whole step: of all lengths, and from whole ones on."""
    length = Fraction(tenths, 10)
    again = schedule.repeat(float(length), times=times, factor=factor)
    for k in (0, 1, 2, 5, 70):
        repetition = k if times is None else min(k, times - 1)
        inside = length * (k - repetition)
        for step in {0, ahead % tenths if length.denominator == 1 else 0}:
            if (length * k).denominator == 1 and step < length:
                expected = schedule(float(inside + step)) * factor**repetition
                if factor > 1:  # what grows ends there
                    expected = min(expected, 1e300)
                assert again(int(length * k) + step) == pytest.approx(expected, rel=1e-12)


def test_repetitions_that_grow_stay_finite():
    again = L.Constant(1e30).repeat(1, factor=1e30)
    rates = again([0, 1, 9, 10, 1000, LAST_STEP])
    assert np.isfinite(rates).all()
    assert list(rates[:3]) == pytest.approx([1e30, 1e60, 1e300])
    assert list(rates) == [again(step) for step in (0, 1, 9, 10, 1000, LAST_STEP)]


def test_what_has_grown_to_its_end_is_changed_by_nothing():
    """The end is reached by rounding; more of it must not move a last bit."""
    factors = [1.0000001, 1.1, 2.0, 3.0, 7.7, 1e9]
    grown = [L.Factor(base, factor=factor) for base in (0.3, 1.0, 1e30) for factor in factors]
    grown += [each * each for each in grown]
    grown += [each * 1e30 for each in grown]
    grown += [each.repeat(7, factor=1.3) for each in grown]
    for schedule in grown:
        for step in (997, 10**6):
            rate = schedule(step)
            assert rate <= 1e300
            for same in (schedule.repeat(LAST_STEP, factor=3), schedule * L.Constant(1.0)):
                assert same(step) == rate


# Against torch and optax


@given(lr=RATES.filter(bool), length=SHORT, low=st.floats(0, 1))
def test_torch_restarts(lr, length, low):
    optimizer = sgd(lr)
    theirs = t.CosineAnnealingWarmRestarts(optimizer, length, eta_min=lr * low)
    theirs = rates_of(optimizer, theirs, 5 * length + 3)
    close(L.Cosine(lr, length, end_lr=lr * low).repeat(length)(range(5 * length + 3)), theirs)


@given(
    lr=st.floats(1e-3, 10), share=st.floats(0.01, 1), warmup=SHORT, length=SHORT,
    times=st.integers(1, 4), factor=st.floats(0.1, 1),
)  # fmt: skip
def test_torch_warmup_and_cosine_again_and_again(lr, share, warmup, length, times, factor):
    """Each repetition is a sequence of PyTorch's own, from a base rate that falls."""
    theirs = []
    for k in range(times):
        optimizer = sgd(lr * factor**k)
        parts = [t.LinearLR(optimizer, share, 1.0, warmup), t.CosineAnnealingLR(optimizer, length)]
        sequence = t.SequentialLR(optimizer, parts, [warmup])
        theirs.extend(rates_of(optimizer, sequence, warmup + length))
    one = L.Cosine(lr, length).warmup(warmup, start_lr=lr * share)
    ours = one.repeat(warmup + length, times=times, factor=factor)
    close(ours(range(len(theirs))), theirs, rtol=1e-9, atol=1e-12)
    assert ours(len(theirs) + 10**6) == 0.0  # it goes on


@given(
    peak=st.floats(1e-3, 10), share=st.floats(0, 1), warmup=SHORT, length=SHORT,
    factor=st.floats(0.1, 1), times=st.integers(1, 4), low=st.floats(0, 0.9),
)  # fmt: skip
def test_optax_warmup_and_cosine_again_and_again(peak, share, warmup, length, factor, times, low):
    optax = pytest.importorskip("optax", reason="optax is not installed")
    cycles = [
        {
            "init_value": share * peak * factor**k, "peak_value": peak * factor**k,
            "warmup_steps": warmup, "decay_steps": warmup + length,
            "end_value": low * peak * factor**k,
        }
        for k in range(times)
    ]  # fmt: skip
    theirs = optax.sgdr_schedule(cycles)
    one = L.Cosine(peak, length, end_lr=low * peak).warmup(warmup, start_lr=share * peak)
    ours = one.repeat(warmup + length, times=times, factor=factor)
    steps = [
        k * (warmup + length) + step
        for k in range(times)
        for step in {0, 1, warmup - 1, warmup, warmup + 1, warmup + length - 1}
        if step < warmup + length
    ]
    steps += [times * (warmup + length) + step for step in (0, 1, 1000)]
    expected = [float(theirs(step)) for step in steps]
    close(ours(steps), expected, rtol=1e-5, atol=1e-6)  # optax computes in float32


@given(lr=RATES.filter(bool), share=st.floats(0.01, 1), warmup=SHORT, length=SHORT)
def test_torch_warmup_then_cosine(lr, share, warmup, length):
    optimizer = sgd(lr)
    parts = [t.LinearLR(optimizer, share, 1.0, warmup), t.CosineAnnealingLR(optimizer, length)]
    theirs = rates_of(optimizer, t.SequentialLR(optimizer, parts, [warmup]), warmup + length)
    cosine = L.Cosine(lr, length)
    rise = L.Linear(lr * share, lr, decay_steps=warmup)
    for ours in (cosine.warmup(warmup, start_lr=lr * share), L.Sequence([rise, cosine], [warmup])):
        close(ours(range(warmup + length)), theirs, rtol=1e-9, atol=1e-12)
