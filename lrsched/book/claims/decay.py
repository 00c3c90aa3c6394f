"""Claims about when to decay: the epoch of a drop, and how to search for it."""

from functools import partial

import numpy as np
import pandas as pd

from ..measures import by_seed
from ..records import record_table, settings
from .base import Cases, Claim

__all__ = ["CLAIMS"]

DROP, SEARCH = "trial_drop", "trial_search"
SPLITS = ("decay-splits",)
LANDSCAPE = ("decay-epochs-landscape",)
SEARCHES = ("decay-epochs-searches",)
PRUNING = ("decay-epochs-pruning",)
SMALL = 0.003  # nats: about 1 % of the loss
HALF, PLATEAU = "drop at half", "plateau 10"


def _rules(record: str, metric: str) -> pd.DataFrame:
    """The results of each rule by which the rate falls, by seed."""
    return by_seed(record_table(record), "rule" if record in SPLITS else "label", metric)


def _drops(record: str, metric: str) -> pd.DataFrame:
    """The results of each single drop, by its epoch and seed."""
    values = _rules(record, metric)
    return values[[str(label).isdigit() for label in values.index]]


def _best(record: str) -> str:
    """The drop with the lowest mean validation loss."""
    return str(_drops(record, "validation_loss").mean(axis=1).idxmin())


def _beside_the_best() -> Cases:
    """How much higher the loss is one candidate earlier and later, as a share of the best."""
    values = _drops(*LANDSCAPE, "validation_loss")
    labels, best = list(values.index), _best(*LANDSCAPE)
    place = labels.index(best)
    beside = [labels[k] for k in (place - 1, place + 1) if 0 <= k < len(labels)]
    least = values.loc[best]
    return {f"{label} over {best}": (values.loc[label] - least) / least.mean() for label in beside}


def _better_than_never() -> Cases:
    loss = _rules(*LANDSCAPE, "test_loss")
    return {"the best epoch": loss.loc["never"] - loss.loc[_best(*LANDSCAPE)]}


def _best_of_each(values: pd.DataFrame) -> pd.Series:
    """The epoch with the least value for each seed; the middle one, if several are equal."""
    epochs = values.index.to_numpy().astype(float)
    least = (values == values.min()).items()
    return pd.Series({seed: np.median(epochs[is_least.to_numpy()]) for seed, is_least in least})


def _later_by_accuracy() -> Cases:
    by_accuracy = _best_of_each(-_drops(*LANDSCAPE, "validation_accuracy"))
    return {"by seed": by_accuracy - _best_of_each(_drops(*LANDSCAPE, "validation_loss"))}


def _losses() -> pd.DataFrame:
    return by_seed(record_table(*SEARCHES), "method", "test_loss")


def _better(ours: str, other: str) -> Cases:
    losses = _losses()
    return {f"{ours} over {other}": losses.loc[other] - losses.loc[ours]}


def _all_better_than_half() -> Cases:
    losses = _losses()
    return {
        str(method): losses.loc[HALF] - losses.loc[method]
        for method in losses.index
        if method != HALF
    }


def _stops_the_worse(pruner: str) -> Cases:
    """The share of trials stopped in the worse half of the epochs, minus that in the better."""
    table = record_table(*PRUNING)
    table = table[table["pruner"] == pruner]
    counts = table.groupby(["worse_half", "seed"])[["begun", "stopped"]].sum()
    share = counts["stopped"] / counts["begun"]
    return {pruner: share.loc[1] - share.loc[0]}


def _better_on_splits(other: str) -> Cases:
    losses, best = _rules(*SPLITS, "test_loss"), _best(*SPLITS)
    return {f"drop at {best}": losses.loc[other] - losses.loc[best]}


def _plateaus_on_splits() -> Cases:
    losses, best = _rules(*SPLITS, "test_loss"), _best(*SPLITS)
    return {
        str(rule): losses.loc[best] - losses.loc[rule]
        for rule in losses.index
        if str(rule).startswith("plateau")
    }


def _half_on_splits() -> Cases:
    half = str(settings(*SPLITS)["epochs"] // 2)
    losses, best = _rules(*SPLITS, "test_loss"), _best(*SPLITS)
    return {f"drop at {half}": losses.loc[half] - losses.loc[best]}


_claim = partial(Claim, source=0, records=LANDSCAPE, margin=SMALL, digits=4)


PAIRS = (
    ("grid of 4", "never"),
    ("grid of 4", HALF),
    ("random, 10", "grid of 4"),
    ("TPE, 10", "random, 10"),
    ("TPE, median", "TPE, 10"),
    (PLATEAU, "never"),
    (PLATEAU, HALF),
    ("4 patiences", "grid of 4"),
    ("10 patiences", "random, 10"),
    ("all", "grid of 4"),
)


def _short(method: str) -> str:
    return method.lower().replace(",", "").replace(" ", "-")


BETTER = tuple(
    _claim(
        f"{_short(ours)}-beats-{_short(other)}",
        f"to choose the epoch of the drop, {ours!r} is better than {other!r}",
        page=f"{DROP}#the-plateau" if ours == PLATEAU else f"{SEARCH}#what-each-of-them-finds",
        cases=partial(_better, ours, other),
        source=4 if ours == PLATEAU else 0,
        records=SEARCHES,
        difference=f"test loss in the end, {other} minus {ours} (nats)",
    )
    for ours, other in PAIRS
)

CLAIMS = (
    _claim(
        "exact-epoch-of-the-drop-matters",
        "the exact epoch of the drop matters by more than 1 %",
        page=f"{DROP}#the-landscape",
        cases=_beside_the_best,
        difference="validation loss in the end beside the best epoch, minus that at it, "
        "as a share of it",
        margin=None,
        bound=0.01,
    ),
    _claim(
        "a-drop-beats-none",
        "a drop is better than none",
        page=f"{DROP}#the-landscape",
        cases=_better_than_never,
        source=4,
        difference="test loss in the end, never minus the best epoch by validation (nats)",
    ),
    _claim(
        "accuracy-asks-for-a-later-drop",
        "accuracy asks for a later drop than loss",
        page=f"{DROP}#loss-or-accuracy",
        cases=_later_by_accuracy,
        difference="best epoch by validation accuracy minus best epoch by loss",
        margin=2,
        digits=1,
    ),
    *BETTER,
    _claim(
        "any-way-beats-half",
        "every way to choose the epoch of the drop beats a drop at half the training",
        page=f"{SEARCH}#what-each-of-them-finds",
        cases=_all_better_than_half,
        records=SEARCHES,
        difference=f"test loss in the end, {HALF} minus the other (nats)",
    ),
    *(
        _claim(
            f"pruner-stops-the-worse-{pruner}",
            f"the pruner stops the worse trials ({pruner})",
            page=f"{SEARCH}#what-a-pruner-stops",
            cases=partial(_stops_the_worse, pruner),
            records=PRUNING,
            difference="share of trials stopped, worse half of the epochs minus better half",
            margin=0.05,
            digits=2,
        )
        for pruner in ("median", "halving")
    ),
    _claim(
        "a-drop-beats-none-on-other-splits",
        "a drop is better than none, whatever the split of the data",
        page=f"{DROP}#other-splits",
        records=SPLITS,
        cases=partial(_better_on_splits, "never"),
        source=4,
        difference="test loss in the end, never minus the best drop (nats)",
    ),
    _claim(
        "half-is-worse-on-other-splits",
        "a drop at half the training is worse than the best drop, whatever the split",
        page=f"{DROP}#other-splits",
        records=SPLITS,
        cases=_half_on_splits,
        difference="test loss in the end, at half minus the best drop (nats)",
    ),
    _claim(
        "a-plateau-beats-the-best-drop-on-other-splits",
        "a plateau is better than the best drop, whatever the split",
        page=f"{DROP}#other-splits",
        records=SPLITS,
        cases=_plateaus_on_splits,
        source=4,
        difference="test loss in the end, the best drop minus the plateau (nats)",
    ),
)
