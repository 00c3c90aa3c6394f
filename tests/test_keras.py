"""The Keras adapter: rates as a real optimizer holds them, saved models, the callback."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

import lrsched as L
import lrsched.keras
from drawn import EXAMPLES, SCHEDULES

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

WARM_COSINE = L.Cosine(0.3, 20).warmup(5, 0.01)
X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
LINE = L.Linear(1.0, 0.0, 16)
OF_LINE = list(LINE(range(17)))  # exact in float32


def float32(rates):
    return np.asarray(rates, "float32").tolist()


def compiled(learning_rate=0.1, optimizer=keras.optimizers.SGD, options=None, **how):
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer(learning_rate, **options or {}), "mse", **how)
    return model


def fit(model, *callbacks, epochs=2, initial_epoch=0):
    """Four batches an epoch; the history, and the rates of the updates."""
    recorder = lrsched.keras.Recorder()
    history = model.fit(
        X, Y, batch_size=2, verbose=0, epochs=epochs, initial_epoch=initial_epoch,
        callbacks=[recorder, *callbacks],
    )  # fmt: skip
    return history.history, recorder.rates.tolist()


# The schedule


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_the_optimizer_holds_the_rate_of_the_schedule(schedule):
    optimizer = keras.optimizers.SGD(lrsched.keras.schedule(schedule))
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer.build([variable])
    for step in [0, 1, 5, 2**24 + 1, 2**40]:
        if schedule(step) > 1e30:  # beyond float32
            continue
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == float32([schedule(step)])[0]
        before = variable.numpy()
        optimizer.apply([np.ones(1, "float32")])
        assert before - variable.numpy() == pytest.approx(schedule(step), rel=1e-5, abs=1e-6)


@settings(max_examples=10)
@given(schedule=SCHEDULES)
def test_any_schedule(schedule):
    rates = lrsched.keras.schedule(schedule)
    again = type(rates).from_config(rates.get_config())
    assert again.schedule == schedule
    for step in (0, 7, 10**6):
        if schedule(step) > 1e30:  # beyond float32
            continue
        assert float(rates(step)) == float32([schedule(step)])[0]
        assert float(again(tf.constant(step))) == float(rates(step))


@pytest.mark.parametrize("how", ["run_eagerly", "jit_compile", None])
def test_inside_fit(how):
    model = compiled(lrsched.keras.schedule(WARM_COSINE), **{how: True} if how else {})
    _, rates = fit(model)
    assert rates == float32(WARM_COSINE(range(8)))


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_every_optimizer(optimizer):
    model = compiled(lrsched.keras.schedule(WARM_COSINE), getattr(keras.optimizers, optimizer))
    _, rates = fit(model)
    assert rates == float32(WARM_COSINE(range(8)))


def test_weights_are_those_of_a_run_with_the_rates_set_by_hand():
    scheduled, by_hand = compiled(lrsched.keras.schedule(WARM_COSINE)), compiled(0.1)
    by_hand.set_weights(scheduled.get_weights())
    fit(scheduled)
    for step in range(8):
        by_hand.optimizer.learning_rate = WARM_COSINE(step)
        by_hand.train_on_batch(X[:2], Y[:2])
    for one, other in zip(scheduled.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_steps_per_execution():
    model = compiled(lrsched.keras.schedule(LINE), steps_per_execution=2)
    _, rates = fit(model)
    assert rates == OF_LINE[:8]
    assert float(model.optimizer.learning_rate) == OF_LINE[8]


def test_a_step_of_any_kind():
    rates = lrsched.keras.schedule(WARM_COSINE)
    expected = float32([WARM_COSINE(3)])[0]
    for step in (3, 3.0, np.int64(3), np.float32(3), tf.constant(3), tf.Variable(3, dtype="int64"),
                 keras.Variable(3)):  # fmt: skip
        rate = rates(step)
        assert rate.dtype == "float32"
        assert float(rate) == expected
    for steps in (tf.range(4), np.arange(4), range(4), [0, 1, 2, 3], keras.Variable(range(4))):
        assert rates(steps).numpy().tolist() == float32(WARM_COSINE(range(4)))


@pytest.mark.parametrize(
    "step", [2**24 + 1, 2.0**24 + 1, np.float64(2**24 + 1), 2**40, 2.0**53 - 1]
)
def test_a_step_that_float32_cannot_hold(step):
    alternates = L.Cyclical(0.25, 0.75, 1)
    assert alternates(step) == (0.25 if step % 2 == 0 else 0.75)
    assert float(lrsched.keras.schedule(alternates)(step)) == alternates(step)


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


def test_config_and_repr():
    rates = lrsched.keras.schedule(WARM_COSINE)
    optimizer = keras.optimizers.Adam(rates)
    again = keras.optimizers.Adam.from_config(optimizer.get_config())
    assert again._learning_rate.schedule == WARM_COSINE
    serialized = keras.optimizers.schedules.serialize(rates)
    assert serialized["registered_name"] == "lrsched>KerasSchedule"
    assert keras.optimizers.schedules.deserialize(serialized).schedule == WARM_COSINE
    assert repr(rates) == f"lrsched.keras.schedule({WARM_COSINE!r})"


@pytest.mark.parametrize("wrong", [None, 0.1, "cosine", L.Plateau(0.1), L.Cosine])
def test_no_schedule(wrong):
    for make in (lrsched.keras.schedule, lrsched.keras.callback):
        with pytest.raises(TypeError, match="schedule must be a schedule, got"):
            make(wrong)


# Saved models

FRESH = """
import sys
{imported}
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
x, y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
print(int(model.optimizer.iterations), repr(model.optimizer._learning_rate))
for _ in range(4):
    print(float(model.optimizer.learning_rate))
    model.train_on_batch(x[:2], y[:2])
print(model.get_weights()[0].ravel().tolist())
"""


def in_a_fresh_process(path, imported):
    return subprocess.run(
        [sys.executable, "-c", FRESH.format(imported=imported), str(path)],
        capture_output=True, text=True, cwd=Path(L.__file__).parents[1], check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model saved in mid-training, and that model trained on."""
    model = compiled(lrsched.keras.schedule(WARM_COSINE), keras.optimizers.Adam)
    fit(model)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path, model


def test_a_saved_model_trains_on_in_this_process(saved):
    path, _ = saved
    loaded = keras.models.load_model(path)
    assert loaded.optimizer._learning_rate.schedule == WARM_COSINE
    assert int(loaded.optimizer.iterations) == 8
    _, rates = fit(loaded, epochs=1)
    assert rates == float32(WARM_COSINE(range(8, 12)))


def test_a_saved_model_trains_on_in_a_fresh_process(saved):
    path, _ = saved
    done = in_a_fresh_process(path, "import lrsched.keras")
    assert done.returncode == 0, done.stderr
    first, *rates, weights = done.stdout.splitlines()
    assert first == f"8 lrsched.keras.schedule({WARM_COSINE!r})"
    assert [float(rate) for rate in rates] == float32(WARM_COSINE(range(8, 12)))
    here = keras.models.load_model(path)
    for _ in range(4):
        here.train_on_batch(X[:2], Y[:2])
    assert eval(weights) == pytest.approx(here.get_weights()[0].ravel().tolist(), rel=1e-5)


def test_a_saved_model_needs_the_import_and_keras_says_so(saved):
    """Keras loads registered classes alone, and imports no module by the name in a file."""
    done = in_a_fresh_process(saved[0], "")
    assert done.returncode != 0
    assert "KerasSchedule" in done.stderr
    assert "imported" in done.stderr


# The callback


def test_per_epoch():
    epochs = L.StepDecay(0.5, 2, 0.5)
    callback = lrsched.keras.callback(epochs)
    model = compiled()
    history, rates = fit(model, callback, epochs=5)
    expected = list(epochs(range(5)))
    assert rates == list(np.repeat(expected, 4))
    assert callback.rates == history["learning_rate"] == expected


def test_per_batch():
    callback = lrsched.keras.callback(LINE, per="batch")
    history, rates = fit(compiled(), callback)
    assert rates == callback.rates == OF_LINE[:8]
    assert history["learning_rate"] == [OF_LINE[3], OF_LINE[7]]


def test_rates_are_the_float32_the_optimizer_holds():
    callback = lrsched.keras.callback(WARM_COSINE, per="batch")
    _, rates = fit(compiled(), callback)
    assert rates == callback.rates == float32(WARM_COSINE(range(8)))


def test_a_second_fit():
    epoch = lrsched.keras.callback(LINE)
    batch = lrsched.keras.callback(LINE, per="batch")
    model, other = compiled(), compiled()
    fit(model, epoch)
    fit(other, batch)
    _, rates = fit(model, epoch)
    assert rates == [1.0] * 4 + [OF_LINE[1]] * 4  # Keras counts the epochs from 0 again
    assert epoch.rates == OF_LINE[:2]
    _, rates = fit(model, epoch, epochs=4, initial_epoch=2)
    assert rates == [OF_LINE[2]] * 4 + [OF_LINE[3]] * 4
    _, rates = fit(other, batch)
    assert rates == batch.rates == OF_LINE[8:16]  # updates go on


def test_the_last_of_two_callbacks_counts():
    first, second = lrsched.keras.callback(L.Constant(0.5)), lrsched.keras.callback(LINE)
    history, rates = fit(compiled(), first, second)
    assert rates == [1.0] * 4 + [OF_LINE[1]] * 4
    assert history["learning_rate"] == OF_LINE[:2]


@pytest.mark.parametrize("per", ["step", "", None, 1, True])
def test_another_per_is_refused(per):
    with pytest.raises((TypeError, ValueError), match=r"per must be one of 'epoch', 'batch'"):
        lrsched.keras.callback(LINE, per)


def test_plateau_by_hand():
    """The rate of a Plateau set on a Keras optimizer, as a training loop would."""
    model, plateau = compiled(), L.Plateau(0.5, factor=0.5, patience=0)
    rates = []
    for loss in (1.0, 1.0, 0.5):
        model.optimizer.learning_rate = plateau.update(loss)
        rates.append(float(model.optimizer.learning_rate))
    assert rates == [0.5, 0.25, 0.25]


def test_on_pytorch():
    """The same rates and steps where Keras runs on PyTorch."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "cache_dir=_build/pytest-torch",
         "tests/test_keras_steps.py"],
        env=os.environ | {"KERAS_BACKEND": "torch"},
        cwd=Path(L.__file__).parents[1],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
