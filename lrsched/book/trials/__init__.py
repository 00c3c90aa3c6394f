"""The experiments of the book by name, each defined once for both editions.

    make record NAME=optimizer-rates
    python -m lrsched.book.trials --help

A trial is a function of its :class:`lrsched.book.Plan`. It trains, and returns what is kept of
it: results of runs, or a table, with a row for each run or for what was computed from them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Union

from ...lab import Results
from ..editions import Plan, plan
from . import (
    attention,
    batches,
    batchnorm,
    cooldowns,
    cycles,
    drops,
    lenet,
    optimizers,
    splits,
    warmup,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TRIALS", "trial"]

TRIALS: dict[str, Callable[[Plan], Union[Results, "pd.DataFrame"]]] = {
    "lenet-schedules": lenet.schedules,
    "lenet-digits": lenet.on_digits,
    "lenet-base-rates": lenet.base_rates,
    "warmup-lengths": warmup.lengths,
    "warmup-before-any": warmup.before_any,
    "warmup-distances": warmup.distances,
    "warmup-adam": warmup.adam,
    "polynomial-powers": lenet.powers,
    "wide-cosine": lenet.wide,
    "cyclical-rates": cycles.triangles,
    "batchnorm-rates": batchnorm.rates,
    "batchnorm-momentum": batchnorm.momenta,
    "batchnorm-batch-10": batchnorm.batches,
    "batchnorm-batch-200": batchnorm.batches,
    "batchnorm-curve": batchnorm.curve,
    "batchnorm-range-test": batchnorm.range_test,
    "batchnorm-strategies": batchnorm.strategies,
    "decay-epochs": drops.epochs,
    "optimizer-rates": optimizers.rates,
    "range-tests": optimizers.range_tests,
    "batch-rates": batches.rates,
    "cooldowns": cooldowns.lengths,
    "cycles": cycles.restarts,
    "decay-splits": splits.drops,
    "transformer-warmup": attention.warmups,
}


def trial(name: str) -> Union[Results, "pd.DataFrame"]:
    """Run an experiment in the edition at hand; ``make record`` also writes its record.

    Raises ValueError if there is none of this name.
    """
    if name not in TRIALS:
        known = ", ".join(map(repr, TRIALS))
        raise ValueError(f"name must be one of {known}, got {name!r}")
    return TRIALS[name](plan(name))
