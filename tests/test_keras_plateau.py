"""The Keras callback of a plateau, by what the weight did: alone, and on top of schedules.

On PyTorch: ``KERAS_BACKEND=torch pytest tests/test_keras_plateau.py``.
"""

import contextlib
import copy
import json
import os
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras.callbacks import BackupAndRestore, LambdaCallback, ReduceLROnPlateau
from keras.optimizers import SGD, LossScaleOptimizer, MultiOptimizer, OptimizerMap

import lrsched as L
import lrsched.keras
from keras_training import LINE, At, Killed, Training, kill

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras does it on TensorFlow alone"
)

# The loss falls all the time: it never gets better if more is.
HALVES = L.Plateau(factor=0.5, patience=0, mode="max")
SHARES = [1.0, 1.0, 0.5, 0.25, 0.125, 0.0625]  # of the epochs
ON = ["schedule", "epoch", "batch"]


def plateau(*args, **kwargs):
    return lrsched.keras.plateau(*(args or (HALVES, "loss")), **kwargs)


def expected(by, epochs, first=0, shares=SHARES, batches=2):
    """The rates of some epochs on top of LINE."""
    steps = [(epoch, epoch * batches + batch) for epoch in epochs for batch in range(batches)]
    each = [(epoch, epoch if by == "epoch" else step) for epoch, step in steps]
    return [LINE(first + step) * shares[epoch] for epoch, step in each]


def falls_of(training, *callbacks, **how):
    training.fit(2, epochs=5, last=callbacks, **how)
    return training.falls.all


# From the rate that the optimizer has


@pytest.mark.parametrize("wrapped", [False, True])
def test_alone_it_is_the_callback_of_keras(wrapped):
    """With the settings that the documentation of Plateau gives."""
    optimizer = (lambda rate: LossScaleOptimizer(SGD(rate))) if wrapped else SGD
    if wrapped:
        theirs = [0.1] * 4 + [0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125]
    else:
        keras_own = ReduceLROnPlateau("loss", 0.5, patience=1, mode="max", min_delta=0)
        theirs = falls_of(Training(None), keras_own)
    ours = L.Plateau(factor=0.5, patience=0, mode="max", threshold_mode="abs", threshold=0, eps=0)
    training = Training(None, optimizer)
    assert falls_of(training, plateau(ours, "loss")) == pytest.approx(theirs, rel=1e-5)


def test_from_the_rate_that_others_set():
    """As Keras's callback beside a function of the rate: what each does stays."""
    decays = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.8)
    training = Training(None)
    falls = falls_of(training, plateau(), first=[decays])[::2]
    shares = np.array(SHARES[:5])
    assert falls == pytest.approx(0.1 * 0.8 ** np.arange(1, 6) * shares, rel=1e-5)


def test_lowest_rate():
    low = L.Plateau(factor=0.5, patience=0, mode="max", min_lr=0.04)
    assert falls_of(Training(None), plateau(low, "loss"))[::2] == pytest.approx(
        [0.1, 0.1, 0.05, 0.04, 0.04], rel=1e-5
    )


# On top of a schedule


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("by", ON)
def test_on_a_schedule(by, place):
    training = Training(by)
    callback = plateau()
    history = training.fit(2, epochs=5, **{place: [callback]})
    assert training.falls.all == expected(by, range(5))
    assert callback.plateau.share == SHARES[5]
    assert HALVES.share == 1.0
    assert len(history["learning_rate"]) == 5
    if by != "schedule":
        assert training.callback.rates == training.falls.all[:: 2 if by == "epoch" else 1]


@tensorflow_only
@pytest.mark.parametrize("how", ["compiled", "jit", "distributed", "outside"])
def test_compiled(how):
    """The compiled training step reads the share anew; also one compiled before."""
    scope = contextlib.nullcontext()
    if how in ("distributed", "outside"):
        import tensorflow as tf

        scope = tf.distribute.MirroredStrategy(["CPU:0"]).scope()
    rate = lrsched.keras.schedule(LINE) if how == "outside" else None
    with scope:
        training = Training("schedule", run_eagerly=False, jit_compile=how == "jit")
        if rate:
            training.model.compile(SGD(rate), training.model.loss)
    training.fit(2, epochs=1)
    training.fit(2, epochs=5, initial_epoch=1, last=[plateau()])
    shares = [1.0, *SHARES]
    assert training.falls.all == expected("schedule", range(5), shares=shares)


def test_two_plateaus():
    training = Training("schedule")
    other = L.Plateau(factor=0.5, patience=1, mode="max")
    training.fit(2, epochs=5, last=[plateau(), plateau(other, "loss")])
    shares = [1.0, 1.0, 0.5, 0.125, 0.0625]
    assert training.falls.all == expected("schedule", range(5), shares=shares)


def test_nan_is_never_better():
    training = Training("schedule")
    nan = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss=np.nan))
    training.fit(2, epochs=3, last=[nan, plateau(L.Plateau(factor=0.5, patience=0), "loss")])
    assert training.falls.all == expected("schedule", range(3), shares=[1.0, 0.5, 0.25])


@pytest.mark.parametrize("by", [None, *ON])
def test_validation_now_and_then(by):
    """The metric is looked for in each second epoch."""
    training = Training(by)
    ones = np.ones((1, 1))
    callback = plateau(HALVES, "val_loss", validation_freq=2)
    how = {"validation_data": (ones, ones), "validation_freq": 2}
    training.fit(2, epochs=5, last=[callback], **how)
    shares = [1.0, 1.0, 1.0, 1.0, 0.5]
    if by:
        assert training.falls.all == expected(by, range(5), shares=shares)
    else:
        assert training.falls.all[::2] == pytest.approx([0.1 * share for share in shares], rel=1e-5)


# One fit after another


@pytest.mark.parametrize("by", [None, *ON])
@pytest.mark.parametrize("again", ["the same", "another", "restored"])
def test_a_second_fit(by, again):
    """It goes on; another callback of the same plateau goes on from the share alone."""
    training, callback = Training(by), plateau()
    training.fit(2, epochs=3, last=[callback])
    if again == "another":
        callback = plateau()
    elif again == "restored":
        state = json.loads(json.dumps(callback.plateau.state_dict()))
        callback = plateau()
        callback.plateau.load_state_dict(state)
    training.fit(2, initial_epoch=3, epochs=6, last=[callback])
    shares = SHARES
    if again == "another":  # whose first metric is the best
        shares = [1.0, 1.0, 0.5, 0.25, 0.25, 0.125]
    if by:
        assert training.falls.all == expected(by, range(6), shares=shares)
    else:
        assert training.falls.all[::2] == pytest.approx([0.1 * s for s in shares], rel=1e-5)


@pytest.mark.parametrize("by", ON)
def test_a_fit_without_it_keeps_the_share(by):
    training = Training(by)
    training.fit(2, epochs=3, last=[plateau()])
    training.fit(2, initial_epoch=3, epochs=4)
    assert training.falls.all[-2:] == expected(by, [3])
    training.compile()  # a new optimizer
    training.fit(2, epochs=1)
    assert training.falls.all[-2:] == expected(by, [0])


@pytest.mark.parametrize("fresh", [True, False])
def test_a_saved_model_keeps_the_share(fresh, tmp_path):
    training, callback = Training("schedule"), plateau()
    training.fit(2, epochs=3, last=[callback])
    training.model.save(tmp_path / "model.keras")
    loaded = Training("schedule")
    loaded.model = keras.models.load_model(tmp_path / "model.keras")
    if fresh:
        state = callback.plateau.state_dict()
        callback = plateau()
        callback.plateau.load_state_dict(state)
    loaded.fit(2, epochs=2, last=[callback])
    assert loaded.falls.all == expected("schedule", [3, 4])


def test_copies_of_the_schedule():
    rates = lrsched.keras.schedule(LINE)
    rates.share = 0.25
    for again in (
        copy.deepcopy(rates), pickle.loads(pickle.dumps(rates)),
        type(rates).from_config(json.loads(json.dumps(rates.get_config()))),
    ):  # fmt: skip
        assert (again.schedule, again.share, float(again(3))) == (LINE, 0.25, LINE(3) * 0.25)
        again.share = 1
        assert rates.share == 0.25
    assert type(rates).from_config({"schedule": LINE.to_dict()}).share == 1.0
    for wrong in (-0.1, 1.1, np.nan, "1"):
        with pytest.raises((TypeError, ValueError), match="share must be"):
            rates.share = wrong


# A training that is killed


@pytest.mark.parametrize(("frequency", "epoch"), [("epoch", 3), (3, 2)])
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("by", [None, *ON])
def test_backup_and_restore(by, place, frequency, epoch, tmp_path):
    """Killed in the second batch of the fourth of six epochs; Keras restores the sixth batch."""
    file = tmp_path / "state" / "plateau.json"

    def fit(training):
        callbacks = [BackupAndRestore(tmp_path / "keras", frequency), plateau(backup=file)]
        training.fit(2, epochs=6, first=callbacks if place == "first" else callbacks[::-1])

    killed, again = Training(by), Training(by)
    killed.falls = At(7, kill)
    with pytest.raises(Killed):
        fit(killed)
    assert sorted(json.loads(file.read_text())["epochs"]) == ["1", "2"]
    fit(again)
    assert not file.exists()
    if by:
        ahead = 0 if by == "epoch" else 6 - 2 * epoch
        assert again.falls.all == expected(by, range(epoch, 6), ahead)
    else:
        rates = [0.1 * share for share in SHARES[epoch:]]
        assert again.falls.all[::2] == pytest.approx(rates, rel=1e-5)


def test_a_backup_of_something_else(tmp_path):
    file = tmp_path / "plateau.json"
    training = Training("schedule")
    with pytest.raises(Killed):
        training.fit(2, epochs=4, first=[plateau(backup=file)], last=[At(5, kill)])
    text = file.read_text()
    for callback, epoch in (
        (plateau(backup=file), 7),
        (plateau(L.Plateau(factor=0.1), "loss", backup=file), 2),
    ):
        with pytest.raises(ValueError, match=r"backup '.*' must be of this plateau after epoch"):
            Training("schedule").fit(2, initial_epoch=epoch, epochs=9, first=[callback])
        assert file.read_text() == text
    fresh = Training("schedule")
    fresh.fit(2, epochs=2, first=[plateau(backup=file)])  # from the beginning: begins anew
    assert fresh.falls.all == expected("schedule", range(2))
    for wrong in ("", "[]", "{}", '{"epochs": 1}'):
        file.write_text(wrong)
        with pytest.raises(ValueError, match="is not that of a plateau"):
            Training("schedule").fit(2, initial_epoch=1, epochs=2, first=[plateau(backup=file)])


# What is refused


def test_a_metric_that_is_not_there():
    """At the end of the first epoch, not after a night; what there is is named."""
    training = Training("schedule")
    with pytest.raises(ValueError, match=r"monitor must be .*, got 'val_loss' .* 'loss'"):
        training.fit(2, epochs=3, last=[lrsched.keras.plateau(HALVES)])
    assert len(training.falls.all) == 2


def test_a_metric_that_is_no_number():
    training, callback = Training("schedule"), plateau()
    odd = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(loss="low"))
    with pytest.raises(TypeError, match="the metric 'loss' must be a number, got 'low'"):
        training.fit(2, epochs=3, last=[odd, callback])
    assert callback.plateau == HALVES


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda _: SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)),
        lambda _: SGD(lambda: 0.1),
        lambda _: MultiOptimizer(OptimizerMap(SGD(0.1))),
    ],
)
def test_an_optimizer_without_a_rate_to_lower(optimizer):
    training = Training(None, optimizer)
    with pytest.raises(TypeError, match=r"learning_rate must be a number or lrsched\.keras\.sch"):
        training.fit(2, last=[plateau()])
    assert training.falls.all == []


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ([0.5], {}, "plateau must be a Plateau"),
        ([LINE], {}, "plateau must be a Plateau"),
        ([HALVES, None], {}, "monitor must be a string"),
        ([HALVES], {"validation_freq": 0}, "validation_freq must be an integer"),
        ([HALVES], {"validation_freq": 1.5}, "validation_freq must be an integer"),
        ([HALVES], {"backup": 5}, "backup must be a path, got 5"),
    ],
)
def test_wrong_arguments(args, kwargs, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lrsched.keras.plateau(*args, **kwargs)


ON_JAX = """
import lrsched as L, lrsched.keras, keras, numpy as np
model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
def fit(rate, *callbacks):
    model.compile(keras.optimizers.SGD(rate), "mse")
    halves = lrsched.keras.plateau(L.Plateau(factor=0.5, patience=0, mode="max"), "loss")
    x = np.ones((2, 1))
    model.fit(x, x, epochs=3, verbose=0, callbacks=[*callbacks, halves])
    return float(model.optimizer.learning_rate)
print(fit(0.5), fit(0.5, lrsched.keras.callback(L.Constant(0.4))))
try:
    fit(lrsched.keras.schedule(L.Constant(0.5)))
except TypeError as error:
    print(error)
"""


@tensorflow_only
def test_on_jax_a_schedule_in_the_optimizer_is_refused():
    """There the compiled step would keep the rates as they were."""
    pytest.importorskip("jax", reason="JAX is not installed")
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX], capture_output=True, text=True,
        env=os.environ | {"KERAS_BACKEND": "jax"},
    )  # fmt: skip
    assert done.stdout.startswith("0.125 0.1"), done.stderr
    assert "on JAX a compiled training step" in done.stdout
