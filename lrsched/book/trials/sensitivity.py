"""How sensitive a network is to the rate: three measures of its curves, and ratios of them.

A curve is the loss after each epoch. Its logarithm is measured, to base 10, so that a network at
a loss of 30 and one at a loss of 10 count alike.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ... import lab
from ..verdicts import decide

__all__ = ["MEASURES", "changes", "compare", "curves", "final", "ratio", "roughness", "spread"]

MEASURES = ("roughness", "spread", "change with the rate")
FEWEST = 20  # seeds, below which no ratio is computed


def curves(table: pd.DataFrame, metric: str = "train_loss") -> pd.DataFrame:
    """A row for each network, rate and seed, a column for each epoch.

    Args:
        table: what :meth:`lrsched.lab.Results.table` of a sweep over rates returns.
        metric: one of its columns.
    """
    return table.set_index(["network", "schedule", "seed", "epoch"])[metric].unstack()


def roughness(curve: pd.DataFrame) -> pd.Series:
    """How much each run bends from epoch to epoch in its second half.

    The mean of the absolute second differences: a straight line has none, level or falling.
    """
    half = np.log10(curve).loc[:, curve.columns[-1] // 2 :]
    bends = half.diff(axis=1).diff(axis=1).iloc[:, 2:]
    return bends.abs().mean(axis=1, skipna=False)


def final(curve: pd.DataFrame) -> pd.Series:
    """The logarithm of the loss after the last epoch."""
    return np.log10(curve.iloc[:, -1])


def spread(values: Any, axis: int = -1) -> Any:
    """How far the quantiles of 10 and of 90 per cent lie apart."""
    low, high = np.quantile(values, [0.1, 0.9], axis=axis)
    return high - low


def changes(curve: pd.DataFrame) -> pd.DataFrame:
    """How much the final loss changes for a tenfold rate, from each rate to the next larger."""
    by_rate: Any = final(curve).unstack("schedule").sort_index(axis=1)
    tenfold = by_rate.diff(axis=1).iloc[:, 1:] / np.diff(np.log10(by_rate.columns))
    return tenfold.abs().set_axis(by_rate.columns[:-1], axis=1)


def ratio(ours: Any, others: Any, statistic: Any = np.median) -> dict[str, Any]:
    """One over the other, by the seeds that both have: :func:`lrsched.lab.ratio`, and a verdict.

    NaN and undecided if these are fewer than 20.
    """
    both = pd.concat([ours, others], axis=1).dropna()
    if len(both) < FEWEST:
        return {"ratio": np.nan, "low": np.nan, "high": np.nan, "verdict": "undecided"}
    value, low, high = lab.ratio(both.iloc[:, 0], both.iloc[:, 1], statistic)
    return {"ratio": value, "low": low, "high": high, "verdict": decide(low, high, 1)}


def compare(
    curve: pd.DataFrame, ours: str, others: str, rates: Sequence[float], name: str = ""
) -> Iterator[dict[str, Any]]:
    """How many times as sensitive one network is as another, by each measure: rows of a table.

    Args:
        curve: what :func:`curves` returns.
        ours, others: the two networks.
        rates: for which to compare roughness and spread.
        name: what ours is called in the rows, if not by its own name.
    """
    rough, last, steps = roughness(curve), final(curve), changes(curve)

    def row(measure: str, values: Any, rate: float = np.nan, **how: Any) -> dict[str, Any]:
        found = ratio(values.loc[ours], values.loc[others], **how)
        return {"network": name or ours, "measure": measure, "rate": rate} | found

    for rate in rates:
        yield row("roughness", rough.xs(rate, level="schedule"), rate)
        yield row("spread", last.xs(rate, level="schedule"), rate, statistic=spread)
    for rate in steps:
        yield row("change from this rate on", steps[rate], rate)
    yield row("change with the rate", steps.mean(axis=1, skipna=False))
