"""Steps as users have them: taken as numbers, or refused by a sentence, and nothing is lost."""

import array
import collections
import warnings
from decimal import Decimal
from fractions import Fraction

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import torch
from torch._subclasses import FakeTensorMode
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


def counted(make, name):
    """The count that an optimizer keeps, after five updates."""
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = make([parameter])
    for _ in range(5):
        parameter.grad = torch.ones(2)
        optimizer.step()
    return optimizer.state[parameter][name]


# What is taken, and the same as a plain list.
TAKEN = {
    "column": (lambda: pd.Series([0, 5], index=["a", "b"]), [0, 5]),
    "column Int64": (lambda: pd.Series([0, 5], dtype="Int64"), [0, 5]),
    "column Float64": (lambda: pd.Series([0.5, 5], dtype="Float64"), [0.5, 5]),
    "column of objects": (lambda: pd.Series([0, 5], dtype=object), [0, 5]),
    "column, sparse": (lambda: pd.Series(pd.arrays.SparseArray([0, 5])), [0, 5]),
    "column, empty": (lambda: pd.Series([]), []),
    "column named unit": (lambda: pd.Series([5], name="unit"), [5]),
    "index": (lambda: pd.RangeIndex(3), [0, 1, 2]),
    "extension array": (lambda: pd.array([0, 5]), [0, 5]),
    "table": (lambda: pd.DataFrame({"a": [0, 1], "b": [2, 3]}), [[0, 2], [1, 3]]),
    "convertible": (lambda: Convertible(np.arange(3)), [0, 1, 2]),
    "buffer": (lambda: array.array("i", [0, 5]), [0, 5]),
    "memory view": (lambda: memoryview(np.arange(4.0).reshape(2, 2)), [[0, 1], [2, 3]]),
    "queue": (lambda: collections.deque([0, 5]), [0, 5]),
    "objects": (lambda: np.array([0, Fraction(1, 2), Decimal(5)]), [0, 0.5, 5]),
    "empty objects": (lambda: np.array([], object), []),
    "fractions": (lambda: [Fraction(1, 2), Decimal("0.25"), 3], [0.5, 0.25, 3]),
    "mixed": (lambda: [0, 2.5, np.int8(3), np.float32(4)], [0, 2.5, 3, 4]),
    "nested and mixed": (lambda: [np.arange(2), (3, Fraction(4)), pd.Series([5, 6])],
                         [[0, 1], [3, 4], [5, 6]]),
    "tensors": (lambda: [torch.tensor(0), torch.tensor(5.0, requires_grad=True)], [0, 5]),
    "TensorFlow's": (lambda: [tf.constant(0), tf.constant(5)], [0, 5]),
    "no rows": (lambda: [[], []], [[], []]),
    "nothing masked": (lambda: masked(False, False), [0, 5]),
    "matrix": (lambda: np.asmatrix([[0, 5]]), [[0, 5]]),
    "big endian": (lambda: np.array([0, 5], ">i8"), [0, 5]),
    "read only": (lambda: np.broadcast_to(np.int64(5), (2, 3)), [[5] * 3] * 2),
    "long double": (lambda: np.array([0, 5], np.longdouble), [0, 5]),
    "the last step": (lambda: np.array([2**53 - 1], np.uint64), [2**53 - 1]),
    "list": (lambda: [0, 5], [0, 5]),
    "tuple": (lambda: (0, 5), [0, 5]),
    "range": (lambda: range(3), [0, 1, 2]),
    "TensorFlow's counts": (lambda: tf.Variable([0, 5]), [0, 5]),
    "Fraction": (lambda: Fraction(1, 2), 0.5),
    "Decimal": (lambda: Decimal("0.5"), 0.5),
    "long double number": (lambda: np.longdouble(5), 5),
    "0-d": (lambda: np.array(5), 5),
    "Adam's count": (lambda: counted(torch.optim.Adam, "step"), 5),
    "Adagrad's count": (lambda: counted(torch.optim.Adagrad, "step"), 5),
    "TensorFlow's count": (lambda: tf.Variable(5, dtype=tf.int64), 5),
    "Keras's count": (lambda: keras.optimizers.SGD(0.1).iterations, 0),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:the matrix:PendingDeprecationWarning")
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
    "masked in a list": (lambda: [np.ma.masked, 5], r"step\[0\].*masked"),
    "masked rows": (lambda: [[0, 5], masked(True, False)], r"step\[1\].*masked"),
    "masked inside": (lambda: Convertible(masked(True, False)), "masked"),
    "unit": (lambda: np.arange(3).view(Unit), "Unit"),
    "unit, 0-d": (lambda: np.array(3).view(Unit), "Unit"),
    "unit in a list": (lambda: [np.array(3).view(Unit)], r"step\[0\].*Unit"),
    "units": (lambda: Convertible(np.arange(3), units="s"), "units"),
    "time span": (lambda: np.timedelta64(5, "s"), "timedelta64"),
    "time spans": (lambda: np.array([5], "m8[ns]"), "timedelta64"),
    "time spans in a list": (lambda: [np.timedelta64(5, "ns"), 5], r"step\[0\]"),
    "column of time spans": (lambda: pd.Series([pd.Timedelta(1, "s")]), "timedelta64"),
    "date": (lambda: pd.Timestamp("2020"), "Timestamp"),
    "column of truth values": (lambda: pd.Series([True, False]), "bool"),
    "column of boolean": (lambda: pd.Series([True, False], dtype="boolean"), "bool"),
    "column of truth values as objects": (lambda: pd.Series([True], dtype=object), "True"),
    "column of strings": (lambda: pd.Series(["1"]), "str"),
    "categories": (lambda: pd.Series([0, 5], dtype="category"), "category"),
    "missing": (lambda: pd.Series([0, None], dtype="Int64"), "nan"),
    "missing in an array": (lambda: pd.array([0, None]), "nan"),
    "several indices": (lambda: pd.MultiIndex.from_tuples([(0, 1)]), "real numbers"),
    "truth value in a list": (lambda: [0, True], r"step\[1\].*True"),
    "truth value in a row": (lambda: [[0, 1], [2, True]], r"step\[1\]\[1\].*True"),
    "truth values": (lambda: memoryview(np.array([True])), "bool"),
    "complex": (lambda: [0, 1j], r"step\[1\].*1j"),
    "text": (lambda: bytearray(b"05"), "bytearray"),
    "rows": (lambda: [[0, 1], [2]], "same length"),
    "generator": (lambda: (step for step in range(3)), "generator"),
    "set": (lambda: {0, 5}, "{0, 5}"),
    "beyond": (lambda: [2**70, 1], "2\\*\\*53"),
    "beyond, mixed": (lambda: [2**63, -1], "2\\*\\*53"),
    "beyond, no float": (lambda: [10**400], "inf"),
    "not a number": (lambda: Decimal("NaN"), "NaN"),
    "signalling": (lambda: [Decimal("sNaN")], "nan"),
    "uint64": (lambda: np.array([2**63], np.uint64), "2\\*\\*53"),
    "ragged": (lambda: tf.ragged.constant([[0], [1, 2]]), "Ragged"),
    "sparse, TensorFlow": (lambda: tf.sparse.from_dense([0, 1]), "Sparse"),
    "sparse, torch": (lambda: torch.tensor([0, 1]).to_sparse(), "sparse"),
    "nested, torch": (lambda: torch.nested.nested_tensor([torch.ones(1)]), "nested"),
    "jagged, torch": (lambda: torch.nested.nested_tensor([torch.ones(1)], layout=torch.jagged),
                      "nested"),
    "mask, torch": (lambda: torch.masked.masked_tensor(
        torch.ones(2), torch.tensor([True, False])), "mask"),
    "quantized": (lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8), "quint"),
    "meta in a list": (lambda: [torch.ones(2, device="meta")], r"step\[0\]"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*prototype:UserWarning", "ignore:.*deprecated")
@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    make, word = REFUSED[case]
    step = make()
    with pytest.raises((TypeError, ValueError), match=rf"(?s)(?=.*step).*{word}"):
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


def without_values(schedule):
    with FakeTensorMode():
        rates = schedule(torch.arange(40))
    assert (rates.shape, rates.dtype) == (STEPS.shape, torch.float64)
    return schedule(STEPS)


FOLLOWED = {
    "vmap": lambda schedule: torch.func.vmap(schedule)(STEPS),
    "vmap of grad": lambda schedule: torch.func.vmap(torch.func.grad_and_value(schedule))(
        STEPS.double()
    )[1],
    "jit.trace": traced,
    "fx": lambda schedule: torch.fx.symbolic_trace(lambda step: schedule(step))(STEPS),
    "make_fx": lambda schedule: make_fx(lambda step: schedule(step))(STEPS)(STEPS),
    "make_fx, symbolic": lambda schedule: make_fx(
        lambda step: schedule(step), tracing_mode="symbolic"
    )(STEPS)(STEPS),
    "export": exported,
    "fake": without_values,
}
ONE_OF_EACH = list({type(schedule): schedule for schedule in reversed(EXAMPLES)}.values())


@pytest.mark.parametrize("how", FOLLOWED)
def test_torch_follows_the_formula(how):
    for schedule in ONE_OF_EACH[-1:] if how == "export" else ONE_OF_EACH:  # it takes long
        rates = FOLLOWED[how](schedule).detach().numpy()
        np.testing.assert_allclose(rates, schedule(STEPS.numpy()), rtol=1e-12, atol=1e-13)
