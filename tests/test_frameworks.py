"""Every namespace - numbers, torch, TensorFlow, compiled or not - against NumPy."""

import dataclasses
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


def same(actual, expected):
    actual = np.asarray(actual)
    assert (actual.dtype, actual.shape) == (np.float64, np.shape(expected))
    scale = max(1.0, float(np.max(expected, initial=0)))
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13 * scale)


def test_examples_and_strategies_cover_every_class():
    assert {type(schedule) for schedule in EXAMPLES} == CLASSES == BY_CLASS.keys()


@given(schedule=SCHEDULES, steps=st.lists(STEPS, max_size=20))
def test_array_against_numbers(schedule, steps):
    array = np.array(steps, float)
    same(schedule(array), [schedule(step) for step in steps])
    same(schedule(torch.tensor(steps, dtype=torch.float64)), schedule(array))
    same(schedule(tf.constant(steps, tf.float64)), schedule(array))


def torch_compiled(schedule, backend="eager"):
    torch.compiler.reset()
    compiled = torch.compile(schedule.__call__, fullgraph=True, backend=backend)
    return lambda steps: compiled(torch.from_numpy(steps))


def tf_function(schedule, **options):
    of_any_length = [tf.TensorSpec([None], tf.int64)]
    return tf.function(schedule, input_signature=of_any_length, **options)


HOW = {
    "torch.compile": torch_compiled,
    "inductor": functools.partial(torch_compiled, backend="inductor"),
    "tf.function": tf_function,
    "tf.function and XLA": functools.partial(tf_function, jit_compile=True),
}
ONE_OF_EACH = list({type(schedule): schedule for schedule in reversed(EXAMPLES)}.values())
COMPILED = {"torch.compile": ONE_OF_EACH, "inductor": EXAMPLES[-1:]}  # which take long


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("how", HOW)
def test_compiled(how):
    if how == "inductor" and not shutil.which("g++"):
        pytest.skip("torch's inductor needs a C++ compiler, g++")
    for schedule in COMPILED.get(how, EXAMPLES):
        fresh = dataclasses.replace(schedule)  # never called before it is compiled
        same(HOW[how](fresh)(STEP_ARRAY), schedule(STEP_ARRAY))


@pytest.mark.parametrize("how", ["tf.function", "tf.function and XLA"])
def test_periods_end_where_they_do(how):
    """XLA multiplies by the reciprocal of a constant: 49 * (1 / 49) is below 1."""
    for length in (7, 49, 98, 103, 161, 12345, 1.1, 33.3):
        steps = np.rint(length * np.arange(1, 60)).astype(int)
        for schedule in (
            L.PiecewiseConstant(range(1, 60), np.arange(60.0)).per_epoch(length),
            L.Polynomial(1.0, length, cycle=True, power=0.5),
            L.Polynomial(1.0, length, power=0.01),
        ):
            same(HOW[how](schedule)(steps), schedule(steps))


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


@pytest.mark.parametrize("kind", [int, np.int8, np.uint64, np.float16, np.float32, np.float64])
def test_numbers_of_any_type_give_a_float(kind):
    for schedule in EXAMPLES:
        rate = schedule(kind(5))
        assert type(rate) is float
        assert rate == schedule(5.0)


def test_a_step_array_is_left_as_it_was():
    for steps in (np.arange(30.0), torch.arange(30.0, dtype=torch.float64)):
        for schedule in EXAMPLES:
            schedule(steps)
        assert list(steps) == list(range(30))


def test_torch_rates_stay_on_the_device_of_the_steps():
    rates = L.CosineRestarts(0.1, 7)(torch.arange(3, device="meta"))
    assert rates.device.type == "meta"
    assert rates.dtype == torch.float64
