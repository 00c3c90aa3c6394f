"""Claims about schedules on a LeNet: source 3's summary, its faults, and the fair comparison."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from ...lab import Results
from ..measures import (
    ACCURACY_MARGIN,
    AT_CHANCE,
    at_chance,
    curves,
    final,
    gain,
    label_parts,
    minus,
)
from ..records import record
from .base import Cases, Claim

__all__ = ["CLAIMS"]

PAGE = "trial_schedules"
RUNS = ("lenet-schedules",)
FALLING = ("square root", "factor", "multi-factor", "cosine", "cosine, warmup")
AS_PUBLISHED = ", as published"


def _runs() -> Results:
    return record(*RUNS)


def _faults() -> Cases:
    """Each schedule as intended against the rates that the published program applied."""
    runs = _runs()
    faulty = [label for label in runs.labels if label.endswith(AS_PUBLISHED)]
    names = {label.removesuffix(AS_PUBLISHED): label for label in faulty}
    return {name: gain(runs, "test_accuracy", name, label) for name, label in names.items()}


def _accuracy(*names: str) -> Cases:
    runs = _runs()
    return {name: gain(runs, "test_accuracy", name, "constant") for name in names}


def _learnt(runs: Results, label: str, values: pd.Series) -> pd.Series:
    """The values, NaN for the seeds that are at chance in the end."""
    return values.where(~at_chance(runs, label))


def _less_than_constant(measure: Callable[[Results, str], pd.Series]) -> Cases:
    """How much less each schedule has of a measure, among runs that learn."""
    runs = _runs()
    values = {label: _learnt(runs, label, measure(runs, label)) for label in ("constant", *FALLING)}
    return {name: minus(values["constant"], values[name]) for name in FALLING}


def _gap(runs: Results, label: str) -> pd.Series:
    return final(runs, "gap", label)


def _restless(runs: Results, label: str) -> pd.Series:
    """The mean absolute change of the test accuracy over the last ten epochs."""
    return curves(runs, "test_accuracy", label).iloc[-11:].diff().iloc[1:].abs().mean()


def _same_training() -> Cases:
    """Test accuracies where the training accuracy first reaches what all runs reach.

    Schedules of which a run never learns are left out.
    """
    runs = _runs()
    train = {label: curves(runs, "train_accuracy", label) for label in ("constant", *FALLING)}
    best = {label: values.max() for label, values in train.items()}
    able = [label for label in FALLING if (best[label] > AT_CHANCE).all()]
    learnt = {label: best[label][best[label] > AT_CHANCE] for label in ("constant", *able)}
    level = min(values.min() for values in learnt.values())
    at_level = {}
    for label, values in learnt.items():
        test = curves(runs, "test_accuracy", label)
        pairs = {seed: (train[label][seed], test[seed]) for seed in values.index}
        crossed = pd.Series({seed: _test_at(level, *pair) for seed, pair in pairs.items()})
        at_level[label] = crossed.reindex(test.columns)
    return {label: minus(at_level[label], at_level["constant"]) for label in able}


def _test_at(level: float, train: pd.Series, test: pd.Series) -> float:
    """The test accuracy where the training accuracy first reaches a level, interpolated."""
    ours, theirs = train.to_numpy(), test.to_numpy()
    k = int(np.argmax(ours >= level))
    if k == 0:
        return float(theirs[0])
    share = (level - ours[k - 1]) / (ours[k] - ours[k - 1])
    return float(theirs[k - 1] + share * (theirs[k] - theirs[k - 1]))


# Each family at its own best base rate


def _families(runs: Results) -> dict[str, list[str]]:
    """The base rates of each family, as in the labels."""
    families: dict[str, list[str]] = {}
    for family, rate in label_parts(runs, " "):
        families.setdefault(family, []).append(rate)
    return families


def _best(runs: Results, family: str, rates: list[str]) -> str:
    """The base rate with the highest mean validation accuracy, of those at which all learn.

    Of all of them, if at each a run is at chance.
    """
    labels = {rate: f"{family} {rate}" for rate in rates}
    usable = [rate for rate in rates if not at_chance(runs, labels[rate]).any()] or rates
    return max(usable, key=lambda rate: final(runs, "validation_accuracy", labels[rate]).mean())


def _at_their_best() -> Cases:
    runs = record("lenet-base-rates")
    best = {name: f"{name} {_best(runs, name, rates)}" for name, rates in _families(runs).items()}
    return {
        name: gain(runs, "test_accuracy", label, best["constant"])
        for name, label in best.items()
        if name != "constant"
    }


def _beside_the_best() -> Cases:
    runs = record("lenet-base-rates")
    rates = sorted(_families(runs)["constant"], key=float)
    best = _best(runs, "constant", rates)
    place = rates.index(best)
    beside = [rates[k] for k in (place - 1, place + 1) if 0 <= k < len(rates)]
    labels = [f"constant {rate}" for rate in (best, *beside)]
    return {
        f"{best} over {rate}": gain(runs, "validation_accuracy", labels[0], label)
        for rate, label in zip(beside, labels[1:], strict=True)
    }


_claim = partial(
    Claim,
    source=3,
    records=RUNS,
    difference="test accuracy after the last epoch, schedule minus constant",
    margin=ACCURACY_MARGIN,
    digits=4,
)


CLAIMS = (
    _claim(
        "faults-lower-accuracy",
        "each fault of the published program has lowered the test accuracy",
        page="trial_published_runs#did-the-faults-matter",
        cases=_faults,
        source=0,
        difference="test accuracy after the last epoch, as intended minus as published",
    ),
    _claim(
        "falling-beats-constant",
        "every falling rate improves the test accuracy",
        page=f"{PAGE}#does-a-falling-rate-improve-accuracy",
        cases=lambda: _accuracy(*FALLING),
    ),
    _claim(
        "falling-overfits-less",
        "every falling rate makes the gap between training and test accuracy smaller",
        page=f"{PAGE}#does-it-reduce-overfitting",
        cases=lambda: _less_than_constant(_gap),
        difference="gap after the last epoch, constant minus schedule",
    ),
    _claim(
        "falling-better-for-same-training",
        "with the same training accuracy every falling rate does better on the test",
        page=f"{PAGE}#does-it-reduce-overfitting",
        cases=_same_training,
        difference="test accuracy where all reach one training accuracy, schedule minus constant",
    ),
    _claim(
        "cosine-beats-constant",
        "the cosine improves the test accuracy",
        page=f"{PAGE}#does-a-falling-rate-improve-accuracy",
        cases=lambda: _accuracy("cosine"),
        difference="test accuracy after the last epoch, cosine minus constant",
    ),
    _claim(
        "falling-is-smoother",
        "every falling rate makes the curve of the test accuracy smoother",
        page=f"{PAGE}#are-the-curves-smoother",
        cases=lambda: _less_than_constant(_restless),
        difference="mean change of the test accuracy from epoch to epoch over the last ten, "
        "constant minus schedule",
        margin=0.001,
    ),
    _claim(
        "falling-beats-constant-at-best-rates",
        "each at its best base rate, every falling rate beats the constant rate",
        page=f"{PAGE}#each-at-its-own-best-base-rate",
        cases=_at_their_best,
        source=0,
        records=("lenet-base-rates",),
    ),
    _claim(
        "best-constant-beats-its-neighbours",
        "the best constant rate is better than those beside it",
        page=f"{PAGE}#each-at-its-own-best-base-rate",
        cases=_beside_the_best,
        source=0,
        records=("lenet-base-rates",),
        difference="validation accuracy after the last epoch, best rate minus the next",
    ),
)
