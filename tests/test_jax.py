"""Schedules on JAX: values, transformations and derivatives, with 64-bit types and without."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
from drawn import EXAMPLES, LAST_STEP, SCHEDULES, STEPS

jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp, lax = jax.numpy, jax.lax

X64 = pytest.mark.parametrize("x64", [True, False], ids=["x64", "x32"])
SMALL = np.array([0, 1, 2, 3, 4, 5, 7, 9, 10, 13, 20, 26, 50, 97, 10_000])
INT32 = np.array([*SMALL, 2**24 + 1, 2**24 + 3, 2**31 - 1], np.int32)
FLOAT32 = np.finfo(np.float32)


def same(actual, expected, x64=False):
    """In JAX's float type and to its rounding; the largest rates are infinite in float32."""
    assert isinstance(actual, jax.Array)
    assert (actual.dtype, actual.shape) == ("float64" if x64 else "float32", np.shape(expected))
    with np.errstate(over="ignore"):
        expected = np.asarray(expected).astype(actual.dtype)
    finite = expected[np.isfinite(expected)]
    scale = max(1.0, float(np.max(finite, initial=0)))
    rtol, atol = (1e-12, 1e-13 * scale) if x64 else (1.2e-7, 1e-13 * scale + FLOAT32.tiny)
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=rtol, atol=atol)


# Values


@X64
@given(schedule=SCHEDULES, steps=st.lists(STEPS, max_size=20))
def test_array_against_numpy(schedule, steps, x64):
    steps = np.array(steps, "float64" if x64 else "float32")
    steps = steps[steps <= LAST_STEP]  # float32 rounds it up
    with jax.enable_x64(x64):
        same(schedule(jnp.asarray(steps)), schedule(steps), x64)


@X64
@given(schedule=SCHEDULES, steps=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20))
def test_whole_steps_are_counted_one_by_one(schedule, steps, x64):
    steps = np.array(steps)
    with jax.enable_x64(x64):
        same(schedule(jnp.asarray(steps, "int32")), schedule(steps), x64)


@X64
@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_compiled(schedule, x64):
    """Also vectorised; one step, several, and none."""
    fresh = dataclasses.replace(schedule)  # never called before it is compiled
    with jax.enable_x64(x64):
        compiled = jax.jit(fresh)
        same(compiled(INT32), schedule(INT32), x64)
        same(jax.vmap(compiled)(INT32), schedule(INT32), x64)
        for steps in (INT32[-1], INT32[:4].reshape(2, 1, 2), INT32[:0]):
            same(schedule(jnp.asarray(steps)), schedule(np.asarray(steps)), x64)


@pytest.mark.parametrize("x64", [True, False])
def test_a_count_past_what_float32_holds(x64):
    alternates = L.Cyclical(0.25, 0.75, step_size_up=1)
    with jax.enable_x64(x64):
        for step in (2**24 + 1, 2**24 + 2, 2**31 - 1):
            rate = 0.25 if step % 2 == 0 else 0.75
            assert alternates(jnp.int32(step)) == jax.jit(alternates)(step) == rate
            assert jax.jit(L.MultiStep(0.5, [step], gamma=0.5))(step) == 0.25
            assert jax.jit(L.Warmup(L.Constant(0.5), step, shape="constant"))(step - 1) == 0
        if x64:
            assert jax.jit(alternates)(2**53 - 1) == 0.75


@pytest.mark.parametrize("length", [7, 49, 98, 103, 161, 12345, 1.1, 33.3])
def test_periods_end_where_they_do(length):
    """XLA multiplies by the reciprocal of a constant: 49 * (1 / 49) is below 1."""
    steps = np.rint(length * np.arange(1, 60)).astype("int32")
    for schedule in (
        L.PiecewiseConstant(range(1, 60), np.arange(60.0)).per_epoch(length),
        L.Polynomial(1.0, length, cycle=True, power=0.5),
        L.Polynomial(1.0, length, power=0.01),
    ):
        same(jax.jit(schedule)(steps), schedule(steps))


DTYPES = ["int4", "int8", "uint8", "int16", "uint16", "int32", "uint32"]
DTYPES += ["float8_e4m3fn", "bfloat16", "float16", "float32"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    for schedule in (L.Cosine(0.1, 20), L.NoisyLinearCosine(0.1, 20), L.MultiStep(0.1, [3])):
        for steps in ([[0, 5], [6, 7]], 5, [], [[]]):
            same(schedule(jnp.array(steps, dtype)), schedule(np.array(steps, float)))
            same(jax.jit(schedule)(jnp.array(steps, dtype)), schedule(np.array(steps, float)))


# Transformations


def scan(f, steps):
    return lax.scan(lambda carry, step: (carry, f(step)), 0, steps)[1]


def while_loop(f, steps):
    def body(state):
        index, rates = state
        return index + 1, rates.at[index].set(f(steps[index]))

    return lax.while_loop(lambda state: state[0] < len(steps), body, (0, jnp.zeros(len(steps))))[1]


def fori_loop(f, steps):
    return lax.fori_loop(
        0, len(steps), lambda i, r: r.at[i].set(f(steps[i])), jnp.zeros(len(steps))
    )


def cond(f, steps):
    return jax.vmap(lambda step: lax.cond(step < 5, f, lambda step: f(step), step))(steps)


def exported(f, steps):
    return jax.export.export(jax.jit(f))(jax.ShapeDtypeStruct(steps.shape, steps.dtype)).call(steps)


def leak_checked(f, steps):
    with jax.checking_leaks():
        return jax.jit(f)(steps)


def strict(f, steps):
    with jax.numpy_dtype_promotion("strict"):
        return jax.jit(f)(steps)


HOW = {
    "vmap of jit": lambda f, steps: jax.vmap(jax.jit(f))(steps),
    "jit of vmap of jit": lambda f, steps: jax.jit(jax.vmap(jax.jit(f)))(steps),
    "map": lax.map,
    "scan": scan,
    "while_loop": while_loop,
    "fori_loop": fori_loop,
    "cond": cond,
    "checkpoint": lambda f, steps: jax.checkpoint(f)(steps),
    "static": lambda f, steps: jax.jit(lambda s, t: s(t), static_argnums=0)(f, steps),
    "ahead of time": lambda f, steps: jax.jit(f).lower(steps).compile()(steps),
    "export": exported,
    "leaks checked": leak_checked,
    "strict promotion": strict,
    "without jit": lambda f, steps: jax.disable_jit()(scan)(f, steps),
}
SOME = [
    L.Cosine(0.3, 20).warmup(5, start_lr=0.01, shape="exponential"),
    L.NoisyLinearCosine(0.1, 13, seed=2**40),
    L.Sequence([L.CosineRestarts(0.1, 5, t_mul=1.1), L.MultiStep(0.3, [2, 4])], [9.5]),
]


@pytest.mark.parametrize("how", HOW)
def test_transformed(how):
    steps = INT32[[1, 3, 9, 10, 12, 13, -2]]
    for schedule in SOME:
        same(HOW[how](schedule, jnp.asarray(steps)), schedule(steps))


def test_the_rates_stay_with_the_steps():
    steps = jax.device_put(jnp.arange(4), jax.devices()[0])
    rates = jax.jit(L.Cosine(0.1, 3))(steps)
    assert (rates.sharding, rates.weak_type) == (steps.sharding, False)
    assert jax.eval_shape(L.Cosine(0.1, 3), steps).dtype == "float32"


# Derivatives


def slope(schedule, step, side):
    """By differences, from one side."""
    h = side * 1e-6
    return (schedule(step + h) - schedule(step)) / h


DERIVED = {
    "grad": lambda f: jax.vmap(jax.grad(f)),
    "grad of jit": lambda f: jax.vmap(jax.grad(jax.jit(f))),
    "jit of grad of checkpoint": lambda f: jax.vmap(jax.jit(jax.grad(jax.checkpoint(f)))),
    "grad of scan": lambda f: jax.grad(lambda steps: scan(f, steps).sum()),
    "jvp": lambda f: lambda steps: jax.jvp(f, (steps,), (jnp.ones_like(steps),))[1],
    "linearize": lambda f: lambda steps: jax.linearize(f, steps)[1](jnp.ones_like(steps)),
}


def is_slope(slopes, schedule, steps):
    """Between those from the left and from the right; at a jump nothing is asked."""
    assert not np.isnan(slopes).any()
    for step, found in zip(steps.tolist(), slopes.tolist(), strict=True):
        sides = sorted(slope(schedule, step, side) for side in ([1, -1] if step else [1, 1]))
        if max(map(abs, sides)) < 1e3:
            slack = 1e-5 * max(1, *map(abs, sides))
            assert sides[0] - slack <= found <= sides[1] + slack, step


@X64
@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_slopes(schedule, x64):
    """At whole steps, which are kinks of many, and between them."""
    steps = np.array([*range(30), *np.arange(30) + 0.375, 97, 10_000])
    with jax.enable_x64(x64):
        slopes = jax.jit(jax.vmap(jax.grad(schedule)))(jnp.asarray(steps))
        assert slopes.dtype == ("float64" if x64 else "float32")
        is_slope(slopes, schedule, steps)


@pytest.mark.parametrize("how", DERIVED)
def test_slopes_of_transformed(how):
    steps = np.array([0.5, 3.25, 5, 9.5, 10.25, 50])
    for schedule in SOME[::2]:
        is_slope(DERIVED[how](schedule)(jnp.asarray(steps)), schedule, steps)


def test_the_end_of_a_root_has_no_slope_that_is_nan():
    root = L.Polynomial(0.1, 10, power=0.5)
    assert [jax.grad(root)(step) for step in (10.0, 11.0, 1e6)] == [0, 0, 0]
    assert jax.grad(root)(9.0) == pytest.approx(-0.5 * 0.1 / 10 * 0.1**-0.5)


def test_second_derivatives():
    steps = jnp.arange(1.0, 10)
    twice = jax.vmap(jax.hessian(L.Cosine(0.1, 10)))(steps)
    expected = -0.05 * (np.pi / 10) ** 2 * np.cos(np.pi / 10 * steps)
    np.testing.assert_allclose(twice, expected, rtol=1e-5, atol=1e-8)
    assert jax.grad(jax.grad(L.Cosine(0.1, 10)))(3.0) == pytest.approx(expected[2])


def test_derivatives_by_what_the_step_is_computed_from():
    def rate(speed, dtype="float32"):
        return L.Linear(0.1, 0.0, decay_steps=10)((speed * jnp.float32(4)).astype(dtype))

    for dtype in ("float32", "bfloat16", "float16"):
        assert jax.grad(rate)(1.0, dtype) == pytest.approx(-0.04, rel=1e-2)
    assert jax.grad(rate)(1.0, "int32") == 0


# What is refused


@pytest.mark.parametrize(
    "step",
    [
        jnp.array(True), jnp.array(1j), jax.random.key(0), [jax.random.key(0)],
        jax.ShapeDtypeStruct((), "int32"), [jnp.array(True), 1],
    ],
    ids=repr,
)  # fmt: skip
def test_no_step(step):
    with pytest.raises(TypeError, match=r"step(\[0\])? must"):
        L.Cosine(0.1, 20)(step)


@pytest.mark.parametrize("step", [-1, np.nan, np.inf, 2.0**53, [3, -1], [[0.0, np.nan]]])
def test_steps_out_of_range(step):
    with pytest.raises(ValueError, match=r"step must be a number of at least 0 and below 2\*\*53"):
        L.Cosine(0.1, 20)(jnp.array(step))


def test_what_is_traced_is_known_by_its_type_alone():
    traced = jax.jit(L.Linear(0.1, 0.0, decay_steps=10))
    assert np.isnan(traced(np.nan))
    with pytest.raises(TypeError, match="step must hold real numbers, got an array of bool"):
        traced(True)
    with pytest.raises(TypeError, match=r"step\[0\] must be a number"):
        jax.jit(lambda step: L.Cosine(0.1, 20)([step, step]))(1)


def test_arrays_in_a_list_and_as_a_metric():
    steps = [jnp.int32(3), jnp.bfloat16(5), 7]
    np.testing.assert_array_equal(L.Cosine(0.1, 20)(steps), L.Cosine(0.1, 20)([3, 5, 7]))
    plateau = L.Plateau(0.1)
    for metric in (jnp.float32(0.5), jnp.bfloat16(0.5), jnp.array([0.5]), jnp.int32(1)):
        assert plateau.update(metric) == 0.1
    assert (plateau.best, plateau.bad_updates) == (0.5, 3)
    with pytest.raises(TypeError, match="metric must be a number, got"):
        jax.jit(plateau.update)(0.5)


def test_a_formula_of_ones_own():
    class Bare(L.Schedule):
        """A number for a number."""

        def rate(self, xp, t):
            return 0.25

    assert Bare()(jnp.int32(3)) == jax.jit(Bare())(3) == 0.25
    assert jax.grad(Bare())(3.0) == 0


def test_an_older_jax(monkeypatch):
    monkeypatch.delattr(jax, "enable_x64")
    with pytest.raises(ImportError, match=f"need JAX 0.8 or later, got {jax.__version__}"):
        L.Constant(0.1)(jax.numpy.arange(3))
