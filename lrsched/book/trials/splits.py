"""When to drop the rate, with another split of the data for each seed."""

from typing import Any

import pandas as pd

from ... import Constant, MultiStep, Plateau
from ...lab import Results
from ...lab.runs import Rule
from ..editions import Plan
from ..measurements import Measurements
from .optimizers import network

__all__ = ["FACTOR", "PATIENCES", "RATE", "drops", "places"]

RATE, FACTOR = 0.5, 0.1
PATIENCES = (3, 5, 10)


def places(epochs: int) -> list[int]:
    """The epochs of the drop: every tenth part of the training."""
    return [round(share * epochs / 10) for share in range(1, 10)]


def drops(plan: Plan) -> pd.DataFrame:
    """One drop at each place, none, and plateaus.

    A seed also draws which images are for training and which for validation, so that an interval
    over the seeds is one over splits as well.
    """
    found = Measurements(plan, "rule")
    n = plan.steps_per_epoch
    rules: dict[tuple[str], Rule] = {
        (f"{epoch}",): MultiStep(RATE, (epoch,), gamma=FACTOR).per_epoch(n)
        for epoch in places(plan.epochs)
    }
    rules["never",] = Constant(RATE)
    for patience in PATIENCES:
        rules[f"plateau {patience}",] = Plateau(RATE, factor=FACTOR, patience=patience)
    for seed in range(plan.seeds):
        found.train(
            f"{seed}",
            rules,
            data=plan.split(seed),
            seeds=[seed],
            network=network(plan),
            more=lambda results: {"first_drop": _first_drops(results)},
        )
    return found.table()


def _first_drops(results: Results) -> list[int]:
    """The first epoch of each run with another rate than before, -1 without one."""
    rate: Any = results.rate
    fell = rate[1:] != rate[:-1]
    return [int(column.argmax()) + 1 if column.any() else -1 for column in fell.T]
