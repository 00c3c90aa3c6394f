"""Schedules and steps for the tests: examples of every class, and strategies that draw them."""

import itertools

from hypothesis import strategies as st

import lrsched as L

LAST_STEP = 2**53 - 1

# One or more of each class, with arguments that reach every branch of its formula.
EXAMPLES = [
    L.Constant(0.1),
    L.PiecewiseConstant([5, 9.5], [0.1, 0.3, 0.0]),
    L.PiecewiseConstant([], [0.1]),
    L.StepDecay(0.1, 7, gamma=0.5),
    L.StepDecay(0.1, 2.5, gamma=1.5),
    L.MultiStep(0.1, [3, 8, 20], gamma=0.3),
    L.MultiStep(0.1, []),
    L.Exponential(0.1, decay_rate=0.9, decay_steps=4),
    L.Exponential(0.1, decay_rate=1.1, decay_steps=4, staircase=True),
    L.Exponential(0.1, decay_rate=0),
    L.NaturalExponential(0.1, decay_rate=0.9, decay_steps=4),
    L.NaturalExponential(0.1, decay_rate=0.9, decay_steps=4, staircase=True),
    L.InverseTime(0.1, decay_rate=0.9, decay_steps=4),
    L.InverseTime(0.1, decay_rate=0.9, decay_steps=4, staircase=True),
    L.Power(0.1, power=0.7, decay_steps=3),
    L.Factor(2.0, factor=0.9, floor_lr=0.5),
    L.Linear(0.1, 0.4, decay_steps=13),
    L.Polynomial(0.1, 13, end_lr=0.01, power=2.5),
    L.Polynomial(0.1, 13, end_lr=0.01, cycle=True),
    L.Cosine(0.1, 13, end_lr=0.01),
    L.CosineAnnealing(0.1, 7, end_lr=0.01),
    L.CosineRestarts(0.1, 7, m_mul=0.5, end_lr=0.01),
    L.CosineRestarts(0.1, 7, t_mul=1, m_mul=1.1),
    L.CosineRestarts(0.1, 5, t_mul=1.1),
    L.LinearCosine(0.1, 13, num_periods=1.5, alpha=0.2, beta=0.01),
    L.NoisyLinearCosine(0.1, 13, num_periods=1.5, alpha=0.2, beta=0.01, seed=2**40),
    L.NoisyLinearCosine(0.1, 13, initial_variance=0.5, variance_decay=0.3),
    L.Cyclical(0.1, 0.5, step_size_up=4),
    L.Cyclical(0.1, 0.5, step_size_up=4, step_size_down=2.5, mode="triangular2"),
    L.Cyclical(0.1, 0.5, step_size_up=4, step_size_down=3, mode="exp_range", gamma=0.9),
    L.OneCycle(0.3, 25),
    L.OneCycle(0.3, 25, pct_start=0.4, anneal="linear", div_factor=0.5),
    L.WarmupStableDecay(0.1, warmup_steps=4, stable_steps=6, decay_steps=5, end_lr=0.01),
    L.WarmupStableDecay(0.1, warmup_steps=0, stable_steps=6, decay_steps=5),
    L.Cosine(0.3, 20).warmup(5),
    L.Cosine(0.3, 20).warmup(5, start_lr=0.01, shape="exponential"),
    L.Cosine(0.3, 20).warmup(5.5, start_lr=0.01, shape="constant"),
    L.Sequence([L.Constant(0.1), L.Cosine(0.3, 10), L.StepDecay(0.1, 3)], [4, 9.5]),
    L.Sequence([L.Linear(0.1, 0.2, decay_steps=5)], []),
    L.StepDecay(0.1, 7, gamma=0.5) * 0.3,
    L.Exponential(1.0, decay_rate=0.8).clip(0.1, 0.7),
    L.Exponential(1.0, decay_rate=0.8).clip(0.1),
    L.StepDecay(0.1, 2).per_epoch(7),
    L.Cosine(0.1, 3).per_epoch(7, smooth=True),
    (L.CosineRestarts(0.3, 5, t_mul=1.1) * 0.5).warmup(3).clip(0.05, 0.14).per_epoch(2),
]
CLASSES = {
    cls
    for cls in map(L.__dict__.get, L.__all__)
    if isinstance(cls, type) and issubclass(cls, L.Schedule) and cls is not L.Schedule
}

RATES = st.just(0.0) | st.floats(1e-8, 1e4)
SHARES = st.floats(0, 1)
LENGTHS = st.integers(1, 300) | st.integers(1, 10**12) | st.floats(1e-3, 1e12)
COUNTS = st.just(0) | LENGTHS
GROWTHS = SHARES | st.floats(0, 3)
BOUNDARIES = st.lists(LENGTHS, max_size=4, unique=True).map(sorted)
# Two rates, the lower first.
ASCENDING = st.tuples(RATES, RATES).map(sorted)
STEPS = (
    st.integers(0, 60)
    | st.integers(0, 10**5)
    | st.integers(0, LAST_STEP)
    | st.floats(0, 60)
    | st.floats(0, LAST_STEP)
)


def _decay(cls):
    return st.builds(
        cls, RATES, decay_rate=st.floats(0, 3), decay_steps=LENGTHS, staircase=st.booleans()
    )


def _ascending(build, *arguments, **keywords):
    """``build(low, high, ...)``."""
    return st.builds(
        lambda limits, *rest, **more: build(*limits, *rest, **more),
        ASCENDING, *arguments, **keywords,
    )  # fmt: skip


def _listed(cls, items):
    """``cls(boundaries, items)`` with one item more than boundaries."""
    sized = BOUNDARIES.flatmap(
        lambda b: st.tuples(st.just(b), st.lists(items, min_size=len(b) + 1, max_size=len(b) + 1))
    )
    return sized.map(lambda drawn: cls(*drawn))


_waves = {"num_periods": st.floats(0, 10), "alpha": SHARES, "beta": SHARES}
_noise = {"initial_variance": st.floats(0, 10), "variance_decay": st.floats(0, 3)}

SIMPLE = {
    L.Constant: st.builds(L.Constant, RATES),
    L.PiecewiseConstant: _listed(L.PiecewiseConstant, RATES),
    L.StepDecay: st.builds(L.StepDecay, RATES, LENGTHS, gamma=GROWTHS),
    L.MultiStep: st.builds(L.MultiStep, RATES, BOUNDARIES, gamma=GROWTHS),
    L.Exponential: _decay(L.Exponential),
    L.NaturalExponential: _decay(L.NaturalExponential),
    L.InverseTime: _decay(L.InverseTime),
    L.Power: st.builds(L.Power, RATES, power=st.floats(0, 10), decay_steps=LENGTHS),
    L.Factor: _ascending(
        lambda low, high, **how: L.Factor(high, floor_lr=low, **how), factor=GROWTHS
    ),
    L.Linear: st.builds(L.Linear, RATES, RATES, decay_steps=LENGTHS),
    L.Polynomial: st.builds(
        L.Polynomial, RATES, LENGTHS, end_lr=RATES, power=st.floats(1e-3, 10), cycle=st.booleans()
    ),
    L.Cosine: st.builds(L.Cosine, RATES, LENGTHS, end_lr=RATES),
    L.CosineAnnealing: st.builds(L.CosineAnnealing, RATES, LENGTHS, end_lr=RATES),
    L.CosineRestarts: _ascending(
        lambda low, high, first, **mul: L.CosineRestarts(high, first, end_lr=low, **mul),
        LENGTHS, t_mul=st.sampled_from([1, 2, 3]) | st.floats(1.01, 5), m_mul=GROWTHS,
    ),
    L.LinearCosine: st.builds(L.LinearCosine, RATES, LENGTHS, **_waves),
    L.NoisyLinearCosine: st.builds(
        L.NoisyLinearCosine, RATES, LENGTHS, seed=st.integers(0, 2**70), **_waves, **_noise
    ),
    L.Cyclical: _ascending(
        lambda low, high, mode, **sizes: L.Cyclical(low, high, **mode, **sizes),
        st.fixed_dictionaries({"mode": st.sampled_from(["triangular", "triangular2"])})
        | st.fixed_dictionaries({"mode": st.just("exp_range"), "gamma": SHARES}),
        step_size_up=LENGTHS, step_size_down=st.none() | LENGTHS,
    ),
    L.OneCycle: st.builds(
        L.OneCycle, RATES, st.integers(4, 10**12), pct_start=st.floats(0.3, 0.99),
        anneal=st.sampled_from(["cos", "linear"]), div_factor=st.floats(0.1, 1e6),
        final_div_factor=st.floats(0.1, 1e6),
    ),
    L.WarmupStableDecay: st.builds(
        L.WarmupStableDecay, RATES, warmup_steps=COUNTS, stable_steps=COUNTS, decay_steps=LENGTHS,
        end_lr=RATES,
    ),
}  # fmt: skip


def _warmup(schedule, warmup_steps, start_lr, shape):
    if shape == "exponential" and not (start_lr > 0 and schedule(0) > 0):
        shape = "linear"
    return L.Warmup(schedule, warmup_steps, start_lr=start_lr, shape=shape)


def composed(inner):
    return {
        L.Warmup: st.builds(
            _warmup, inner, COUNTS, RATES, st.sampled_from(["linear", "exponential", "constant"])
        ),
        L.Sequence: _listed(lambda boundaries, items: L.Sequence(items, boundaries), inner),
        L.Scaled: st.builds(L.Scaled, inner, st.floats(0, 10)),
        L.Clipped: st.tuples(inner, ASCENDING).map(lambda d: d[0].clip(*d[1]))
        | st.builds(L.Clipped, inner, RATES),
        L.PerEpoch: st.builds(L.PerEpoch, inner, LENGTHS, smooth=st.booleans()),
    }


LEAVES = st.one_of(*SIMPLE.values())
BY_CLASS = SIMPLE | composed(LEAVES)
SCHEDULES = st.recursive(LEAVES, lambda inner: st.one_of(*composed(inner).values()), max_leaves=4)


def lengths_in(schedule):
    """All numbers in a schedule and those nested in it that may be boundaries."""
    for value in vars(schedule).values():
        for item in value if isinstance(value, tuple) else [value]:
            if isinstance(item, L.Schedule):
                yield from lengths_in(item)
            elif isinstance(item, int | float) and item >= 1:
                yield item


def steps_around(*boundaries):
    """Step 0, the steps at and next to each boundary and each sum of two, and some far ones."""
    near = {0, 1, 10_000, 2**24 + 1, LAST_STEP}
    pairs = itertools.combinations_with_replacement(boundaries, 2)
    for boundary in [*boundaries, *(a + b for a, b in pairs)]:
        near |= {int(boundary) + k for k in (-1, 0, 1)}
    return sorted(step for step in near if 0 <= step <= LAST_STEP)
