"""What a Keras optimizer did: the rates that its updates used."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from .schedules import taken, updating

__all__ = ["Recorder"]

Schedule = keras.optimizers.schedules.LearningRateSchedule


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """A Keras callback that records the rates that the updates use.

    One for each update that the optimizer makes: one for all the batches whose gradients it
    accumulates, none for a batch that a ``LossScaleOptimizer`` skips, several for one execution
    with ``steps_per_execution``. It goes on in a second ``fit``, and stops with it: there is
    nothing to remove. ``train_on_batch`` calls no callbacks.

    The step that Keras compiles shows nothing of what it does. So a rate that is a number is
    read at the end of the batch, when all others have set it; only a callback that sets the next
    rate *at the end of a batch* must come after this one in the list. A
    ``LearningRateSchedule`` is evaluated at the steps that were made, since
    ``optimizer.learning_rate`` is then that of the next one; this is what was applied if it is
    a function of the step alone, and was not replaced after the training step was compiled.

    Raises:
        TypeError: when training starts, an optimizer whose rate cannot be known: a function
            gives it, it has several, or none of its variables counts.

    >>> import lrsched, lrsched.keras
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> halves = lrsched.keras.schedule(lrsched.Exponential(0.5, 0.5))
    >>> model.compile(keras.optimizers.SGD(halves), "mse")
    >>> recorder = lrsched.keras.Recorder()
    >>> x = np.ones((3, 1))
    >>> _ = model.fit(x, x, batch_size=1, verbose=0, callbacks=[recorder])
    >>> recorder.rates
    array([0.5  , 0.25 , 0.125])
    """

    def __init__(self) -> None:
        super().__init__()
        self._rates: list[float] = []
        self._before = 0

    @property
    def rates(self) -> npt.NDArray[np.float64]:
        """The rates of the updates so far, [updates]."""
        return np.array(self._rates, dtype=float)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._count()  # or refuse, before anything is trained
        if not isinstance(self._held(), keras.Variable | Schedule):
            raise TypeError(
                "the optimizer's learning_rate must be a number or a LearningRateSchedule for "
                f"its rates to be recorded; that of {type(self._optimizer()).__name__} comes "
                "from a function, or it has not exactly one"
            )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._before = int(self._count())

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        held, count = self._held(), self._count()
        summed = getattr(self._optimizer(), "gradient_accumulation_steps", None) or 1
        for step in range(self._before, int(count)):
            if (step + 1) % summed == 0:
                step = keras.ops.convert_to_tensor(step, count.dtype)
                rate = held(step) if isinstance(held, Schedule) else held
                self._rates.append(float(keras.ops.copy(rate)))

    def _optimizer(self) -> Any:
        return updating(self.model)

    def _count(self) -> Any:
        """The gradients that the optimizer has taken."""
        return keras.ops.copy(taken(self._optimizer(), "a Recorder"))

    def _held(self) -> Any:
        """The variable or the schedule. The public property has evaluated it already."""
        return getattr(self._optimizer(), "_learning_rate", None)
