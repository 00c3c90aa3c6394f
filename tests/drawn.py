"""Schedules and steps for the tests: examples of every class, and strategies that draw them."""

import dataclasses
import itertools

from hypothesis import strategies as st

import lrsched as L

LAST_STEP = 2**53 - 1

# One or more of each class, with arguments that reach every branch of its formula.
EXAMPLES = [
    L.Constant(0.1),
    L.PiecewiseConstant([5, 9.5], [0.1, 0.3, 0.0]),
    L.StepDecay(0.1, 2.5, gamma=1.5),
    L.MultiStep(0.1, [3, 8, 20], gamma=0.3),
    L.MultiStep(0.1, []),
    L.Exponential(0.1, decay_rate=0.9, decay_steps=4),
    L.Exponential(0.1, decay_rate=1.1, decay_steps=4, staircase=True),
    L.Exponential(0.1, decay_rate=0),
    L.NaturalExponential(0.1, decay_rate=0.9, decay_steps=4),
    L.InverseTime(0.1, decay_rate=0.9, decay_steps=4),
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
    L.Cyclical(0.1, 0.5, step_size_up=4),
    L.Cyclical(0.1, 0.5, step_size_up=4, step_size_down=2.5, mode="triangular2"),
    L.Cyclical(0.1, 0.5, step_size_up=4, step_size_down=3, mode="exp_range", gamma=0.9),
    L.OneCycle(0.3, 25),
    L.OneCycle(0.3, 25, pct_start=0.4, anneal="linear", div_factor=0.5),
    L.OneCycle(0.3, 30, pct_start=0.4, three_phase=True),
    L.OneCycle(0.3, 30, anneal="linear", div_factor=2, final_div_factor=0.1, three_phase=True),
    L.OneCycle(0.3, 25, three_phase=True).momentum(),
    L.Cyclical(0.1, 0.5, step_size_up=4, mode="exp_range", gamma=0.9).momentum(base_momentum=0),
    L.WarmupStableDecay(0.1, warmup_steps=4, stable_steps=6, decay_steps=5, end_lr=0.01),
    L.WarmupStableDecay(0.1, warmup_steps=0, stable_steps=6, decay_steps=5),
    L.WarmupStableDecay(0.1, warmup_steps=3, stable_steps=0, decay_steps=5, decay="cosine"),
    L.WarmupStableDecay(0.1, warmup_steps=3, stable_steps=6, decay_steps=9, decay="1-sqrt"),
    L.Cosine(0.3, 20).warmup(5),
    L.Cosine(0.3, 20).warmup(5, start_lr=0.01, shape="exponential"),
    L.Cosine(0.3, 20).warmup(5.5, start_lr=0.01, shape="constant"),
    L.Sequence([L.Constant(0.1), L.Cosine(0.3, 10), L.StepDecay(0.1, 3)], [4, 9.5]),
    L.StepDecay(0.1, 7, gamma=0.5) * 0.3,
    L.Exponential(1.0, decay_rate=0.8).clip(0.1, 0.7),
    L.StepDecay(0.1, 2).per_epoch(7),
    L.Cosine(0.3, 4).warmup(2).repeat(6.6, times=3, factor=0.5),
    L.StepDecay(0.1, 3).repeat(5),
    L.Linear(0.1, 0.4, decay_steps=5).repeat(4, factor=1.5),
    L.Cosine(0.1, 3).per_epoch(7, smooth=True),
    L.Linear(0.1, 0.4, decay_steps=4) * L.Exponential(1.0, decay_rate=0.9),
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
STEPS = (
    st.integers(0, 60)
    | st.integers(0, 10**5)
    | st.integers(0, LAST_STEP)
    | st.floats(0, 60)
    | st.floats(0, LAST_STEP)
)


# What may be given for an argument, by its name.
BY_NAME = {
    name: strategy
    for names, strategy in {
        "base_lr start_lr end_lr min_lr max_lr floor_lr": RATES,
        "gamma factor m_mul": GROWTHS,
        "decay_rate variance_decay": st.floats(0, 3),
        "power num_periods initial_variance": st.floats(0, 10),
        "alpha beta": SHARES,
        "base_momentum max_momentum": st.floats(0, 1, exclude_max=True),
        "div_factor final_div_factor": st.floats(0.1, 1e6),
        "step_size decay_steps t_max first_decay_steps step_size_up steps_per_epoch steps": LENGTHS,
        "step_size_down": st.none() | LENGTHS,
        "warmup_steps stable_steps": COUNTS,
        "milestones": BOUNDARIES,
        "total_steps": st.integers(4, 10**12),
        "pct_start": st.floats(0.3, 0.99),
        "three_phase": st.just(False),
        "t_mul": st.sampled_from([1, 2, 3]) | st.floats(1.01, 5),
        "seed": st.integers(0, 2**70),
        "staircase cycle smooth": st.booleans(),
        "times": st.none() | st.integers(1, 5) | st.integers(1, 10**12),
        "anneal": st.sampled_from(["cos", "linear"]),
        "decay": st.sampled_from(["linear", "cosine", "1-sqrt"]),
    }.items()
    for name in names.split()
}


def _any(cls, *ascending, **special):
    """A class with arguments that are drawn, some of them in ascending order."""

    def build(**arguments):
        values = sorted(arguments[name] for name in ascending)
        return cls(**arguments | dict(zip(ascending, values, strict=True)))

    names = [field.name for field in dataclasses.fields(cls)]
    return st.builds(build, **{name: (BY_NAME | special)[name] for name in names})


def _listed(cls, items):
    """``cls(boundaries, items)`` with one item more than boundaries."""
    sized = BOUNDARIES.flatmap(
        lambda b: st.tuples(st.just(b), st.lists(items, min_size=len(b) + 1, max_size=len(b) + 1))
    )
    return sized.map(lambda drawn: cls(*drawn))


def _cyclical(*modes, **gamma):
    return _any(L.Cyclical, "base_lr", "max_lr", mode=st.sampled_from(modes), **gamma)


CYCLICAL = _cyclical("triangular", "triangular2", gamma=st.just(1.0)) | _cyclical(
    "exp_range", gamma=SHARES
)
ONE_CYCLE = _any(L.OneCycle) | _any(
    L.OneCycle, pct_start=st.floats(0.3, 0.5), three_phase=st.just(True)
)
SPECIAL = {
    L.PiecewiseConstant: _listed(L.PiecewiseConstant, RATES),
    L.Factor: _any(L.Factor, "floor_lr", "base_lr"),
    L.Polynomial: _any(L.Polynomial, power=st.floats(1e-3, 10)),
    L.CosineRestarts: _any(L.CosineRestarts, "end_lr", "base_lr"),
    L.Cyclical: CYCLICAL,
    L.OneCycle: ONE_CYCLE,
    L.CycleMomentum: _any(
        L.CycleMomentum, "base_momentum", "max_momentum", schedule=CYCLICAL | ONE_CYCLE
    ),
}


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
        L.Scaled: _any(L.Scaled, schedule=inner, factor=st.floats(0, 10)),
        L.Clipped: _any(L.Clipped, "min_lr", "max_lr", schedule=inner)
        | _any(L.Clipped, schedule=inner, max_lr=st.none()),
        L.PerEpoch: _any(L.PerEpoch, schedule=inner),
        L.Repeat: _any(L.Repeat, schedule=inner),
        L.Product: st.builds(L.Product, inner, inner),
    }


SIMPLE = sorted(CLASSES - composed(RATES).keys(), key=lambda cls: cls.__name__)
SIMPLE = {cls: SPECIAL[cls] if cls in SPECIAL else _any(cls) for cls in SIMPLE}
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
