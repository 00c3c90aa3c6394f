"""A group: runs in training side by side, as one program."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .optimizers import StackOptimizer
from .runs import Rates, Run, check_applied
from .settings import Settings
from .stack import Stack

__all__ = ["Epoch", "Group", "Teacher"]


class Epoch(NamedTuple):
    """What was measured in an epoch.

    Attributes:
        losses: of each batch before its update, [steps, runs].
        metrics: by name, each [runs].
        finite: whether what is measured after the updates is finite, [runs].
    """

    losses: Tensor
    metrics: dict[str, Tensor]
    finite: Tensor


class Teacher(Protocol):
    """Trains a group on data of one kind."""

    def epoch(self, group: "Group") -> Epoch:
        """Go through the training samples once, with a ``group.step()`` a batch, and measure."""


class Group:
    """Runs in training, side by side.

    Args:
        runs: what is trained, all of one kind of network.
        networks: the network that each run starts from.
        settings: what else decides the results.
        device: where to train.

    Attributes:
        epoch: the number of epochs done, those before a start from a state included.
        applied: the rates that the updates used, float32, a tensor [runs] for each so far.
        losses: the losses of the batches likewise.
        metrics: by name, a tensor [runs] for each epoch so far.
        distances: by layer, a tensor [runs] for each measurement so far: see
            :attr:`lrsched.lab.Results.distances`.
        diverged: the step whose loss was the first that is not finite, or -1, [runs].
        seconds: the time that it has taken.
        kept: by epoch, the tensors of :meth:`start_from`.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        networks: Sequence[nn.Sequential],
        settings: Settings,
        device: torch.device,
    ) -> None:
        self.runs, self.settings = runs, settings
        self.stack = Stack(networks, device)
        self.optimizer = StackOptimizer(settings.optimizer, self.stack.parameters)
        steps = settings.steps_per_epoch
        self.rates = Rates(runs, settings.epochs, steps, settings.start_step)
        self.planned = torch.from_numpy(self.rates.table).to(device)  # [steps, runs]
        self.first: dict[str, tuple[Tensor, Tensor]] = {}  # the first weights, and their squares
        for name, p in self.stack.parameters.items() if settings.distances_every else ():
            start = p.detach().clone()
            self.first[name] = start, torch.stack([each.square().sum() for each in start])
        self.epoch = settings.start_epoch
        self.seconds = 0.0
        self.diverged = torch.full((len(runs),), -1, device=device)
        self.applied: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.metrics: dict[str, list[Tensor]] = {}
        self.distances: dict[str, list[Tensor]] = {}
        self.kept: dict[int, dict[str, Tensor]] = {}

    @property
    def done(self) -> int:
        """The number of epochs done, without those before a start from a state."""
        return self.epoch - self.settings.start_epoch

    @property
    def zeros(self) -> Tensor:
        """A zero for each run, float32."""
        return torch.zeros_like(self.diverged, dtype=torch.float32)

    def step(self) -> None:
        """Update the weights by their gradients, with the rates of the present step."""
        step, every = len(self.applied), self.settings.distances_every
        if every and step % every == 0:
            self._measure_distances()
        self.applied.append(self.optimizer.step(self.planned[step]))

    def train_epoch(self, teacher: Teacher) -> None:
        """Train for one epoch, and keep what was measured: NaN for runs that have diverged."""
        begun = time.perf_counter()
        first = len(self.losses)
        losses, metrics, finite = teacher.epoch(self)
        self.epoch += 1
        self.losses += list(losses)
        # What is not finite after the last update has diverged with it.
        broken = torch.cat([~losses.isfinite(), ~finite[None]])
        step = (first + broken.int().argmax(0)).clamp(max=first + len(losses) - 1)
        self.diverged = torch.where(broken.any(0) & (self.diverged < 0), step, self.diverged)
        for name, value in metrics.items():
            shown = torch.where(self.diverged >= 0, torch.nan, value.to(self.diverged.device))
            self.metrics.setdefault(name, []).append(shown.cpu())
        self._follow(self.done)
        self.seconds += time.perf_counter() - begun

    def _follow(self, epoch: int) -> None:
        """Let rates follow the metric after so many epochs."""
        if self.rates.follow:
            self.rates.end_epoch(epoch, self.metrics[self.settings.watch][epoch - 1].numpy())
            self.planned.copy_(torch.from_numpy(self.rates.table))

    @torch.no_grad()
    def _measure_distances(self) -> None:
        layers: dict[str, list[Tensor]] = {}
        for name, p in self.stack.parameters.items():
            start, long = self.first[name]
            pair = torch.stack([(p - start).flatten(1).square().sum(1), long])
            layers.setdefault(name.rpartition(".")[0], []).append(pair)
        for layer, pairs in layers.items():
            away, long = torch.stack(pairs).sum(0)
            self.distances.setdefault(layer, []).append((away / long).sqrt().cpu())

    _LISTS = ("applied", "losses")
    _TABLES = ("metrics", "distances")

    def state_dict(self) -> dict[str, Any]:
        """All that the rest of the training depends on, and what was measured so far."""
        return {
            "epoch": self.epoch,
            "parameters": {name: p.detach() for name, p in self.stack.parameters.items()},
            "buffers": self.stack.buffers,
            "moments": self.optimizer.state,
            "steps": self.optimizer.steps,
            **self._measured(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state_dict` gave."""
        device = self.planned.device
        self.epoch, self.seconds = state["epoch"], state["seconds"]
        with torch.no_grad():
            for name, p in self.stack.parameters.items():
                p.copy_(state["parameters"][name])
            for name, statistics in self.stack.buffers.items():
                statistics.copy_(state["buffers"][name])
            for name, tensors in self.optimizer.state.items():
                for own, saved in zip(tensors, state["moments"][name], strict=True):
                    own.copy_(saved)
        self.optimizer.steps = state["steps"]
        self.diverged = state["diverged"].to(device)
        for name in self._LISTS:
            setattr(self, name, list(state[name].to(device)))
        for name in self._TABLES:
            setattr(self, name, {key: list(values) for key, values in state[name].items()})
        self.kept = state.get("kept", {})
        for epoch in range(1, self.done + 1):
            self._follow(epoch)

    def _tensors(self) -> dict[str, Tensor]:
        """All that updates change, by name, each [runs, ...]."""
        tensors = {f"parameters.{name}": p.detach() for name, p in self.stack.parameters.items()}
        tensors |= {f"buffers.{name}": b for name, b in self.stack.buffers.items()}
        for moment, each in self.optimizer.state.items():
            named = zip(self.stack.parameters, each, strict=True)
            tensors |= {f"moments.{moment}.{name}": tensor for name, tensor in named}
        return tensors

    def keep(self) -> None:
        """Keep a copy, on the CPU, of all that is needed to start from here."""
        tensors = self._tensors() | {"diverged": self.diverged >= 0}
        self.kept[self.epoch] = {
            name: tensor.to("cpu", copy=True) for name, tensor in tensors.items()
        }

    def start_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Start where a group of these runs was when it kept the tensors."""
        for name, own in self._tensors().items():
            own.copy_(tensors[name])
        self.optimizer.steps = self.settings.start_step
        diverged = tensors["diverged"].to(self.diverged.device)
        self.diverged = torch.where(diverged, 0, -1)  # so at the first step

    def _measured(self) -> dict[str, Any]:
        return {
            "seconds": self.seconds,
            "diverged": self.diverged,
            **{name: torch.stack(getattr(self, name)) for name in self._LISTS},
            **{
                name: {key: torch.stack(values) for key, values in getattr(self, name).items()}
                for name in self._TABLES
            },
            **({"kept": self.kept} if self.kept else {}),
        }

    def results(self, each_update: bool) -> dict[str, Any]:
        """What was measured, as tensors [..., runs] on the CPU.

        Args:
            each_update: whether rates and losses of each update are wanted.

        Raises:
            RateError: an update used another rate than it should.
        """
        measured = {
            name: value.cpu() if isinstance(value, Tensor) else value
            for name, value in self._measured().items()
        }
        steps = self.settings.steps_per_epoch
        applied: np.ndarray[Any, Any] = measured["applied"].numpy()
        watched = self.metrics[self.settings.watch] if self.rates.follow else None
        metric = None if watched is None else torch.stack(watched).numpy()
        check_applied(self.runs, applied, steps, metric, self.settings.start_step)
        # A view would keep the rates of all steps.
        measured["rate"] = measured["applied"][steps - 1 :: steps].clone()
        if not each_update:
            del measured["applied"], measured["losses"]
        return measured
