"""The style of the book's figures."""

from typing import Any

__all__ = ["use_style"]

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
