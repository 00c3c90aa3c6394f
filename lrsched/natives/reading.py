"""What is read from a native object: by its class, with the row of the table that names it."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from ..plateau import Plateau
from ..schedule import Schedule
from ..value import equal
from . import chains, keras, optax
from .rows import Row, find, native_class, plain

__all__ = ["ROWS", "read"]

ROWS = [*chains.ROWS, *keras.ROWS, *keras.TENSORFLOW_1, *optax.ROWS]


def read(native: Any) -> Any:
    """See :func:`lrsched.natives.read`."""
    if isinstance(native, Schedule | Plateau):
        return native
    if isinstance(native, partial):  # what TensorFlow 1's decays return
        native = native.func
    maker = optax.maker_of(native)
    row = find(ROWS, native)
    if maker:
        row = next((row for row in optax.ROWS if row.key[1] == maker), None)
    if row is None:
        raise TypeError(
            f"{_shown(native)} cannot be read: it is no schedule of PyTorch, Keras, TensorFlow 1 "
            f"or optax; write what it does as a subclass of lrsched.Schedule"
        )
    try:
        return _read(row, native)
    except (TypeError, ValueError) as error:
        if "cannot be read" in str(error):
            raise
        raise type(error)(f"{row.name} cannot be read: {error}") from error


def _read(row: Row, native: Any) -> Any:
    if row in chains.ROWS:
        found = chains.read_groups(native)
        return found[0] if all(equal(each, found[0]) for each in found) else found
    if row.framework == "lrsched":
        return row.read({"schedule": native.schedule})
    if row.name.endswith("ReduceLROnPlateau"):
        return row.read({**vars(native), "lr": _rate_of(native.model)})
    if row in optax.ROWS:
        return _checked(row, row.read(optax.arguments_of(native)), native)
    return _checked(row, row.read(plain(native.get_config())), native)


def _rate_of(model: Any) -> Any:
    """The rate that the optimizer of a Keras model holds, if there is one."""
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return None if optimizer is None else plain(optimizer.learning_rate)


def _shown(native: Any) -> str:
    return native_class(native) if hasattr(native, "__dict__") else repr(native)


def _checked(row: Row, schedule: Schedule, native: Any) -> Schedule:
    """A schedule that was read, if the native function agrees where it is called."""
    steps = sorted({0, *_steps_within(schedule)})[:8]
    ours = [schedule(step) for step in steps]
    for step, rate in zip(steps, ours, strict=True):
        try:
            theirs = float(native(step))
        except Exception as error:
            raise ValueError(
                f"{row.name} cannot be read: called at step {step} it raises "
                f"{type(error).__name__}: {error}"
            ) from error
        if not abs(theirs - rate) <= 1e-4 * max(ours):  # written so that NaN fails
            raise ValueError(
                f"{row.name} cannot be read: at step {step} it gives {theirs:g}, but its arguments "
                f"stand for {rate:g}; a first rate that is an integer, such as 1 in place of 1.0, "
                f"makes it count in integers"
            )
    return schedule


def _steps_within(value: Any) -> Iterable[int]:
    """Some steps inside the lengths of a schedule: float32 counts them, and none is a boundary."""
    for name, held in vars(value).items():
        for item in held if isinstance(held, tuple) else [held]:
            if isinstance(item, Schedule):
                yield from _steps_within(item)
            elif name in ("decay_steps", "first_decay_steps", "boundaries") and item < 2**24:
                yield from (int(0.4 * item), int(0.8 * item))
