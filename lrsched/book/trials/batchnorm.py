"""BatchNorm and the rate: tiny tanh networks on a polynomial, trained by the thousand."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from ... import Constant, Cyclical, Exponential, InverseTime, MultiStep, Plateau
from ...lab import Results, mlp
from ...lab.runs import Rule
from ...lab.seeds import Network
from ..editions import Plan
from ..experiments import keep, sweep
from ..verdicts import decide
from .sensitivity import compare, curves, ratio, roughness

__all__ = [
    "GRID",
    "LARGE",
    "MOMENTA",
    "NETWORKS",
    "RATES",
    "SMALL",
    "batches",
    "curve",
    "momenta",
    "range_test",
    "rates",
    "strategies",
    "strategies_of",
]

RATES = (0.1, 0.03, 0.01, 0.005)
GRID = tuple(np.logspace(-4, 0, 33).round(6).tolist())
MOMENTA = (0.01, 0.1, 0.5, 1.0)
LARGE, SMALL = "constant 0.1", "constant 0.01"

# By depth, without BatchNorm, with it before the activation, and after.
NETWORKS: dict[str, Network] = {
    f"{depth} layers{kind}": partial(mlp, depth=depth, norm=norm)
    for kind, norm in {"": None, ", BN": "before", ", BN after": "after"}.items()
    for depth in (3, 4)
}
PAIRS = [(name, name.partition(",")[0]) for name in NETWORKS if "BN" in name]


def _some(*names: str) -> dict[str, Network]:
    return {name: NETWORKS[name] for name in names}


def rates(plan: Plan) -> pd.DataFrame:
    """How sensitive to the rate networks with BatchNorm are, over those without.

    By each measure, by the roughness of the curve with precise statistics, and by that of the
    seeds alone with which both networks have learnt; and how rough each is at the smaller rates,
    over the largest.
    """
    results = sweep(plan, NETWORKS, RATES)
    table = results.table()
    every, precise = curves(table), curves(table, "precise_loss")
    rows = [row for pair in PAIRS for row in compare(every, *pair, RATES)]
    for pair in PAIRS:
        for row in compare(precise, *pair, RATES):
            if row["measure"] == "roughness":
                rows.append(row | {"measure": "roughness, precise"})
    rows = [row | {"pairs": plan.seeds} for row in rows]
    rows += _of_learnt(every, 0.9 * float(plan.data.train.targets.var(correction=0)))
    rows += ({"pairs": plan.seeds} | row for row in _over_the_largest(every))
    return keep(plan, results, pd.DataFrame(rows))


def _of_learnt(curve: pd.DataFrame, limit: float) -> Iterator[dict[str, Any]]:
    """The ratios of roughness, of the seeds with which both end below the limit."""
    rough, learnt = roughness(curve), curve.iloc[:, -1] < limit
    for ours, others in PAIRS:
        for rate in RATES:
            both = learnt.loc[ours, rate] & learnt.loc[others, rate]
            found = ratio(rough.loc[ours, rate][both], rough.loc[others, rate][both])
            case = {"network": ours, "measure": "roughness, both have learnt", "rate": rate}
            yield case | {"pairs": int(both.sum())} | found


def _over_the_largest(curve: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The roughness of each network with BatchNorm at each smaller rate, over the largest."""
    rough = roughness(curve)
    for ours, _ in PAIRS:
        for rate in RATES[1:]:
            found = ratio(rough.loc[ours, rate], rough.loc[ours, RATES[0]])
            case = {"network": ours, "measure": f"roughness over that at {RATES[0]}"}
            yield case | {"rate": rate} | found


def momenta(plan: Plan) -> pd.DataFrame:
    """The same with other momenta of the running statistics.

    These change nothing in training mode, and so nothing in the weights.
    """
    normal: dict[str, Network] = {
        f"m = {m}": partial(mlp, depth=3, norm="before", momentum=m) for m in MOMENTA
    }
    results = sweep(plan, normal | _some("3 layers"), RATES)
    every = curves(results.table())
    rows = [row for name in normal for row in compare(every, name, "3 layers", RATES)]
    return keep(plan, results, pd.DataFrame(rows))


def batches(plan: Plan) -> pd.DataFrame:
    """The same with batches of another size, which the plan says."""
    results = sweep(plan, _some("3 layers", "3 layers, BN"), RATES)
    name = f"batches of {plan.batch_size}"
    rows = compare(curves(results.table()), "3 layers, BN", "3 layers", RATES, name)
    return keep(plan, results, pd.DataFrame(rows))


def curve(plan: Plan) -> pd.DataFrame:
    """The test loss over the rate, from 0.0001 to 1: its quantiles over the seeds."""
    results = sweep(plan, NETWORKS, GRID)
    table = results.table()
    ends = table[table["epoch"] == plan.epochs].groupby(["network", "schedule"])
    found = _quantiles(ends["test_loss"])
    found["precise"] = ends["precise_loss"].median()
    found["diverged"] = ends["diverged"].mean()
    return keep(plan, results, found.reset_index())


def range_test(plan: Plan) -> pd.DataFrame:
    """The loss while the rate rises from 0.0001 to 1: its quantiles over the seeds."""
    steps = plan.epochs * plan.steps_per_epoch
    rising = Exponential(GRID[0], decay_rate=GRID[-1] / GRID[0], decay_steps=steps)
    results = sweep(plan, NETWORKS, {"rising": rising})
    by_rate = results.table().groupby(["network", "rate"])
    found = _quantiles(by_rate["batch_loss"])
    found["diverged"] = by_rate["diverged"].mean()
    return keep(plan, results, found.reset_index())


def _quantiles(losses: Any) -> pd.DataFrame:
    """Of the seeds that stay finite."""
    levels = {0.1: "low", 0.5: "median", 0.9: "high"}
    found: pd.DataFrame = losses.quantile([*levels]).unstack()
    return found.set_axis([*levels.values()], axis=1)


def strategies_of(steps_per_epoch: int) -> dict[str, Rule]:
    """Five ways to fall from the rate 0.1, that rate itself, and a small one."""
    n = steps_per_epoch
    return {
        LARGE: Constant(0.1),
        SMALL: Constant(0.01),
        "power": InverseTime(0.1, decay_rate=1, decay_steps=4).per_epoch(n),
        "exponential": Exponential(0.1, decay_rate=0.1, decay_steps=20).per_epoch(n),
        "piecewise constant": MultiStep(0.1, (20, 30), gamma=0.1).per_epoch(n),
        "performance": Plateau(0.1, factor=0.3, patience=3),
        "cyclical": Cyclical(0.001, 0.1, step_size_up=5 * n),
    }


def strategies(plan: Plan) -> pd.DataFrame:
    """The test loss of each strategy, over that of the large and of the small constant."""
    rules = strategies_of(plan.steps_per_epoch)
    results = sweep(plan, _some("3 layers, BN", "4 layers, BN"), rules)
    return keep(plan, results, pd.DataFrame(_recovered(results, [*rules])))


def _recovered(results: Results, names: list[str]) -> Iterator[dict[str, Any]]:
    """A row for each network and strategy: supported, if it ends below the large constant."""
    table = results.table()
    last: Any = table[table["epoch"] == results.epochs]
    last = last.set_index(["network", "schedule", "seed"]).sort_index()
    turned = {"supported": "refuted", "refuted": "supported"}
    for network in results.settings["networks"]:
        losses, ends = last["test_loss"].loc[network], last["rate"].loc[network]
        for name in names:
            row = {"network": network, "strategy": name, "loss": losses.loc[name].median()}
            row["rate"] = ends.loc[name].median()
            for constant, key in ((LARGE, "large"), (SMALL, "small")):
                found = ratio(losses.loc[name], losses.loc[constant])
                row |= {f"{part}_{key}": found[part] for part in ("ratio", "low", "high")}
            verdict = decide(row["low_large"], row["high_large"], 1)
            yield row | {"verdict": turned.get(verdict, verdict)}
