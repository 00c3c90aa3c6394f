"""The Keras adapter: rates as a real optimizer holds them, saved models, the callback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import lrsched as L
import lrsched.keras
from drawn import EXAMPLES

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ROOT = Path(__file__).parents[1]
WARM_COSINE = L.Cosine(0.3, 20).warmup(5, start_lr=0.01)


def float32(rates):
    return np.asarray(rates, "float32").tolist()


# The schedule


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_any_schedule(schedule):
    rates = lrsched.keras.schedule(schedule)
    again = type(rates).from_config(rates.get_config())
    assert again.schedule == schedule
    for step in (0, 1, 7, 10**6):
        if schedule(step) > 1e30:  # beyond float32
            continue
        assert float(rates(step)) == float32([schedule(step)])[0]
        assert float(again(tf.constant(step))) == float(rates(step))


def test_a_step_of_any_kind():
    rates = lrsched.keras.schedule(WARM_COSINE)
    for step in (3, 3.0, np.float32(3), tf.Variable(3), keras.Variable(3)):
        rate = rates(step)
        assert (rate.dtype, float(rate)) == ("float32", *float32([WARM_COSINE(3)]))
    for steps in (tf.range(4), np.arange(4), [0, 1, 2, 3], keras.Variable(range(4))):
        assert rates(steps).numpy().tolist() == float32(WARM_COSINE(range(4)))


@pytest.mark.parametrize("step", [2**24 + 1, np.float64(2**24 + 1), 2**40, 2.0**53 - 1])
def test_a_step_that_float32_cannot_hold(step):
    alternates = lrsched.keras.schedule(L.Cyclical(0.25, 0.75, step_size_up=1))
    optimizer = keras.optimizers.SGD(alternates)
    optimizer.iterations.assign(int(step))
    for rate in (alternates(step), optimizer.learning_rate):
        assert float(rate) == (0.25 if step % 2 == 0 else 0.75)


@pytest.mark.parametrize("step", [None, "a", True, keras.KerasTensor(()), 1j, -1, np.nan])
def test_no_step(step):
    with pytest.raises((TypeError, ValueError), match="step must"):
        lrsched.keras.schedule(WARM_COSINE)(step)


def test_another_float_type():
    keras.config.set_floatx("float64")
    try:
        assert float(lrsched.keras.schedule(WARM_COSINE)(3)) == WARM_COSINE(3)
    finally:
        keras.config.set_floatx("float32")


@pytest.mark.parametrize("wrong", [None, 0.1, L.Plateau(0.1), L.Cosine])
def test_no_schedule(wrong):
    for make in (lrsched.keras.schedule, lrsched.keras.callback):
        with pytest.raises(TypeError, match="schedule must be a schedule, got"):
            make(wrong)
    with pytest.raises((TypeError, ValueError), match=r"per must be one of 'epoch', 'batch'"):
        lrsched.keras.callback(WARM_COSINE, wrong)


# Saved models

FRESH = """
import sys
{imported}
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
rate = model.optimizer.get_config()["learning_rate"]
print(int(model.optimizer.iterations), keras.optimizers.schedules.deserialize(rate))
for _ in range(4):
    print(float(model.optimizer.learning_rate))
    model.train_on_batch(np.ones((2, 2)), np.ones((2, 1)))
"""


@pytest.mark.parametrize(
    ("imported", "backend"), [(True, "tensorflow"), (True, "jax"), (False, "tensorflow")]
)
def test_a_saved_model_trains_on_in_a_fresh_process(imported, backend, tmp_path):
    """Keras loads registered classes alone, and imports no module by the name in a file."""
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    path = tmp_path / "model.keras"
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(lrsched.keras.schedule(WARM_COSINE)), "mse")
    model.fit(np.ones((8, 2)), np.ones((8, 1)), batch_size=1, verbose=0)
    model.save(path)
    program = FRESH.format(imported="import lrsched.keras" if imported else "")
    done = subprocess.run(
        [sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"KERAS_BACKEND": backend},
    )  # fmt: skip
    assert (done.returncode == 0) == imported, done.stderr
    if imported:
        first, *rates = done.stdout.splitlines()
        assert first == f"8 lrsched.keras.schedule({WARM_COSINE!r})"
        assert [float(rate) for rate in rates] == float32(WARM_COSINE(range(8, 12)))
    else:
        assert re.search("(?s)KerasSchedule.*imported", done.stderr)


STEPS = ["tests/test_keras_steps.py", "tests/test_keras_callback.py"]


@pytest.mark.parametrize(
    ("backend", "more"),
    [("torch", "tests/test_keras_plateau.py"), ("jax", "tests/test_recorders.py")],
)
def test_on_another_backend(backend, more):
    """The same rates and steps where Keras runs on PyTorch or JAX."""
    pytest.importorskip(backend, reason=f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir=_build/pytest-{backend}",
         *STEPS, more],
        env=os.environ | {"KERAS_BACKEND": backend}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [(keras.optimizers.SGD(0.1, momentum=0.5), "momentum"), (keras.optimizers.Adam(0.1), "beta_1")],
)
def test_a_momentum_is_compiled_in(optimizer, name):
    """Why only rates follow a schedule in Keras: what is set later changes nothing."""

    def weights():
        model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
        model.set_weights([np.ones((1, 1)), np.zeros(1)])
        model.compile(type(optimizer).from_config(optimizer.get_config()), "mse")
        model.fit(np.ones((2, 1)), np.zeros((2, 1)), batch_size=1, verbose=0)
        yield model.optimizer
        model.fit(np.ones((2, 1)), np.zeros((2, 1)), batch_size=1, verbose=0)
        yield model.get_weights()

    plain, changed = weights(), weights()
    next(plain)
    setattr(next(changed), name, 0.0)
    for one, other in zip(next(plain), next(changed), strict=True):
        np.testing.assert_array_equal(one, other)
