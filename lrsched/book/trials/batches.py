"""The base rate by batch size, in equal epochs and in equal updates."""

import dataclasses
from typing import Any

import pandas as pd

from ... import Cosine, Schedule
from ...lab import SGD, AdamW, Data, Split
from ..editions import Plan
from ..measurements import Measurements
from .optimizers import network

__all__ = ["OPTIMIZERS", "RATES", "SIZES", "rates"]

SIZES = (32, 128, 512, 1024)
SAMPLES = 2**14  # so that each size divides them
OPTIMIZERS = {"momentum": SGD(momentum=0.9), "AdamW": AdamW()}
RATES = {
    "momentum": tuple(round(0.01 * 2**k, 6) for k in range(7)),
    "AdamW": tuple(round(0.001 * 2**k, 6) for k in range(7)),
}
WARMUP = 0.1  # of the steps


def some(data: Data, **numbers: int) -> Data:
    """The data with so many images of its parts, which are named; at most all there are."""
    fewer: dict[str, Any] = {}
    for name, number in numbers.items():
        part = getattr(data, name)
        fewer[name] = Split(part.images[:number], part.labels[:number])
    return dataclasses.replace(data, **fewer)


def rates(plan: Plan) -> pd.DataFrame:
    """A cosine from each base rate, with a warmup and without.

    "epochs": each size has the epochs of the plan. "updates": each has as many updates as the
    batch size of the plan has in them.
    """
    found = Measurements(plan, "optimizer", "equal", "batch", "warmup", "rate")
    samples = 2 ** (min(len(plan.data.train), SAMPLES).bit_length() - 1)
    data = some(plan.data, train=samples, validation=2000, test=4000)
    base = plan.batch_size
    sizes = [size for size in SIZES if size * plan.epochs >= base and size * 8 <= samples]
    for name, optimizer in OPTIMIZERS.items():
        for equal in ("epochs", "updates"):
            for size in sizes:
                epochs = plan.epochs if equal == "epochs" else plan.epochs * size // base
                steps = epochs * samples // size
                warm = round(WARMUP * steps)
                cases: dict[tuple[Any, ...], Schedule] = {}
                for rate in RATES[name]:
                    cases[name, equal, size, 0, rate] = Cosine(rate, steps)
                    warmed = Cosine(rate, steps - warm).warmup(warm)
                    cases[name, equal, size, WARMUP, rate] = warmed
                found.train(
                    f"{name}-{equal}-{size}",
                    cases,
                    data=data,
                    epochs=epochs,
                    batch_size=size,
                    optimizer=optimizer,
                    network=network(plan),
                )
    return found.table()
