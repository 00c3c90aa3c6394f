"""Which step the Keras schedule and callback are at, measured by what the weight did.

The weight's gradient is the mean of the inputs, 1 unless said otherwise: under SGD it falls by
the rate in each update. On PyTorch: ``KERAS_BACKEND=torch pytest tests/test_keras_steps.py``.
"""

import contextlib
import itertools

import keras
import numpy as np
import pytest
from keras.callbacks import BackupAndRestore, LearningRateScheduler, ReduceLROnPlateau
from keras.optimizers import SGD, LossScaleOptimizer

import lrsched as L
import lrsched.keras

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras does it on TensorFlow alone"
)

LINE = L.Linear(1.0, 0.0, 64)  # exact in float32
OVERFLOW = np.ones((4, 1), "float32")
OVERFLOW[1] = np.inf


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
    """A model with a schedule in its optimizer, or trained with a callback."""

    def __init__(self, by, optimizer=SGD, **how):
        self.by, self.falls = by, Falls()
        self.callback = lrsched.keras.callback(LINE, per="batch")
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.model = keras.Sequential([keras.layers.Input((1,)), layer])
        self.compile(optimizer, **how)

    def compile(self, optimizer=SGD, **how):
        rate = lrsched.keras.schedule(LINE) if self.by == "schedule" else 0.1
        how = {"run_eagerly": True} | how
        self.model.compile(optimizer(rate), prediction, **how)

    def fit(self, x=4, first=(), last=(), **how):
        """On so many batches or on this data; with callbacks before ours and after it."""
        x = np.ones((x, 1), "float32") if isinstance(x, int) else x
        data = {"x": x, "y": x, "batch_size": 1} if isinstance(x, np.ndarray) else {"x": x}
        ours = [self.callback] if self.by == "callback" else []
        callbacks = [*first, *ours, *last, self.falls]
        return self.model.fit(**data, verbose=0, shuffle=False, callbacks=callbacks, **how).history

    def batch(self):
        self.model.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))


BOTH = pytest.mark.parametrize("by", ["schedule", "callback"])


def at(batch, act):
    """A callback that acts at the end of this batch, counted over the epochs."""
    counted = itertools.count()
    return keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda number, logs: act() if next(counted) == batch else None
    )


class Killed(Exception):
    """The training script was."""


def kill():
    raise Killed


# Optimizers


def test_the_rate_at_each_step():
    schedule = L.Cosine(0.3, 20).warmup(5)
    optimizer = SGD(lrsched.keras.schedule(schedule))
    optimizer.build([keras.Variable([1.0])])
    for step in range(30):
        assert float(optimizer.learning_rate) == np.float32(schedule(step))
        optimizer.apply([keras.ops.ones(1)])


def summed(rate):
    return SGD(rate, gradient_accumulation_steps=2)


def in_threes(rate):
    return SGD(rate, gradient_accumulation_steps=3)


def scaled(rate):
    return LossScaleOptimizer(SGD(rate))


def scaled_sum(rate):
    return LossScaleOptimizer(summed(rate))


_ = None
ONES = np.ones((4, 1), "float32")


@BOTH
@pytest.mark.parametrize(
    ("optimizer", "x", "steps"),
    [
        (SGD, ONES, [*range(8), 8, 9, 10]),
        (summed, ONES, [_, 1, _, 3, _, 5, _, 7, _, 9, _]),
        (in_threes, ONES, [_, _, 2, _, _, 5, _, _, 8, _, _]),
        (scaled, ONES, [*range(8), 8, 9, 10]),
        (scaled, OVERFLOW, [0, _, 1, 2, 3, _, 4, 5, 6, 7, 8]),
        (scaled_sum, ONES, [_, 1, _, 3, _, 5, _, 7, _, 9, _]),
        (scaled_sum, OVERFLOW, [_, _, 1, _, 3, _, _, 5, _, 7, _]),
    ],
)
def test_each_optimizer(by, optimizer, x, steps):
    training = Training(by, optimizer)
    training.fit(x, epochs=2)
    history = training.fit(3)
    assert training.falls.all == rates(steps)
    if by == "callback":
        recorded = training.callback.rates
        for rate, fall in zip(recorded, training.falls.all[8:], strict=True):
            assert fall in (rate, 0.0)
        assert history["learning_rate"] == recorded[-1:]


@BOTH
def test_loss_scaling_by_a_policy(by):
    """Keras wraps the optimizer itself, and its first loss scales overflow in float16."""
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        training = Training(by)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert isinstance(training.model.optimizer, LossScaleOptimizer)
    training.model.optimizer.initial_scale = 2.0**17
    training.fit(epochs=2)
    assert training.falls.all == rates([_, _, *range(6)])


# One fit after another


def again(training):
    training.callback = lrsched.keras.callback(LINE, per="batch")
    training.fit()


def one_by_hand(training):
    training.batch()
    training.fit()


def new_optimizer(training):
    training.compile()
    training.fit()


def same_optimizer(training):
    training.model.compile(training.model.optimizer, training.model.loss, run_eagerly=True)
    training.fit()


def another_model(training):
    other = Training(training.by)
    other.callback = training.callback
    other.fit(2)
    assert other.falls.all == rates([0, 1])
    training.fit()


def stopped(training):
    training.fit(last=[at(2, lambda: setattr(training.model, "stop_training", True))], epochs=9)
    training.fit()


def killed(training):
    with pytest.raises(Killed):
        training.fit(last=[at(2, kill)])  # before the third fall is measured
    training.fit()


def from_an_epoch(training):
    training.fit(initial_epoch=7, epochs=8)


def weights_of_before(training):
    """A checkpoint that is loaded in mid-epoch."""
    variables = training.model.optimizer.variables
    kept = [variable.numpy() for variable in variables]

    def load():
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)

    training.fit(first=[at(1, load)])


def validated(training):
    data = np.ones((3, 1)), np.ones((3, 1))
    training.fit(2, validation_data=data, epochs=2)


def generated(training):
    def batches():
        while True:
            yield np.ones((1, 1)), np.ones((1, 1))

    training.fit(batches(), steps_per_epoch=2, epochs=2)


@BOTH
@pytest.mark.parametrize(
    ("then", "steps"),
    [
        (Training.fit, [4, 5, 6, 7]),
        (again, [4, 5, 6, 7]),
        (one_by_hand, [5, 6, 7, 8]),
        (new_optimizer, [0, 1, 2, 3]),
        (same_optimizer, [4, 5, 6, 7]),
        (another_model, [4, 5, 6, 7]),
        (stopped, [4, 5, 6, 7, 8, 9, 10]),
        (killed, [4, 5, 7, 8, 9, 10]),
        (from_an_epoch, [4, 5, 6, 7]),
        (weights_of_before, [4, 5, 4, 5]),
        (validated, [4, 5, 6, 7]),
        (generated, [4, 5, 6, 7]),
    ],
)
def test_after_an_epoch_of_four_batches(by, then, steps):
    training = Training(by)
    training.fit()
    then(training)
    assert training.falls.all == rates([0, 1, 2, 3, *steps])


# A new process


@BOTH
@pytest.mark.parametrize("optimizer", [SGD, summed, scaled_sum])
def test_a_loaded_model(by, optimizer, tmp_path):
    """Saved in mid-epoch, after three batches."""
    training = Training(by, optimizer)
    save = at(2, lambda: training.model.save(tmp_path / "model.keras"))
    training.fit(first=[save])
    loaded = Training(by)
    loaded.model = keras.models.load_model(tmp_path / "model.keras")
    loaded.fit(3)
    steps = [3, 4, 5] if optimizer is SGD else [3, _, 5]
    assert loaded.falls.all == rates(steps)


@pytest.mark.parametrize(
    ("by", "place"), [("schedule", "last"), ("callback", "first"), ("callback", "last")]
)
@pytest.mark.parametrize(
    ("optimizer", "frequency", "steps"),
    [
        (SGD, "epoch", range(4, 12)),
        (scaled_sum, "epoch", [_, 5, _, 7, _, 9, _, 11]),
        (SGD, 3, range(6, 14)),
        (scaled_sum, 3, [_, 7, _, 9, _, 11, _, 13]),
    ],
)
def test_backup_and_restore(by, place, optimizer, frequency, steps, tmp_path):
    """Killed in the third batch of the second of three epochs, which is run again."""
    first, last = [], [BackupAndRestore(tmp_path, frequency)]
    if place == "first":
        first, last = last, first
    with pytest.raises(Killed):
        Training(by, optimizer).fit(epochs=3, first=first, last=[*last, at(6, kill)])
    restarted = Training(by, optimizer)
    restarted.fit(epochs=3, first=first, last=last)
    assert restarted.falls.all == rates(steps)


@pytest.mark.parametrize("place", ["first", "last"])
def test_backup_and_restore_per_epoch(place, tmp_path):
    first, last = [], [BackupAndRestore(tmp_path)]
    if place == "first":
        first, last = last, first
    for killing in ([at(3, kill)], []):
        training = Training("callback")
        training.callback = lrsched.keras.callback(LINE)
        with pytest.raises(Killed) if killing else contextlib.nullcontext():
            training.fit(2, epochs=3, first=first, last=[*last, *killing])
    assert training.falls.all == rates([1, 1, 2, 2])
    assert training.callback.rates == rates([1, 2])


# However the training step is compiled


@tensorflow_only
@BOTH
@pytest.mark.parametrize("how", [{}, {"jit_compile": True}])
def test_compiled(by, how):
    training = Training(by, scaled_sum if not how else SGD, run_eagerly=False, **how)
    training.fit(epochs=2)
    assert training.falls.all == rates([_, 1, _, 3, _, 5, _, 7] if not how else range(8))


@tensorflow_only
@BOTH
def test_steps_per_execution_that_do_not_divide_the_epoch(by):
    """The callback sets one rate an execution."""
    training = Training(by, run_eagerly=False, steps_per_execution=2)
    training.fit(5, epochs=2)
    executions = [[0, 1], [2, 3], [4], [5, 6], [7, 8], [9]]
    if by == "callback":
        executions = [[steps[0]] * len(steps) for steps in executions]
        assert training.callback.rates == rates(steps[0] for steps in executions)
    assert training.falls.all == [sum(rates(steps)) for steps in executions]


@tensorflow_only
@BOTH
def test_a_distribution_strategy(by):
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        training = Training(by, run_eagerly=False)
    training.fit(epochs=2)
    assert training.falls.all == rates(range(8))


def test_a_batch_that_does_not_come_is_not_recorded():
    """Keras announces a batch to its callbacks before it knows that the data have ended."""
    training = Training("callback")
    with pytest.warns(UserWarning, match="ran out of data"):
        training.fit((np.ones((1, 1)), np.ones((1, 1))) for _ in range(3))
    assert training.falls.all == training.callback.rates == rates(range(3))
    training.fit(1)
    assert training.falls.all[-1:] == training.callback.rates == rates([3])


# Beside other callbacks


def halves():
    return LearningRateScheduler(lambda epoch, rate: 0.5)


def lowers():
    """At the end of every epoch."""
    return ReduceLROnPlateau("loss", 0.5, patience=1, mode="max")


def per_batch():
    return lrsched.keras.callback(LINE, per="batch")


EPOCHS, BATCHES, HALF = rates([0, 0, 1, 1, 2, 2]), rates(range(6)), [0.5] * 6


@pytest.mark.parametrize(
    ("per", "other", "behind", "before"),
    [
        ("epoch", halves, HALF, EPOCHS),
        ("epoch", lowers, EPOCHS, EPOCHS),
        ("epoch", per_batch, BATCHES, BATCHES),
        ("batch", halves, BATCHES, BATCHES),
        ("batch", lowers, BATCHES, BATCHES),
    ],
)
@pytest.mark.parametrize("place", ["behind", "before"])
def test_beside_another_callback(per, other, behind, before, place):
    """Who wins; and what is recorded is what the weight did."""
    training = Training("callback")
    training.callback = lrsched.keras.callback(LINE, per)
    history = training.fit(2, epochs=3, **{"last" if place == "behind" else "first": [other()]})
    assert training.falls.all == (behind if place == "behind" else before)
    each = 2 if per == "epoch" else 1
    assert training.callback.rates == training.falls.all[::each]
    for epoch, rate in enumerate(history["learning_rate"]):
        assert rate in training.falls.all[2 * epoch : 2 * epoch + 2]


# What is refused


def set_later(schedule):
    optimizer = SGD(0.1)
    optimizer.learning_rate = schedule
    return optimizer


def several(rate):
    names = keras.optimizers.OptimizerMap(SGD(0.1))
    return keras.optimizers.MultiOptimizer(names)


@pytest.mark.parametrize("per", ["epoch", "batch"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda _: SGD(lrsched.keras.schedule(LINE)),
        lambda _: SGD(keras.optimizers.schedules.CosineDecay(0.1, 5)),
        lambda _: LossScaleOptimizer(SGD(lrsched.keras.schedule(LINE))),
        lambda _: set_later(lrsched.keras.schedule(LINE)),
        lambda _: SGD(lambda: 0.1),
        several,
    ],
)
def test_an_optimizer_without_a_rate_to_set(per, optimizer):
    training = Training("callback")
    training.callback = lrsched.keras.callback(LINE, per)
    training.fit(1)
    recorded = training.callback.rates
    training.compile(optimizer)
    with pytest.raises(TypeError, match="learning_rate must be a number for a callback"):
        training.fit()
    assert training.callback.rates == recorded == training.falls.all == [1.0]


def test_an_optimizer_without_a_count():
    class Uncounted(SGD):
        variables = ()

    training = Training("callback", Uncounted)
    with pytest.raises(TypeError, match=r"iteration.*got Uncounted"):
        training.fit()
    assert training.falls.all == []


class Faulty(L.Schedule):
    """1 at the first two steps."""

    then: object

    def rate(self, xp, t):
        return 1.0 if t < 2 else self.then


@pytest.mark.parametrize(
    ("per", "then"),
    [("epoch", np.nan), *(("batch", then) for then in (np.nan, np.inf, -0.1, 1e39, None, "0.1"))],
)
def test_a_rate_that_is_none(per, then):
    training = Training("callback")
    training.callback = lrsched.keras.callback(Faulty(then), per)
    with pytest.raises((TypeError, ValueError), match=r"rate of Faulty\(.*\) at step 2 must be"):
        training.fit(1 if per == "epoch" else 4, epochs=4)
    assert training.falls.all == training.callback.rates == [1.0, 1.0]
    assert float(training.model.optimizer.learning_rate) == 1.0
