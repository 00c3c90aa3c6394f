"""The two editions of the book. This is the only place that knows of them."""

import copy
import functools
import os
from dataclasses import dataclass
from typing import Any

from ..lab import Data, Regression, digits, fashion_mnist, polynomial

__all__ = ["Plan", "SweepPlan", "edition", "plan"]


@dataclass(frozen=True)
class Plan:
    """How large an experiment is in the edition at hand.

    Attributes:
        name: the experiment, and its record.
        epochs: the epochs of each run.
        seeds: the number of seeds, which count from 0.
        validation: training images set apart, for choices that may not be made by the test.
        batch_size: samples for one update.
        sizes: the ``group`` and ``chunk`` of :func:`train`, empty where they are measured.
    """

    name: str
    epochs: int
    seeds: int
    validation: int
    batch_size: int
    sizes: tuple[tuple[str, int], ...] = ()

    @property
    def data(self) -> Data:
        """The digits, or in the full edition Fashion-MNIST: a copy, whose changes stay in it."""
        return copy.deepcopy(_data(edition(), self.validation))

    @property
    def steps_per_epoch(self) -> int:
        """The updates in an epoch."""
        return -(-len(_data(edition(), self.validation).train) // self.batch_size)

    def settings(self) -> dict[str, Any]:
        """These numbers as arguments of :func:`train`."""
        return {"epochs": self.epochs, "batch_size": self.batch_size, **dict(self.sizes)}


@dataclass(frozen=True)
class SweepPlan:
    """How large a sweep is in the edition at hand. The data are the same in both.

    Attributes:
        name: the sweep, and its record.
        epochs: the epochs of each run.
        seeds: the number of seeds, which count from 0.
        batch_size: samples for one update.
    """

    name: str
    epochs: int
    seeds: int
    batch_size: int = 50

    @property
    def data(self) -> Regression:
        """The polynomial."""
        return polynomial()

    @property
    def steps_per_epoch(self) -> int:
        """The updates in an epoch."""
        return -(-len(self.data.train) // self.batch_size)

    def settings(self) -> dict[str, Any]:
        """These numbers as arguments of :func:`sweep`."""
        return {"seeds": self.seeds, "epochs": self.epochs, "batch_size": self.batch_size}


# For each experiment: epochs, seeds, validation images.
QUICK = {
    "lenet-schedules": (30, 3, 200),
    "lenet-base-rates": (12, 3, 200),
    "warmup-lengths": (10, 5, 200),
    "warmup-before-any": (10, 3, 200),
    "warmup-distances": (3, 3, 200),
    "warmup-adam": (5, 3, 200),
    "polynomial-powers": (12, 3, 200),
    "wide-cosine": (4, 1, 200),
    "cyclical-rates": (20, 5, 200),
    "decay-epochs": (60, 5, 200),
}
FULL = {
    "lenet-schedules": (30, 5, 0),
    "lenet-base-rates": (6, 3, 5000),
    "warmup-lengths": (3, 5, 0),
    "warmup-before-any": (4, 4, 0),
    "warmup-distances": (3, 5, 0),
    "warmup-adam": (3, 5, 0),
    "polynomial-powers": (6, 3, 5000),
    "wide-cosine": (4, 1, 0),
    "cyclical-rates": (20, 10, 0),
    "decay-epochs": (60, 10, 5000),
}

# For each sweep: epochs, seeds in the quick and in the full edition, batch size.
SWEEPS = {
    "batchnorm-rates": (40, (100, 1000), 50),
    "batchnorm-momentum": (40, (30, 300), 50),
    "batchnorm-batch-10": (40, (30, 300), 10),
    "batchnorm-batch-200": (40, (30, 300), 200),
    "batchnorm-curve": (40, (20, 200), 50),
    "batchnorm-range-test": (40, (20, 200), 50),
    "batchnorm-strategies": (40, (50, 500), 50),
}


def edition() -> str:
    """The edition to run, from ``LRSCHED_EDITION``: "quick" (the default) or "full".

    Raises ValueError for anything else.
    """
    name = os.environ.get("LRSCHED_EDITION") or "quick"
    if name not in ("quick", "full"):
        raise ValueError(f"LRSCHED_EDITION must be 'quick' or 'full', got {name!r}")
    return name


def plan(name: str) -> Plan | SweepPlan:
    """How large the experiment ``name`` is in this edition.

    Raises ValueError if there is no such experiment.
    """
    quick = edition() == "quick"
    if name in SWEEPS:
        epochs, seeds, batch_size = SWEEPS[name]
        return SweepPlan(name, epochs, seeds[0 if quick else 1], batch_size)
    plans = QUICK if quick else FULL
    if name not in plans:
        known = ", ".join(map(repr, [*plans, *SWEEPS]))
        raise ValueError(f"name must be one of {known}, got {name!r}")
    if quick:
        # Fixed, so that the book repeats to the last bit.
        return Plan(name, *plans[name], batch_size=32, sizes=(("group", 32), ("chunk", 32)))
    return Plan(name, *plans[name], batch_size=256)


@functools.cache
def _data(edition: str, validation: int) -> Data:
    return digits(validation) if edition == "quick" else fashion_mnist(validation)
