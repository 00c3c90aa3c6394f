"""Claims about cyclical rates, against constants and a plain decay."""

from functools import partial

import numpy as np
import pandas as pd

from ...lab import Results
from ..measures import ACCURACY_MARGIN, LOSS_MARGIN, curves, final, gain, minus
from ..records import record
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_cycles"
RUNS = ("cyclical-rates",)
CYCLES = ("triangular", "triangular2", "exp_range")
CYCLE = 4  # epochs


def _runs() -> Results:
    return record(*RUNS)


def _best_constant(runs: Results, metric: str) -> str:
    """The best by the mean, with hindsight."""
    names = [str(label) for label in runs.labels if str(label).startswith("constant")]
    sign = -1 if metric.endswith("loss") else 1
    return max(names, key=lambda name: sign * final(runs, metric, name).mean())


def _ends_higher() -> Cases:
    runs = _runs()
    opponent = _best_constant(runs, "test_accuracy")
    return {name: gain(runs, "test_accuracy", name, opponent) for name in CYCLES}


def _beats_cosine() -> Cases:
    runs = _runs()
    return {name: gain(runs, "test_accuracy", name, "cosine") for name in CYCLES}


def _epochs_to(accuracy: pd.DataFrame, target: pd.Series) -> pd.Series:
    """The first epoch that reaches the target, or one more than there are, by seed."""
    both = accuracy.columns.intersection(target.index)
    there = accuracy[both] >= target[both] - 1e-9  # the rounding of a mean
    epochs = np.where(there.any(), there.to_numpy().argmax(axis=0) + 1, len(accuracy) + 1)
    return pd.Series(epochs, there.columns)


def _fewer_epochs() -> Cases:
    runs = _runs()
    opponent = curves(runs, "test_accuracy", _best_constant(runs, "test_accuracy"))
    target = opponent.iloc[-3:].mean()
    theirs = _epochs_to(opponent, target)
    return {
        name: minus(theirs, _epochs_to(curves(runs, "test_accuracy", name), target))
        for name in CYCLES
    }


def _faster() -> Cases:
    """After the first, the middle and the last cycle."""
    runs = _runs()
    rival = _best_constant(runs, "train_loss")
    cycles = runs.epochs // CYCLE
    ends = [CYCLE * count for count in (1, (cycles + 1) // 2, cycles)]
    return {
        f"{name}, epoch {end}": gain(runs, "train_loss", name, rival, end)
        for name in CYCLES
        for end in ends
    }


def _whenever_stopped() -> Cases:
    """The triangular cycle in each of the last five epochs."""
    runs = _runs()
    opponent = _best_constant(runs, "test_accuracy")
    return {
        f"epoch {epoch}": gain(runs, "test_accuracy", "triangular", opponent, epoch)
        for epoch in range(runs.epochs - CYCLE, runs.epochs + 1)
    }


_claim = partial(
    Claim,
    source=2,
    records=RUNS,
    difference="test accuracy after the last epoch, minus that of the best constant",
    page=f"{PAGE}#cyclical-rates-against-constants",
    margin=ACCURACY_MARGIN,
    digits=4,
)


CLAIMS = (
    _claim(
        "cycles-end-higher",
        "a cyclical rate ends higher than the best constant",
        cases=_ends_higher,
        source=0,
    ),
    _claim(
        "cycles-need-fewer-epochs",
        "a cyclical rate is in fewer epochs where the best constant ends",
        cases=_fewer_epochs,
        source=0,
        difference="epochs to the accuracy at which the best constant ends, its minus those of "
        "the cycles",
        margin=1,
        digits=1,
    ),
    _claim(
        "cycles-are-faster",
        "a cyclical rate comes faster to the minimum",
        cases=_faster,
        difference="training loss of the best constant minus that of the cycles (nats)",
        margin=LOSS_MARGIN,
    ),
    _claim(
        "cycles-beat-a-decay",
        "a cyclical rate beats a plain decay",
        cases=_beats_cosine,
        source=0,
        difference="test accuracy after the last epoch, minus that of the cosine",
    ),
    _claim(
        "cycles-are-ahead-whenever-stopped",
        "the triangular rate is ahead of the best constant whenever it is stopped",
        cases=_whenever_stopped,
        source=0,
        page=f"{PAGE}#it-depends-on-the-moment",
        difference="test accuracy after the epoch, minus that of the best constant",
    ),
)
