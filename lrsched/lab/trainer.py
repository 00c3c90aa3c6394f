"""The trainer: many networks side by side, a schedule for each."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arguments import AsFloat, Choice, Instance, OrNone, Real, Several, Whole, flag
from . import checkpoints
from .attention import printed
from .classification import Classification
from .data import Data, Regression
from .group import Group
from .machine import chosen_device, surroundings, undisturbed
from .makers import example, makers_of
from .optimizers import SGD, Optimizer
from .plain import plain, text
from .regression import RegressionTask
from .results import Results
from .runs import Run, checked_runs, follows_metric, planned_rates
from .seeds import Network, fingerprint
from .settings import Settings, Sizes
from .stack import normalises
from .states import State, checked_start, joined
from .task import Task, Work

__all__ = ["train"]

AfterEpoch = Callable[[Sequence[Run], int, dict[str, Any]], object]


@undisturbed()
def train(
    runs: Iterable[Run],
    data: Data | Regression,
    *,
    epochs: int,
    batch_size: int = 32,
    optimizer: Optimizer | None = None,
    network: Network | Mapping[str, Network] | None = None,
    group: int | None = None,
    chunk: int | None = None,
    distances_every: int | None = None,
    watch: str = "validation_loss",
    each_update: bool = True,
    keep: Iterable[int] = (),
    start: State | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 20.0,
    device: torch.device | str | None = None,
    name: str = "training",
    after_epoch: AfterEpoch | None = None,
) -> Results:
    """Train one network for each run, many at a time.

    On images (:class:`Data`) the loss is the mean cross-entropy, on rows (:class:`Regression`)
    the mean squared error. Runs of one seed start from the same weights and see the same batches
    in the same order. They are split into groups; each group is one :class:`Stack`. A batch of
    images may be computed in chunks whose gradients add up: fewer samples at a time stay in the
    processor's cache. On the CPU, networks as :func:`mlp` makes them, up to 64 units wide, are
    trained on rows by a compiled loop (``pip install 'lrsched[fast]'``), in which a run ends with
    the same bits whatever it is trained beside. All others are trained by batched products, whose
    rounding depends on their number: how runs are split may show in the last digits.

    The results depend on the arguments alone: not on random generators, nor on what the caller has
    set for its thread, such as ``no_grad`` or autocast. Networks are made in float32 on the CPU,
    whatever the default dtype and device, but for what they name themselves. That each update used
    the rate of its schedule, exactly, is checked before anything is returned.

    A run that diverges, and from then on has no finite loss, changes nothing in the others.

    With ``start``, each run goes on from the run of its network and seed in a :class:`State`, as
    if training had never stopped: weights, statistics and moments, the steps that schedules are
    asked for, and the order of the samples. So all but the schedules must be as it was. A
    ``Plateau`` alone begins anew.

    Args:
        runs: what to train.
        data: the samples; see ``lrsched.lab.classification.batches`` for their order.
        epochs: how often all training samples are seen; from ``start`` on, if there is one.
        batch_size: samples for one update; the last batch of an epoch may be smaller.
        optimizer: :class:`SGD`, :class:`Adam` or :class:`AdamW`; None: ``SGD()``.
        network: makes a network of layers that :class:`Stack` knows; or several such by label,
            of which each run names one. None: for images ``lenet`` in their size.
        group: runs computed at once, at least 1. None: the fastest on this machine, measured.
            Name it where results must repeat to the last bit on other machines.
        chunk: samples computed at once, at least 1, for images. None: as for ``group``, but with
            batch normalisation, which needs the batch as a whole.
        distances_every: steps from one measurement to the next of the distance of each layer
            from its initial weights, which the seed decides, first before the first step;
            None: none.
        watch: the metric that a ``Plateau`` follows; see :class:`Results` for their names.
        each_update: whether the results hold the rate and the loss of each update.
        keep: the epochs after which to keep the state of all runs, as ``states`` of the results;
            counted from the first weights, those before ``start`` included.
        start: the state to go on from; None: the weights that the seeds decide.
        checkpoint: a file to keep the state in, for this training alone; None: none is kept.
            Killed at any moment and started again with it, a training ends with the results,
            to the bit, that it would have had.
        checkpoint_seconds: the least time from one checkpoint to the next. They are written at
            the start, after an epoch, and when a group is done.
        device: where to train; None: a GPU if there is one, else the CPU.
        name: what to write before the progress bar (``TQDM_DISABLE=1`` hides it).
        after_epoch: called after each epoch of a group with its runs, the number of epochs
            done, those before ``start`` included, and their metrics by name, each [runs]. What
            it raises ends the training: a search prunes by it.

    Returns:
        The results.

    Raises:
        TypeError or ValueError: an argument out of its range; two runs of one network, label and
            seed; a start without one run for each, or of training with other data, batches,
            optimizer or network. Nothing has been trained or written then.
        CheckpointError: a checkpoint that cannot be read or written, or is of another training.
    """
    task = _task(data)
    makers = makers_of(network, data)
    runs = checked_runs(runs, makers)
    networks = {label: example(label, make, task) for label, make in makers.items()}
    start = OrNone(Instance(State))("start", start)
    normalised = [label for label, each in networks.items() if normalises(each)]
    settings = Settings(
        data=data.name,
        checksum=data.checksum,
        networks={label: printed(each) for label, each in networks.items()},
        optimizer=_checked_optimizer(optimizer),
        epochs=Whole(low=1)("epochs", epochs),
        batch_size=_checked_batch_size(batch_size, len(data.train), normalised),
        samples=len(data.train),
        distances_every=OrNone(Whole(low=1))("distances_every", distances_every),
        watch=_checked_watch(watch, task, runs),
        start_epoch=start.epoch if start else 0,
    )
    start = start and checked_start(start, runs, settings, networks)
    _check_rates(runs, settings)
    chunk = OrNone(Whole(low=1))("chunk", chunk)
    asked = Sizes(
        OrNone(Whole(low=1))("group", group),
        task.checked_chunk(chunk, settings.batch_size, bool(normalised)),
    )
    if after_epoch is not None and not callable(after_epoch):
        raise TypeError(f"after_epoch must be a function or None, got {after_epoch!r}")
    seconds = AsFloat(Real(low=0))("checkpoint_seconds", checkpoint_seconds)
    keeping = _Keeping(checkpoints.checked_path(checkpoint), seconds)
    work = Work(runs, makers, networks, settings, chosen_device(device), start)
    session = _Session(
        work,
        task.to(work.device),
        asked,
        flag("each_update", each_update),
        _checked_keep(keep, settings),
        text("name", name),
    )
    return session.run(keeping, after_epoch)


@dataclass(frozen=True)
class _Keeping:
    """Where the state of a training is kept, if anywhere, and the seconds between two times."""

    file: Path | None
    seconds: float


@dataclass
class _Session:
    """A training from its first group to its results."""

    work: Work
    task: Task
    asked: Sizes
    each_update: bool
    keep: tuple[int, ...]
    name: str

    def run(self, keeping: _Keeping, after_epoch: AfterEpoch | None) -> Results:
        state, save = self._resume(keeping.file)
        sizes = Sizes(**state["sizes"])
        groups = self.task.split(self.work.runs, sizes.group or len(self.work.runs))
        done: list[dict[str, Any]] = state["done"]
        epochs = self.work.settings.epochs
        with _progress(epochs, groups, len(done), self.name) as bar:
            for places in groups[len(done) :]:
                group = self.work.started([self.work.runs[place] for place in places])
                teacher = self.task.teacher(group, sizes)
                if state["present"] is not None:
                    group.load_state_dict(state["present"])
                    bar.update(group.done * len(places))
                saved = time.monotonic()
                while group.done < epochs:
                    group.train_epoch(teacher)
                    bar.update(len(places))
                    if group.epoch in self.keep:
                        group.keep()
                    if after_epoch:
                        after_epoch(tuple(group.runs), group.epoch, _last(group))
                    if group.done < epochs and time.monotonic() - saved > keeping.seconds:
                        state["present"] = group.state_dict()
                        save()
                        saved = time.monotonic()
                done.append(group.results(self.each_update))
                state["present"] = None
                save()
        return self._results(groups, done, sizes)

    def _resume(self, file: Path | None) -> tuple[dict[str, Any], Callable[[], None]]:
        """The state to go on from, and what keeps it."""

        def first() -> dict[str, Any]:  # the sizes decide the last bits: they are kept, too
            sizes = self.task.sizes(self.work, self.asked)
            return {"sizes": sizes.to_dict(), "done": [], "present": None}

        if file is None:
            return first(), lambda: None
        identity = {name: plain(name, value) for name, value in self._identity().items()}
        state = checkpoints.load(file, identity)
        if state is None or sum(map(_runs, state["done"])) < len(self.work.runs):
            checkpoints.needs_place(file)  # before hours of training
        present = state or first()

        def save() -> None:
            checkpoints.save(file, identity, present)

        if state is None:
            save()
        return present, save

    def _identity(self) -> dict[str, Any]:
        """What makes it this training and no other."""
        networks, start = self.work.networks.items(), self.work.start
        return self.work.settings.to_dict() | {
            "weights": {label: fingerprint(each.state_dict().values()) for label, each in networks},
            "runs": [run.to_dict() for run in self.work.runs],
            "asked": dataclasses.asdict(self.asked) | {"each_update": self.each_update},
            "surroundings": surroundings(self.work.device),
            **({"start": start.fingerprint()} if start else {}),
            **({"keep": self.keep} if self.keep else {}),
        }

    def _results(
        self, groups: Sequence[Sequence[int]], done: Sequence[dict[str, Any]], sizes: Sizes
    ) -> Results:
        order = np.argsort(np.concatenate(groups))
        settings = self.work.settings

        def joined(parts: Iterable[Tensor]) -> Any:
            return torch.cat(list(parts), dim=-1).numpy()[..., order]

        def tables(name: str) -> dict[str, Any]:
            parts = [each[name] for each in done]
            keys = dict.fromkeys(key for part in parts for key in part)
            return {key: joined(part.get(key, _nothing(part)) for part in parts) for key in keys}

        every, first = settings.distances_every, settings.start_step
        steps = settings.epochs * settings.steps_per_epoch
        share = [np.full(_runs(each), each["seconds"] / _runs(each)) for each in done]
        return Results(
            tuple(self.work.runs),
            tables("metrics"),
            joined(each["applied"] for each in done) if self.each_update else None,
            joined(each["losses"] for each in done) if self.each_update else None,
            joined(each["rate"] for each in done),
            tables("distances"),
            first + np.arange(0, steps, every) if every else np.arange(0),
            joined(each["diverged"] for each in done),
            np.concatenate(share)[order],
            settings.to_dict(),
            surroundings(self.work.device) | sizes.to_dict(),
            {epoch: self._state(epoch, groups, done) for epoch in self.keep},
        )

    def _state(
        self, epoch: int, groups: Sequence[Sequence[int]], done: Sequence[dict[str, Any]]
    ) -> State:
        tensors = [each["kept"].pop(epoch) for each in done]  # not to hold them twice
        return joined(epoch, self.work.runs, groups, tensors, self.work.settings.to_dict())


def _runs(done: dict[str, Any]) -> int:
    """The number of runs that some results are of."""
    return len(done["diverged"])


def _nothing(part: dict[str, Tensor]) -> Tensor:
    """What stands for a layer that the network of a group lacks."""
    return torch.full_like(next(iter(part.values())), torch.nan)


def _last(group: Group) -> dict[str, Any]:
    return {metric: values[-1].numpy().copy() for metric, values in group.metrics.items()}


def _progress(epochs: int, groups: Sequence[Sequence[int]], done: int, name: str) -> Any:
    from tqdm import tqdm

    total = epochs * sum(map(len, groups))
    before = epochs * sum(map(len, groups[:done]))
    return tqdm(total=total, initial=before, desc=name, unit="epoch", smoothing=0.05)


def _task(data: Any) -> Task:
    if isinstance(data, Data):
        return Classification(data)
    if isinstance(data, Regression):
        return RegressionTask(data)
    raise TypeError(f"data must be a lab.Data or a lab.Regression, got {data!r}")


def _checked_optimizer(optimizer: Any) -> Optimizer:
    """The optimizer, ``SGD()`` for None."""
    if optimizer is None:
        return SGD()
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be lab.SGD(...) or another of the lab, got {optimizer!r}")
    return optimizer


def _checked_batch_size(size: Any, samples: int, normalised: Sequence[str]) -> int:
    """The size of batches, of which none may hold a single sample if there are such networks."""
    size = Whole(low=1)("batch_size", size)
    if normalised and (size == 1 or samples % size == 1):
        raise ValueError(
            "batch_size must leave no batch of one sample, which has no variance for the "
            f"normalisation of network {normalised[0]!r}: got {size} for {samples} samples"
        )
    return int(size)


def _checked_watch(watch: Any, task: Task, runs: Sequence[Run]) -> str:
    """The metric to follow, "" if no run follows one."""
    metric = task.metrics[task.metrics.index(Choice(task.metrics)("watch", watch))]
    if not any(follows_metric(run.schedule) for run in runs):
        return ""
    part = metric.partition("_")[0]
    if not len(getattr(task.data, part, task.data.train)):
        raise ValueError(f"data must have {part} samples for a Plateau to follow, got none")
    return metric


def _checked_keep(keep: Any, settings: Settings) -> tuple[int, ...]:
    """The epochs after which states are kept, each once and in order."""
    first = settings.start_epoch
    epoch = Whole(low=first + 1, high=first + settings.epochs)
    return tuple(sorted(set(Several(epoch)("keep", keep))))


def _check_rates(runs: Sequence[Run], settings: Settings) -> None:
    """Refuse schedules that do not give a rate for each step, or no momentum that can be used."""
    steps, known = settings.epochs * settings.steps_per_epoch, set()
    settings.optimizer.check_steps(settings.start_step, steps)
    for place, run in enumerate(runs):
        if id(run.schedule) not in known:
            known.add(id(run.schedule))
            name = f"runs[{place}].schedule"
            planned_rates(name, run.schedule, steps, settings.start_step)
