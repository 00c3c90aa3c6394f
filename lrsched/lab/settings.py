"""What decides the results of a training beside its runs and their first weights."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .optimizers import Optimizer

__all__ = ["Settings", "Sizes"]


@dataclass(frozen=True)
class Sizes:
    """How much is computed at once. It decides the time, and the last bits of results.

    Attributes:
        group: runs; None: to be measured.
        chunk: samples of a batch; None: to be measured, or all of them.
    """

    group: int | None = None
    chunk: int | None = None

    def to_dict(self) -> dict[str, int]:
        """The sizes that there are."""
        return {name: size for name, size in dataclasses.asdict(self).items() if size}


@dataclass(frozen=True)
class Settings:
    """What decides the results of a training beside its runs and their first weights.

    Attributes:
        data: the name of the data set.
        checksum: that of the data set.
        networks: each network as it is printed, by its label; "" if it has none.
        optimizer: the optimizer.
        epochs: how often all training samples are seen.
        batch_size: samples for one update.
        samples: the number of samples to train on.
        distances_every: steps between two measurements of distances, None: none are measured.
        watch: the metric that runs follow, "" if none does.
        start_epoch: the epochs that the runs have behind them, 0 but for those that go on from a
            kept state.
    """

    data: str
    checksum: str
    networks: Mapping[str, str]
    optimizer: Optimizer
    epochs: int
    batch_size: int
    samples: int
    distances_every: int | None
    watch: str
    start_epoch: int = 0

    @property
    def steps_per_epoch(self) -> int:
        """The updates in an epoch."""
        return math.ceil(self.samples / self.batch_size)

    @property
    def start_step(self) -> int:
        """The updates that the runs have behind them: the first step of their schedules."""
        return self.start_epoch * self.steps_per_epoch

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values: what records and tables say of a training."""
        one = "" in self.networks
        values = {
            "data": self.data,
            "checksum": self.checksum,
            **({"network": self.networks[""]} if one else {"networks": dict(self.networks)}),
            "optimizer": self.optimizer.to_dict(),
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps_per_epoch,
            "samples": self.samples,
        }
        if one or self.distances_every:
            values["distances_every"] = self.distances_every
        if self.watch or not one:
            values["watch"] = self.watch
        if self.start_epoch:
            values["start_epoch"] = self.start_epoch
        return values
