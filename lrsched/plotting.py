"""Schedules, and what is typical of several seeds, on Matplotlib axes."""

import numbers
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import Whole

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["axes_in_use", "plot_band", "plot_schedule"]


def plot_schedule(
    schedule: Callable[[Any], Any],
    steps: Any,
    ax: "matplotlib.axes.Axes | None" = None,
    **line: Any,
) -> "matplotlib.axes.Axes":
    """Draw the rate of ``schedule`` over ``steps``.

    Args:
        schedule: what to draw, a schedule or any function of steps.
        steps: a number of steps, drawn from 0 to it inclusive, or an array of steps.
        ax: the Matplotlib axes to draw on; None: those in use, or new ones.
        **line: passed on to ``Axes.plot``; the label is the schedule's repr if none is given.

    Returns:
        The axes.

    Raises:
        TypeError or ValueError: for steps that the schedule refuses.
        ImportError: without Matplotlib (``pip install lrsched[plot]``).
    """
    if isinstance(steps, numbers.Real):
        steps = np.arange(Whole(low=1)("steps", steps) + 1)
    rates = schedule(steps)
    ax = axes_in_use(ax)
    ax.plot(steps, rates, **{"label": repr(schedule)} | line)
    ax.set_xlabel("step")
    ax.set_ylabel("learning rate")
    return ax


def plot_band(
    x: Any,
    values: Any,
    ax: "matplotlib.axes.Axes | None" = None,
    *,
    quantiles: tuple[float, float] | None = None,
    **line: Any,
) -> "matplotlib.axes.Axes":
    """Draw what is typical of the seeds as a line, and how far they spread as a band.

    Args:
        x: where the values were measured, [points].
        values: one column for each seed, [points, seeds]. NaN, of runs that diverged, is left
            out.
        ax: the Matplotlib axes to draw on; None: those in use, or new ones.
        quantiles: None: the line is the mean, and the band reaches from the least to the
            largest. Two numbers from 0 to 1: the line is the median, and the band reaches
            from the one quantile to the other; for many seeds.
        **line: passed on to ``Axes.plot``.

    Returns:
        The axes.

    Raises:
        ValueError: other shapes, or other quantiles.
        ImportError: without Matplotlib (``pip install lrsched[plot]``).
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or len(values) != len(x):
        raise ValueError(
            f"values must be of shape [{len(x)}, seeds], as long as x, got {list(values.shape)}"
        )
    if quantiles is None:
        seen = np.ma.masked_invalid(values)
        middle, low, high = seen.mean(1), seen.min(1), seen.max(1)
    else:
        if len(quantiles) != 2 or not 0 <= quantiles[0] <= quantiles[1] <= 1:
            raise ValueError(
                f"quantiles must be two numbers from 0 to 1, the lower first, got {quantiles!r}"
            )
        levels = [0.5, *quantiles]
        middle, low, high = np.array([_quantiles(row, levels) for row in values]).T
    ax = axes_in_use(ax)
    (drawn,) = ax.plot(x, middle, **line)
    ax.fill_between(x, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)
    return ax


def _quantiles(row: Any, levels: list[float]) -> Any:
    seen = row[np.isfinite(row)]
    return np.quantile(seen, levels) if len(seen) else np.full(len(levels), np.nan)


def axes_in_use(ax: "matplotlib.axes.Axes | None") -> "matplotlib.axes.Axes":
    """These axes, or without any those in use, or new ones.

    Raises ImportError without Matplotlib (``pip install lrsched[plot]``).
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("drawing needs Matplotlib: pip install 'lrsched[plot]'") from error
    return plt.gca() if ax is None else ax
