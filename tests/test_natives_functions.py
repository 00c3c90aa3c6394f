"""What is read from the schedules of Keras and TensorFlow 1 is what they give."""

import functools
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from keras.optimizers import schedules as k

import lrsched as L
import lrsched.keras
import native_functions as native
from lrsched import natives
from lrsched.keras import read
from native import close, refused

FLOAT32 = 3e-5


def rows(framework):
    return {row.name.rpartition(".")[-1] for row in natives.table() if row.framework == framework}


def agree(ours, theirs, tolerance=FLOAT32):
    scale = float(np.max(np.abs(theirs), initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)


def test_the_table_names_all_of_them():
    keras_all = {
        name
        for name, item in vars(k).items()
        if isinstance(item, type) and issubclass(item, k.LearningRateSchedule)
    }
    assert keras_all - {"LearningRateSchedule"} == native.KERAS.keys()
    assert rows("keras") == native.KERAS.keys() | {"ReduceLROnPlateau"}
    version_1 = {name for name in dir(native.v1) if "decay" in name or "piecewise" in name}
    assert version_1 - {"piecewise_constant_decay"} == rows("tensorflow1")
    assert rows("tensorflow1") == native.TENSORFLOW_1.keys() | {"noisy_linear_cosine_decay"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", native.KERAS)
@given(data=st.data())
def test_keras(name, dtype, data):
    """As users call it, in float32; and with a float64 rate, which makes Keras compute in that."""
    arguments = data.draw(native.KERAS[name])
    made = native.keras_made(
        name, native.in_float64(arguments) if dtype == "float64" else arguments
    )
    schedule = read(made)
    steps = native.keras_steps(name, arguments)
    tolerance = FLOAT32 if dtype == "float32" else 1e-9
    agree(schedule(steps), [float(made(step)) for step in steps], tolerance)
    again = written(schedule)
    agree([float(again(step)) for step in steps], schedule(steps))


def written(schedule):
    names = {"keras": keras, "lrsched": L}
    exec(schedule.code("keras"), names)
    return names["schedule"]


@pytest.mark.parametrize("name", native.TENSORFLOW_1)
@given(data=st.data())
def test_tensorflow_1(name, data):
    arguments = data.draw(native.TENSORFLOW_1[name])
    exact = "cosine" not in name
    theirs = native.in_float64(arguments) if exact else arguments
    schedule = read(native.version_1(name, theirs))
    if arguments.get("cycle") or name == "piecewise_constant":  # one step at a time
        steps = range(0, 130, 3)
        rates = [float(native.version_1(name, theirs, step)()) for step in steps]
    else:
        steps = [t for t in range(300) if name != "cosine_decay_restarts" or t % 5 == 2]
        rates = native.version_1(name, theirs, tf.constant(steps, tf.int64))().numpy()
    if name == "cosine_decay_restarts":  # not next to a restart, where its logarithm errs
        ours, theirs = schedule(steps), np.asarray(rates)
        far = np.abs(ours - theirs) < FLOAT32 * arguments["learning_rate"]
        assert far.mean() > 0.95
    else:
        agree(schedule(steps), rates, 1e-9 if exact else FLOAT32)


READ = [
    (lambda: k.ExponentialDecay(0.1, 10, 0.5, staircase=True),
     L.Exponential(0.1, decay_rate=0.5, decay_steps=10, staircase=True)),
    (lambda: k.PiecewiseConstantDecay([9, 19], [0.1, 0.2, 0.3]),
     L.PiecewiseConstant([10, 20], [0.1, 0.2, 0.3])),
    (lambda: k.PiecewiseConstantDecay([9.5, 9.7], [0.1, 0.2, 0.3]),
     L.PiecewiseConstant([10], [0.1, 0.3])),
    (lambda: k.PolynomialDecay(0.1, 10), L.Polynomial(0.1, 10, end_lr=1e-4)),
    (lambda: k.CosineDecay(0.0, 20, 0.1, warmup_target=0.3, warmup_steps=5),
     L.Cosine(0.3, 20, end_lr=0.03).warmup(5)),
    (lambda: k.CosineDecay(0.3, 20, warmup_steps=5), L.Cosine(0.3, 20)),
    (lambda: lrsched.keras.schedule(L.Power(0.3)), L.Power(0.3)),
    (lambda: lrsched.keras.callback(L.Power(0.3)), L.Power(0.3)),
    (lambda: L.Power(0.3), L.Power(0.3)),
    (lambda: native.v1.cosine_decay(0.1, 0, 10), L.Cosine(0.1, 10)),
    (lambda: native.v1.piecewise_constant_decay(0, [9], [0.5, 0.25]),
     L.PiecewiseConstant([10], [0.5, 0.25])),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), READ, ids=[repr(case[1])[:60] for case in READ])
def test_read_as(make, expected):
    assert read(make()) == expected


# Keras's plateau


def fitted(**options):
    """The callback, and the rates of as many epochs as there are losses."""
    losses = [1.0, 0.9, 0.9, 0.95, 0.9, 0.8, 0.81, 0.82, 0.83, 0.8, 0.8, 0.8, 0.8, 0.8]
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    callback = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", **options)
    callback.set_model(model)
    ours = read(callback)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        callback.on_epoch_end(epoch, {"val_loss": loss})
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        assert ours.update(loss) == pytest.approx(rate, rel=1e-6)
    return ours


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("cooldown", [0, 1, 2])
def test_plateau_of_keras(patience, cooldown):
    low = {"factor": 0.5, "min_delta": 0.01, "min_lr": 0.1}
    ours = fitted(patience=patience, cooldown=cooldown, **low)
    assert ours.lr < 0.5
    assert fitted(mode="max", patience=patience, **low).mode == "max"


# Refused


class Own(k.LearningRateSchedule):
    def __call__(self, step):
        return 0.1


class Changed(k.CosineDecay):
    def __call__(self, step):
        return 0.1


class Named(k.CosineDecay):
    """Nothing of its own but a name."""


REFUSED = [
    (Own, TypeError, "Own cannot be read.*lrsched.Schedule"),
    (lambda: Changed(0.1, 10), TypeError, r"__call__\(\) of its own"),
    (lambda: k.ExponentialDecay(1, 10, 0.5), ValueError, "integer"),
    (lambda: k.CosineDecay(1, 10), ValueError, "integer"),
    (lambda: k.CosineDecay(0.1, math.nan), ValueError, "decay_steps.*nan"),
    (lambda: k.CosineDecay(-0.1, 10), ValueError, "base_lr.*-0.1"),
    (lambda: k.PiecewiseConstantDecay([5, 3], [0.1, 0.2, 0.3]), ValueError, "in order"),
    (lambda: k.PiecewiseConstantDecay([], [0.1]), ValueError, "raises IndexError"),
    (lambda: k.CosineDecayRestarts(0.1, 10, t_mul=0.5), ValueError, "t_mul.*0.5"),
    (lambda: keras.callbacks.ReduceLROnPlateau(), ValueError, "set_model"),
    (lambda: keras.callbacks.ReduceLROnPlateau("val_auc"), ValueError, "mode='min' or"),
    (lambda: native.v1.noisy_linear_cosine_decay(0.1, 0, 10), TypeError, "noise.*Noisy"),
    (lambda: native.v1.exponential_decay(0.1, 0, -5, 0.5), ValueError, "decay_steps.*-5"),
    (lambda: lambda step: 0.1, TypeError, "is no schedule of"),
    (lambda: functools.partial(math.cos), TypeError, "is no schedule of"),
    (lambda: keras.optimizers.SGD(0.1), TypeError, "SGD cannot be read"),
    (lambda: 0.1, TypeError, "0.1 cannot be read"),
    (lambda: None, TypeError, "None cannot be read"),
    (lambda: k.CosineDecay, TypeError, "cannot be read"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), REFUSED)
def test_refused(make, error, message):
    refused(read, make(), error, message)


def test_a_subclass_with_nothing_of_its_own():
    assert read(Named(0.1, 10)) == L.Cosine(0.1, 10)


def test_what_is_read_is_exact_where_float32_is_not():
    schedule = read(k.ExponentialDecay(1.0, 1, 0.999999))
    close(schedule(9_200_000), 0.999999**9_200_000)
