"""The two editions of the book. This is the only place that knows of them."""

import copy
import functools
import math
import os
from dataclasses import dataclass
from typing import Any

from ..lab import Data, Regression, digits, fashion_mnist, polynomial

__all__ = ["Plan", "edition", "plan"]


@dataclass(frozen=True)
class Plan:
    """How large an experiment is in the edition at hand.

    Attributes:
        name: the experiment, and its record.
        epochs: the epochs of each run.
        seeds: the number of seeds, which count from 0.
        batch_size: samples for one update.
        validation: images set apart, for choices that may not be made by the test; None: the
            experiment is on the polynomial.
        sizes: the ``group`` and ``chunk`` of :func:`lrsched.lab.train`, empty where they are
            measured.
        small: whether it is on the digits in both editions.
    """

    name: str
    epochs: int
    seeds: int
    batch_size: int
    validation: int | None = None
    sizes: tuple[tuple[str, int], ...] = ()
    small: bool = False

    @property
    def data(self) -> Any:
        """The digits, in the full edition Fashion-MNIST; or the polynomial, the same in both.

        It is a copy, whose changes stay in it.
        """
        return copy.deepcopy(self._data())

    def split(self, seed: int) -> Any:
        """The same data with other images for training and validation, which the seed draws."""
        return copy.deepcopy(self._data(seed))

    @property
    def steps_per_epoch(self) -> int:
        """The updates in an epoch."""
        return math.ceil(len(self._data().train) / self.batch_size)

    def _data(self, seed: int = 0) -> Data | Regression:
        return _data("quick" if self.small else edition(), self.validation, seed)

    def settings(self) -> dict[str, Any]:
        """These numbers as arguments of :func:`lrsched.lab.train`."""
        return {"epochs": self.epochs, "batch_size": self.batch_size, **dict(self.sizes)}


# For each experiment: epochs, seeds, validation images.
QUICK = {
    "lenet-schedules": (30, 3, 200),
    "lenet-digits": (30, 3, 200),
    "lenet-base-rates": (12, 3, 200),
    "warmup-lengths": (10, 5, 200),
    "warmup-before-any": (10, 3, 200),
    "warmup-distances": (3, 3, 200),
    "warmup-adam": (5, 3, 200),
    "polynomial-powers": (12, 3, 200),
    "wide-cosine": (4, 1, 200),
    "cyclical-rates": (20, 5, 200),
    "decay-epochs": (60, 5, 200),
    "optimizer-rates": (10, 3, 200),
    "range-tests": (5, 3, 200),
    "batch-rates": (8, 2, 200),
    "cooldowns": (20, 3, 200),
    "cycles": (7, 3, 200),
    "decay-splits": (30, 5, 200),
    "transformer-warmup": (4, 1, 200),
}
FULL = {
    "lenet-schedules": (30, 15, 0),
    "lenet-digits": (30, 40, 200),
    "lenet-base-rates": (6, 10, 5000),
    "warmup-lengths": (3, 30, 0),
    "warmup-before-any": (4, 30, 0),
    "warmup-distances": (3, 30, 0),
    "warmup-adam": (3, 30, 0),
    "polynomial-powers": (6, 3, 5000),
    "wide-cosine": (4, 1, 0),
    "cyclical-rates": (20, 10, 0),
    "decay-epochs": (60, 10, 5000),
    "optimizer-rates": (5, 10, 5000),
    "range-tests": (2, 10, 5000),
    "batch-rates": (8, 5, 5000),
    "cooldowns": (20, 10, 5000),
    "cycles": (7, 10, 5000),
    "decay-splits": (30, 10, 5000),
    "transformer-warmup": (4, 10, 5000),
}

# The batch size of the full edition where it is not 256.
BATCHES = {"lenet-digits": 32, "transformer-warmup": 32}

# What is on the digits in the full edition, too.
SMALL = {"lenet-digits"}

LENETS = (("group", 10), ("chunk", 64))  # the fastest for many at a time, on one thread

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


def plan(name: str) -> Plan:
    """How large the experiment ``name`` is in this edition.

    Raises ValueError if there is no such experiment.
    """
    quick = edition() == "quick"
    if name in SWEEPS:
        epochs, seeds, batch_size = SWEEPS[name]
        return Plan(name, epochs, seeds[0 if quick else 1], batch_size)
    plans = QUICK if quick else FULL
    if name not in plans:
        known = ", ".join(map(repr, [*plans, *SWEEPS]))
        raise ValueError(f"name must be one of {known}, got {name!r}")
    epochs, number, validation = plans[name]
    small = name in SMALL
    if quick:
        # Fixed, so that the book repeats to the last bit.
        sizes = (("group", 32), ("chunk", 32))
        return Plan(name, epochs, number, 32, validation, sizes, small=small)
    lenets = name.startswith(("lenet", "warmup", "polynomial")) and not small
    batch = BATCHES.get(name, 256)
    return Plan(name, epochs, number, batch, validation, LENETS if lenets else (), small=small)


@functools.lru_cache(maxsize=4)
def _data(edition: str, validation: int | None, seed: int = 0) -> Data | Regression:
    if validation is None:
        return polynomial()
    make = digits if edition == "quick" else fashion_mnist
    return make(validation, seed=seed)
