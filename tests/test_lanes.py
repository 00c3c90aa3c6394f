"""The vectors of the compiled loop: tanh of every magnitude, and of what is no number."""

import numpy as np
import pytest
from numba import njit

from lrsched.lab.fast import lanes

LANES = lanes.LANES
vector_tanh, load, store = lanes.tanh, lanes.load, lanes.store


@njit
def fill_tanh(x, y):
    for place in range(len(x) // LANES):
        store(y, place, vector_tanh(load(x, place)))


def tanh(x):
    """The compiled tanh of float32 numbers."""
    padded = np.append(x, np.zeros(-len(x) % LANES, np.float32))
    assert padded.dtype == np.float32
    y = np.full_like(padded, 7)
    fill_tanh(padded, y)
    return y[: len(x)]


def floats(low, high, step=1):
    """Every float32 between two that are not negative, or each of so many."""
    low, high = (int(np.float32(x).view(np.int32)) for x in (low, high))
    return np.arange(low, high, step, np.int32).view(np.float32)


@pytest.mark.parametrize(
    "x",
    [
        floats(0, np.inf, 1009),
        floats(0, 1e-42),
        floats(1.17e-38, 1.18e-38),
        floats(0.999, 1.001),
        floats(9, 9.6),
        floats(1e38, np.inf, 101),
        np.linspace(0, 10, 500_001, dtype=np.float32),
    ],
    ids=["all magnitudes", "denormal", "least normal", "one", "end", "huge", "even"],
)
def test_tanh(x):
    assert len(x) > 500
    y, exact = tanh(x), np.tanh(x.astype(np.float64))
    there = x != 0
    assert np.abs(y[there].astype(np.float64) / exact[there] - 1).max(initial=0) < 4e-7
    assert y.max() <= 1
    assert (y[x >= 9.5] == 1).all()
    np.testing.assert_array_equal(tanh(-x).view(np.int32), (-y).view(np.int32))


def test_tanh_of_special_values():
    tiny, huge = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    x = np.array([0, -0.0, np.inf, -np.inf, np.nan, -np.nan, tiny, -tiny, huge, -huge], np.float32)
    y = tanh(x)
    expected = np.array([0, -0.0, 1, -1, np.nan, np.nan, tiny, -tiny, 1, -1], np.float32)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(np.signbit(y[:2]), [False, True])
