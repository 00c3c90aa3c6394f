"""Schedules read from Keras's own, and from those of TensorFlow 1 and optax."""

from typing import Any

from ..natives import read as read_native

__all__ = ["read"]


def read(schedule: Any) -> Any:
    """The schedule of ours that equals one of Keras, TensorFlow 1 or optax.

    Keras computes in float32; the schedule that is read computes in float64 what the arguments
    stand for. It is called at a few steps, and refused where it gives something else: a first
    rate that is an integer has Keras count in integers, so that ``ExponentialDecay(1, 10, 0.5)``
    is 0 at step 5.

    Args:
        schedule: any of ``keras.optimizers.schedules``; one of :func:`schedule`; what a decay
            of ``tf.compat.v1.train`` returns when it is called eagerly; a function made by
            optax; or a ``keras.callbacks.ReduceLROnPlateau`` whose model has an optimizer.

    Returns:
        A schedule; for ``ReduceLROnPlateau`` a :class:`lrsched.Plateau` at its start, as each
        ``fit`` finds it.

    Raises:
        TypeError: anything else, a subclass of your own, and the decay of TensorFlow 1 that is
            random.
        ValueError: arguments for which no schedule has the same rates, or with which it cannot
            be called.

    >>> import keras
    >>> read(keras.optimizers.schedules.CosineDecay(0.1, 1000, alpha=0.5))
    Cosine(base_lr=0.1, decay_steps=1000, end_lr=0.05)
    """
    return read_native(schedule)
