"""Schedules on Matplotlib axes, in the style of the book."""

import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from .arguments import Whole
from .schedule import Schedule

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["plot_schedule", "use_style"]

STYLE: dict[Any, Any] = {
    "figure.figsize": (6.0, 3.5),
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.08,
    "savefig.facecolor": "white",
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.9,
    "legend.frameon": False,
    # Distinct to colour-blind readers too (Okabe and Ito).
    "axes.prop_cycle": (
        "cycler('color', ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00',"
        " '#333333'])"
    ),
    # The same figure gives the same bytes on every run.
    "svg.hashsalt": "lrsched",
}


def use_style() -> None:
    """Draw all figures from here on in the style of the book, in notebooks as SVG."""
    import matplotlib as mpl
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    mpl.rcParams.update(STYLE)
    set_matplotlib_formats("svg", metadata={"Date": None}, bbox_inches=None)


def plot_schedule(
    schedule: Schedule, steps: Any, ax: "matplotlib.axes.Axes | None" = None, **line: Any
) -> "matplotlib.axes.Axes":
    """Draw the rate of ``schedule`` over ``steps``.

    Args:
        schedule: what to draw.
        steps: a number of steps, drawn from 0 to it inclusive, or an array of steps.
        ax: the Matplotlib axes to draw on; None: those in use, or new ones.
        **line: passed on to ``Axes.plot``; the label is the schedule's repr if none is given.

    Returns:
        The axes.

    Raises:
        TypeError or ValueError: for steps that the schedule refuses.
        ImportError: without Matplotlib (``pip install lrsched[plot]``).
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("drawing needs Matplotlib: pip install 'lrsched[plot]'") from error

    if isinstance(steps, numbers.Real):
        steps = np.arange(Whole(low=1)("steps", steps) + 1)
    rates = schedule(steps)
    if ax is None:
        ax = plt.gca()
    ax.plot(steps, rates, **{"label": repr(schedule)} | line)
    ax.set_xlabel("step")
    ax.set_ylabel("learning rate")
    return ax
