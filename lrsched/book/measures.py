"""What is measured of runs, and the conventions for runs that go wrong: the same in every claim.

The pictures have ten classes, so guessing has an accuracy of 0.1 and a loss of ln 10. A run whose
loss is no longer finite has **diverged**, and counts as guessing from there on. A run **fails to
learn** if its test accuracy after the last epoch is below 0.2, diverged or not. It is **at
chance** if its training accuracy after the last epoch is below 0.15, half as good again as
guessing.

The smallest difference that matters is 0.01 in accuracy, one picture of a hundred, and 0.02 nats
in loss, where a claim says nothing else.

Values are by seed, as pandas has them. What is compared is paired by seed, over the seeds that
both have.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from ..lab import Results

__all__ = [
    "ACCURACY_MARGIN",
    "AT_CHANCE",
    "FAILS",
    "GUESSING",
    "LOSS_MARGIN",
    "at_chance",
    "at_chosen_rate",
    "best_rates",
    "by_seed",
    "chosen_rate",
    "curves",
    "distance",
    "diverged",
    "fails",
    "final",
    "gain",
    "label_parts",
    "minus",
]

GUESSING = {"loss": math.log(10), "accuracy": 0.1}
FAILS = 0.2  # the test accuracy below which a run fails to learn
AT_CHANCE = 1.5 * GUESSING["accuracy"]  # the training accuracy below which it is at chance
ACCURACY_MARGIN = 0.01
LOSS_MARGIN = 0.02  # nats


def curves(results: Results, metric: str, label: str) -> pd.DataFrame:
    """A metric of the runs of a label: a row for each epoch, from 1, a column for each seed.

    Args:
        results: of runs on ten classes.
        metric: one of ``results.metrics``, or "gap", training minus test accuracy.
        label: that of the runs.

    Raises ValueError if there are no such runs.
    """
    if metric == "gap":
        return curves(results, "train_accuracy", label) - curves(results, "test_accuracy", label)
    places = dict(results.columns())
    if label not in places:
        known = ", ".join(map(repr, places))
        raise ValueError(f"label must be that of runs ({known}), got {label!r}")
    guess = GUESSING["loss" if metric.endswith("loss") else "accuracy"]
    values = np.nan_to_num(results.metrics[metric][:, places[label]], nan=guess)
    return pd.DataFrame(values, np.arange(1, results.epochs + 1), _seeds(results, places[label]))


def final(results: Results, metric: str, label: str) -> pd.Series:
    """A metric after the last epoch, by seed."""
    return curves(results, metric, label).iloc[-1]


def minus(ours: Any, others: Any) -> Any:
    """The difference, over the seeds that both have.

    >>> minus(pd.Series({0: 0.5, 1: 0.75}), pd.Series({1: 0.25, 2: 1})).to_dict()
    {1: 0.5}
    """
    ours, others = ours.align(others, join="inner")
    return ours - others


def gain(results: Results, metric: str, ours: str, others: str, epoch: int = 0) -> pd.Series:
    """How much better the runs of one label are than those of another, by seed.

    Their metric minus that of the others; of a loss, the others' minus theirs.

    Args:
        results, metric: as for :func:`curves`.
        ours, others: the two labels.
        epoch: after which, from 1; 0: the last.
    """
    first, second = (curves(results, metric, label).iloc[epoch - 1] for label in (ours, others))
    return minus(second, first) if metric.endswith("loss") else minus(first, second)


def fails(results: Results, label: str) -> pd.Series:
    """Which seeds fail to learn."""
    return final(results, "test_accuracy", label) < FAILS


def at_chance(results: Results, label: str) -> pd.Series:
    """Which seeds are at chance in the end."""
    return final(results, "train_accuracy", label) < AT_CHANCE


def diverged(results: Results, label: str) -> pd.Series:
    """Which seeds diverged."""
    places = dict(results.columns())[label]
    return pd.Series(results.diverged[places] >= 0, _seeds(results, places))


def distance(results: Results, layer: str, label: str, epochs: float) -> pd.Series:
    """The relative distance of a layer from its initial weights, by seed.

    The last that was measured in the first ``epochs``. NaN where a run had diverged by then.
    """
    places = dict(results.columns())[label]
    steps = epochs * results.steps_per_epoch
    point = np.searchsorted(results.distance_steps, steps, side="right") - 1
    return pd.Series(results.distances[layer][point][places], _seeds(results, places))


def label_parts(results: Results, separator: str) -> list[tuple[str, str]]:
    """The labels of runs, parted at the last separator: what was crossed with what.

    In the order of the runs; labels without the separator are left out.
    """
    parts = [str(label).rpartition(separator) for label in results.labels]
    return [(first, last) for first, mark, last in parts if mark]


def by_seed(table: pd.DataFrame, index: str, metric: str) -> pd.DataFrame:
    """A row for each value of a table's column, in their order, and a column for each seed.

    Of the seeds that all of them have.
    """
    names = list(dict.fromkeys(table[index]))
    common = table.groupby("seed")[index].nunique() == len(names)
    wide = table.pivot(index=index, columns="seed", values=metric)
    return wide.loc[names, common[common].index]


def _seeds(results: Results, places: list[int]) -> list[int]:
    return [results.runs[place].seed for place in places]


def chosen_rate(table: pd.DataFrame, places: int = 0) -> Any:
    """The base rate with the least mean validation loss over the seeds, as one would choose it.

    Args:
        table: a row for each "rate" and "seed", with "validation_loss".
        places: how far to go from it among the rates, up or down; beyond the last there is none.

    Raises ValueError if there is no rate so far away.
    """
    means = _losses(table, "validation_loss").mean(axis=1)
    place = int(means.to_numpy().argmin()) + places
    if not 0 <= place < len(means):
        raise ValueError(f"places must lead to one of the rates {[*means.index]}, got {places!r}")
    return means.index[place]


def at_chosen_rate(table: pd.DataFrame, metric: str = "test_loss", places: int = 0) -> pd.Series:
    """A metric at the rate of :func:`chosen_rate`, by seed."""
    return _losses(table, metric).loc[chosen_rate(table, places)]


def best_rates(table: pd.DataFrame) -> pd.Series:
    """The base rate with the least validation loss, by seed, between those that were tried.

    A parabola through the least and its neighbours, over the logarithm of the rate, says where.
    At an end of the rates, or beside a run that fails to learn, it is the rate itself.
    """
    losses = _losses(table, "validation_loss")
    logs = np.log(losses.index.to_numpy(float))
    found = {}
    for seed, values in losses.items():
        y = values.to_numpy()
        k = int(y.argmin())
        best = logs[k]
        if 0 < k < len(y) - 1 and max(y[k - 1], y[k + 1]) < GUESSING["loss"] / 2:
            bend, slope, _ = np.polyfit(logs[k - 1 : k + 2] - best, y[k - 1 : k + 2], 2)
            if bend > 0:
                best -= slope / (2 * bend)
        found[seed] = float(
            np.exp(np.clip(best, logs[max(k - 1, 0)], logs[min(k + 1, len(y) - 1)]))
        )
    return pd.Series(found)


def _losses(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """A row for each rate, a column for each seed; runs that diverged count as guessing."""
    guess = GUESSING["loss" if metric.endswith("loss") else "accuracy"]
    return table.pivot(index="rate", columns="seed", values=metric).fillna(guess)
