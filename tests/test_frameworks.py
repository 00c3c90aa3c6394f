"""Every namespace - numbers, torch, TensorFlow, compiled or not - against NumPy."""

import functools
import shutil

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given
from hypothesis import strategies as st

import lrsched as L
from drawn import BY_CLASS, CLASSES, EXAMPLES, SCHEDULES, STEPS

STEP_ARRAY = np.array([0, 1, 2, 3, 4, 5, 7, 9, 10, 13, 20, 26, 50, 97, 10_000, 2**31, 2**40 + 1])
FRACTIONS = np.concatenate([STEP_ARRAY[:-2] + 0.25, [9.5, 1e9 + 0.5]])


def tolerance(rates):
    return {"rtol": 1e-12, "atol": 1e-13 * max(1.0, float(np.max(rates, initial=0)))}


def same(actual, expected):
    actual = np.asarray(actual)
    assert actual.dtype == np.float64
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual, expected, **tolerance(expected))


def test_examples_and_strategies_cover_every_class():
    assert {type(schedule) for schedule in EXAMPLES} == CLASSES == BY_CLASS.keys()


@given(schedule=SCHEDULES, steps=st.lists(STEPS, max_size=20))
def test_array_against_numbers(schedule, steps):
    array = np.array(steps, float)
    same(schedule(array), [schedule(step) for step in steps])
    same(schedule(torch.tensor(steps, dtype=torch.float64)), schedule(array))
    same(schedule(tf.constant(steps, tf.float64)), schedule(array))


def torch_eager(schedule, steps):
    return schedule(torch.from_numpy(steps)).numpy()


def torch_compiled(schedule, steps):
    torch.compiler.reset()
    compiled = torch.compile(schedule.__call__, fullgraph=True, backend="eager")
    return compiled(torch.from_numpy(steps)).numpy()


def tf_eager(schedule, steps):
    return schedule(tf.constant(steps)).numpy()


def tf_function(schedule, steps, **options):
    of_any_length = [tf.TensorSpec([None], steps.dtype)]
    return tf.function(schedule, input_signature=of_any_length, **options)(steps).numpy()


tf_xla = functools.partial(tf_function, jit_compile=True)
HOW = {
    "torch": torch_eager, "torch.compile": torch_compiled, "tf": tf_eager,
    "tf.function": tf_function, "tf.function and XLA": tf_xla,
}  # fmt: skip


ONE_OF_EACH = list({type(schedule): schedule for schedule in reversed(EXAMPLES)}.values())
CASES = [
    pytest.param(schedule, how, id=f"{how}-{schedule!r}")
    for how in HOW
    for schedule in (ONE_OF_EACH if how == "torch.compile" else EXAMPLES)  # it takes long
]


@pytest.mark.parametrize(("schedule", "how"), CASES)
def test_against_numpy(schedule, how):
    for steps in [STEP_ARRAY, FRACTIONS] if how in ("torch", "tf") else [STEP_ARRAY]:
        same(HOW[how](schedule, steps), schedule(steps))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.skipif(not shutil.which("g++"), reason="torch's inductor needs a C++ compiler, g++")
def test_torch_inductor():
    schedule = EXAMPLES[-1]
    torch.compiler.reset()
    same(torch.compile(schedule.__call__)(torch.from_numpy(STEP_ARRAY)), schedule(STEP_ARRAY))


INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("dtype", [*INTEGERS, "float16", "float32", "float64"])
@pytest.mark.parametrize("make", [np.array, torch.tensor, tf.constant], ids=["np", "torch", "tf"])
@pytest.mark.parametrize("schedule", [L.Cosine(0.1, 20), L.NoisyLinearCosine(0.1, 20)], ids=repr)
def test_dtypes(schedule, make, dtype):
    module = {np.array: np, torch.tensor: torch, tf.constant: tf}[make]
    for steps in ([[0, 5], [19, 100]], 5, [], [[]]):
        same(schedule(make(steps, dtype=getattr(module, dtype))), schedule(np.array(steps, float)))


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_shapes(schedule):
    """The shape comes back, and each step's rate does not depend on its neighbours."""
    for shape in [(), (0,), (1,), (3, 0), (2, 3), (2, 1, 3)]:
        steps = np.arange(np.prod(shape, dtype=int)).reshape(shape)
        expected = np.array([schedule(int(step)) for step in steps.flat]).reshape(shape)
        same(schedule(steps), expected)
        same(schedule(torch.tensor(steps)), expected)
        same(schedule(tf.constant(steps)), expected)
    strided = np.arange(24).reshape(4, 6)[::2, ::-3].T
    same(schedule(strided), schedule(np.ascontiguousarray(strided)))
    same(schedule(torch.arange(24).reshape(4, 6).T), schedule(np.arange(24).reshape(4, 6).T))


def test_long_arrays_are_the_same_in_blocks():
    schedule = EXAMPLES[-1]
    steps = np.arange(100_001)
    one_by_one = np.concatenate([schedule(part) for part in np.array_split(steps, 321)])
    same(schedule(steps), one_by_one)


@pytest.mark.parametrize(
    "step",
    [5, 5.0, np.int8(5), np.uint64(5), np.float16(5), np.float32(5), np.float64(5), True + 4],
    ids=lambda step: type(step).__name__,
)
def test_numbers_of_any_type_give_a_float(step):
    for schedule in EXAMPLES:
        rate = schedule(step)
        assert type(rate) is float
        assert rate == schedule(5.0)


def test_a_step_array_is_left_as_it_was():
    for steps in (np.arange(30.0), torch.arange(30.0, dtype=torch.float64)):
        for schedule in EXAMPLES:
            schedule(steps)
        assert list(steps) == list(range(30))


def test_scalar_step_of_a_compiled_training_loop():
    """A step held as a variable, counted up inside the graph, as optimizers do."""
    schedule = L.Sequence([L.Cosine(0.3, 5), L.Exponential(0.1, decay_rate=0.9)], [5]).warmup(3)
    step = tf.Variable(0, dtype=tf.int64)

    @tf.function(jit_compile=True)
    def advance():
        rate = schedule(step)
        step.assign_add(1)
        return rate

    same([advance().numpy() for _ in range(12)], schedule(np.arange(12)))


def test_torch_rates_stay_on_the_device_of_the_steps():
    rates = L.CosineRestarts(0.1, 7)(torch.arange(3, device="meta"))
    assert rates.device.type == "meta"
    assert rates.dtype == torch.float64
