"""Cycles: triangular rates as they were proposed; restarts and one cycle against a cosine."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ... import Constant, Cosine, CosineRestarts, Cyclical, OneCycle, Polynomial, Schedule
from ...lab import SGD, Results, Run
from ..editions import Plan
from ..experiments import experiment
from ..measurements import Measurements
from .optimizers import network

__all__ = ["BASE", "MAX", "RATES", "contestants", "restarts", "shapes", "triangles"]

BASE, MAX = 0.125, 0.5  # read off a range test, as the chapter on custom schedules does
RATES = tuple(round(0.025 * 2**k, 6) for k in range(6))
MOMENTUM = 0.9


def contestants(epochs: int, n: int) -> dict[str, Schedule]:
    """Constants, triangular rates and a cosine, over epochs of ``n`` steps."""

    def cycle(mode: Any, gamma: float = 1.0) -> Schedule:
        return Cyclical(BASE, MAX, step_size_up=2 * n, mode=mode, gamma=gamma)

    return {
        "constant, base": Constant(BASE),
        "constant, mean": Constant((BASE + MAX) / 2),
        "constant, max": Constant(MAX),
        "triangular": cycle("triangular"),
        "triangular2": cycle("triangular2"),
        "exp_range": cycle("exp_range", gamma=0.1 ** (1 / (epochs * n))),
        "cosine": Cosine(MAX, epochs * n),
    }


def triangles(plan: Plan) -> Results:
    """Triangular rates against constants and a cosine."""
    schedules = contestants(plan.epochs, plan.steps_per_epoch)
    runs = [
        Run(name, schedule, seed)
        for seed in range(plan.seeds)
        for name, schedule in schedules.items()
    ]
    make, size = network(plan), plan.batch_size
    return experiment(plan, runs, network=make, group=len(schedules), chunk=size)


def shapes(epochs: int, n: int) -> Mapping[str, Schedule]:
    """Schedules of base rate 1 over epochs of ``n`` steps, a multiple of 7 epochs in all."""
    steps = epochs * n
    return {
        "constant": Constant(1.0),
        "linear": Polynomial(1.0, steps, power=1.0),
        "cosine": Cosine(1.0, steps),
        "one cycle": OneCycle(1.0, steps),
        "restarts, 7 equal": CosineRestarts(1.0, steps / 7, t_mul=1),
        "restarts, 3 doubling": CosineRestarts(1.0, steps / 7, t_mul=2),
        "triangular, 7 cycles": Cyclical(0.1, 1.0, step_size_up=steps / 14),
    }


def restarts(plan: Plan) -> pd.DataFrame:
    """Each shape from each base rate; one cycle also with its momentum."""
    found = Measurements(plan, "shape", "rate")
    n = plan.steps_per_epoch
    made, make = shapes(plan.epochs, n), network(plan)
    cases = {(name, rate): shape * rate for name, shape in made.items() for rate in RATES}
    found.train("fixed", cases, optimizer=SGD(momentum=MOMENTUM), network=make)
    cycle = OneCycle(1.0, plan.epochs * n)
    cases = {("one cycle, momentum", rate): cycle * rate for rate in RATES}
    found.train("cycled", cases, optimizer=SGD(momentum=cycle.momentum()), network=make)
    return found.table()
