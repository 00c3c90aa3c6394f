"""Schedules on a LeNet: as the tutorial means them, as it ran them, and from other base rates."""

import functools
from collections.abc import Callable

import pandas as pd

from ... import Constant, Cosine, Factor, MultiStep, Polynomial, Power, Schedule, Sequence
from ...lab import Results, Run, lenet
from ..editions import Plan
from ..experiments import experiment
from ..measurements import Measurements

__all__ = ["BASE_RATES", "INTENDED", "PUBLISHED", "base_rates", "families", "on_digits", "powers",
           "schedules", "wide"]  # fmt: skip

# The rate over epochs, as the tutorial means it.
INTENDED: dict[str, Schedule] = {
    "constant": Constant(0.3),
    "square root": Power(0.1, power=0.5),
    "factor": Factor(2.0, factor=0.9, floor_lr=0.01),
    "multi-factor": MultiStep(0.5, (15, 30), gamma=0.5),
    "cosine": Cosine(0.3, 20, end_lr=0.01),
    "cosine, warmup": Cosine(0.3, 15, end_lr=0.01).warmup(5),
}


def _late(first: float, schedule: Schedule) -> Schedule:
    """The first epoch at the optimizer's own rate, the schedule one epoch late."""
    return Sequence((Constant(first), schedule), boundaries=(1,))


# The rate over epochs that its program really applies, where that is another.
PUBLISHED: dict[str, Schedule] = {
    "square root": _late(0.1, INTENDED["square root"]),
    "multi-factor": Constant(0.125),
    "cosine": _late(0.3, INTENDED["cosine"]),
    "cosine, warmup": _late(0.3, INTENDED["cosine, warmup"]),
}
PUBLISHED_SEEDS = 10

BASE_RATES = (0.2, 0.28, 0.4, 0.56, 0.8)  # factor 1.4, up to the cliff


def schedules(plan: Plan) -> Results:
    """The six schedules, and the published runs with the rates that they really had."""
    n = plan.steps_per_epoch
    runs = [
        Run(name, schedule.per_epoch(n), seed)
        for seed in range(plan.seeds)
        for name, schedule in INTENDED.items()
    ]
    runs += [
        Run(f"{name}, as published", schedule.per_epoch(n), seed)
        for seed in range(min(PUBLISHED_SEEDS, plan.seeds))
        for name, schedule in PUBLISHED.items()
    ]
    return experiment(plan, runs)


def on_digits(plan: Plan) -> pd.DataFrame:
    """The constant rate and the cosine on the digits, in either edition."""
    found, n = Measurements(plan, "label"), plan.steps_per_epoch
    cases = {(name,): INTENDED[name].per_epoch(n) for name in ("constant", "cosine")}
    found.train("digits", cases)
    return found.table()


def families(epochs: int) -> dict[str, Callable[[float], Schedule]]:
    """The shapes of the schedules over so many epochs, to be given a base rate."""
    return {
        "constant": Constant,
        "square root": Power,
        "factor": lambda lr: Factor(lr, factor=0.9, floor_lr=lr / 200),
        "multi-factor": lambda lr: MultiStep(lr, (epochs / 2,), gamma=0.5),
        "cosine": lambda lr: Cosine(lr, epochs * 2 / 3, end_lr=lr / 30),
    }


def base_rates(plan: Plan) -> Results:
    """Each family of schedules at each base rate."""
    runs = [
        Run(f"{name} {lr}", family(lr).per_epoch(plan.steps_per_epoch), seed)
        for seed in range(plan.seeds)
        for name, family in families(plan.epochs).items()
        for lr in BASE_RATES
    ]
    return experiment(plan, runs)


def powers(plan: Plan) -> Results:
    """A polynomial decay with other exponents."""
    steps = plan.epochs * plan.steps_per_epoch
    runs = [
        Run(f"power {power}", Polynomial(0.3, steps, power=power), seed)
        for seed in range(plan.seeds)
        for power in (0.5, 1, 2, 4)
    ]
    return experiment(plan, runs)


def wide(plan: Plan) -> Results:
    """Three schedules on a LeNet of four times the width."""
    steps = plan.epochs * plan.steps_per_epoch
    contestants = {
        "constant": Constant(0.1),
        "step": MultiStep(0.1, (steps / 2,), gamma=0.1),
        "cosine": Cosine(0.1, steps),
    }
    runs = [
        Run(name, schedule, seed)
        for seed in range(plan.seeds)
        for name, schedule in contestants.items()
    ]
    data = plan.data
    network = functools.partial(lenet, data.side, len(data.classes), width=4)
    return experiment(plan, runs, network=network)
