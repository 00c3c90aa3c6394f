"""Pictures of intervals, a dot and a bar for each case, by verdict; and of tables, as maps."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .verdicts import VERDICTS, Finding

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BAND", "LOOKS", "draw_findings", "draw_legend", "draw_map", "draw_rows", "panels"]

#: Colour (Okabe and Ito, as in the style) and marker of each verdict: either tells them apart.
LOOKS = {
    "supported": ("#0072b2", ">"),
    "refuted": ("#d55e00", "<"),
    "no difference": ("#009e73", "s"),
    "undecided": ("#777777", "o"),
}
BAND = "#dceee6"
ROW, LINE, FRAME = 0.32, 0.2, 1.0  # inches: of a case, a line of text, what else a panel has
WINDOW = 4  # how many times as far as the middle one an interval may reach before it is cut off


def panels(cases: Sequence[int], lines: Sequence[int] | None = None) -> "tuple[Figure, list[Axes]]":
    """A figure of one panel below the other, and its axes, as high as their content needs.

    Args:
        cases: how many each panel has.
        lines: how many lines the title and the label of each panel have together; by default two.

    Raises ValueError for no panel, or ``lines`` of fewer or more panels.
    """
    import matplotlib.pyplot as plt

    if not cases:
        raise ValueError(f"cases must be those of at least one panel, got {cases!r}")
    texts = [2] * len(cases) if lines is None else [*lines]
    if len(texts) != len(cases):
        raise ValueError(f"lines must be those of {len(cases)} panels, got {lines!r}")
    heights = [
        FRAME + LINE * text + ROW * max(1, count) for text, count in zip(texts, cases, strict=True)
    ]
    figure, axes = plt.subplots(
        len(cases), 1, figsize=(6, sum(heights) + 0.4), height_ratios=heights,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    return figure, list(axes[:, 0])


def draw_findings(
    ax: "Axes",
    findings: Mapping[str, Finding],
    bound: float = 0.0,
    margin: float | None = None,
    digits: int = 3,
) -> "Axes":
    """Draw a dot and a bar for each case, from the first at the top.

    Colour and marker tell the verdict. A line marks the bound, a light band the margin to both
    sides. In a row without an interval stands why there is none. One that reaches far beyond the
    others is cut off at the frame, and written out. Ratios, whose bound is 1, that lie
    far apart are drawn on a logarithmic axis.

    Args:
        ax: the axes to draw on.
        findings: by case, which labels its row.
        bound, margin: as for :func:`lrsched.book.decide`.
        digits: behind the point, of what is written out.

    Returns:
        The axes.
    """
    if margin is not None:
        ax.axvspan(bound - margin, bound + margin, color=BAND, linewidth=0, zorder=0)
    ax.axvline(bound, color="#333333", linewidth=1, zorder=1)
    ax.set_yticks(range(len(findings)), [*findings])
    ax.set_ylim(len(findings) - 0.4, -0.6)
    ax.grid(False, axis="y")
    seen = [found for found in findings.values() if not math.isnan(found.mean)]
    if bound == 1 and _far_apart(seen):
        _logarithmic(ax)
        low, high = 0.0, math.inf
    else:
        ax.locator_params(axis="x", nbins=5)
        low, high = _limits(seen, bound, margin)
        ax.set_xlim(low, high)
    for row, found in enumerate(findings.values()):
        colour, marker = LOOKS[found.verdict]
        text = found.text(digits, sign="" if bound == 1 else "+")
        if math.isnan(found.mean):
            _write(ax, row, text, colour)
            continue
        ax.hlines(row, found.low, found.high, color=colour, linewidth=1.9)
        dot = min(max(found.mean, low), high)
        ax.plot(dot, row, marker=marker, color=colour, markersize=7, clip_on=False)
        if not low <= found.low <= found.high <= high:
            _write(ax, row - 0.34, text, colour)
    return ax


def draw_rows(
    ax: "Axes",
    rows: Mapping[str, Sequence[Finding]],
    bound: float = 0.0,
    band: tuple[float, float] | None = None,
    intervals: bool = False,
) -> "Axes":
    """Draw all cases of a claim in one row, from the first claim at the top.

    Args:
        ax: the axes to draw on.
        rows: the findings of each claim, by the label of its row.
        bound: where a line stands.
        band: the ends of a light band; None: no band.
        intervals: whether a row is spread, so that each dot has its interval.

    Returns:
        The axes.
    """
    if band is not None:
        ax.axvspan(*band, color=BAND, linewidth=0, zorder=0)
    ax.axvline(bound, color="#333333", linewidth=1, zorder=1)
    for row, findings in enumerate(rows.values()):
        for place, found in enumerate(findings, 1):
            colour, marker = LOOKS[found.verdict]
            y = row + 0.8 * (place / (len(findings) + 1) - 0.5) if intervals else row
            if intervals:
                ax.hlines(y, found.low, found.high, color=colour, linewidth=1.2)
            size = 4 if intervals else 7
            ax.plot(found.mean, y, marker, color=colour, markersize=size, alpha=0.8)
    ax.set_yticks(range(len(rows)), [*rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(False, axis="y")
    return ax


def draw_legend(figure: "Figure", verdicts: Iterable[str]) -> None:
    """The looks of the verdicts that occur, below all panels."""
    from matplotlib.lines import Line2D

    occur = {*verdicts}
    lines: list[Any] = []
    for verdict in (each for each in VERDICTS if each in occur):
        colour, marker = LOOKS[verdict]
        lines.append(Line2D([], [], color=colour, marker=marker, markersize=7, label=verdict))
    figure.legend(handles=lines, loc="outside lower center", ncols=max(1, len(lines)), fontsize=10)


def draw_map(
    ax: "Axes", values: "pd.DataFrame", low: float, high: float, form: str = ".2f"
) -> "Axes":
    """Draw a table of numbers on colours, from the first row at the top.

    Each cell has its number, so that none has to be told from its colour; NaN stays empty.

    Args:
        ax: the axes to draw on.
        values: numbers; its index and its columns label the rows and the columns.
        low, high: what is lightest and darkest.
        form: of the numbers, as :func:`format` has it.

    Returns:
        The axes.
    """
    numbers = values.to_numpy(float)
    ax.imshow(numbers, cmap="Blues", vmin=low, vmax=high, aspect="auto")
    ax.grid(False)
    ax.set_xticks(range(values.shape[1]), [str(column) for column in values.columns])
    ax.set_yticks(range(values.shape[0]), [str(row) for row in values.index])
    place: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10}
    for row, line in enumerate(numbers):
        for column, value in enumerate(line):
            if not math.isnan(value):
                colour = "white" if value > low + 0.55 * (high - low) else "black"
                ax.text(column, row, format(value, form), color=colour, **place)
    return ax


def _far_apart(ratios: Sequence[Finding]) -> bool:
    """Whether ratios are better seen on a logarithmic axis."""
    low = min((found.low for found in ratios), default=0.0)
    return low > 0 and max(found.high for found in ratios) > 5 * low


def _logarithmic(ax: "Axes") -> None:
    """A logarithmic axis with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _limits(findings: Sequence[Finding], bound: float, margin: float | None) -> tuple[float, float]:
    """What of the axis is shown."""
    beside = margin or 0.0
    reach = [max(abs(found.low - bound), abs(found.high - bound)) for found in findings]
    most = max(WINDOW * statistics.median_low(reach or [0]), 1.2 * beside)
    low = min([bound - beside, *(max(found.low, bound - most) for found in findings)])
    high = max([bound + beside, *(min(found.high, bound + most) for found in findings)])
    room = 0.06 * (high - low) or 1.0
    return low - room, high + room


def _write(ax: "Axes", row: float, text: str, colour: str) -> None:
    """Write at the right end of a row."""
    place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
    ax.text(0.99, row, text, color=colour, fontsize=9, **place)
