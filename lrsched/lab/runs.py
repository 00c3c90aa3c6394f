"""Training runs, and the rates by which they are trained side by side."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from .. import Plateau, Schedule, from_dict
from ..arguments import AsFloat, Real, Whole
from .plain import plain, text

__all__ = ["RateError", "Rates", "Run", "check_applied", "checked_runs", "planned_rates"]

Array = npt.NDArray[Any]
_number = AsFloat(Real(smallest=-math.inf, largest=math.inf))
Rule = Schedule | Plateau


class RateError(RuntimeError):
    """An update used another rate than its schedule has."""


@dataclass(frozen=True)
class Run:
    """One training run: what it is trained by, and what it starts from.

    The seed decides the initial weights and the order of the samples: runs of one seed share
    both, so that the schedule is all that differs.

    Attributes:
        label: what the run is drawn and listed under, a string; a number in a sweep of rates.
        schedule: gives the rate at each step, counted in batches from 0; write one over epochs as
            ``schedule.per_epoch(steps)``. A :class:`lrsched.Plateau` stands for itself as it is
            at the start, and is updated after each epoch. In training that goes on from a
            :class:`State`, the steps go on, too; a plateau begins there.
        seed: at least 0.
        network: the label of the network, where there are several.
    """

    label: str | float
    schedule: Rule
    seed: int = 0
    network: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The run as plain values.

        Raises TypeError or ValueError for a schedule of one's own with an argument that has no
        plain form, such as a function.
        """
        values = {"label": self.label, "schedule": self.schedule.to_dict(), "seed": self.seed}
        if self.network:
            values["network"] = self.network
        return dict(plain(f"the run {self.label!r}", values))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Run":
        """The run that :meth:`to_dict` described."""
        return cls(**{**values, "schedule": from_dict(values["schedule"])})


def follows_metric(rule: Any) -> TypeGuard[Plateau]:
    """Whether the rates are no function of the step, but follow a metric."""
    return isinstance(rule, Plateau)


def planned_rates(name: str, rule: Any, steps: int, first: int = 0) -> Array:
    """The rates of so many steps from the first on, [steps], as far as they are known there.

    Raises:
        TypeError: neither a schedule nor a plateau, or one that cannot be hashed.
        ValueError: one whose rates are not all finite and at least 0.
    """
    if follows_metric(rule):
        return np.full(steps, rule.base_lr)
    if not isinstance(rule, Schedule):
        raise TypeError(f"{name} must be a schedule or a Plateau, got {rule!r}")
    try:
        hash(rule)
    except TypeError as error:
        raise TypeError(
            f"{name} must have arguments that can be hashed, such as tuples for lists, got {rule!r}"
        ) from error
    rates = np.asarray(rule(np.arange(first, first + steps)), float)
    if rates.shape != (steps,) or not (np.isfinite(rates) & (rates >= 0)).all():
        raise ValueError(
            f"{name} must give a finite rate of at least 0 for each of {steps} steps"
            f"{f' from step {first} on' if first else ''}, got {rates!r} from {rule!r}"
        )
    return rates


class Rates:
    """The rates of runs side by side: as schedules plan them, and as plateaus go on.

    Args:
        runs: the runs.
        epochs, steps_per_epoch: for how long.
        first: the step of the schedules that comes first.

    Attributes:
        table: float64, [steps, runs]. A rate that follows a metric is planned to stay.
        follow: whether there are such rates.
    """

    def __init__(
        self, runs: Sequence[Run], epochs: int, steps_per_epoch: int, first: int = 0
    ) -> None:
        self._steps_per_epoch = steps_per_epoch
        self._plateaus: dict[int, Plateau] = {}
        columns: dict[Any, Array] = {}  # many runs may follow one schedule
        keys: list[Any] = []
        for place, run in enumerate(runs):
            key: Any = run.schedule
            if follows_metric(run.schedule):
                self._plateaus[place] = dataclasses.replace(run.schedule)  # as it starts
                key = place
            if key not in columns:
                steps = epochs * steps_per_epoch
                columns[key] = planned_rates(f"{run}", run.schedule, steps, first)
            keys.append(key)
        self.table = np.stack([columns[key] for key in keys], axis=1)
        self.follow = bool(self._plateaus)

    def end_epoch(self, epoch: int, metric: Any) -> None:
        """Let plateaus see their metric, [runs], after so many epochs."""
        for place, plateau in self._plateaus.items():
            self.table[epoch * self._steps_per_epoch :, place] = plateau.update(metric[place])


def check_applied(
    runs: Sequence[Run],
    applied: Array,
    steps_per_epoch: int,
    watched: Array | None,
    first: int = 0,
) -> None:
    """Raise RateError unless the updates used the rates of the runs, exactly, as float32.

    Args:
        runs: the runs.
        applied: what each update used, float32, [steps, runs].
        steps_per_epoch: the updates in an epoch.
        watched: the metric that plateaus followed, [epochs, runs]; None: there are none.
        first: the step of the schedules that the first update was.
    """
    epochs = len(applied) // steps_per_epoch
    rates = Rates(runs, epochs, steps_per_epoch, first)
    for epoch, metric in enumerate(() if watched is None else watched, 1):
        rates.end_epoch(epoch, metric)
    wrong = np.argwhere(applied != rates.table.astype(np.float32))
    if len(wrong):
        step, place = map(int, wrong[0])
        raise RateError(
            f"update {first + step} of {runs[place]} used the rate {applied[step, place]!s}, "
            f"and not {rates.table[step, place]!s}"
        )


def checked_runs(runs: Iterable[Any], networks: Iterable[str]) -> list[Run]:
    """The check for an argument that is a list of runs, of networks of these labels."""
    runs, networks = list(runs), list(networks)
    if not runs:
        raise ValueError("runs must hold at least one run, got none")
    for place, run in enumerate(runs):
        name = f"runs[{place}]"
        if not isinstance(run, Run):
            raise TypeError(f"{name} must be a lab.Run, got {run!r}")
        check = _number if isinstance(run.label, float) else text
        label = check(f"{name}.label", run.label)
        seed = checked_seed(f"{name}.seed", run.seed)
        if run.network not in networks:
            labels = ", ".join(map(repr, networks))
            raise ValueError(f"{name}.network must be one of {labels}, got {run.network!r}")
        runs[place] = Run(label, run.schedule, seed, run.network)
    known = set()
    for run in runs:
        key = run.network, run.label, run.seed
        if key in known:
            raise ValueError(
                f"runs must have one run for each network, label and seed, got {run.label!r} with "
                f"seed {run.seed} twice"
            )
        known.add(key)
    return runs


def checked_seed(name: str, seed: Any) -> int:
    """A seed, which tables keep as a signed integer of 64 bits."""
    seed = Whole()(name, seed)
    if seed >= 2**63:
        raise ValueError(f"{name} must be below 2**63, got {seed!r}")
    return int(seed)
