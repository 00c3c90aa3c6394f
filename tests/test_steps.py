"""Steps as users have them: taken as numbers, or refused by a sentence, and nothing is lost."""

import array
import math
import warnings
from decimal import Decimal
from fractions import Fraction

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import lrsched as L
from drawn import EXAMPLES

SCHEDULE = L.Cosine(0.1, 20).warmup(3)


class Unit(np.ndarray):
    """As astropy's quantities are made: an array that knows its unit."""

    unit = "s"


class Convertible:
    """As xarray's arrays are, or, with ``units``, those of pint."""

    def __init__(self, values, **attributes):
        self.values = values
        vars(self).update(attributes)

    def __array__(self, dtype=None, copy=None):
        return self.values


def masked(*mask):
    return np.ma.array([0, 5], mask=mask)


# What is taken, and the same as a plain list.
TAKEN = {
    "column": (lambda: pd.Series([0, 5], index=["a", "b"]), [0, 5]),
    "column Int64": (lambda: pd.Series([0, 5], dtype="Int64"), [0, 5]),
    "table": (lambda: pd.DataFrame({"a": [0, 1], "b": [2, 3]}), [[0, 2], [1, 3]]),
    "convertible": (lambda: Convertible(np.arange(3)), [0, 1, 2]),
    "buffer": (lambda: array.array("i", [0, 5]), [0, 5]),
    "objects": (lambda: np.array([0, Fraction(1, 2), Decimal(5)]), [0, 0.5, 5]),
    "nested and mixed": (lambda: [np.arange(2), (3, Fraction(4)), pd.Series([5, 6])],
                         [[0, 1], [3, 4], [5, 6]]),
    "tensors": (lambda: [torch.tensor(0), torch.tensor(5.0, requires_grad=True)], [0, 5]),
    "the last step": (lambda: np.array([2**53 - 1], np.uint64), [2**53 - 1]),
    "TensorFlow's count": (lambda: tf.Variable(5, dtype=tf.int64), 5),
    "Keras's count": (lambda: keras.optimizers.SGD(0.1).iterations, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_taken(case):
    make, steps = TAKEN[case]
    rates = SCHEDULE(make())
    expected = SCHEDULE(np.array(steps, float))
    if isinstance(rates, torch.Tensor | tf.Tensor):
        rates = rates.numpy()
    assert np.shape(rates) == expected.shape
    np.testing.assert_allclose(rates, expected, rtol=1e-14)
    if expected.ndim and "count" not in case:
        assert type(rates) is np.ndarray
        assert rates.dtype == np.float64


# What is refused, and a word that the sentence must hold.
REFUSED = {
    "mask": (lambda: masked(False, True), "masked"),
    "masked inside": (lambda: Convertible(masked(True, False)), "masked"),
    "unit": (lambda: np.arange(3).view(Unit), "Unit"),
    "units": (lambda: Convertible(np.arange(3), units="s"), "units"),
    "time span": (lambda: np.timedelta64(5, "s"), "timedelta64"),
    "categories": (lambda: pd.Series([0, 5], dtype="category"), "category"),
    "missing": (lambda: pd.Series([0, None], dtype="Int64"), "nan"),
    "several indices": (lambda: pd.MultiIndex.from_tuples([(0, 1)]), "real numbers"),
    "truth value in a row": (lambda: [[0, 1], [2, True]], r"step\[1\]\[1\].*True"),
    "rows": (lambda: [[0, 1], [2]], "same length"),
    "generator": (lambda: (step for step in range(3)), "generator"),
    "set": (lambda: {0, 5}, "{0, 5}"),
    "ragged": (lambda: tf.ragged.constant([[0], [1, 2]]), "Ragged"),
    "sparse, torch": (lambda: torch.tensor([0, 1]).to_sparse(), "sparse"),
    "jagged, torch": (lambda: torch.nested.nested_tensor([torch.ones(1)], layout=torch.jagged),
                      "nested"),
    "mask, torch": (lambda: torch.masked.masked_tensor(
        torch.ones(2), torch.tensor([True, False])), "mask"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), "quint"),
    "meta in a list": (lambda: [torch.ones(2, device="meta")], r"step\[0\]"),
    "negative, an array": (lambda: np.array([[3, -3]]), "-3"),
    "negative, torch": (lambda: torch.tensor([3, -3]), "-3"),
    "negative, TensorFlow": (lambda: tf.constant([3, -3]), "-3"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*prototype:UserWarning", "ignore:.*deprecated")
@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    make, word = REFUSED[case]
    step = make()
    with pytest.raises((TypeError, ValueError), match=rf"(?s)(?=.*step).*{word}"):
        SCHEDULE(step)


WRONG = {
    TypeError: [
        None, "5", b"5", True, np.True_, 1j, {}, L.Constant(0.1), ["5"], [None], np.array(["5"]),
        np.array([True]), np.array([1j]), np.array(["2020-01-01"], "M8[D]"), torch.tensor(True),
        torch.tensor([1j]), tf.constant(True), tf.constant(["5"]), tf.constant(1j),
    ],
    ValueError: [
        -1, -0.5, math.nan, math.inf, 2**53, 10**400, np.int64(-1), [0, math.nan], [2**54],
        range(-1, 3), np.array([2**53 + 1], np.uint64), np.array([math.nan], np.float32),
        torch.tensor([[1.0, math.nan]]), torch.tensor(math.inf), torch.tensor([2**53 + 1]),
        tf.constant([[1.0, math.nan]]), tf.constant([2**53 + 1]), tf.Variable(-1),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "error"),
    [(step, error) for error, steps in WRONG.items() for step in steps],
    ids=lambda step: repr(step)[:60],
)
def test_wrong_step(step, error):
    with pytest.raises(error, match="step"):
        SCHEDULE(step)


# Torch's ways of following a computation

STEPS = torch.arange(40)


def traced(schedule):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own
        return torch.jit.trace(lambda step: schedule(step), STEPS)(STEPS)


def exported(schedule):
    class Module(torch.nn.Module):
        def forward(self, step):
            return schedule(step)

    return torch.export.export(Module(), (STEPS,)).module()(STEPS)


FOLLOWED = {
    "vmap": lambda schedule: torch.func.vmap(schedule)(STEPS),
    "jit.trace": traced,
    "fx": lambda schedule: torch.fx.symbolic_trace(lambda step: schedule(step))(STEPS),
    "make_fx, symbolic": lambda schedule: make_fx(
        lambda step: schedule(step), tracing_mode="symbolic"
    )(STEPS)(STEPS),
    "export": exported,
}
ONE_OF_EACH = list({type(schedule): schedule for schedule in reversed(EXAMPLES)}.values())


@pytest.mark.parametrize("how", FOLLOWED)
def test_torch_follows_the_formula(how):
    for schedule in ONE_OF_EACH[-1:] if how == "export" else ONE_OF_EACH:  # it takes long
        rates = FOLLOWED[how](schedule).detach().numpy()
        np.testing.assert_allclose(rates, schedule(STEPS.numpy()), rtol=1e-12, atol=1e-13)
