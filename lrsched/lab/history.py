"""What a training leaves: the rates applied and the results of every run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..plateau import Plateau
from ..schedule import Schedule
from ..value import from_dict
from .plain import plain

__all__ = ["METRICS", "History", "Run"]

Array = npt.NDArray[Any]

METRICS = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
)


@dataclass(frozen=True)
class Run:
    """One training: a schedule over steps, a seed, and the label it is drawn and listed under.

    The seed decides the initial weights and the order of the samples: runs of one seed share
    both, so that the schedule is all that differs. A ``Plateau`` stands for itself as it is
    at the start.
    """

    label: str
    schedule: Schedule | Plateau
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values.

        Raises TypeError or ValueError for a schedule of one's own with an argument that has no
        plain form, such as a function.
        """
        schedule = self.schedule
        if isinstance(schedule, Plateau):
            described = {f.name: getattr(schedule, f.name) for f in fields(schedule) if f.init}
            described = {"class": "Plateau"} | described
        else:
            described = schedule.to_dict()
        values = {"label": self.label, "schedule": described, "seed": self.seed}
        return dict(plain(f"the run {self.label!r}", values))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Run":
        """The run that :meth:`to_dict` described."""
        described = dict(values["schedule"])
        if described["class"] == "Plateau":
            del described["class"]
            return cls(values["label"], Plateau(**described), values["seed"])
        return cls(values["label"], from_dict(described), values["seed"])

    def rates(self, epochs: int, steps_per_epoch: int, watched: Any = None) -> Array:
        """The rate of each step; for a ``Plateau`` given the metric after each epoch."""
        steps = epochs * steps_per_epoch
        if not isinstance(self.schedule, Plateau):
            return np.asarray(self.schedule(np.arange(steps)))
        plateau = replace(self.schedule)
        rates = [plateau.lr, *(plateau.update(value) for value in watched)]
        return np.repeat(rates, steps_per_epoch)[:steps]


def check_rates(
    runs: Sequence[Run], rates: Any, epochs: int, steps_per_epoch: int, watched: Any = None
) -> None:
    """Raise AssertionError unless the rates, [steps, runs], are those of the runs, exactly.

    ``watched``, [epochs, runs], is the metric that a ``Plateau`` followed.
    """
    each: dict[Any, Array] = {}  # many runs may follow one schedule
    for place, run in enumerate(runs):
        if isinstance(run.schedule, Plateau):
            planned = run.rates(epochs, steps_per_epoch, watched[:, place])
        elif run.schedule in each:
            planned = each[run.schedule]
        else:
            planned = each[run.schedule] = run.rates(epochs, steps_per_epoch)
        np.testing.assert_array_equal(rates[:, place], planned, err_msg=str(run))


@dataclass(frozen=True, eq=False)
class History:
    """The results of runs that were trained together.

    Losses are means of the cross-entropy in nats, accuracies shares from 0 to 1. Training
    loss and accuracy are those of the batches of the epoch, before each update, as a plain
    training loop counts them. From the epoch on in which a run diverged its figures are NaN.

    Attributes:
        runs: the runs; their order is that of the last axis of all arrays.
        rates: the rate that each update applied, read from the optimizer, [steps, runs]. None
            in a record, which is only written after they were checked.
        losses: the training loss of each batch, [steps, runs]. None in a record.
        metrics: by the names in ``METRICS``, each [epochs, runs].
        distances: by layer, the length of the way from the initial weights, divided by the
            length of these, [points, runs]. Empty if none was asked for.
        distance_steps: the number of updates before each of the points.
        diverged: the step whose loss was the first that was not finite, or -1, [runs].
        seconds: the share of each run in the time that its group took, [runs].
        settings: what else decides the results.
        surroundings: machine and versions, which may change the last digits and the time.
    """

    runs: tuple[Run, ...]
    rates: Array | None
    losses: Array | None
    metrics: dict[str, Array]
    distances: dict[str, Array]
    distance_steps: Array
    diverged: Array
    seconds: Array
    settings: dict[str, Any] = field(default_factory=dict)
    surroundings: dict[str, Any] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return int(self.settings["epochs"])

    @property
    def steps_per_epoch(self) -> int:
        """The updates in an epoch."""
        return int(self.settings["steps_per_epoch"])

    @property
    def labels(self) -> list[str]:
        """The labels, each once, in the order of the runs."""
        return list(dict.fromkeys(run.label for run in self.runs))

    def __getitem__(self, metric: str) -> dict[str, Array]:
        """A metric by label, each [epochs, seeds].

        Also ``"gap"``, training accuracy minus test accuracy.
        """
        if metric == "gap":
            values = self.metrics["train_accuracy"] - self.metrics["test_accuracy"]
        else:
            values = self.metrics[metric]
        return {label: values[:, columns] for label, columns in self.columns()}

    def final(self, metric: str) -> dict[str, Array]:
        """A metric after the last epoch by label, each [seeds]."""
        return {label: values[-1] for label, values in self[metric].items()}

    def columns(self) -> Iterator[tuple[str, list[int]]]:
        """Each label with the places of its runs, in the order of their seeds."""
        for label in self.labels:
            places = [k for k, run in enumerate(self.runs) if run.label == label]
            yield label, sorted(places, key=lambda k: self.runs[k].seed)

    def select(self, keep: Callable[[Run], bool]) -> "History":
        """The same with the runs alone for which ``keep(run)`` is true."""
        places = [k for k, run in enumerate(self.runs) if keep(run)]
        return History(
            tuple(self.runs[k] for k in places),
            None if self.rates is None else self.rates[:, places],
            None if self.losses is None else self.losses[:, places],
            {name: values[:, places] for name, values in self.metrics.items()},
            {name: values[:, places] for name, values in self.distances.items()},
            self.distance_steps,
            self.diverged[places],
            self.seconds[places],
            self.settings,
            self.surroundings,
        )

    def check_rates(self) -> str:
        """Check that every update of every run applied the rate of its schedule, exactly.

        Returns:
            A sentence that says so, with the numbers.

        Raises:
            AssertionError: if a single one did not.
            ValueError: for a record.
        """
        if self.rates is None:
            raise ValueError("a record keeps no rates: they were checked before it was written")
        watched = self.metrics.get(self.settings.get("watch", ""))
        check_rates(self.runs, self.rates, self.epochs, self.steps_per_epoch, watched)
        return (
            f"{len(self.rates):,} updates of {len(self.runs)} runs: "
            "each applied the rate of its schedule, exactly."
        )
