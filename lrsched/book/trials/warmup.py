"""Warmup on a LeNet: its length, before which schedule, with Adam, and what it limits."""

from ... import Constant, Cosine, MultiStep, Schedule
from ...lab import Adam, Results, Run
from ..editions import Plan
from ..experiments import experiment

__all__ = ["ADAM_RATES", "BASE_RATES", "DISTANCE_RATES", "LENGTHS", "adam", "before_any",
           "distances", "lengths", "three"]  # fmt: skip

BASE_RATES = (0.1, 0.3, 0.5, 0.7, 1.0)
LENGTHS = (0, 0.25, 1, 2)  # epochs
DISTANCE_RATES = (0.1, 0.5)
ADAM_RATES = (0.001, 0.003, 0.01)


def lengths(plan: Plan) -> Results:
    """A constant rate after warmups of several lengths."""
    runs = [
        Run(f"{lr}, {length}", Constant(lr).warmup(length * plan.steps_per_epoch), seed)
        for seed in range(plan.seeds)
        for lr in BASE_RATES
        for length in LENGTHS
    ]
    return experiment(plan, runs)


def three(steps: int) -> dict[str, Schedule]:
    """Three schedules from the base rate 0.5 that take so many steps."""
    return {
        "constant": Constant(0.5),
        "multi-factor": MultiStep(0.5, (steps / 2,), gamma=0.5),
        "cosine": Cosine(0.5, steps),
    }


def before_any(plan: Plan) -> Results:
    """Three schedules with an epoch of warmup and without, of the same length in all."""
    n = plan.steps_per_epoch
    contestants = three(plan.epochs * n) | {
        f"{name}, warmup": schedule.warmup(n)
        for name, schedule in three((plan.epochs - 1) * n).items()
    }
    runs = [
        Run(name, schedule, seed)
        for seed in range(plan.seeds)
        for name, schedule in contestants.items()
    ]
    return experiment(plan, runs)


def _with_and_without(plan: Plan, rates: tuple[float, ...]) -> list[Run]:
    """Constant rates, each also after an epoch of warmup."""
    runs = []
    for seed in range(plan.seeds):
        for lr in rates:
            constant = Constant(lr)
            runs.append(Run(f"{lr}", constant, seed))
            runs.append(Run(f"{lr}, warmup", constant.warmup(plan.steps_per_epoch), seed))
    return runs


def distances(plan: Plan) -> Results:
    """How far each layer gets from its initial weights."""
    every = max(1, plan.steps_per_epoch // 10)
    return experiment(plan, _with_and_without(plan, DISTANCE_RATES), distances_every=every)


def adam(plan: Plan) -> Results:
    """The same with Adam, at rates usual for it."""
    return experiment(plan, _with_and_without(plan, ADAM_RATES), optimizer=Adam())
