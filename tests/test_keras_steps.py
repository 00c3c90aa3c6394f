"""Which step the Keras schedule and callback are at, measured by what the weight did.

On PyTorch: ``KERAS_BACKEND=torch pytest tests/test_keras_steps.py``; on JAX likewise.
"""

import contextlib
from functools import partial

import keras
import numpy as np
import pytest
from keras.callbacks import BackupAndRestore
from keras.optimizers import SGD, LossScaleOptimizer

import lrsched as L
import lrsched.keras
from keras_training import LINE, At, Killed, Training, kill, rates

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras does it on TensorFlow alone"
)

OVERFLOW = np.ones((4, 1), "float32")
OVERFLOW[1] = np.inf
BOTH = pytest.mark.parametrize("by", ["schedule", "batch"])


# Optimizers


summed = partial(SGD, gradient_accumulation_steps=2)


def scaled(rate, optimizer=SGD):
    return LossScaleOptimizer(optimizer(rate))


scaled_sum = partial(scaled, optimizer=summed)
_ = None
ONES = np.ones((4, 1), "float32")


@BOTH
@pytest.mark.parametrize(
    ("optimizer", "x", "steps"),
    [
        (SGD, ONES, [*range(8), 8, 9, 10]),
        (summed, ONES, [_, 1, _, 3, _, 5, _, 7, _, 9, _]),
        (scaled, OVERFLOW, [0, _, 1, 2, 3, _, 4, 5, 6, 7, 8]),
        (scaled_sum, OVERFLOW, [_, _, 1, _, 3, _, _, 5, _, 7, _]),
    ],
)
def test_each_optimizer(by, optimizer, x, steps):
    training = Training(by, optimizer)
    training.fit(x, epochs=2)
    history = training.fit(3)
    assert training.falls.all == rates(steps)
    if by == "batch":
        recorded = zip(training.callback.rates, training.falls.all[8:], strict=True)
        assert all(fall in (rate, 0.0) for rate, fall in recorded)
        assert history["learning_rate"] == training.callback.rates[-1:]


# One fit after another


def with_another_callback(training):
    training.callback = training.callback and lrsched.keras.callback(LINE, per="batch")


def one_by_hand(training):
    training.model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))


def killed(training):
    with pytest.raises(Killed):
        training.fit(last=[At(2, kill)])  # before the third fall is measured


def checkpoint_loaded_in_mid_epoch(training):
    variables = training.model.optimizer.variables
    before = [variable.numpy() for variable in variables]

    def load():
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)

    training.fit(first=[At(1, load)])


@BOTH
@pytest.mark.parametrize(
    ("before", "how", "steps"),
    [
        (None, {}, [4, 5, 6, 7]),
        (with_another_callback, {}, [4, 5, 6, 7]),
        (one_by_hand, {}, [5, 6, 7, 8]),
        (Training.compile, {}, [0, 1, 2, 3]),  # a new optimizer
        (killed, {}, [4, 5, 7, 8, 9, 10]),
        (checkpoint_loaded_in_mid_epoch, {"x": 1}, [4, 5, 4, 5, 6]),
        (None, {"initial_epoch": 7, "epochs": 8}, [4, 5, 6, 7]),
        (None, {"x": 2, "validation_data": (ONES, ONES), "epochs": 2}, [4, 5, 6, 7]),
    ],
)
def test_after_an_epoch_of_four_batches(by, before, how, steps):
    training = Training(by)
    training.fit()
    if before:
        before(training)
    training.fit(**how)
    assert training.falls.all == rates([0, 1, 2, 3, *steps])


# A new process


@BOTH
@pytest.mark.parametrize("optimizer", [SGD, summed, scaled_sum])
def test_a_loaded_model(by, optimizer, tmp_path):
    """Saved in mid-epoch, after three batches."""
    training = Training(by, optimizer)
    save = At(2, lambda: training.model.save(tmp_path / "model.keras"))
    training.fit(first=[save])
    loaded = Training(by)
    loaded.model = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(3)
    steps = [3, 4, 5] if optimizer is SGD else [3, _, 5]
    assert loaded.falls.all == rates(steps)


@pytest.mark.parametrize("by", ["schedule", "batch", "epoch"])
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(
    ("optimizer", "frequency", "steps"),
    [
        (SGD, "epoch", range(4, 12)),
        (SGD, 3, range(6, 14)),
        (scaled_sum, 3, [_, 7, _, 9, _, 11, _, 13]),
    ],
)
def test_backup_and_restore(by, place, optimizer, frequency, steps, tmp_path):
    """Killed in the third batch of the second of three epochs, which is run again."""
    callbacks = {"first": [], "last": []} | {place: [BackupAndRestore(tmp_path, frequency)]}
    killed = Training(by, optimizer)
    killed.falls = At(6, kill)
    with pytest.raises(Killed):
        killed.fit(epochs=3, **callbacks)
    restarted = Training(by, optimizer)
    restarted.fit(epochs=3, **callbacks)
    if by == "epoch":
        steps = [step and 1 + batch // 4 for batch, step in enumerate(steps)]
    assert restarted.falls.all == rates(steps)


# However the training step is compiled


@tensorflow_only
@BOTH
@pytest.mark.parametrize("how", ["compiled", "jit", "distributed"])
def test_compiled(by, how):
    scope = contextlib.nullcontext()
    if how == "distributed":
        import tensorflow as tf

        scope = tf.distribute.MirroredStrategy(["CPU:0"]).scope()
    optimizer = scaled_sum if how == "compiled" else SGD
    with scope:
        training = Training(by, optimizer, run_eagerly=False, jit_compile=how == "jit")
    training.fit(epochs=2)
    assert training.falls.all == rates([_, 1, _, 3, _, 5, _, 7] if how == "compiled" else range(8))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras does it elsewhere alone")
@BOTH
def test_steps_per_execution_that_do_not_divide_the_epoch(by):
    """The callback sets one rate an execution."""
    training = Training(by, run_eagerly=False, steps_per_execution=2)
    training.fit(5, epochs=2)
    executions = [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9]]
    if by == "batch":
        executions = [[steps[0]] * len(steps) for steps in executions]
        assert training.callback.rates == rates(steps[0] for steps in executions)
    assert training.falls.all == [sum(rates(steps)) for steps in executions]


def test_a_count_that_float32_cannot_hold():
    alternates = lrsched.keras.schedule(L.Cyclical(0.25, 0.75, step_size_up=1))
    training = Training("another way", lambda _: SGD(alternates))
    training.model.optimizer.iterations.assign(2**24 + 1)
    training.fit()
    assert training.falls.all == [0.75, 0.25, 0.75, 0.25]


def test_a_batch_that_does_not_come_is_not_recorded():
    """Keras announces a batch to its callbacks before it knows that the data have ended."""
    training = Training("batch")
    with pytest.warns(UserWarning, match="ran out of data"):
        training.fit((np.ones((1, 1)), np.ones((1, 1))) for _ in range(3))
    assert training.falls.all == training.callback.rates == rates(range(3))
    training.fit(1)
    assert training.falls.all[-1:] == training.callback.rates == rates([3])
