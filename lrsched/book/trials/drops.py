"""When to drop the rate: every epoch of a single drop, and what searches for it would find."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from ... import Constant, MultiStep, Plateau
from ...lab import Results, Run
from ...lab.runs import Rule
from ..editions import Plan
from ..experiments import experiment, keep
from .optimizers import network

__all__ = ["FACTOR", "PATIENCES", "RATE", "candidates", "epochs", "rules"]

RATE, FACTOR = 0.5, 0.1
PATIENCES = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
METRICS = ("validation_loss", "validation_accuracy", "test_loss", "test_accuracy")


def candidates(epochs: int) -> range:
    """The epochs of the drop: every second one."""
    return range(2, epochs, 2)


def rules(plan: Plan) -> dict[str, Rule]:
    """One drop at each candidate, none, and plateaus."""
    n = plan.steps_per_epoch
    found: dict[str, Rule] = {
        f"{epoch}": MultiStep(RATE, (epoch,), gamma=FACTOR).per_epoch(n)
        for epoch in candidates(plan.epochs)
    }
    found["never"] = Constant(RATE)
    for patience in PATIENCES:
        found[f"plateau {patience}"] = Plateau(RATE, factor=FACTOR, patience=patience)
    return found


def epochs(plan: Plan) -> pd.DataFrame:
    """Each drop trained once; what searches find among them, and what pruners stop.

    The runs of a seed share their initial weights and batches: until its drop, each is the run
    that never drops. Searches look their runs up here: see :mod:`.searches`.

    Returns:
        The landscape: a row for each run, with its results in the end, and when its rate fell.
        "searches" and "pruning" are kept beside it.
    """
    from . import searches  # needs Optuna

    made = rules(plan)
    runs = [Run(label, rule, seed) for seed in range(plan.seeds) for label, rule in made.items()]
    sizes = {"group": len(made), "chunk": plan.batch_size}
    results = experiment(plan, runs, whole=False, network=network(plan), **sizes)
    results.check_rates()
    landscape = pd.DataFrame(_ends(results))
    curves: dict[str, Any] = {
        str(label): results.metrics["validation_loss"][:, places]
        for label, places in results.columns()
    }
    keep(plan, results, searches.found(curves, landscape), part="searches")
    keep(plan, results, searches.stopped(curves), part="pruning")
    return keep(plan, results, landscape, part="landscape")


def _ends(results: Results) -> Iterator[dict[str, Any]]:
    """The results of each run in the end, and when its rate fell."""
    rates: Any = results.rate
    for place, run in enumerate(results.runs):
        falls = np.flatnonzero(np.diff(rates[:, place]) < 0) + 1
        yield {
            "label": run.label,
            "seed": run.seed,
            "first_drop": int(falls[0]) if len(falls) else np.nan,
            "drops": len(falls),
        } | {metric: results.metrics[metric][-1, place] for metric in METRICS}
