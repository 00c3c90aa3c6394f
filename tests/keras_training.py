"""A training whose weight tells the rates: under SGD it falls by the rate in each update.

The weight's gradient is the mean of the inputs, 1 unless said otherwise.
"""

import itertools

import keras
import numpy as np
from keras.optimizers import SGD

import lrsched as L
import lrsched.keras

LINE = L.Linear(1.0, 0.0, decay_steps=64)  # exact in float32


@keras.saving.register_keras_serializable()
def prediction(y, predicted):
    """A loss whose gradient is that of the prediction."""
    return predicted


def rates(steps, schedule=LINE):
    """The rates at these steps; 0 for None, a batch without an update."""
    return [0.0 if step is None else schedule(step) for step in steps]


class Falls(keras.callbacks.Callback):
    """How far the weight fell in each batch."""

    def __init__(self):
        super().__init__()
        self.all = []

    def on_train_batch_begin(self, batch, logs=None):
        self.before = self.model.get_weights()[0].item()

    def on_train_batch_end(self, batch, logs=None):
        self.all.append(self.before - self.model.get_weights()[0].item())


class Training:
    """A model with a schedule in its optimizer, or trained with a callback per epoch or batch."""

    def __init__(self, by, optimizer=SGD, **how):
        self.by, self.falls = by, Falls()
        self.callback = lrsched.keras.callback(LINE, by) if by in ("epoch", "batch") else None
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.model = keras.Sequential([keras.layers.Input((1,)), layer])
        self.compile(optimizer, **how)

    def compile(self, optimizer=SGD, **how):
        rate = lrsched.keras.schedule(LINE) if self.by == "schedule" else 0.1
        how = {"run_eagerly": keras.backend.backend() != "jax"} | how  # there it is the rare case
        self.model.compile(optimizer(rate), prediction, **how)

    def fit(self, x=4, first=(), last=(), **how):
        """On so many batches or on this data; with callbacks before ours and after it."""
        x = np.ones((x, 1), "float32") if isinstance(x, int) else x
        data = {"x": x, "y": x, "batch_size": 1} if isinstance(x, np.ndarray) else {"x": x}
        ours = [self.callback] if self.callback else []
        callbacks = [*first, *ours, *last, self.falls]
        return self.model.fit(**data, verbose=0, shuffle=False, callbacks=callbacks, **how).history


class At(keras.callbacks.Callback):
    """It acts at the end of a batch, counted over the epochs."""

    def __init__(self, batch, act):
        super().__init__()
        self.batch, self.act, self.counted = batch, act, itertools.count()

    def on_train_batch_end(self, batch, logs=None):
        if next(self.counted) == self.batch:
            _ = self.model  # on JAX the model has its state only once a callback asks for it
            self.act()


class Killed(Exception):
    """The training script was."""


def kill():
    raise Killed
