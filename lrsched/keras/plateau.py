"""Plateaus for Keras optimizers."""

import copy
import json
import os
from pathlib import Path
from typing import Any

import keras

from ..arguments import Instance, Whole, number, text
from ..plateau import Plateau
from .schedules import KerasSchedule, schedules_of, shares, updating

__all__ = ["PlateauCallback", "plateau"]


def plateau(
    plateau: Plateau,
    monitor: str = "val_loss",
    *,
    validation_freq: int = 1,
    backup: str | os.PathLike[str] | None = None,
) -> "PlateauCallback":
    """A Keras callback that lowers the rate as a metric gets no better.

    It lowers the rate that the optimizer has, as Keras's ``ReduceLROnPlateau`` does, or, on top
    of a schedule, all rates from then on: the optimizer may have :func:`schedule` as its rate,
    or :func:`callback` may set it, in any order of the two callbacks. The rate is then that of
    the schedule times the plateau's ``share``.

    It goes on in a second ``fit``; for another training make another one, and another
    :func:`schedule`. The rate that the
    epoch ended with is in the logs, and so in the history, as ``learning_rate``.

    A model that is saved holds the share of its :func:`schedule`, from which a new callback
    goes on. All else that there is to know, the best metric and how often it was not beaten, is
    in the callback: ``callback.plateau.state_dict()``.

    Args:
        plateau: when the rate falls, and by which factor. The callback's is a copy, with the
            state that it has: its attribute ``plateau``. On top of a schedule its ``min_lr``
            is the lowest share (of ``base_lr``), else the lowest rate.
        monitor: the name of the metric in the logs of each epoch.
        validation_freq: that of ``fit``, where it is not 1: the metric is looked for in each
            so-manieth epoch.
        backup: a file for the state of the last epochs, so that a training that was killed
            and is run again goes on from it, as ``BackupAndRestore`` lets it. It is removed
            when the training ends.

    Raises:
        TypeError: a ``plateau`` that is none, or another argument of the wrong kind; when
            training starts, an optimizer whose rate is neither a number nor a
            :func:`schedule`; in training, a metric that is no number.
        ValueError: in training, logs without the metric; a ``backup`` that is of another
            plateau or another training.

    >>> import lrsched, lrsched.keras
    >>> halves = lrsched.keras.plateau(lrsched.Plateau(factor=0.5, patience=3), "val_loss")
    """
    return PlateauCallback(plateau, monitor, validation_freq=validation_freq, backup=backup)


class PlateauCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """What :func:`plateau` returns."""

    def __init__(
        self,
        plateau: Plateau,
        monitor: str = "val_loss",
        *,
        validation_freq: int = 1,
        backup: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.plateau = copy.copy(Instance(Plateau)("plateau", plateau))
        self.monitor = text("monitor", monitor)
        self.validation_freq = Whole(1)("validation_freq", validation_freq)
        if not isinstance(backup, str | os.PathLike | None):
            raise TypeError(f"backup must be a path, got {backup!r}")
        self._backup = None if backup is None else Path(backup)
        self._schedules: list[KerasSchedule] = []
        self._begun = False

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        optimizer = updating(self.model)
        known = hasattr(optimizer, "learning_rate")
        self._schedules = schedules_of(optimizer) if known else []
        if not self._schedules and not (
            known and isinstance(optimizer.learning_rate, keras.Variable)
        ):
            raise TypeError(
                "the optimizer's learning_rate must be a number or lrsched.keras.schedule(...) "
                f"for a plateau to lower it; that of {type(optimizer).__name__} comes from "
                "something else, or it has not exactly one"
            )
        if self._schedules and keras.config.backend() == "jax":
            raise TypeError(
                "on JAX a compiled training step keeps the rates that it was compiled with: for "
                "a plateau, set them by lrsched.keras.callback(schedule)"
            )
        # A share that was reached before stays: in a loaded model, or in a plateau's state.
        found = [self.plateau.share, shares.get(optimizer, 1.0)]
        found += [schedule.share for schedule in self._schedules]
        if min(found) < self.plateau.share:
            self.plateau.lr = self.plateau.base_lr * min(found)
        self._share(self.plateau.share)
        self._begun = True

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._begun and self._backup and self._backup.exists():
            self._restore(self._backup, epoch)
        self._begun = False

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        optimizer = updating(self.model)
        rate = float(keras.ops.copy(optimizer.learning_rate))
        if (epoch + 1) % self.validation_freq == 0:
            if self.monitor not in logs:
                raise ValueError(
                    f"monitor must be a metric in the logs of an epoch, got {self.monitor!r} "
                    f"where there are {', '.join(map(repr, logs)) or 'none'}"
                )
            if self.plateau.falls(number(f"the metric {self.monitor!r}", logs[self.monitor])):
                self._fall(optimizer, rate)
        logs.setdefault("learning_rate", rate)
        if self._backup:
            self._write(self._backup, epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._backup:
            self._backup.unlink(missing_ok=True)

    def _fall(self, optimizer: Any, rate: float) -> None:
        before = self.plateau.share
        self.plateau.lr = self.plateau.lowered(self.plateau.lr)
        if before:  # another plateau may have lowered the share of the schedule, too
            left = min([s.share for s in self._schedules] or [shares[optimizer]])
            self._share(left * self.plateau.share / before)
        if not self._schedules:
            optimizer.learning_rate = self.plateau.lowered(rate)

    def _share(self, share: float) -> None:
        """Tell it to whoever gives the optimizer its rates."""
        for schedule in self._schedules:
            schedule.share = share
        if not self._schedules:
            shares[updating(self.model)] = share

    # The backup: the states after the last two epochs, since Keras's may be one behind.

    def _write(self, file: Path, epoch: int) -> None:
        optimizer = updating(self.model)
        rate = None if self._schedules else float(keras.ops.copy(optimizer.learning_rate))
        epochs = json.loads(file.read_text())["epochs"] if file.exists() else {}
        last = {key: state for key, state in epochs.items() if int(key) == epoch - 1}
        last[str(epoch)] = {"state": self.plateau.state_dict(), "rate": rate}
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{file.name}.new")
        new.write_text(json.dumps({"plateau": self.plateau.to_dict(), "epochs": last}))
        new.replace(file)

    def _restore(self, file: Path, epoch: int) -> None:
        try:
            saved = json.loads(file.read_text())
            found = saved["epochs"].get(str(epoch - 1))
            same = saved["plateau"] == self.plateau.to_dict()
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"backup {str(file)!r} is not that of a plateau: {error!r}") from error
        if found is None and epoch == 0:  # of a training that was killed and begins anew
            file.unlink()
            return
        if not same or found is None:
            raise ValueError(
                f"backup {str(file)!r} must be of this plateau after epoch {epoch - 1}, got one "
                f"of {saved['plateau']} after epochs {', '.join(saved['epochs'])}; remove it to "
                "begin anew"
            )
        self.plateau.load_state_dict(found["state"])
        if found["rate"] is not None:
            updating(self.model).learning_rate = found["rate"]
        self._share(self.plateau.share)
