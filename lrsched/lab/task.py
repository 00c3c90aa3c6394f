"""What differs from one kind of data to the other, as the trainer sees it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .group import Group, Teacher
from .runs import Run
from .seeds import Network, initial
from .settings import Settings, Sizes
from .states import State

__all__ = ["Task", "Work", "split_by"]


@dataclass(frozen=True)
class Work:
    """All that a training is made of.

    Attributes:
        runs: what is trained.
        makers: what makes each network, by label.
        networks: each as seed 0 has it.
        settings: what else decides the results.
        device: where to train.
        start: where the runs start, if not at first weights.
    """

    runs: Sequence[Run]
    makers: Mapping[str, Network]
    networks: Mapping[str, nn.Sequential]
    settings: Settings
    device: torch.device
    start: State | None = None

    @property
    def largest(self) -> str:
        """The label of the network with the most weights."""
        sizes = {
            label: sum(p.numel() for p in network.parameters())
            for label, network in self.networks.items()
        }
        return max(sizes, key=lambda label: sizes[label])

    def group(self, runs: Sequence[Run]) -> Group:
        """Runs of one network, with first weights."""
        make = self.makers[runs[0].network]
        starts = {seed: initial(make, seed) for seed in sorted({run.seed for run in runs})}
        return Group(runs, [starts[run.seed] for run in runs], self.settings, self.device)

    def started(self, runs: Sequence[Run]) -> Group:
        """The same where they start."""
        group = self.group(runs)
        if self.start:
            group.start_from(self.start.rows_of(runs))
        return group


class Task(Protocol):
    """Data to train on, of one kind, and what is measured on them."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of what is measured after each epoch."""

    @property
    def data(self) -> Any:
        """The data set."""

    @property
    def example(self) -> Tensor:
        """The first input, as a batch of one."""

    def check_outputs(self, name: str, shape: list[int]) -> None:
        """Refuse a network, by name, with outputs of this shape for :attr:`example`."""

    def checked_chunk(self, chunk: int | None, batch_size: int, normalised: bool) -> int | None:
        """The check for the size of chunks, with a network that needs its batches whole or not."""

    def split(self, runs: Sequence[Run], size: int) -> list[list[int]]:
        """The places of the runs of each group, at most ``size``, as even as can be."""

    def sizes(self, work: Work, asked: Sizes) -> Sizes:
        """The sizes to compute in, measured where they are not asked for."""

    def teacher(self, group: Group, sizes: Sizes) -> Teacher:
        """What trains a group."""

    def to(self, device: torch.device) -> "Task":
        """The same on a device."""


def split_by(
    runs: Sequence[Run], size: int, key: Callable[[Run], Any], order: Sequence[int] | None = None
) -> list[list[int]]:
    """The places of runs, those of one key in groups of at most ``size``, as even as can be."""
    alike: dict[Any, list[int]] = {}
    for place in range(len(runs)) if order is None else order:
        alike.setdefault(key(runs[place]), []).append(place)
    return [
        part.tolist()
        for places in alike.values()
        for part in np.array_split(places, math.ceil(len(places) / size))
    ]
