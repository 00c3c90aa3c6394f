"""The base rate by optimizer: the loss over the rate, and what a range test reads off."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ... import Cosine, Exponential
from ...lab import SGD, Adam, AdamW, Results, perceptron
from ..editions import Plan
from ..measurements import Measurements

__all__ = ["OPTIMIZERS", "RATES", "range_tests", "rates", "readings"]

OPTIMIZERS = {
    "SGD": SGD(),
    "momentum": SGD(momentum=0.9),
    "Nesterov": SGD(momentum=0.9, nesterov=True),
    "Adam": Adam(),
    "AdamW": AdamW(),
}


def _rates(lowest: float, number: int) -> tuple[float, ...]:
    """Four rates in each factor of ten."""
    return tuple(float(f"{lowest * 10 ** (k / 4):.3g}") for k in range(number))


RATES = {
    "SGD": _rates(0.01, 12),
    "momentum": _rates(0.001, 12),
    "Nesterov": _rates(0.001, 12),
    "Adam": _rates(0.0001, 12),
    "AdamW": _rates(0.0001, 12),
}


def network(plan: Plan) -> Any:
    """What makes the network of these trials."""
    data = plan.data
    return functools.partial(perceptron, data.side, len(data.classes))


def rates(plan: Plan) -> pd.DataFrame:
    """A cosine from each base rate, with each optimizer."""
    found = Measurements(plan, "optimizer", "rate")
    steps = plan.epochs * plan.steps_per_epoch
    for name, optimizer in OPTIMIZERS.items():
        cases = {(name, rate): Cosine(rate, steps) for rate in RATES[name]}
        found.train(name, cases, optimizer=optimizer, network=network(plan))
    return found.table()


def range_tests(plan: Plan) -> pd.DataFrame:
    """A rate that rises by a constant factor from step to step, and what is read off the loss."""
    found = Measurements(plan, "optimizer")
    steps = plan.epochs * plan.steps_per_epoch
    for name, optimizer in OPTIMIZERS.items():
        low, high = RATES[name][0] / 10, RATES[name][-1] * 10
        rising = Exponential(low, decay_rate=high / low, decay_steps=steps)
        found.train(name, {(name,): rising}, optimizer=optimizer, network=network(plan), more=_read)
    return found.table()


def _read(results: Results) -> Mapping[str, Sequence[float]]:
    rates: Any = results.rates
    losses: Any = results.losses
    each = [readings(rate, loss) for rate, loss in zip(rates.T, losses.T, strict=True)]
    return {name: [reading[name] for reading in each] for name in each[0]}


def readings(rates: Any, losses: Any, smoothing: float = 0.95) -> dict[str, float]:
    """The usual readings of a range test.

    The losses are averaged with weights that fall by ``smoothing`` from step to step, and the test
    ends where the mean is above four times its least value so far, or not finite.

    Args:
        rates: of each step, rising.
        losses: of each step, before its update.
        smoothing: between 0 and 1.

    Returns:
        "steepest", the rate at which the mean falls fastest by a factor of the rate; "minimum",
        that at which it is least; "tenth", a tenth of it; "end", where the test ends.
    """
    losses = np.asarray(losses, float)
    weights = smoothing ** np.arange(len(losses))
    with np.errstate(all="ignore"):
        sums = np.array([losses[: k + 1][::-1] @ weights[: k + 1] for k in range(len(losses))])
        mean = sums / np.cumsum(weights)
    over = ~(mean <= 4 * np.fmin.accumulate(np.where(np.isfinite(mean), mean, np.inf)))
    last = int(over.argmax()) if over.any() else len(mean)
    least = int(mean[:last].argmin())
    slope = np.gradient(mean[: least + 1], np.log(np.asarray(rates, float)[: least + 1]))
    skipped = min(10, least)  # the first means are of few losses
    steepest = skipped + int(slope[skipped:].argmin())
    return {
        "steepest": float(rates[steepest]),
        "minimum": float(rates[least]),
        "tenth": float(rates[least]) / 10,
        "end": float(rates[last - 1]),
    }
