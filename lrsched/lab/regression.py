"""Training on rows with targets: the mean squared error."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import Constant
from . import fast
from .data import Regression, Rows
from .group import Epoch, Group
from .machine import least_seconds
from .optimizers import Optimizer
from .runs import Run
from .seeds import order
from .settings import Sizes
from .stack import Stack
from .task import Work, split_by

if TYPE_CHECKING:
    from .fast.host import Loop

__all__ = ["RegressionTask"]

COMPILED = 1024  # runs held at once by the compiled loop, which takes 16 at a time in any case
GROUPS = (64, 128, 256, 512, 1024, 2048)
ROWS = 250  # evaluated at once: small results stay in the cache, and their memory is used again
MEMORY = 2**28  # bytes for the largest intermediate results of a group


class RegressionTask:
    """Rows with targets. Runs of one network make a group, of any seeds."""

    metrics = ("batch_loss", "train_loss", "precise_loss", "validation_loss", "test_loss")

    def __init__(self, data: Regression) -> None:
        if not len(data.train):
            raise ValueError("data must have rows to train on, got none")
        self.data = data
        # Kept from one network to the next, as far as the memory goes: an order costs as much as
        # training one small network in it.
        samples = len(data.train)
        self.order = functools.lru_cache(maxsize=MEMORY // (8 * samples))(
            functools.partial(order, samples)
        )

    @property
    def example(self) -> Tensor:
        return self.data.train.inputs[:1]

    def to(self, device: torch.device) -> "RegressionTask":
        return RegressionTask(self.data.to(device))

    def check_outputs(self, name: str, shape: list[int]) -> None:
        wanted = [1, self.data.train.targets.shape[1]]
        if shape != wanted:
            raise ValueError(f"{name} must give outputs of shape {wanted} for one row, got {shape}")

    def checked_chunk(self, chunk: int | None, batch_size: int, normalised: bool) -> int | None:
        if chunk is not None:
            raise ValueError(f"chunk must be None: it is for images, got {chunk}")
        return None

    def split(self, runs: Sequence[Run], size: int) -> list[list[int]]:
        # Runs of one seed stay together: they share initial weights and batches.
        by_seed = sorted(range(len(runs)), key=lambda place: runs[place].seed)
        return split_by(runs, size, lambda run: run.network, by_seed)

    def sizes(self, work: Work, asked: Sizes) -> Sizes:
        if asked.group:
            return asked
        networks, rule = work.networks.values(), work.settings.optimizer
        most = max(map(len, self.split(work.runs, len(work.runs))))
        if all(self.loop(Stack([network], work.device), rule) for network in networks):
            return Sizes(min(COMPILED, most))
        fits = max(1, MEMORY // max(self._bytes(Stack([network])) for network in networks))
        candidates = sorted({min(size, most, fits) for size in GROUPS})
        return Sizes(min(candidates, key=functools.partial(self._cost, work)))

    def _cost(self, work: Work, size: int) -> float:
        """The seconds for an epoch of one run, with so many at once, of the largest network."""
        settings, train = work.settings, self.data.train
        group = work.group([Run("", Constant(0.0), 0, work.largest)] * size)
        teacher = _Teacher(self, group)
        index = torch.arange(settings.batch_size, device=work.device) % len(train)
        rows = index.expand(size, -1)

        def update() -> None:
            group.stack.mode = "train"
            teacher.gradients(train.inputs[rows], train.targets[rows])
            group.optimizer.step(group.planned[0])

        seconds = settings.steps_per_epoch * least_seconds(update, work.device)
        return (seconds + least_seconds(teacher.evaluate, work.device)) / size

    def teacher(self, group: Group, sizes: Sizes) -> "_Teacher":
        return _Teacher(self, group)

    def loop(self, stack: Stack, rule: Optimizer) -> "Loop | None":
        """The compiled loop, where there is one for such networks and their results fit."""
        loop = fast.loop(stack, rule)
        if loop and torch.get_num_threads() * loop.lanes * self._bytes(stack) <= MEMORY:
            return loop
        return None

    def _bytes(self, stack: Stack) -> int:
        """What the widest layers of one network hold while it is evaluated, in float32."""
        widest = max(max(p.shape[1:]) for p in stack.parameters.values())
        rows = sum(map(len, (self.data.train, self.data.validation, self.data.test)))
        return 4 * 4 * widest * rows


class _Teacher:
    """All batches are gathered, a network's own rows for each, or a compiled loop does it."""

    def __init__(self, task: RegressionTask, group: Group) -> None:
        self.task, self.stack, self.optimizer = task, group.stack, group.optimizer
        self.nothing = group.zeros
        self.seeds = sorted({run.seed for run in group.runs})
        self.batch_size = group.settings.batch_size
        device = task.data.train.inputs.device
        self.seed_of = torch.tensor(
            [self.seeds.index(run.seed) for run in group.runs], device=device
        )
        self.loop = (
            None
            if group.settings.distances_every
            else task.loop(group.stack, group.settings.optimizer)
        )
        data = task.data
        self.measurements = [(part, "eval") for part in (data.train, data.validation, data.test)]
        if group.stack.buffers:
            self.measurements.append((data.train, "precise"))

    def epoch(self, group: Group) -> Epoch:
        data = self.task.data
        orders = torch.stack([self.task.order(seed, group.epoch) for seed in self.seeds])
        orders = orders.to(data.train.inputs.device)
        if self.loop is None:
            losses, measured = self._batched_epoch(group, orders)
        else:
            losses, measured = self._compiled_epoch(self.loop, group, orders)
        total = torch.zeros_like(losses[0])
        for step, loss in enumerate(losses):  # one sum over all would round as the group is large
            total += loss * min(self.batch_size, len(data.train) - step * self.batch_size)
        values = (total / len(data.train), *measured)
        parts = (data.train, data.train, data.train, data.validation, data.test)
        there = [value for value, part in zip(values, parts, strict=True) if len(part)]
        metrics = dict(zip(RegressionTask.metrics, values, strict=True))
        return Epoch(losses, metrics, torch.stack(there).isfinite().all(0))

    def _batched_epoch(self, group: Group, orders: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The losses of batches, [steps, runs], and all metrics but the first, each [runs]."""
        self.stack.mode = "train"
        train, losses = self.task.data.train, []
        for part in torch.split(orders, self.batch_size, dim=1):
            index = part[self.seed_of]  # [runs, batch]
            losses.append(self.gradients(train.inputs[index], train.targets[index]))
            group.step()
        return torch.stack(losses), self.evaluate()

    def _compiled_epoch(
        self, loop: "Loop", group: Group, orders: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        """The same by the compiled loop, which computes in float32 alone."""
        train, first = self.task.data.train, len(group.applied)
        losses, applied, measured = loop.train(
            self.optimizer,
            train.inputs,
            train.targets,
            orders,
            self.seed_of,
            group.planned[first : first + group.settings.steps_per_epoch],
            self.batch_size,
            [(rows.inputs, rows.targets, mode) for rows, mode in self.measurements],
        )
        group.applied += list(applied)
        return losses, self._in_order(measured)

    def gradients(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Leave the gradients of each run's loss in the weights; return the losses, [runs]."""
        self.optimizer.zero_grad()
        loss = _squared_error(self.stack(inputs), targets)
        torch.autograd.backward(loss.sum())
        return loss.detach()

    @torch.no_grad()
    def evaluate(self) -> list[Tensor]:
        """All metrics but the first, each [runs], NaN without rows."""
        return self._in_order([self._loss(rows, mode) for rows, mode in self.measurements])

    def _loss(self, rows: Rows, mode: str) -> Tensor:
        if not len(rows):
            return torch.full_like(self.nothing, torch.nan)
        self.stack.mode = mode
        at_once = len(rows) if mode == "precise" else ROWS
        outputs = [self.stack(part) for part in torch.split(rows.inputs, at_once)]
        return _squared_error(torch.cat(outputs, dim=1), rows.targets)

    def _in_order(self, measured: list[Tensor]) -> list[Tensor]:
        """What was measured in the order of the metrics."""
        train, validation, test, *precise = measured
        return [train, *(precise or [train]), validation, test]


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error of each network, [networks]."""
    return (outputs - targets).square_().flatten(1).mean(1)
