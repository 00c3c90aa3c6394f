"""Drawing: what the axes hold afterwards."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import lrsched as L
from lrsched.plotting import plot_band

X = np.array([0, 10, 20, 30])
VALUES = np.array([[1.0, 2.0, 6.0], [2.0, 2.0, 2.0], [4.0, 0.0, -1.0], [3.0, 5.0, 4.0]])
NAN = float("nan")


def drawn(ax):
    """The line, and at each point the ends of the band."""
    (line,), (band,) = ax.lines, ax.collections
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    heights = {x: corners[corners[:, 0] == x, 1] for x in corners[:, 0].tolist()}
    return line, {x: (y.min(), y.max()) for x, y in heights.items()}


@pytest.mark.parametrize("convert", [np.asarray, np.ndarray.tolist])
def test_band(convert):
    line, ends = drawn(plot_band(convert(X), convert(VALUES)))
    assert line.get_xdata() == pytest.approx(X)
    assert list(line.get_ydata()) == pytest.approx([3, 2, 1, 4])
    assert ends == {0: (1, 6), 10: (2, 2), 20: (-1, 4), 30: (3, 5)}


def test_band_leaves_out_runs_that_diverged():
    values = VALUES.copy()
    values[1:, 2] = NAN
    values[3] = NAN
    values[2, 1] = float("inf")
    line, ends = drawn(plot_band(X, values))
    assert np.ma.filled(line.get_ydata(), NAN) == pytest.approx([3, 2, 4, NAN], nan_ok=True)
    assert ends == {0: (1, 6), 10: (2, 2), 20: (4, 4)}
    assert np.isnan(values[3]).all()  # the array is as it was


def test_band_in_the_colour_of_the_line():
    _, (left, right) = plt.subplots(1, 2)
    assert plot_band(X, VALUES, left, color="red", label="loss") is left
    assert not right.lines
    (line,), (band,) = left.lines, left.collections
    assert line.get_label() == "loss"
    assert to_rgb(band.get_facecolor()[0][:3]) == to_rgb("red")
    assert plot_band(X, VALUES) is plt.gca()


def test_band_of_quantiles():
    values = np.array([[1.0, 2, 3, 4, 100], [np.nan, 5, 5, 5, 5], [np.nan] * 5])
    ax = plot_band([1, 2, 3], values, quantiles=(0.25, 0.75))
    line, ends = drawn(ax)
    np.testing.assert_array_equal(line.get_ydata(), [3, 5, np.nan])
    assert ends == {1: (2, 4), 2: (5, 5)}


def test_band_refuses():
    for shape in [(4,), (3, 2), ()]:
        with pytest.raises(ValueError, match=r"values must be of shape \[4, seeds\].*got \["):
            plot_band(X, np.zeros(shape))
    for quantiles in [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.1), (0.1, 0.5, 0.9)]:
        with pytest.raises(ValueError, match="quantiles must be two numbers from 0 to 1"):
            plot_band(X, VALUES, quantiles=quantiles)
    assert not plt.gca().lines


def test_plot():
    ax = plt.gca()
    schedule = L.Cosine(0.3, 20).warmup(5)
    assert schedule.plot(30, ax) is ax
    line = ax.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(31))
    np.testing.assert_array_equal(line.get_ydata(), schedule(np.arange(31)))
    assert line.get_label() == repr(schedule)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "learning rate")
    assert schedule.plot([0, 5, 9], label="mine", color="red") is ax
    assert (ax.lines[1].get_label(), ax.lines[1].get_color()) == ("mine", "red")
    assert list(ax.lines[1].get_xdata()) == [0, 5, 9]


@pytest.mark.parametrize("steps", [0, True, "10", [-1]])
def test_plot_refuses(steps):
    with pytest.raises((TypeError, ValueError), match="step"):
        L.Constant(0.1).plot(steps)
    assert not plt.gca().lines
