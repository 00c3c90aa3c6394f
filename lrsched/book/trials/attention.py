"""Warmup where it is said to be needed: a small transformer, normalised after or before."""

import functools

import pandas as pd

from ... import Cosine
from ...lab import AdamW, transformer
from ..editions import Plan
from ..measurements import Measurements
from .batches import some

__all__ = ["DEPTH", "LENGTHS", "NORMS", "RATES", "warmups"]

NORMS = ("after", "before")
# By the side of the images: the digits show a part, since a page waits for it.
RATES = {28: (0.001, 0.002, 0.004, 0.008), 8: (0.002, 0.004)}
LENGTHS = {28: (0.0, 0.5, 2.0), 8: (0.0, 2.0)}  # epochs
DEPTH, SAMPLES = 6, 2048


def warmups(plan: Plan) -> pd.DataFrame:
    """A cosine from each base rate, after warmups of several lengths."""
    found = Measurements(plan, "norm", "warmup", "rate")
    data = some(plan.data, train=SAMPLES, validation=1000, test=2000)
    n = -(-len(data.train) // plan.batch_size)
    steps = plan.epochs * n
    for norm in NORMS:
        network = functools.partial(
            transformer,
            data.side,
            len(data.classes),
            patch=data.side // 4,
            depth=DEPTH,
            norm=norm,
        )
        cases = {
            (norm, length, rate): Cosine(rate, steps - round(length * n)).warmup(round(length * n))
            for length in LENGTHS[data.side]
            for rate in RATES[data.side]
        }
        found.train(norm, cases, data=data, optimizer=AdamW(), network=network)
    return found.table()
