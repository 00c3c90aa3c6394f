"""Schedules for Keras optimizers."""

from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import keras

from ..arguments import Choice, Real
from ..schedule import Schedule, is_schedule
from ..value import from_dict

__all__ = ["KerasSchedule", "ScheduleCallback", "callback", "schedule"]

#: What plateaus have left of the rates that a callback sets, by optimizer.
shares: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

_heard: ContextVar[list["KerasSchedule"] | None] = ContextVar("heard", default=None)


def schedule(schedule: Schedule) -> "KerasSchedule":
    """A Keras ``LearningRateSchedule`` that gives an optimizer its rate at each step.

    The step is the optimizer's own count, from 0, of the gradients it has taken: one a batch,
    also where ``gradient_accumulation_steps`` batches make one update, but none for a batch
    that a ``LossScaleOptimizer`` skips. (Keras's ``optimizer.iterations`` is another number
    with gradient accumulation: the updates.)

    The rate is computed in float64 inside the compiled training step and rounded once, to
    Keras's float type; a schedule of your own is not checked there for rates that are
    negative or not finite. A model compiled with it can be saved, and loaded wherever
    ``lrsched.keras`` has been imported; elsewhere Keras says that it does not know
    ``KerasSchedule``. Keras may run on TensorFlow, PyTorch or JAX.

    It is of the rate alone: a Keras optimizer has its momentum, its betas and the like as plain
    numbers, which the compiled training step keeps as they were when it was compiled. On a
    PyTorch optimizer they can follow a schedule, see ``lrsched.pytorch.scheduler``.

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

    def __init__(self, schedule: Schedule, share: float = 1.0) -> None:
        self.schedule = is_schedule("schedule", schedule)
        self._share: Any = 1.0
        if keras.config.backend() != "jax":  # there a compiled step keeps what it was compiled with
            # A variable, so that the compiled training step reads it each time.
            self._share = keras.Variable(1.0, trainable=False, dtype="float64", name="share")
        self.share = share

    @property
    def share(self) -> float:
        """What a plateau has left of the rates, which are multiplied with it: 1 without one."""
        held = self._share
        return held if isinstance(held, float) else float(keras.ops.copy(held))

    @share.setter
    def share(self, share: float) -> None:
        checked = float(Real(low=0, largest=1)("share", share))
        if isinstance(self._share, float):
            self._share = checked
        else:
            self._share.assign(checked)

    def __call__(self, step: Any) -> Any:
        heard = _heard.get()
        if heard is not None:
            heard.append(self)
        if isinstance(step, keras.Variable):  # the optimizer's own count
            step = step.value
        if isinstance(self._share, float):
            rate = self.schedule(step) * self._share
        else:
            rate = keras.ops.convert_to_tensor(self.schedule(step), "float64") * self._share.value
        return keras.ops.cast(rate, keras.config.floatx())

    def __repr__(self) -> str:
        return f"lrsched.keras.schedule({self.schedule!r})"

    def __reduce__(self) -> Any:
        return type(self), (self.schedule, self.share)  # a variable cannot be copied

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self.schedule.to_dict(), "share": self.share}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "KerasSchedule":
        return cls(from_dict(config["schedule"]), config.get("share", 1.0))


def schedules_of(optimizer: Any) -> list[KerasSchedule]:
    """Those that give an optimizer its rate, which tells nobody whom it asks."""
    heard: list[KerasSchedule] = []
    token = _heard.set(heard)
    try:
        _ = optimizer.learning_rate
    finally:
        _heard.reset(token)
    return heard


def callback(schedule: Schedule, per: str = "epoch") -> "ScheduleCallback":
    """A Keras callback that sets the optimizer's rate before each epoch or each batch.

    The rates that the optimizer had, of each epoch or of each batch (each execution, with
    ``steps_per_execution``) of the last ``fit``, are in the callback's attribute ``rates``; the
    last one is in the logs of the epoch, and so in the history, as ``learning_rate``.

    Of two callbacks that set the rate at the same moment, as ``LearningRateScheduler`` does
    before each epoch, the later one in the list wins. ``ReduceLROnPlateau`` has no effect
    beside this callback, which sets the rate anew before the next epoch or batch; that of
    :func:`plateau` has, wherever it stands in the list.

    Args:
        schedule: any schedule, over epochs or over batches.
        per: "epoch": the step is Keras's number of the epoch, which ``fit`` counts from
            ``initial_epoch``, and with ``BackupAndRestore`` from the epoch that it restored.
            "batch": the step is the one that :func:`schedule` would be given, the number of
            gradients that the optimizer has taken. It is read from the optimizer before each
            batch, so it is saved, loaded and restored with the optimizer, goes on in a second
            ``fit``, and starts at 0 with a new optimizer; ``train_on_batch`` counts, and so do
            both runs of an epoch that was interrupted and is run again. With
            ``steps_per_execution`` the batches of one execution share the rate of the first.

    Raises:
        TypeError: a ``schedule`` that is none; when training starts, an optimizer whose
            rate cannot be set: a ``LearningRateSchedule`` or a function gives it, or it is a
            ``MultiOptimizer``, which has several.
        ValueError: another ``per``; in training, before the rate is set, a rate of your own
            schedule that is negative or not finite.

    >>> import lrsched, lrsched.keras
    >>> decay = lrsched.keras.callback(lrsched.Exponential(0.1, decay_rate=0.9), per="epoch")
    """
    return ScheduleCallback(schedule, per)


class ScheduleCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """What :func:`callback` returns."""

    def __init__(self, schedule: Schedule, per: str = "epoch") -> None:
        super().__init__()
        self.schedule = is_schedule("schedule", schedule)
        self.per = Choice(("epoch", "batch"))("per", per)
        self.rates: list[float] = []
        self._recorded = True

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = self._optimizer()
        # Keras gives the variable that holds the rate, or what a schedule made of the step.
        if not isinstance(getattr(optimizer, "learning_rate", None), keras.Variable):
            raise TypeError(
                f"the optimizer's learning_rate must be a number for a callback to set it; that "
                f"of {type(optimizer).__name__} comes from a LearningRateSchedule or a function, "
                f"or it has not exactly one"
            )
        if self.per == "batch":
            self._count()  # or refuse, before anything is changed
        self.rates, self._recorded = [], True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.per == "epoch":
            self._set(epoch)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.per == "batch":
            self._set(int(keras.ops.copy(self._count())))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Before the batch it is not known: a callback behind this one may set another rate,
        # and Keras announces a batch even where the data turn out to have ended.
        if not self._recorded:
            self.rates.append(float(keras.ops.copy(self._optimizer().learning_rate)))
            self._recorded = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None and self.rates:
            logs["learning_rate"] = self.rates[-1]

    def _set(self, step: int) -> None:
        rate = Real(low=0)(f"the rate of {self.schedule!r} at step {step}", self.schedule(step))
        optimizer = self._optimizer()
        optimizer.learning_rate = float(rate) * shares.get(optimizer, 1.0)
        self._recorded = False

    def _optimizer(self) -> Any:
        return updating(self.model)

    def _count(self) -> Any:
        return taken(self._optimizer(), 'per="batch"')


def updating(model: Any) -> Any:
    """The optimizer that updates the weights: a ``LossScaleOptimizer`` counts nothing."""
    optimizer = model.optimizer
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def taken(optimizer: Any, user: str) -> Any:
    """The variable that a ``LearningRateSchedule`` would be given as the step.

    It counts gradients. Keras's ``iterations`` is this only where each batch makes an update.
    """
    for variable in optimizer.variables:
        if variable.name == "iteration":
            return variable
    raise TypeError(
        f'{user} needs an optimizer whose variables have one named "iteration", as '
        f"those of Keras have; got {type(optimizer).__name__}"
    )
