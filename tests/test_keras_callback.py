"""The Keras callback beside others, and where no rate can be set.

On PyTorch: ``KERAS_BACKEND=torch pytest tests/test_keras_callback.py``; on JAX likewise.
"""

import numpy as np
import pytest
from keras.callbacks import LearningRateScheduler, ReduceLROnPlateau
from keras.optimizers import SGD, LossScaleOptimizer, MultiOptimizer, OptimizerMap

import lrsched as L
import lrsched.keras
from keras_training import LINE, Training, rates

# Keras 3.15 asks its variables for arrays in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EPOCHS, BATCHES, HALF = rates([1, 1, 2, 2, 3, 3]), rates(range(6)), [0.5] * 6
OTHERS = {
    "halves": lambda: LearningRateScheduler(lambda epoch, rate: 0.5),
    "lowers": lambda: ReduceLROnPlateau("loss", 0.5, patience=1, mode="max"),  # every epoch
    "batch": lambda: lrsched.keras.callback(LINE, per="batch"),
}


@pytest.mark.parametrize("per", ["epoch", "batch"])
@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("place", ["first", "last"])
def test_beside_another_callback(per, other, place):
    """Who wins; and what is recorded is what the weight did."""
    expected = BATCHES if "batch" in (per, other) else EPOCHS
    if (per, other, place) == ("epoch", "halves", "last"):
        expected = HALF
    training = Training(per)
    history = training.fit(2, initial_epoch=1, epochs=4, **{place: [OTHERS[other]()]})
    assert training.falls.all == expected
    assert training.callback.rates == training.falls.all[:: 2 if per == "epoch" else 1]
    for epoch, rate in enumerate(history["learning_rate"]):
        assert rate in training.falls.all[2 * epoch : 2 * epoch + 2]


# What is refused


@pytest.mark.parametrize("per", ["epoch", "batch"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda _: SGD(lrsched.keras.schedule(LINE)),
        lambda _: LossScaleOptimizer(SGD(lrsched.keras.schedule(LINE))),
        lambda _: SGD(lambda: 0.1),
        lambda _: MultiOptimizer(OptimizerMap(SGD(0.1))),
    ],
)
def test_an_optimizer_without_a_rate_to_set(per, optimizer):
    training = Training(per)
    training.fit(1)
    recorded = training.callback.rates
    training.compile(optimizer)
    with pytest.raises(TypeError, match="learning_rate must be a number for a callback"):
        training.fit()
    assert training.callback.rates == recorded == training.falls.all == [1.0]


class Uncounted(SGD):
    variables = ()


def test_an_optimizer_without_a_count():
    training = Training("batch", Uncounted)
    with pytest.raises(TypeError, match=r"iteration.*got Uncounted"):
        training.fit()
    assert training.falls.all == []


class Faulty(L.Schedule):
    """1 at the first two steps."""

    then: object

    def rate(self, xp, t):
        return 1.0 if t < 2 else self.then


@pytest.mark.parametrize("per", ["epoch", "batch"])
@pytest.mark.parametrize("then", [np.nan, np.inf, -0.1, None])
def test_a_rate_that_is_none(per, then):
    training = Training(per)
    training.callback = lrsched.keras.callback(Faulty(then), per)
    with pytest.raises((TypeError, ValueError), match=r"rate of Faulty\(.*\) at step 2 must be"):
        training.fit(1 if per == "epoch" else 4, epochs=4)
    assert training.falls.all == training.callback.rates == [1.0, 1.0]
    assert float(training.model.optimizer.learning_rate) == 1.0
