"""The schedules of Keras and TensorFlow 1, with strategies for their arguments.

What they equal is not said here: it is read from them.
"""

import tensorflow as tf
from hypothesis import strategies as st
from keras.optimizers import schedules as k

from drawn import steps_around
from native import LR, STEPS

v1 = tf.compat.v1.train


def arguments(**strategies):
    return st.fixed_dictionaries(strategies)


def sorted_lists(items, **sizes):
    return st.lists(items, unique=True, **sizes).map(sorted)


# Rates beside boundaries: one more than these.
PIECES = sorted_lists(STEPS, min_size=1, max_size=4).flatmap(
    lambda bounds: st.fixed_dictionaries({
        "boundaries": st.just(bounds),
        "values": st.lists(LR, min_size=len(bounds) + 1, max_size=len(bounds) + 1),
    })
)  # fmt: skip
BASE = {"initial_learning_rate": LR, "decay_steps": STEPS}
STAIRCASE = BASE | {"decay_rate": st.floats(0.05, 1), "staircase": st.booleans()}
WARMUPS = st.just({}) | st.fixed_dictionaries(
    {"warmup_target": LR, "warmup_steps": st.just(0) | STEPS}
)

KERAS = {
    "ExponentialDecay": arguments(**STAIRCASE),
    "InverseTimeDecay": arguments(**STAIRCASE),
    "PiecewiseConstantDecay": PIECES,
    "PolynomialDecay": arguments(
        **BASE, end_learning_rate=st.floats(0, 1), power=st.just(0.0) | st.floats(0.5, 3),
        cycle=st.booleans(),
    ),
    "CosineDecay": st.builds(
        lambda given, warmup: given | warmup, arguments(**BASE, alpha=st.floats(0, 2)), WARMUPS
    ),
    "CosineDecayRestarts": arguments(
        initial_learning_rate=LR, first_decay_steps=st.integers(20, 120),
        t_mul=st.sampled_from([1.0, 1.5, 2.0]), m_mul=st.floats(0.1, 1), alpha=st.floats(0, 0.9),
    ),
}  # fmt: skip


def keras_steps(name, given):
    """Those where something happens, and those next to them."""
    if name == "CosineDecayRestarts":  # not at the restarts: there Keras's logarithm errs
        first = given["first_decay_steps"]
        bounds = [first / 2, first * (1 + given["t_mul"] / 2)]
    else:
        lengths = ("decay_steps", "warmup_steps")
        bounds = [given[key] for key in lengths if key in given] or given["boundaries"]
    return [step for step in steps_around(*bounds) if step <= 1000]


def keras_made(name, given):
    return getattr(k, name)(**given)


def in_float64(given):
    """With rates that make Keras and TensorFlow 1 compute in float64."""
    of = {float: lambda x: tf.constant(x, tf.float64), list: lambda xs: list(map(in_double, xs))}
    return {key: of.get(type(value), lambda x: x)(value) for key, value in given.items()}


def in_double(value):
    return tf.constant(value, tf.float64) if isinstance(value, float) else value


# TensorFlow 1's are called with the step; the cosines compute in float32 alone.
LEARNING = {"learning_rate": LR, "decay_steps": STEPS}
RATES = LEARNING | {"decay_rate": st.floats(0.05, 1), "staircase": st.booleans()}
TENSORFLOW_1 = {
    "exponential_decay": arguments(**RATES),
    "natural_exp_decay": arguments(**RATES),
    "inverse_time_decay": arguments(**RATES),
    "piecewise_constant": PIECES,
    "polynomial_decay": arguments(
        **LEARNING, end_learning_rate=st.floats(0, 1), power=st.floats(0.5, 3),
        cycle=st.booleans(),
    ),
    "cosine_decay": arguments(**LEARNING, alpha=st.floats(0, 2)),
    "cosine_decay_restarts": arguments(
        learning_rate=LR, first_decay_steps=st.integers(20, 120), alpha=st.floats(0, 0.9),
        t_mul=st.sampled_from([1.0, 1.5, 2.0]), m_mul=st.floats(0.1, 1),
    ),
    "linear_cosine_decay": arguments(
        **LEARNING, num_periods=st.floats(0, 3), alpha=st.floats(0, 1), beta=st.floats(0, 0.1)
    ),
}  # fmt: skip


def version_1(name, given, step=0):
    """What the decay returns: a function without arguments, for this step."""
    count = {"x": step} if name == "piecewise_constant" else {"global_step": step}
    return getattr(v1, name)(**given, **count)
