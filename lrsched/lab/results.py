"""What training leaves: the rates that were used, and the results of every run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .runs import Run, check_applied
from .states import State

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Results"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Results:
    """The results of runs that were trained together.

    On images, losses are means of the cross-entropy in nats, accuracies shares from 0 to 1;
    ``train_loss`` and ``train_accuracy`` are those of the batches of the epoch, before each
    update, as a plain training loop counts them. On rows, losses are means of the squared error:
    ``batch_loss`` is that of the batches, ``train_loss`` is measured after the epoch, and
    ``precise_loss`` likewise, but normalised by the statistics of the training rows instead of
    the running ones. Validation and test are measured after the epoch, NaN without samples. From
    the epoch on in which a run diverged its figures are NaN.

    Training that started from a :class:`State` has results of its own epochs alone: all arrays
    begin there. ``settings["start_epoch"]`` says how many epochs came before; the epochs of the
    table and of ``states``, and ``distance_steps``, count on from them.

    Attributes:
        runs: the runs; their order is that of the last axis of all arrays.
        metrics: by name, each [epochs, runs].
        rates: the rate that each update used, float32, [steps, runs]. None in a sweep, which
            keeps ``rate`` alone, and in a record: they were checked before.
        losses: the loss of each batch before its update, [steps, runs]. None likewise.
        rate: the rate that the last update of each epoch used, float32, [epochs, runs]. None in
            a record.
        distances: by layer, the length of the way from the initial weights, divided by the
            length of these, [points, runs]; NaN where a network has no such layer. Empty if none
            was asked for.
        distance_steps: the number of updates before each of the points.
        diverged: the step whose loss was the first that was not finite, as a place in
            ``losses``, or -1, [runs]; 0 if the run had diverged when it started from a state.
        seconds: the share of each run in the time that its group took, [runs].
        settings: what else decides the results.
        surroundings: machine and versions, which may change the last digits and the time.
        states: by epoch, what was asked to be kept; empty in a record.
    """

    runs: tuple[Run, ...]
    metrics: dict[str, Array]
    rates: Array | None
    losses: Array | None
    rate: Array | None
    distances: dict[str, Array]
    distance_steps: Array
    diverged: Array
    seconds: Array
    settings: dict[str, Any] = field(default_factory=dict)
    surroundings: dict[str, Any] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """The number of epochs."""
        return int(self.settings["epochs"])

    @property
    def start_epoch(self) -> int:
        """The epochs that came before; 0 but for runs that started from a state."""
        return int(self.settings.get("start_epoch", 0))

    @property
    def steps_per_epoch(self) -> int:
        """The updates in an epoch."""
        return int(self.settings["steps_per_epoch"])

    @property
    def labels(self) -> list[Any]:
        """The labels, each once, in the order of the runs."""
        return list(dict.fromkeys(run.label for run in self.runs))

    @property
    def seeds(self) -> list[int]:
        """The seeds, each once, sorted."""
        return sorted({run.seed for run in self.runs})

    def __getitem__(self, metric: str) -> dict[Any, Array]:
        """A metric by label, each [epochs, seeds]; of several networks, select one first.

        Also ``"gap"``, training accuracy minus test accuracy.
        """
        if metric == "gap":
            values = self.metrics["train_accuracy"] - self.metrics["test_accuracy"]
        else:
            values = self.metrics[metric]
        return {label: values[:, columns] for label, columns in self.columns()}

    def final(self, metric: str) -> dict[Any, Array]:
        """A metric after the last epoch by label, each [seeds]."""
        return {label: values[-1] for label, values in self[metric].items()}

    def columns(self) -> Iterator[tuple[Any, list[int]]]:
        """Each label with the places of its runs, in the order of their seeds.

        Raises ValueError if there are several networks: select one first.
        """
        if len(networks := {run.network for run in self.runs}) > 1:
            raise ValueError(f"select the runs of one network first, there are {len(networks)}")
        for label in self.labels:
            places = [k for k, run in enumerate(self.runs) if run.label == label]
            yield label, sorted(places, key=lambda k: self.runs[k].seed)

    def select(self, keep: Callable[[Run], bool]) -> "Results":
        """The same with the runs alone for which ``keep(run)`` is true."""
        places = [k for k, run in enumerate(self.runs) if keep(run)]

        def chosen(values: Array | None) -> Any:
            return None if values is None else values[..., places]

        return Results(
            tuple(self.runs[k] for k in places),
            {name: chosen(values) for name, values in self.metrics.items()},
            chosen(self.rates),
            chosen(self.losses),
            chosen(self.rate),
            {name: chosen(values) for name, values in self.distances.items()},
            self.distance_steps,
            chosen(self.diverged),
            chosen(self.seconds),
            self.settings,
            self.surroundings,
            {epoch: state.select(keep) for epoch, state in self.states.items()},
        )

    def joined(self, others: "Results", runs: Sequence[Run]) -> "Results":
        """These runs, of which some are here and the rest are in other results of equal settings.

        The rates and losses of each update are not kept. ``surroundings`` are those of the others,
        with those of these results as ``before``.

        Raises:
            ValueError: other settings, or a run that is in neither.
        """
        if self.settings != others.settings:
            raise ValueError(
                f"others must be of the settings {self.settings!r}, got {others.settings!r}"
            )
        both = (*self.runs, *others.runs)
        places = {run: place for place, run in enumerate(both)}
        if lost := [run for run in runs if run not in places]:
            raise ValueError(f"runs must be of these results or the others, got {lost[0]}")
        order = [places[run] for run in runs]

        def together(ours: Array, theirs: Array) -> Array:
            return np.concatenate([ours, theirs], axis=-1)[..., order]

        def tables(ours: dict[str, Array], theirs: dict[str, Array]) -> dict[str, Array]:
            return {name: together(values, theirs[name]) for name, values in ours.items()}

        return Results(
            tuple(runs),
            tables(self.metrics, others.metrics),
            None,
            None,
            None,
            tables(self.distances, others.distances),
            self.distance_steps,
            together(self.diverged, others.diverged),
            together(self.seconds, others.seconds),
            self.settings,
            others.surroundings | {"before": self.surroundings | {"runs": len(self.runs)}},
        )

    def table(self) -> "pd.DataFrame":
        """A row for each run and epoch.

        The columns are network and schedule (the labels), seed, epoch (counted from 1, or on
        from where runs started from a state), rate
        (what the last update of the epoch used; not in a record), each metric, and diverged:
        whether the run has. ``attrs`` holds settings, surroundings, and the seconds that all took.
        """
        import pandas as pd

        runs, epochs = self.runs, self.epochs
        begin = self.start_epoch + 1
        labels = [run.label for run in runs]
        numbers = all(isinstance(label, float) for label in labels)
        columns: dict[str, Any] = {
            "network": np.repeat(np.array([run.network for run in runs], object), epochs),
            "schedule": np.repeat(np.array(labels, float if numbers else object), epochs),
            "seed": np.repeat([run.seed for run in runs], epochs),
            "epoch": np.tile(np.arange(begin, begin + epochs), len(runs)),
        }
        if self.rate is not None:
            columns["rate"] = self.rate.T.reshape(-1)
        columns |= {name: values.T.reshape(-1) for name, values in self.metrics.items()}
        begun = np.arange(1, epochs + 1)[:, None] * self.steps_per_epoch > self.diverged
        columns["diverged"] = (begun & (self.diverged >= 0)).T.reshape(-1)
        table = pd.DataFrame(columns)
        table.attrs = {
            "settings": self.settings,
            "surroundings": self.surroundings,
            "seconds": float(self.seconds.sum()),
        }
        return table

    def check_rates(self) -> str:
        """Check that every update of every run used the rate of its schedule, exactly.

        Training checks it too, before it returns: with a sweep, or a record, that has been all.

        Returns:
            A sentence that says so, with the numbers.

        Raises:
            RateError: a single one did not.
            ValueError: the rates of each update are not there.
        """
        if self.rates is None:
            raise ValueError(
                "the rates of each update are not there: they were checked while it was trained"
            )
        watched = self.metrics.get(self.settings.get("watch", ""))
        first = self.start_epoch * self.steps_per_epoch
        check_applied(self.runs, self.rates, self.steps_per_epoch, watched, first)
        return (
            f"{len(self.rates):,} updates of {len(self.runs)} runs: "
            "each used the rate of its schedule, exactly."
        )
