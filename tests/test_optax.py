"""Where optax takes a schedule it takes one of ours: beside its own, in compiled training."""

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrsched as L

jax = pytest.importorskip("jax", reason="JAX is not installed")
optax = pytest.importorskip("optax", reason="optax is not installed")
jnp = jax.numpy

RATE = st.floats(1e-3, 1.0)
STEPS = st.integers(1, 30)
LENGTH = 80


def drawn(theirs, ours, **arguments):
    """A native schedule of optax and ours for the same drawn arguments."""
    return st.fixed_dictionaries(arguments).map(lambda a: (theirs(**a), ours(**a)))


def polynomial(lr, end, power, steps):
    first, last = max(lr, end), min(lr, end)
    return (
        optax.polynomial_schedule(first, last, power, steps),
        L.Polynomial(first, steps, end_lr=last, power=power),
    )


def sgdr(waves):
    """Each wave with a warmup of its own; optax counts it into the wave."""
    theirs = optax.sgdr_schedule(
        [
            {"init_value": 0.0, "peak_value": lr, "warmup_steps": w, "decay_steps": w + s,
             "end_value": 0.1 * lr}
            for lr, w, s in waves
        ]
    )  # fmt: skip
    parts = [L.Cosine(lr, s, end_lr=0.1 * lr).warmup(w) for lr, w, s in waves]
    ends = np.cumsum([w + s for _, w, s in waves]).tolist()
    return theirs, L.Sequence(parts, ends[:-1])


PAIRS = {
    "constant": RATE.map(lambda lr: (optax.constant_schedule(lr), L.Constant(lr))),
    "linear": drawn(
        lambda lr, end, steps: optax.linear_schedule(lr, end, steps),
        lambda lr, end, steps: L.Linear(lr, end, decay_steps=steps),
        lr=RATE, end=RATE, steps=STEPS,
    ),
    "linear, late": drawn(
        lambda lr, end, steps, begin: optax.linear_schedule(lr, end, steps, begin),
        lambda lr, end, steps, begin: L.Sequence(
            [L.Constant(lr), L.Linear(lr, end, decay_steps=steps)], [begin]
        ),
        lr=RATE, end=RATE, steps=STEPS, begin=STEPS,
    ),
    # With another power optax's is NaN from the end on, where XLA rounds 1 - 3 / 3 below 0.
    "polynomial": st.builds(polynomial, RATE, RATE, st.integers(1, 4), STEPS),
    "exponential": drawn(
        lambda lr, steps, rate, stairs: optax.exponential_decay(lr, steps, rate, staircase=stairs),
        lambda lr, steps, rate, stairs: L.Exponential(
            lr, decay_rate=rate, decay_steps=steps, staircase=stairs
        ),
        lr=RATE, steps=STEPS, rate=st.floats(0.5, 0.99), stairs=st.booleans(),
    ),
    "piecewise constant": drawn(
        lambda lr, at, gamma: optax.piecewise_constant_schedule(lr, dict.fromkeys(at, gamma)),
        lambda lr, at, gamma: L.MultiStep(lr, at, gamma=gamma),
        lr=RATE, at=st.lists(STEPS, unique=True, max_size=4).map(sorted), gamma=st.floats(0.1, 0.9),
    ),
    "cosine": drawn(
        lambda lr, steps, alpha: optax.cosine_decay_schedule(lr, steps, alpha),
        lambda lr, steps, alpha: L.Cosine(lr, steps, end_lr=alpha * lr),
        lr=RATE, steps=STEPS, alpha=st.floats(0, 1),
    ),
    "warmup, cosine": drawn(
        lambda start, lr, w, s: optax.warmup_cosine_decay_schedule(start, lr, w, w + s),
        lambda start, lr, w, s: L.Cosine(lr, s).warmup(w, start_lr=start),
        start=RATE, lr=RATE, w=STEPS, s=STEPS,
    ),
    "warmup, exponential": drawn(
        lambda start, lr, w, s, rate: optax.warmup_exponential_decay_schedule(
            start, lr, w, s, rate
        ),
        lambda start, lr, w, s, rate: L.Exponential(lr, decay_rate=rate, decay_steps=s).warmup(
            w, start_lr=start
        ),
        start=RATE, lr=RATE, w=STEPS, s=STEPS, rate=st.floats(0.5, 0.99),
    ),
    "restarts": st.lists(st.tuples(RATE, STEPS, STEPS), min_size=1, max_size=3).map(sgdr),
}  # fmt: skip


def training(transformation, steps, count=0):
    """The weights after each update, with the gradient 1 + weight; and the last state."""

    @jax.jit
    def train(params, state):
        def update(carry, _):
            params, state = carry
            grads = jax.tree.map(lambda weight: 1.0 + weight, params)
            updates, state = transformation.update(grads, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), (params["w"], params["b"])

        return jax.lax.scan(update, (params, state), length=steps)

    params = {"w": jnp.zeros(()), "b": jnp.ones(2)}
    state = at_count(transformation.init(params), count)
    (_, state), weights = train(params, state)
    return weights, state


def at_count(state, count):
    """A state of an optimizer that has made so many updates."""
    return jax.tree.map(lambda leaf: leaf + count if leaf.dtype == "int32" else leaf, state)


OPTIMIZERS = {
    "sgd": optax.sgd,
    "momentum": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    "adam": functools.partial(optax.adam, eps=1e-2),
    "adamw": functools.partial(optax.adamw, eps=1e-2),
    "injected": lambda rate: optax.inject_hyperparams(optax.sgd)(learning_rate=rate),
    "scale_by_learning_rate": optax.scale_by_learning_rate,
    "scale_by_schedule": lambda rate: optax.chain(optax.scale_by_schedule(rate), optax.scale(-1)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_rates(name):
    """To float32 rounding of optax's own arithmetic, far past the end."""

    @given(both=PAIRS[name])
    def check(both):
        theirs, ours = both
        steps = jnp.arange(LENGTH)
        expected = jax.jit(jax.vmap(theirs))(steps)
        np.testing.assert_allclose(jax.jit(ours)(steps), expected, rtol=3e-5, atol=1e-6)

    check()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@settings(max_examples=5)
@given(both=st.one_of(*PAIRS.values()))
def test_training(optimizer, both):
    theirs, ours = (training(OPTIMIZERS[optimizer](each), LENGTH)[0] for each in both)
    for actual, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@settings(max_examples=5)
@given(lr=RATE, warmup=STEPS, steps=STEPS)
def test_joined_with_theirs(lr, warmup, steps):
    """Either one first; and a sequence of ours is what optax joins."""
    rise, fall = optax.linear_schedule(0.0, lr, warmup), L.Cosine(lr, steps)
    ours = fall.warmup(warmup)
    for parts in ([rise, fall], [L.Linear(0.0, lr, decay_steps=warmup), fall]):
        joined = jax.jit(jax.vmap(optax.join_schedules(parts, [warmup])))(jnp.arange(LENGTH))
        np.testing.assert_allclose(joined, ours(np.arange(LENGTH)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("count", [2**24 - 3, 2**24 + 5, 2**30 + 1, 2**31 - 9])
@pytest.mark.parametrize("optimizer", ["sgd", "injected", "scale_by_learning_rate"])
def test_counts_that_float32_cannot_hold(optimizer, count):
    """The weight falls by the rate of each step: ours tells the steps apart."""
    alternates = L.Cyclical(0.25, 0.75, step_size_up=1)
    falls = L.MultiStep(1.0, [count + 4], gamma=0.5)

    def rates(schedule, steps=8):
        transformation = OPTIMIZERS[optimizer](schedule)
        state = at_count(transformation.init(0.0), count)
        update = jax.jit(transformation.update)
        for _ in range(steps):
            updates, state = update(jnp.float32(1), state)
            yield -float(updates)

    steps = range(count, count + 8)
    assert list(rates(alternates)) == [0.75 if step % 2 else 0.25 for step in steps]
    assert list(rates(falls)) == [1.0] * 4 + [0.5] * 4


def test_the_rate_can_be_read():
    schedule = L.Cosine(0.3, 20).warmup(5)
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=schedule, b1=L.Constant(0.9))
    state = optimizer.init(jnp.zeros(3))
    read = []
    for _ in range(30):
        _, state = jax.jit(optimizer.update)(jnp.ones(3), state)
        read.append(state.hyperparams["learning_rate"])
    np.testing.assert_array_equal(read, schedule(np.arange(30)).astype("float32"))
    assert math.isclose(state.hyperparams["b1"], 0.9, rel_tol=1e-7)


def test_weights_keep_their_type():
    for dtype in ("bfloat16", "float16", "float32"):
        optimizer = optax.sgd(L.Cosine(0.5, 20), momentum=0.9)
        params = jnp.ones(2, dtype)
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        assert updates.dtype == dtype
        np.testing.assert_array_equal(updates, [-0.5, -0.5])


def test_groups_with_schedules_of_their_own():
    """The optimizer is an argument that is static, and a schedule a value that has a hash."""
    schedules = {"a": L.Constant(0.25), "b": L.StepDecay(0.5, 1, gamma=0.5)}
    groups = optax.multi_transform(
        {k: optax.sgd(s) for k, s in schedules.items()}, {"a": "a", "b": "b"}
    )
    params = dict.fromkeys(schedules, jnp.zeros(()))
    state = groups.init(params)
    for _ in range(3):
        updates, state = jax.jit(groups.update)(jax.tree.map(jnp.ones_like, params), state)
        params = optax.apply_updates(params, updates)
    assert params == {"a": -0.75, "b": -0.875}

    traced = []

    @functools.partial(jax.jit, static_argnames="schedule")
    def rate(schedule, step):
        traced.append(schedule)
        return schedule(step)

    for decay_steps in (10, 10, 20):
        rate(L.Cosine(0.1, decay_steps), 3)
    assert traced == [L.Cosine(0.1, 10), L.Cosine(0.1, 20)]
