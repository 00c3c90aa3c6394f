"""Claims about warmup: in the first epochs, how long, what it limits, and what it prevents."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from ..measures import (
    ACCURACY_MARGIN,
    LOSS_MARGIN,
    distance,
    diverged,
    fails,
    gain,
    label_parts,
    minus,
)
from ..records import record
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_warmup"
WARM = ", warmup"
DEEP = {"7": "linear 1", "9": "linear 2", "11": "linear 3"}  # the layers near the output
FIRST = {
    "training loss, epoch 1": ("train_loss", 1),
    "training loss, epoch 2": ("train_loss", 2),
    "training loss, epoch 5": ("train_loss", 5),
    "test accuracy, epoch 5": ("test_accuracy", 5),
}


def _first_epochs(suffix: str = "") -> Cases:
    runs = record("lenet-schedules")
    labels = f"cosine{WARM}{suffix}", f"cosine{suffix}"
    return {name: gain(runs, metric, *labels, epoch) for name, (metric, epoch) in FIRST.items()}


def _after_30() -> Cases:
    runs = record("lenet-schedules")
    return {"cosine": gain(runs, "test_accuracy", f"cosine{WARM}", "cosine")}


def _of_pairs(name: str, metric: str) -> dict[str, pd.Series]:
    """The gain of each run with one epoch of warmup over the same without."""
    runs = record(name)
    cold = [label for label in runs.labels if f"{label}{WARM}" in runs.labels]
    return {label: gain(runs, metric, f"{label}{WARM}", label) for label in cold}


def _of_lengths(metric: str) -> dict[tuple[str, str], pd.Series]:
    """The gain of each base rate and length of warmup over the same rate without."""
    runs = record("warmup-lengths")
    return {
        (rate, length): gain(runs, metric, f"{rate}, {length}", f"{rate}, 0")
        for rate, length in label_parts(runs, ", ")
        if length != "0"
    }


def _lengths() -> Cases:
    gains = _of_lengths("train_loss")
    return {f"rate {rate}, warmup {length}": values for (rate, length), values in gains.items()}


def _less_moved(warm_epochs: float, cold_epochs: float) -> Cases:
    """How much less the deep layers move with warmup; seeds that diverged are left out."""
    runs = record("warmup-distances")
    cases = {}
    for layer, name in DEEP.items():
        for rate in (label for label in runs.labels if f"{label}{WARM}" in runs.labels):
            cold = distance(runs, layer, rate, cold_epochs)
            warm = distance(runs, layer, f"{rate}{WARM}", warm_epochs)
            cases[f"{name}, rate {rate}"] = minus(cold, warm).dropna()
    return cases


def _one_epoch() -> Cases:
    """One epoch of warmup against none, in all settings that were tried."""
    gains = _of_lengths("test_accuracy")
    cases = {f"SGD, constant {rate}": v for (rate, length), v in gains.items() if length == "1"}
    of_any = _of_pairs("warmup-before-any", "test_accuracy")
    cases |= {f"SGD, {name} from 0.5": values for name, values in of_any.items()}
    of_adam = _of_pairs("warmup-adam", "test_accuracy")
    return cases | {f"Adam, constant {rate}": values for rate, values in of_adam.items()}


def _prevents(wrong: Callable[..., pd.Series]) -> Cases:
    """At how many base rates fewer a run goes wrong, with one epoch of warmup."""
    runs = record("warmup-lengths")
    rates = dict.fromkeys(rate for rate, _ in label_parts(runs, ", "))
    cold, warm = (
        pd.concat([wrong(runs, f"{rate}, {length}") for rate in rates], axis=1, join="inner")
        for length in ("0", "1")
    )
    return {"all base rates": minus(cold.sum(axis=1), warm.sum(axis=1))}


def _powers() -> Cases:
    runs = record("polynomial-powers")
    others = [label for label in runs.labels if label != "power 1"]
    return {label: gain(runs, "test_accuracy", label, "power 1") for label in others}


_claim = partial(
    Claim,
    source=3,
    difference="test accuracy after the last epoch, with warmup minus without",
    margin=ACCURACY_MARGIN,
)


LOSS: dict[str, Any] = {
    "margin": LOSS_MARGIN,
    "difference": "training loss of the last epoch, without minus with (nats)",
}
WAY: dict[str, Any] = {
    "records": ("warmup-distances",),
    "difference": "relative distance from the initial weights, without minus with",
    "digits": 4,
}
COUNT: dict[str, Any] = {
    "records": ("warmup-lengths",),
    "margin": None,
    "difference": "number of base rates at which a run goes wrong, without minus with",
    "digits": 1,
}
EARLY = f"{PAGE}#does-it-converge-better-in-the-first-epochs"
GAIN_EARLY = "training loss without minus with (nats), test accuracy with minus without"

CLAIMS = (
    _claim(
        "warmup-converges-better-at-first",
        "with warmup the network converges better in the first epochs",
        page=EARLY,
        cases=_first_epochs,
        records=("lenet-schedules",),
        difference=GAIN_EARLY,
    ),
    _claim(
        "warmup-as-published-converges-better-at-first",
        "with warmup the network converges better in the first epochs, in the runs as published",
        page=EARLY,
        cases=partial(_first_epochs, ", as published"),
        records=("lenet-schedules",),
        difference=GAIN_EARLY,
    ),
    _claim(
        "warmup-raises-final-accuracy",
        "after 30 epochs, five of warmup have raised the test accuracy",
        page=f"{PAGE}#does-it-converge-better-in-the-first-epochs",
        cases=_after_30,
        source=0,
        records=("lenet-schedules",),
    ),
    _claim(
        "any-length-lowers-loss",
        "a warmup of any length lowers the training loss at every base rate",
        page=f"{PAGE}#how-long-should-it-last",
        cases=_lengths,
        source=0,
        records=("warmup-lengths",),
        **LOSS,
    ),
    _claim(
        "warmup-limits-deep-layers",
        "warmup limits how far deep layers move in the first epoch",
        page=f"{PAGE}#what-does-it-limit",
        cases=partial(_less_moved, 1, 1),
        **WAY,
    ),
    _claim(
        "warmup-limits-deep-layers-later",
        "warmup limits how far deep layers move in three epochs",
        page=f"{PAGE}#what-does-it-limit",
        cases=partial(_less_moved, 3, 3),
        **WAY,
    ),
    _claim(
        "warmup-limits-deep-layers-same-sum",
        "warmup limits how far deep layers move for the same sum of rates",
        page=f"{PAGE}#what-does-it-limit",
        cases=partial(_less_moved, 1, 0.5),
        source=0,
        **WAY,
    ),
    _claim(
        "warmup-before-any-schedule",
        "one epoch of warmup before any schedule raises the test accuracy",
        page=f"{PAGE}#does-it-pay-before-any-schedule",
        cases=lambda: _of_pairs("warmup-before-any", "test_accuracy"),
        source=0,
        records=("warmup-before-any",),
    ),
    _claim(
        "warmup-with-adam",
        "with Adam, one epoch of warmup lowers the training loss at every base rate",
        page=f"{PAGE}#does-it-pay-with-adam",
        cases=lambda: _of_pairs("warmup-adam", "train_loss"),
        source=0,
        records=("warmup-adam",),
        **LOSS,
    ),
    _claim(
        "one-epoch-of-warmup",
        "one epoch of warmup raises the test accuracy, whatever the setting",
        page=f"{PAGE}#when-does-it-not-matter",
        cases=_one_epoch,
        source=0,
        records=("warmup-lengths", "warmup-before-any", "warmup-adam"),
    ),
    _claim(
        "warmup-prevents-divergence",
        "warmup can prevent divergence",
        page=f"{PAGE}#can-it-prevent-divergence",
        cases=partial(_prevents, diverged),
        **COUNT,
    ),
    _claim(
        "warmup-prevents-failing",
        "warmup can prevent a failure to learn",
        page=f"{PAGE}#can-it-prevent-divergence",
        cases=partial(_prevents, fails),
        **COUNT,
    ),
    _claim(
        "other-powers-end-higher",
        "every other exponent of the polynomial ends higher than 1",
        page="trial_schedules#which-exponent",
        cases=_powers,
        source=0,
        records=("polynomial-powers",),
        difference="test accuracy after the last epoch, minus that with the exponent 1",
    ),
)
