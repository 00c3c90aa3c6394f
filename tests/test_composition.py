"""Schedules made of schedules: transparent nesting, and clocks of their own."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
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
    clipped = schedule.clip(low, high)
    assert clipped(step) == np.clip(rate, low, high)
    assert schedule.clip(min_lr=low)(step) == max(rate, low)
    assert schedule.clip(max_lr=high)(step) == min(rate, high)
    # They commute if the limits are scaled too.
    one, other = (schedule * factor).clip(low * factor, high * factor), clipped * factor
    assert one(step) == pytest.approx(other(step), rel=1e-12)


@given(schedule=SCHEDULES, factor=st.floats(0, 10), warmup_steps=SHORT, start=RATES, step=STEPS)
def test_scale_and_warmup_commute(schedule, factor, warmup_steps, start, step):
    one = (schedule * factor).warmup(warmup_steps, start_lr=start * factor)
    other = schedule.warmup(warmup_steps, start_lr=start) * factor
    assert one(step) == pytest.approx(other(step), rel=1e-9)


@given(schedule=SCHEDULES, n=SHORT, step=st.integers(0, 10**6))
def test_per_epoch(schedule, n, step):
    assert schedule.per_epoch(n)(step) == schedule(step // n)
    assert schedule.per_epoch(n, smooth=True)(step) == schedule(step / n)
    assert schedule.per_epoch(n, smooth=True)(n * step) == schedule(step)


def test_shapes_of_a_warmup():
    cosine = L.Cosine(0.4, 10)
    assert cosine.warmup(4)(range(6)) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, cosine(1)])
    assert cosine.warmup(4, start_lr=0.1, shape="constant")([0, 3, 4]) == pytest.approx(
        [0.1, 0.1, 0.4]
    )
    rise = cosine.warmup(2, start_lr=0.1, shape="exponential")
    assert rise([0, 1, 2]) == pytest.approx([0.1, 0.2, 0.4])


def test_methods_are_the_classes():
    schedule = L.Cosine(0.3, 20)
    assert schedule.warmup(5) == L.Warmup(schedule, 5)
    assert schedule.warmup(5, start_lr=0.1, shape="constant") == L.Warmup(
        schedule, 5, start_lr=0.1, shape="constant"
    )
    assert schedule * 2 == 2 * schedule == np.float64(2) * schedule == L.Scaled(schedule, 2)
    assert schedule.clip(0.1) == L.Clipped(schedule, 0.1)
    assert schedule.clip(0.1, 0.2) == L.Clipped(schedule, 0.1, 0.2)
    assert schedule.per_epoch(10) == L.PerEpoch(schedule, 10)
    assert schedule.per_epoch(10, smooth=True) == L.PerEpoch(schedule, 10, smooth=True)
    for wrong in ("2", None, [2], schedule, 1j):
        with pytest.raises(TypeError):
            schedule * wrong


# Against torch, where its construction is right


@given(lr=RATES.filter(bool), share=st.floats(0.01, 1), warmup=SHORT, length=SHORT)
def test_torch_warmup_then_cosine(lr, share, warmup, length):
    optimizer = sgd(lr)
    parts = [t.LinearLR(optimizer, share, 1.0, warmup), t.CosineAnnealingLR(optimizer, length)]
    theirs = rates_of(optimizer, t.SequentialLR(optimizer, parts, [warmup]), warmup + length)
    ours = L.Cosine(lr, length).warmup(warmup, start_lr=lr * share)
    close(ours(range(warmup + length)), theirs, rtol=1e-9, atol=1e-12)


@given(lr=RATES.filter(bool), gamma=st.floats(0.5, 1), size=SHORT, first=SHORT)
def test_torch_sequence(lr, gamma, size, first):
    optimizer = sgd(lr)
    parts = [t.ExponentialLR(optimizer, gamma), t.StepLR(optimizer, size, gamma)]
    theirs = rates_of(optimizer, t.SequentialLR(optimizer, parts, [first]), 130)
    ours = L.Sequence(
        [L.Exponential(lr, decay_rate=gamma), L.StepDecay(lr, size, gamma=gamma)], [first]
    )
    close(ours(range(130)), theirs, rtol=1e-9)


@given(lr=RATES.filter(bool), share=st.floats(0.01, 1), total=SHORT, size=SHORT)
def test_torch_chained(lr, share, total, size):
    """Two multiplicative schedulers, chained, are a sequence of one scaled for some steps."""
    assume(total % size == 0)
    optimizer = sgd(lr)
    parts = [t.ConstantLR(optimizer, share, total), t.StepLR(optimizer, size, 0.5)]
    theirs = rates_of(optimizer, t.ChainedScheduler(parts, optimizer), 130)
    decay = L.StepDecay(lr, size, gamma=0.5)
    ours = L.Sequence([decay * share, decay * 0.5 ** (total // size)], [total])
    close(ours(range(130)), theirs, rtol=1e-9)


# Against torch, where wrapping changes the rates: what torch does is pinned down beside what
# ours does, so that a change in torch shows.


def test_wrapping_in_a_sequence_changes_torch_but_not_ours():
    """pytorch issue 67586 and its like: OneCycleLR starts elsewhere after SequentialLR."""
    optimizer = sgd(0.1)
    parts = [
        t.LinearLR(optimizer, 0.5, 1.0, 3),
        t.OneCycleLR(optimizer, 0.1, 20, cycle_momentum=False),
    ]
    theirs = rates_of(optimizer, t.SequentialLR(optimizer, parts, [3]), 3)
    alone = sgd(0.1)
    right = rates_of(alone, t.LinearLR(alone, 0.5, 1.0, 3), 3)
    assert right[0] == pytest.approx(0.05)
    assert theirs[0] == pytest.approx(0.004 * 0.5)  # the rate OneCycleLR wrote into the optimizer

    linear, one_cycle = L.Linear(0.05, 0.1, decay_steps=3), L.OneCycle(0.1, 20)
    ours = L.Sequence([linear, one_cycle], [3])
    close(ours(range(3)), right)
    np.testing.assert_array_equal(ours(range(3, 23)), one_cycle(range(20)))


def test_a_sequence_in_a_sequence_fails_in_torch():
    """pytorch issue 196243: SequentialLR inside SequentialLR."""

    def constant(factor):
        return t.ConstantLR(optimizer, factor, 10**6)

    optimizer = sgd(1.0)
    inner = t.SequentialLR(optimizer, [constant(0.5), constant(0.25)], [2])
    outer = t.SequentialLR(optimizer, [constant(0.125), inner], [3])
    with pytest.raises(NotImplementedError):
        rates_of(optimizer, outer, 8)

    inner = L.Sequence([L.Constant(0.5), L.Constant(0.25)], [2])
    ours = L.Sequence([L.Constant(0.125), inner], [3])
    assert list(ours(range(8))) == [0.125] * 3 + [0.5] * 2 + [0.25] * 3


def test_the_order_of_a_chain_matters_in_torch():
    def chained(*makers):
        optimizer = sgd(1.0)
        scheduler = t.ChainedScheduler([make(optimizer) for make in makers], optimizer)
        return rates_of(optimizer, scheduler, 10)

    def linear(optimizer):
        return t.LinearLR(optimizer, 0.1, 1.0, 5)

    def cosine(optimizer):
        return t.CosineAnnealingLR(optimizer, 10, 0.2)

    assert not np.allclose(chained(linear, cosine), chained(cosine, linear))
    # Ours leaves no choice: what is inside comes after the warmup, what is outside includes it.
    cosine = L.Cosine(1.0, 10, end_lr=0.2)
    assert cosine.warmup(5).clip(0.5)([0, 5, 15]) == pytest.approx([0.5, 1.0, 0.5])
    assert cosine.clip(0.5).warmup(5)([0, 5, 15]) == pytest.approx([0.0, 1.0, 0.5])


def test_nesting_inside_a_graph_of_tensors():
    nested = L.Sequence([L.Cosine(0.1, 5).warmup(3) * 2, L.StepDecay(0.1, 4).clip(0.01)], [6])
    nested = nested.warmup(2).per_epoch(3)
    steps = np.arange(60)
    close(nested(torch.tensor(steps)).numpy(), nested(steps), rtol=1e-14)
