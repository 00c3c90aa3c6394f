"""What a Keras optimizer did: the rates that its updates used."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from .schedules import taken, updating

__all__ = ["Recorder"]


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """A Keras callback that records the rates that the updates use.

    One for each update that the optimizer makes: one for all the batches whose gradients it
    accumulates, none for a batch that a ``LossScaleOptimizer`` skips, several for one execution
    with ``steps_per_execution``. It goes on in a second ``fit``, and stops with it: there is
    nothing to remove. ``train_on_batch`` calls no callbacks.

    The step that Keras compiles shows nothing of what it does. So the rate is asked of the
    optimizer at the end of the batch. A number has then been set by all others; only a callback
    that sets the next rate *at the end of a batch* must come after this one in the list. For a
    ``LearningRateSchedule`` the optimizer's count is put back, for a moment, to the steps that
    were made; what it gives is what was applied if it is a function of the step alone, and was
    not replaced after the training step was compiled. A function is called once more.

    Raises:
        TypeError: when training starts, an optimizer that has several rates, or of whose
            variables none counts.

    >>> import lrsched, lrsched.keras
    >>> model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    >>> halves = lrsched.keras.schedule(lrsched.Exponential(0.5, decay_rate=0.5))
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
        if not hasattr(self._optimizer(), "learning_rate"):
            raise TypeError(
                "the optimizer must have one learning_rate for it to be recorded; that of "
                f"{type(self._optimizer()).__name__} has not"
            )

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._before = int(self._count())

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        summed = getattr(self._optimizer(), "gradient_accumulation_steps", None) or 1
        for step in range(self._before, int(self._count())):
            if (step + 1) % summed == 0:
                self._rates.append(self._rate(step))

    def _rate(self, step: int) -> float:
        """The rate of the update with this number, if it has just been made."""
        optimizer, count = self._optimizer(), self._variable()
        if isinstance(optimizer.learning_rate, keras.Variable):
            return float(keras.ops.copy(optimizer.learning_rate))
        now = self._count()
        try:
            count.assign(keras.ops.cast(step, count.dtype))
            return float(optimizer.learning_rate)
        finally:
            count.assign(now)

    def _optimizer(self) -> Any:
        return updating(self.model)

    def _variable(self) -> Any:
        return taken(self._optimizer(), "a Recorder")

    def _count(self) -> Any:
        """The gradients that the optimizer has taken."""
        return keras.ops.copy(self._variable())
