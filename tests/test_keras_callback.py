"""The Keras callback beside others, and where no rate can be set.

On PyTorch: ``KERAS_BACKEND=torch pytest tests/test_keras_callback.py``.
"""

import keras
import numpy as np
import pytest
from keras.callbacks import LearningRateScheduler, ReduceLROnPlateau
from keras.optimizers import SGD, LossScaleOptimizer

import lrsched as L
import lrsched.keras
from keras_training import LINE, Training, rates

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EPOCHS, BATCHES, HALF = rates([0, 0, 1, 1, 2, 2]), rates(range(6)), [0.5] * 6
OTHERS = {
    "halves": lambda: LearningRateScheduler(lambda epoch, rate: 0.5),
    "lowers": lambda: ReduceLROnPlateau("loss", 0.5, patience=1, mode="max"),  # every epoch
    "per batch": lambda: lrsched.keras.callback(LINE, per="batch"),
}


@pytest.mark.parametrize(
    ("per", "other", "behind", "before"),
    [
        ("epoch", "halves", HALF, EPOCHS),
        ("epoch", "lowers", EPOCHS, EPOCHS),
        ("epoch", "per batch", BATCHES, BATCHES),
        ("batch", "halves", BATCHES, BATCHES),
        ("batch", "lowers", BATCHES, BATCHES),
    ],
)
@pytest.mark.parametrize("place", ["behind", "before"])
def test_beside_another_callback(per, other, behind, before, place):
    """Who wins; and what is recorded is what the weight did."""
    training = Training("callback")
    training.callback = lrsched.keras.callback(LINE, per)
    history = training.fit(
        2, epochs=3, **{"last" if place == "behind" else "first": [OTHERS[other]()]}
    )
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
