"""Training many networks side by side: one program, a schedule for each."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..arguments import AsFloat, OrNone, Real, Whole
from ..piecewise import Constant
from .checkpoints import checked_path
from .data import Data, Split
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
from .history import METRICS, History, Run
from .models import lenet, normalises
from .optimizers import SGD, Adam
from .plain import text

__all__ = ["batches", "fastest", "initial", "measure", "train"]

SIZES = (1, 2, 4, 8, 16, 32)
CHUNKS = (32, 64, 128, 256)


@undisturbed()
def train(
    runs: Sequence[Run],
    data: Data,
    *,
    epochs: int,
    batch_size: int = 256,
    optimizer: SGD | Adam | None = None,
    network: Network | None = None,
    group: int | None = None,
    chunk: int | None = None,
    distances_every: int | None = None,
    watch: str = "validation_loss",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 20.0,
    device: torch.device | str | None = None,
    name: str = "training",
    after_epoch: Callable[[Sequence[Run], int, dict[str, Any]], object] | None = None,
) -> History:
    """Train one network for each run, many at a time, with the mean cross-entropy as the loss.

    Runs of one seed start from the same weights and see the same batches in the same order.
    They are split into groups; each group is one :class:`Stack`. A batch may be computed in
    chunks whose gradients add up: fewer samples at a time stay in the processor's cache.

    The results depend on the arguments alone: not on random generators, nor on what the caller has
    set for its thread, such as ``no_grad`` or autocast. Networks are made in float32 on the CPU,
    whatever the default dtype and device, but for what they name themselves.

    A run whose loss is no longer finite is marked in ``History.diverged``; the others of its
    group go on as if it were not there.

    Args:
        runs: what to train. Schedules give the rate at each step, counted in batches from 0;
            write one over epochs as ``schedule.per_epoch(steps)``. A :class:`lrsched.Plateau`
            is updated after each epoch.
        data: the samples; see :func:`batches` for their order.
        epochs: how often all training samples are seen.
        batch_size: samples for one update; the last batch of an epoch may be smaller.
        optimizer: :class:`SGD` or :class:`Adam`; None: ``SGD()``.
        network: makes a network of layers that :class:`Stack` knows; None: ``lenet`` for the
            size of the images.
        group: runs computed at once, at least 1. None: the fastest on this machine, measured.
            Name it where results must repeat to the last bit on other machines.
        chunk: samples computed at once, at least 1. None: as for ``group``, but with batch
            normalisation, which needs the batch as a whole.
        distances_every: steps from one measurement to the next of the distance of each layer
            from its initial weights, first before step 0; None: none.
        watch: the metric that a ``Plateau`` follows, one of ``METRICS``.
        checkpoint: a file to keep the state in, for this training alone; None: none is kept.
            Killed at any moment and started again with it, a training ends with the results,
            to the bit, that it would have had.
        checkpoint_seconds: the least time from one checkpoint to the next. They are written at
            the start, after an epoch, and when a group is done.
        device: where to train; None: a GPU if there is one, else the CPU.
        name: what to write before the progress bar (``TQDM_DISABLE=1`` hides it).
        after_epoch: called after each epoch of a group with its runs, the number of epochs
            done, and their metrics by the names in ``METRICS``, each [runs]. What it raises
            ends the training: a search prunes by it.

    Returns:
        The results.

    Raises:
        TypeError or ValueError: an argument out of its range; two runs of one label and seed.
            Nothing has been trained or written then.
        CheckpointError: a checkpoint that cannot be read or written, or is of another training.
    """
    runs = _checked_runs(runs)
    _checked_data(data)
    epochs = Whole(low=1)("epochs", epochs)
    group = OrNone(Whole(low=1))("group", group)
    chunk = OrNone(Whole(low=1))("chunk", chunk)
    distances_every = OrNone(Whole(low=1))("distances_every", distances_every)
    watched = checked_watch(watch, METRICS, runs, data, "split")
    optimizer = checked_optimizer(optimizer)
    make = network
    if make is None:
        make = functools.partial(lenet, data.side, len(data.classes))
    example = _checked_network(make, data)
    normalised = normalises(example)
    batch_size = checked_batch_size(batch_size, len(data.train), ["network"] * normalised)
    if normalised:
        if chunk is not None and chunk < batch_size:
            raise ValueError(
                f"chunk must be None or at least batch_size={batch_size} with batch "
                f"normalisation, got {chunk}"
            )
        chunk = batch_size
    file = checked_path(checkpoint)
    checkpoint_seconds = AsFloat(Real(low=0))("checkpoint_seconds", checkpoint_seconds)
    name = text("name", name)
    if after_epoch is not None and not callable(after_epoch):
        raise TypeError(f"after_epoch must be a function or None, got {after_epoch!r}")
    device = chosen_device(device)

    samples = len(data.train.labels)
    settings = {
        "data": data.name,
        "checksum": data.checksum,
        "network": str(example),
        "optimizer": described(optimizer),
        "epochs": epochs,
        "batch_size": batch_size,
        "steps_per_epoch": -(-samples // batch_size),
        "samples": samples,
        "distances_every": distances_every,
    }
    if watched:
        settings["watch"] = watched
    checked_rates(
        {f"runs[{place}].schedule": run.schedule for place, run in enumerate(runs)},
        epochs * settings["steps_per_epoch"],
    )

    def identity() -> dict[str, Any]:
        return settings | {
            "weights": fingerprint(example),
            "runs": [run.to_dict() for run in runs],
            "asked": [group, chunk],
            "surroundings": surroundings(device),
        }

    def sizes() -> dict[str, Any]:  # they decide the last bits: kept from the start
        if group and chunk:
            return {"group": group, "chunk": chunk}
        pair = fastest(
            make, data, batch_size, optimizer, device, group=group, chunk=chunk, runs=runs
        )
        return dict(zip(("group", "chunk"), pair, strict=True))

    def split(state: dict[str, Any]) -> list[list[int]]:
        return _groups(runs, state["group"])

    def is_done(state: dict[str, Any]) -> bool:
        return len(state["done"]) == len(split(state))

    state, save = resume(file, identity, sizes, is_done)
    groups = split(state)
    data = data.to(device)

    def build(number: int) -> Group:
        some = [runs[place] for place in groups[number]]
        return _Group(some, data, make, optimizer, settings, state["chunk"], device)

    def report(group: Group) -> None:
        if after_epoch:
            now = {metric: values[-1].numpy().copy() for metric, values in group.metrics.items()}
            after_epoch(tuple(group.runs), group.epoch, now)

    done = work_through(groups, build, epochs, state, save, checkpoint_seconds, name, report)
    sizes_used = {"group": state["group"], "chunk": state["chunk"]}
    return _history(runs, groups, done, settings, surroundings(device) | sizes_used)


def batches(
    split: Split, batch_size: int, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The images and labels of each batch of an epoch, in an order that the seed decides."""
    index = order(len(split), seed, epoch).to(split.labels.device)
    for part in torch.split(index, batch_size):
        yield split.batch(part)


class _Group(Group):
    """Runs of one seed in training: what :func:`train` does for one group."""

    def __init__(
        self,
        runs: Sequence[Run],
        data: Data,
        network: Network,
        rule: SGD | Adam,
        settings: dict[str, Any],
        chunk: int,
        device: torch.device,
    ) -> None:
        self.seed = runs[0].seed
        self.data = data
        self.chunk = chunk
        self.batch_size = settings["batch_size"]
        self.distances_every = settings["distances_every"]
        start = initial(network, self.seed)
        super().__init__(
            runs,
            [start] * len(runs),
            rule,
            settings["epochs"],
            settings["steps_per_epoch"],
            settings.get("watch", ""),
            device,
        )
        self.start = {name: p.detach()[:1].clone() for name, p in self.stack.parameters.items()}

    def train_epoch(self) -> None:
        begun = time.perf_counter()
        self.stack.mode = "train"
        losses, right = [], torch.zeros_like(self.lost, dtype=torch.float32)
        first = self.epoch * self.steps_per_epoch
        for step, (images, labels) in enumerate(
            batches(self.data.train, self.batch_size, self.seed, self.epoch), first
        ):
            if self.distances_every and step % self.distances_every == 0:
                self._measure()
            loss, hits = self._gradients(images, labels)
            self.step(step)
            losses.append(loss)
            right += hits
        sizes = right.new_full((len(losses), 1), self.batch_size)
        sizes[-1] = len(labels)
        samples = len(self.data.train.labels)
        self.stack.mode = "eval"
        values = [
            (torch.stack(losses) * sizes).sum(0) / samples,
            right / samples,
            *self._evaluate(self.data.validation),
            *self._evaluate(self.data.test),
        ]
        self.end_epoch(losses, dict(zip(METRICS, values, strict=True)))
        self.seconds += time.perf_counter() - begun

    def _gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Leave the gradients of each run's mean loss in the weights.

        Returns the losses and the numbers of samples that were classified rightly, [runs].
        """
        self.optimizer.zero_grad()
        losses = torch.zeros_like(self.lost, dtype=torch.float32)
        right = torch.zeros_like(losses)
        for loss, hits in self._parts(images, labels, self.chunk):
            each = loss / len(labels)
            torch.autograd.backward(each.sum())
            losses += each.detach()
            right += hits
        return losses, right

    def _parts(self, images: Tensor, labels: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """So many samples at a time: the sum of the losses and the right answers, [runs]."""
        parts = torch.split(images, size), torch.split(labels, size)
        for x, y in zip(*parts, strict=True):
            outputs = self.stack(x)
            yield _cross_entropy(outputs, y), (outputs.detach().argmax(2) == y).sum(1)

    @torch.no_grad()
    def _evaluate(self, split: Split) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy of each run, NaN without samples."""
        losses = torch.zeros_like(self.lost, dtype=torch.float32)
        right = torch.zeros_like(losses)
        if not len(split):
            nothing = torch.full_like(losses, torch.nan)
            return nothing, nothing
        # Without gradients there is half as much to hold.
        for loss, hits in self._parts(split.images, split.labels, 2 * self.chunk):
            losses += loss
            right += hits
        right[~losses.isfinite()] = torch.nan  # no class is the largest of what is not finite
        return losses / len(split.labels), right / len(split.labels)

    @torch.no_grad()
    def _measure(self) -> None:
        layers: dict[str, list[Tensor]] = {}
        for name, p in self.stack.parameters.items():
            start = self.start[name]
            pair = torch.stack([
                (p - start).flatten(1).square().sum(1), start.square().sum().expand(len(p))
            ])  # fmt: skip
            layers.setdefault(name.rpartition(".")[0], []).append(pair)
        for layer, pairs in layers.items():
            away, long = torch.stack(pairs).sum(0)
            self.distances.setdefault(layer, []).append((away / long).sqrt().cpu())


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The sum of the cross-entropies of each network, [networks]."""
    networks = len(outputs)
    each = F.cross_entropy(outputs.flatten(0, 1), labels.repeat(networks), reduction="none")
    return each.view(networks, -1).sum(1)


def _checked_runs(runs: Sequence[Run]) -> list[Run]:
    runs = list(runs)
    if not runs:
        raise ValueError("runs must hold at least one run, got none")
    seen = set()
    for place, run in enumerate(runs):
        if not isinstance(run, Run):
            raise TypeError(f"runs[{place}] must be a lab.Run, got {run!r}")
        checked_schedule(f"runs[{place}].schedule", run.schedule)
        label = text(f"runs[{place}].label", run.label)
        seed = checked_seed(f"runs[{place}].seed", run.seed)
        runs[place] = Run(label, run.schedule, seed)
        if (label, seed) in seen:
            raise ValueError(
                f"runs must have one run for each label and seed, got {label!r} with seed "
                f"{seed} twice"
            )
        seen.add((label, seed))
    return runs


def _checked_data(data: Any) -> None:
    if not isinstance(data, Data):
        raise TypeError(f"data must be a lab.Data, got {data!r}")
    if not len(data.train):
        raise ValueError("data must have images to train on, got none")
    for name in ("train", "validation", "test"):
        labels = getattr(data, name).labels
        if labels.dtype != torch.int64 or (labels < 0).any():
            raise ValueError(f"data.{name}.labels must be int64 of at least 0, got {labels}")


def _checked_network(make: Any, data: Data) -> nn.Sequential:
    network, shape = checked_network("network", make, data.train.images[:1])
    splits = (data.train, data.validation, data.test)
    classes = 1 + max(int(split.labels.max()) for split in splits if len(split))
    if len(shape) != 2 or shape[1] < classes:
        raise ValueError(
            f"network must give outputs of shape [1, {classes}] for one image, or more, got {shape}"
        )
    return network


def _groups(runs: Sequence[Run], size: int) -> list[list[int]]:
    """The places of the runs of each group: of one seed, at most ``size``, as even as can be."""
    by_seed: dict[int, list[int]] = {}
    for place, run in enumerate(runs):
        by_seed.setdefault(run.seed, []).append(place)
    groups: list[list[int]] = []
    for places in by_seed.values():
        count = -(-len(places) // size)
        groups += [list(map(int, part)) for part in np.array_split(places, count)]
    return groups


def _history(
    runs: Sequence[Run],
    groups: list[list[int]],
    done: list[dict[str, Any]],
    settings: dict[str, Any],
    where: dict[str, Any],
) -> History:
    order = np.argsort(np.concatenate(groups))

    def joined(parts: Iterable[Tensor]) -> Any:
        return torch.cat(list(parts), dim=-1).numpy()[..., order]

    rates, losses = joined(d["rates"] for d in done), joined(d["losses"] for d in done)
    metrics = {m: joined(d["metrics"][m] for d in done) for m in METRICS}
    distances = {
        layer: joined(d["distances"][layer] for d in done) for layer in done[0]["distances"]
    }
    broken = ~np.isfinite(losses)
    diverged = np.where(broken.any(0), broken.argmax(0), -1)
    every = settings["distances_every"]
    points = np.arange(0, len(rates), every) if every else np.arange(0)
    seconds = [d["seconds"] / len(places) for d, places in zip(done, groups, strict=True)
               for _ in places]  # fmt: skip
    return History(
        tuple(runs),
        rates,
        losses,
        metrics,
        distances,
        points,
        diverged,
        np.array(seconds)[order],
        settings,
        where,
    )


@undisturbed()
def fastest(
    network: Network,
    data: Data,
    batch_size: int = 256,
    optimizer: SGD | Adam | None = None,
    device: torch.device | str = "cpu",
    *,
    group: int | None = None,
    chunk: int | None = None,
    runs: Sequence[Run] | None = None,
) -> tuple[int, int]:
    """The numbers of runs and of samples to compute at once that are fastest here, measured.

    Args:
        network, data, batch_size, optimizer, device: as for :func:`train`.
        group, chunk: one of the two numbers, if it is given.
        runs: what will be trained; no group is larger than the most runs of one seed.

    Returns:
        ``group, chunk``.
    """
    costs = measure(network, data, batch_size, optimizer, device, group, chunk, runs)
    return min(costs, key=lambda pair: costs[pair])


@undisturbed()
def measure(
    network: Network,
    data: Data,
    batch_size: int = 256,
    optimizer: SGD | Adam | None = None,
    device: torch.device | str = "cpu",
    group: int | None = None,
    chunk: int | None = None,
    runs: Sequence[Run] | None = None,
) -> dict[tuple[int, int], float]:
    """The seconds for one update of one network, by group and chunk; see :func:`fastest`."""
    device = torch.device(device)
    most = max(map(len, _groups(runs, len(runs)))) if runs else SIZES[-1]
    # Groups are as even as can be: of 5 runs, no more than 4 at once means 3 and 2.
    sizes = [group] if group else sorted({-(-most // -(-most // size)) for size in SIZES})
    chunks = [chunk] if chunk else [c for c in CHUNKS if c < batch_size] + [batch_size]
    index = torch.arange(min(batch_size, len(data.train.labels)), device=device)
    images, labels = data.to(device).train.batch(index)
    settings = {"epochs": 1, "batch_size": batch_size, "steps_per_epoch": 1,
                "distances_every": None}  # fmt: skip
    costs = {}
    for size in sizes:
        some = [Run(str(k), Constant(0.01)) for k in range(size)]
        for part in chunks:
            trainer = _Group(some, data, network, optimizer or SGD(), settings, part, device)

            def update(trainer: _Group = trainer) -> None:
                trainer._gradients(images, labels)
                trainer.optimizer.step()

            costs[size, part] = least_seconds(update, device) / size
    return costs
