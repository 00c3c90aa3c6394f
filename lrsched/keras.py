"""Schedules for Keras optimizers."""

from typing import Any

import keras

from .arguments import Choice
from .schedule import Schedule, from_dict, is_schedule

__all__ = ["KerasSchedule", "ScheduleCallback", "callback", "schedule"]


def schedule(schedule: Schedule) -> "KerasSchedule":
    """A Keras ``LearningRateSchedule`` that gives an optimizer its rate at each step.

    The rate is computed in float64 inside the compiled training step and rounded once, to
    Keras's float type. A model compiled with it can be saved, and loaded wherever
    ``lrsched.keras`` has been imported. Keras may run on TensorFlow or PyTorch.

    Args:
        schedule: any schedule, over steps.

    Raises:
        TypeError: a ``schedule`` that is none.

    >>> import lrsched, lrsched.keras
    >>> rates = lrsched.keras.schedule(lrsched.Cosine(0.3, 1000))
    >>> optimizer = keras.optimizers.SGD(rates)
    """
    return KerasSchedule(schedule)


@keras.saving.register_keras_serializable(package="lrsched")
class KerasSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """What :func:`schedule` returns: a registered, serialisable ``LearningRateSchedule``."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = is_schedule("schedule", schedule)

    def __call__(self, step: Any) -> Any:
        if isinstance(step, keras.Variable):  # the optimizer's own count
            step = step.value
        rate = self.schedule(keras.ops.convert_to_tensor(step))
        return keras.ops.cast(rate, keras.config.floatx())

    def __repr__(self) -> str:
        return f"lrsched.keras.schedule({self.schedule!r})"

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self.schedule.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "KerasSchedule":
        return cls(from_dict(config["schedule"]))


def callback(schedule: Schedule, per: str = "epoch") -> "ScheduleCallback":
    """A Keras callback that sets the optimizer's rate before each epoch or each batch.

    The rate it set is in the logs, and so in the history, as ``learning_rate``; the rates
    of all epochs or batches are in its attribute ``rates``.

    Args:
        schedule: any schedule, over epochs or over batches.
        per: "epoch": the step is Keras's number of the epoch, which ``fit`` counts from
            ``initial_epoch``. "batch": the step is the number of batches the optimizer has
            seen, as for a ``LearningRateSchedule``, so that it goes on counting in a second
            ``fit`` and in a loaded model. A model compiled with ``steps_per_execution`` gets
            one rate for each execution.

    Raises:
        TypeError: a ``schedule`` that is none; when training starts, an optimizer whose
            rate is a ``LearningRateSchedule`` and cannot be set.
        ValueError: another ``per``.

    >>> import lrsched, lrsched.keras
    >>> decay = lrsched.keras.callback(lrsched.Exponential(0.1, 0.9), per="epoch")
    """
    return ScheduleCallback(schedule, per)


class ScheduleCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """What :func:`callback` returns."""

    def __init__(self, schedule: Schedule, per: str = "epoch") -> None:
        super().__init__()
        self.schedule = is_schedule("schedule", schedule)
        self.per = Choice(("epoch", "batch"))("per", per)
        self.rates: list[float] = []
        self._epoch_start = self._next_step = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = self.model.optimizer
        held = getattr(optimizer, "_learning_rate", None)
        if isinstance(held, keras.optimizers.schedules.LearningRateSchedule):
            raise TypeError(
                f"the optimizer's learning_rate must be a number for a callback to set it, "
                f"got the schedule {held!r}"
            )
        self.rates = []
        updates = int(keras.ops.convert_to_numpy(optimizer.iterations))
        self._next_step = updates * (optimizer.gradient_accumulation_steps or 1)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch_start = self._next_step
        if self.per == "epoch":
            self._set(epoch)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.per == "batch":
            self._set(self._epoch_start + batch)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._next_step = self._epoch_start + batch + 1

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None and self.rates:
            logs["learning_rate"] = self.rates[-1]

    def _set(self, step: int) -> None:
        self.model.optimizer.learning_rate = self.schedule(step)
        self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))
