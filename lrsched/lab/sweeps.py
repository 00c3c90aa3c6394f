"""Every combination of network, schedule and seed, thousands of networks at a time."""

import functools
import numbers
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arguments import AsFloat, OrNone, Real, Whole
from ..piecewise import Constant
from ..plateau import Plateau
from ..schedule import Schedule
from .checkpoints import checked_path
from .data import Regression, Rows
from .groups import (
    Group,
    Network,
    checked_batch_size,
    checked_network,
    checked_optimizer,
    checked_rates,
    checked_schedule,
    checked_seed,
    checked_watch,
    chosen_device,
    described,
    fingerprint,
    initial,
    least_seconds,
    order,
    resume,
    surroundings,
    undisturbed,
    work_through,
)
from .history import Run, check_rates
from .models import Stack, normalises
from .optimizers import SGD, Adam
from .plain import labelled, text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["METRICS", "sweep"]

METRICS = ("batch_loss", "train_loss", "precise_loss", "validation_loss", "test_loss")

COMPILED = 1024  # runs held at once by the compiled loop, which takes 16 at a time in any case
WIDEST = 64  # units: the matrices of wider layers are faster as batched products
SIZES = (64, 128, 256, 512, 1024, 2048)
ROWS = 250  # evaluated at once: small results stay in the cache, and their memory is used again
MEMORY = 2**28  # bytes for the largest intermediate results of a group

_rate = AsFloat(Real(low=0))

Rate = float | Schedule | Plateau
Combination = tuple[str, Run]  # a network's label, and what it is trained by


@undisturbed()
def sweep(
    networks: Mapping[str, Network],
    schedules: Mapping[str, Rate] | Iterable[float],
    seeds: int | Iterable[int],
    data: Regression,
    *,
    epochs: int,
    batch_size: int = 50,
    optimizer: SGD | Adam | None = None,
    group: int | None = None,
    watch: str = "validation_loss",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 20.0,
    device: torch.device | str | None = None,
    name: str = "sweep",
) -> "pd.DataFrame":
    """Train every network with every schedule from every seed; the loss is the mean squared error.

    A seed decides the initial weights and the order of the samples: for one seed all networks
    and schedules see the same batches, and networks of the same weights start from the same.
    The runs of a network are split into groups; each is one :class:`Stack`. On the CPU, groups
    of networks as :func:`mlp` makes them, up to 64 units wide, are trained by a compiled loop,
    in which a run ends with the same bits whatever it is trained beside. All others are trained
    by batched matrix products, whose rounding depends on their number: how runs are split may
    show in the last digits. A run whose loss is no longer finite changes nothing in the others.

    That each update applied the rate of its schedule, exactly, is checked before anything is
    returned.

    Args:
        networks: what makes a network of layers that :class:`Stack` knows, by label.
        schedules: by label, constant rates, schedules over steps (counted in batches from 0)
            or :class:`lrsched.Plateau` (updated after each epoch); or constant rates alone,
            which are their own labels.
        seeds: the seeds, or their number, counted from 0.
        data: the samples, the same for all.
        epochs: how often all training samples are seen.
        batch_size: samples for one update; the last batch of an epoch may be smaller.
        optimizer: :class:`SGD` or :class:`Adam`; None: ``SGD()``.
        group: runs in a group, at least 1. None: up to 1,024 for the compiled loop, else the
            fastest number on this machine, measured, within 256 MB of intermediate results.
        watch: the metric that a ``Plateau`` follows, one of ``METRICS``.
        checkpoint, checkpoint_seconds, device, name: as for :func:`train`.

    Returns:
        A table of one row for each run and epoch, with the columns

        - network, schedule: the labels, in the order in which they were given;
        - seed;
        - epoch: counted from 1;
        - rate: what the last update of the epoch applied, read from the optimizer;
        - batch_loss: the mean loss of the batches of the epoch, before each update;
        - train_loss, validation_loss, test_loss: after the epoch, in evaluation mode, NaN
          without samples;
        - precise_loss: on the training samples, normalised by their own statistics instead
          of the running ones; without normalisation this is train_loss;
        - diverged: whether a loss has not been finite. All losses are NaN from there on.

        ``attrs`` holds ``settings``, ``surroundings`` and the ``seconds`` that it took.

    Raises:
        TypeError or ValueError: an argument out of its range.
        CheckpointError: a checkpoint that cannot be read or written, or is of another sweep.
    """
    data = _checked_data(data)
    networks, examples = _checked_networks(networks, data)
    every, chosen_seeds = _checked_schedules(schedules), _checked_seeds(seeds)
    combinations = [
        (network, Run(label, schedule, seed))
        for network in networks
        for label, schedule in every.items()
        for seed in chosen_seeds
    ]
    epochs = Whole(low=1)("epochs", epochs)
    normalised = [repr(label) for label, network in examples.items() if normalises(network)]
    batch_size = checked_batch_size(batch_size, len(data.train), normalised)
    group = OrNone(Whole(low=1))("group", group)
    optimizer = checked_optimizer(optimizer)
    watch = checked_watch(watch, METRICS, [run for _, run in combinations], data, "part")
    file = checked_path(checkpoint)
    checkpoint_seconds = AsFloat(Real(low=0))("checkpoint_seconds", checkpoint_seconds)
    name = text("name", name)
    device = chosen_device(device)

    settings = {
        "data": data.name,
        "checksum": data.checksum,
        "networks": {label: str(network) for label, network in examples.items()},
        "optimizer": described(optimizer),
        "epochs": epochs,
        "batch_size": batch_size,
        "steps_per_epoch": -(-len(data.train) // batch_size),
        "samples": len(data.train),
        "watch": watch,
    }
    checked_rates(
        {f"schedules[{label!r}]": schedule for label, schedule in every.items()},
        epochs * settings["steps_per_epoch"],
    )

    def identity() -> dict[str, Any]:
        return settings | {
            "weights": {label: fingerprint(network) for label, network in examples.items()},
            "runs": [[network, run.to_dict()] for network, run in combinations],
            "group": group,
            "surroundings": surroundings(device),
        }

    data = data.to(device)
    # Kept from one network to the next, as far as the memory goes: an order costs as much as
    # training one small network in it.
    fit = MEMORY // (8 * len(data.train))
    orders = functools.lru_cache(maxsize=fit)(functools.partial(order, len(data.train)))

    def size() -> dict[str, Any]:
        most = len(combinations) // len(networks)
        return {"group": group or _fastest(networks, examples, data, settings, optimizer, most)}

    def split(state: dict[str, Any]) -> list[list[int]]:
        return _groups(combinations, state["group"])

    def is_done(state: dict[str, Any]) -> bool:
        return len(state["done"]) == len(split(state))

    state, save = resume(file, identity, size, is_done)
    groups = split(state)

    def build(number: int) -> Group:
        chosen = [combinations[place] for place in groups[number]]
        make = networks[chosen[0][0]]
        return _Group([run for _, run in chosen], make, data, optimizer, settings, orders)

    done = work_through(groups, build, epochs, state, save, checkpoint_seconds, name)
    table = _table(combinations, groups, done, epochs)
    table.attrs = {
        "settings": settings,
        "surroundings": surroundings(device) | {"group": state["group"]},
        "seconds": sum(each["seconds"] for each in done),
    }
    return table


class _Group(Group):
    """Runs of one kind of network in training, of any seeds."""

    def __init__(
        self,
        runs: Sequence[Run],
        make: Network,
        data: Regression,
        rule: SGD | Adam,
        settings: dict[str, Any],
        order_of: Callable[[int, int], Tensor],
    ) -> None:
        self.data = data
        self.order_of = order_of
        self.batch_size = settings["batch_size"]
        self.sizes = [len(part) for part in (data.train, data.validation, data.test)]
        self.seeds = sorted({run.seed for run in runs})
        starts = {seed: initial(make, seed) for seed in self.seeds}
        device = data.train.inputs.device
        super().__init__(
            runs,
            [starts[run.seed] for run in runs],
            rule,
            settings["epochs"],
            settings["steps_per_epoch"],
            settings["watch"],
            device,
        )
        self.compiled = _compiles(starts[self.seeds[0]], data)
        self.measurements = [(part, "eval") for part in (data.train, data.validation, data.test)]
        if self.stack.buffers:
            self.measurements.append((data.train, "precise"))
        self.seed_of = torch.tensor([self.seeds.index(run.seed) for run in runs], device=device)

    def train_epoch(self) -> None:
        begun = time.perf_counter()
        train, first = self.data.train, self.epoch * self.steps_per_epoch
        orders = torch.stack([self.order_of(seed, self.epoch) for seed in self.seeds])
        orders = orders.to(train.inputs.device)
        if self.compiled:
            losses, measured = self._compiled_epoch(orders, first)
        else:
            losses, measured = self._epoch(orders, first)
        total = torch.zeros_like(losses[0])
        for step, loss in enumerate(losses):  # one sum over all would round as the group is large
            total += loss * min(self.batch_size, len(train) - step * self.batch_size)
        values = (total / len(train), *measured)
        there = [v for v, rows in zip(values, (1, 1, *self.sizes), strict=True) if rows]
        self.lost |= ~torch.stack(there).isfinite().all(0)
        self.end_epoch(list(losses), dict(zip(METRICS, values, strict=True)))
        self.seconds += time.perf_counter() - begun

    def _epoch(self, orders: Tensor, first: int) -> tuple[Tensor, list[Tensor]]:
        """An epoch, whose first update has this number.

        Returns the losses of its batches, [steps, runs], and the losses of ``METRICS`` but the
        first, each [runs].
        """
        self.stack.mode = "train"
        train, losses = self.data.train, []
        for step, part in enumerate(torch.split(orders, self.batch_size, dim=1), first):
            index = part[self.seed_of]  # [runs, batch]
            losses.append(self.gradients(train.inputs[index], train.targets[index]))
            self.step(step)
        return torch.stack(losses), self.measure()

    def _compiled_epoch(self, orders: Tensor, first: int) -> tuple[Tensor, list[Tensor]]:
        """The same by :mod:`lrsched.lab.compiled`, which computes in float32 alone."""
        from . import compiled

        train = self.data.train
        planned = self.planned[first : first + self.steps_per_epoch]
        losses, applied, *measured = compiled.train(
            self.stack, self.optimizer, train.inputs, train.targets, orders, self.seed_of,
            planned, self.batch_size,
            [(rows.inputs, rows.targets, mode) for rows, mode in self.measurements],
        )  # fmt: skip
        assert torch.equal(applied, planned.float()), "other rates were applied than planned"
        self.rates += list(planned.clone())
        return losses, self._ordered(measured)

    def gradients(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Leave the gradients of each run's loss in the weights; return the losses, [runs]."""
        self.optimizer.zero_grad()
        loss = _squared_error(self.stack(inputs), targets)
        torch.autograd.backward(loss.sum())
        return loss.detach()

    @torch.no_grad()
    def measure(self) -> list[Tensor]:
        """The losses of ``METRICS`` but the first, each [runs], NaN without rows."""
        return self._ordered([self._loss(rows, mode) for rows, mode in self.measurements])

    def _loss(self, rows: Rows, mode: str) -> Tensor:
        if not len(rows):
            return torch.full_like(self.lost, torch.nan, dtype=torch.float32)
        self.stack.mode = mode
        at_once = len(rows) if mode == "precise" else ROWS
        outputs = [self.stack(part) for part in torch.split(rows.inputs, at_once)]
        return _squared_error(torch.cat(outputs, dim=1), rows.targets)

    def _ordered(self, measured: list[Tensor]) -> list[Tensor]:
        """What was measured in the order of ``METRICS``."""
        train, validation, test, *precise = measured
        return [train, *(precise or [train]), validation, test]

    def results(self) -> dict[str, Any]:
        """What the table needs, and no more: there may be very many groups."""
        steps = self.steps_per_epoch
        rates = torch.stack(self.rates).cpu()
        metrics = {name: torch.stack(values) for name, values in self.metrics.items()}
        check_rates(self.runs, rates, self.epoch, steps, metrics.get(self.watch))
        return {
            "seconds": self.seconds,
            "rate": rates[steps - 1 :: steps].clone(),  # a view would keep all of them
            "diverged": metrics["batch_loss"].isnan(),
            **metrics,
        }


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error of each network, [networks]."""
    return (outputs - targets).square_().flatten(1).mean(1)


def _groups(combinations: Sequence[Combination], size: int) -> list[list[int]]:
    """The places of the runs of each group: of one network, at most ``size``, and even.

    Runs of one seed stay together: they share initial weights and batches.
    """
    by_network: dict[str, list[int]] = {}
    for place in sorted(range(len(combinations)), key=lambda place: combinations[place][1].seed):
        by_network.setdefault(combinations[place][0], []).append(place)
    return [
        part.tolist()
        for places in by_network.values()
        for part in np.array_split(places, -(-len(places) // size))
    ]


def _fastest(
    networks: Mapping[str, Network],
    examples: Mapping[str, nn.Sequential],
    data: Regression,
    settings: dict[str, Any],
    rule: SGD | Adam,
    most: int,
) -> int:
    """The number of runs to compute at once that is fastest here, measured on one network."""
    if all(_compiles(network, data) for network in examples.values()):
        return min(COMPILED, most)
    fits = max(1, MEMORY // max(_bytes(network, data) for network in examples.values()))
    largest = max(examples, key=lambda label: sum(p.numel() for p in examples[label].parameters()))
    device = data.train.inputs.device
    index = torch.arange(settings["batch_size"], device=device) % len(data.train)
    orders = functools.partial(order, len(data.train))
    steps: int = settings["steps_per_epoch"]

    def cost(size: int) -> float:
        runs = [Run("", Constant(0.0))] * size
        trial = _Group(runs, networks[largest], data, rule, settings | {"epochs": 1}, orders)
        rows = index.expand(size, -1)
        inputs, targets = data.train.inputs[rows], data.train.targets[rows]

        def update() -> None:
            trial.stack.mode = "train"
            trial.gradients(inputs, targets)
            trial.step(0)

        epoch = steps * least_seconds(update, device) + least_seconds(trial.measure, device)
        return epoch / size

    return min(sorted({min(size, most, fits) for size in SIZES}), key=cost)


def _compiles(network: nn.Sequential, data: Regression) -> bool:
    """Whether the compiled loop is for such networks and data."""
    from . import compiled  # late: the compiler takes a while to import

    held = torch.get_num_threads() * compiled.LANES * _bytes(network, data)
    stack = Stack([network], data.train.inputs.device)
    return compiled.supported(stack) and _widest(network) <= WIDEST and held <= MEMORY


def _widest(network: nn.Sequential) -> int:
    return max(max(p.shape) for p in network.parameters())


def _bytes(network: nn.Sequential, data: Regression) -> int:
    """What the widest layers of one network hold while it is evaluated, in float32."""
    rows = sum(map(len, (data.train, data.validation, data.test)))
    return 4 * 4 * _widest(network) * rows


def _table(
    combinations: Sequence[Combination],
    groups: Sequence[Sequence[int]],
    done: Sequence[dict[str, Any]],
    epochs: int,
) -> "pd.DataFrame":
    import pandas as pd

    places = np.argsort(np.concatenate(groups))
    columns: dict[str, Any] = {
        "network": np.repeat(np.array([label for label, _ in combinations], object), epochs),
        "schedule": np.repeat(_labels([run.label for _, run in combinations]), epochs),
        "seed": np.repeat([run.seed for _, run in combinations], epochs),
        "epoch": np.tile(np.arange(1, epochs + 1), len(combinations)),
    }
    for name in ("rate", *METRICS, "diverged"):
        values = torch.cat([each[name] for each in done], dim=1).numpy()[
            :, places
        ]  # [epochs, runs]
        columns[name] = values.T.reshape(-1)
    return pd.DataFrame(columns)


def _labels(labels: list[Any]) -> Any:
    numbers = all(isinstance(label, float) for label in labels)
    return np.array(labels, float if numbers else object)


def _checked_data(data: Any) -> Regression:
    if not isinstance(data, Regression):
        raise TypeError(f"data must be a lab.Regression, got {data!r}")
    if not len(data.train):
        raise ValueError("data must have rows to train on, got none")
    return data


def _checked_networks(
    networks: Any, data: Regression
) -> tuple[dict[str, Network], dict[str, nn.Sequential]]:
    """What makes each network, and each as seed 0 has it."""
    if not isinstance(networks, Mapping):
        raise TypeError(f"networks must be a dict from label to what makes one, got {networks!r}")
    if not networks:
        raise ValueError("networks must hold at least one network, got none")
    networks, examples = labelled("networks", networks), {}
    wanted = [1, data.train.targets.shape[1]]
    for label, make in networks.items():
        name = f"networks[{label!r}]"
        examples[label], shape = checked_network(name, make, data.train.inputs[:1])
        if shape != wanted:
            raise ValueError(f"{name} must give outputs of shape {wanted} for one row, got {shape}")
    return networks, examples


def _checked_schedules(schedules: Any) -> dict[Any, Schedule | Plateau]:
    if isinstance(schedules, Schedule | Plateau | str) or not isinstance(schedules, Iterable):
        raise TypeError(
            "schedules must be a list of rates, or a dict from label to schedule, "
            f"got {schedules!r}"
        )
    if not isinstance(schedules, Mapping):
        rates = [_rate(f"schedules[{place}]", rate) for place, rate in enumerate(schedules)]
        if len(set(rates)) < len(rates):
            raise ValueError(f"schedules must have each rate once, got {rates!r}")
        schedules = dict(zip(rates, rates, strict=True))
    else:
        schedules = labelled("schedules", schedules)
    if not schedules:
        raise ValueError("schedules must hold at least one schedule, got none")
    found: dict[Any, Schedule | Plateau] = {}
    for label, schedule in schedules.items():
        name = f"schedules[{label!r}]"
        if isinstance(schedule, numbers.Real):
            schedule = Constant(_rate(name, schedule))
        checked_schedule(name, schedule)
        found[label] = schedule
    return found


def _checked_seeds(seeds: Any) -> list[int]:
    if not isinstance(seeds, Iterable):
        return list(range(Whole(low=1)("seeds", seeds)))
    found = [checked_seed(f"seeds[{place}]", seed) for place, seed in enumerate(seeds)]
    if not found or len(set(found)) < len(found):
        raise ValueError(f"seeds must hold at least one seed, and each once, got {found!r}")
    return found
