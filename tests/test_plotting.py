"""Drawing: what the axes hold afterwards."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from lrsched.plotting import plot_band

X = np.array([0, 10, 20, 30])
VALUES = np.array([[1.0, 2.0, 6.0], [2.0, 2.0, 2.0], [4.0, 0.0, -1.0], [3.0, 5.0, 4.0]])
NAN = float("nan")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(ax):
    """The line, and at each point the ends of the band."""
    (line,), (band,) = ax.lines, ax.collections
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    ends = {
        float(x): (corners[corners[:, 0] == x, 1].min(), corners[corners[:, 0] == x, 1].max())
        for x in np.unique(corners[:, 0])
    }
    return line, ends


@pytest.mark.parametrize("convert", [np.asarray, np.ndarray.tolist])
def test_band(convert):
    line, ends = drawn(plot_band(convert(X), convert(VALUES)))
    assert line.get_xdata() == pytest.approx(X)
    assert list(line.get_ydata()) == pytest.approx([3, 2, 1, 4])
    assert ends == {0: (1, 6), 10: (2, 2), 20: (-1, 4), 30: (3, 5)}


def test_band_of_one_seed():
    line, ends = drawn(plot_band(X, VALUES[:, :1]))
    assert list(line.get_ydata()) == pytest.approx(list(VALUES[:, 0]))
    assert ends == {x: (y, y) for x, y in zip(X, VALUES[:, 0], strict=True)}


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
    assert plot_band(X, VALUES, left, color="red", label="loss", linestyle="--") is left
    assert not right.lines
    (line,), (band,) = left.lines, left.collections
    assert line.get_label() == "loss"
    assert line.get_linestyle() == "--"
    assert to_rgb(band.get_facecolor()[0][:3]) == to_rgb("red")
    assert left.get_legend_handles_labels()[1] == ["loss"]
    plot_band(X, VALUES, left)
    assert left.lines[1].get_color() != "red"
    assert to_rgb(left.collections[1].get_facecolor()[0][:3]) == to_rgb(left.lines[1].get_color())
    assert plot_band(X, VALUES) is plt.gca()


@pytest.mark.parametrize("shape", [(4,), (3, 2), (3, 4), (4, 2, 2), ()])
def test_band_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"values must be of shape \[4, seeds\].*got \["):
        plot_band(X, np.zeros(shape))
    assert not plt.gca().lines


def test_band_of_quantiles():
    values = np.array([[1.0, 2, 3, 4, 100], [np.nan, 5, 5, 5, 5], [np.nan] * 5])
    ax = plot_band([1, 2, 3], values, quantiles=(0.25, 0.75), label="name")
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_ydata(), [3, 5, np.nan])
    assert line.get_label() == "name"
    edges = ax.collections[0].get_paths()[0].vertices
    assert edges[edges[:, 0] == 1, 1].min() == 2
    assert edges[edges[:, 0] == 1, 1].max() == 4


@pytest.mark.parametrize("quantiles", [(0.9, 0.1), (-0.1, 0.5), (0.5, 1.1), (0.1, 0.5, 0.9)])
def test_band_of_wrong_quantiles(quantiles):
    with pytest.raises(ValueError, match="quantiles must be two numbers from 0 to 1"):
        plot_band(X, np.zeros((4, 2)), quantiles=quantiles)
