"""States: where runs stand after some epochs, to go on from with other schedules."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import checkpoints
from .attention import printed
from .runs import Run
from .seeds import Network, fingerprint, made
from .settings import Settings

__all__ = ["State", "checked_start", "joined"]

SAME = ("checksum", "samples", "batch_size", "optimizer")  # of settings, before a start and after
LISTED = 5  # of what a state holds, in an error


@dataclass(frozen=True, eq=False)
class State:
    """Where runs stand after some epochs: :func:`train` keeps it, and goes on from it.

    One run is trained at a rate that stays, and cooldowns branch off where it has come to. So
    many lengths of a warmup-stable-decay schedule are tried, and what they share is trained once:
    Hägele, Bakouch, Kosson, Ben Allal, Von Werra and Jaggi, *Scaling Laws and Compute-Optimal
    Training Beyond Fixed Training Durations*, 2024.

    All is a copy, on the CPU: no later training changes it.

    Attributes:
        epoch: the epochs done, from the first weights on.
        runs: those that have come here.
        tensors: by network, the weights ("parameters.0.weight"), running statistics ("buffers."),
            moments of the optimizer ("moments.velocity."), and which runs had diverged
            ("diverged"), each [runs of the network, ...].
        settings: those of the training that has come here, as :class:`Results` has them.

    >>> from lrsched import Constant, WarmupStableDecay, lab
    >>> data, network = lab.polynomial(), lab.mlp
    >>> runs = [lab.Run("stable", Constant(0.05))]
    >>> trunk = lab.train(runs, data, epochs=4, network=network, keep=[2, 4])
    >>> for epoch, start in trunk.states.items():
    ...     schedule = WarmupStableDecay(
    ...         0.05, warmup_steps=0, stable_steps=start.steps, decay_steps=start.steps / 2
    ...     )
    ...     runs = [lab.Run("cooldown", schedule)]
    ...     branch = lab.train(runs, data, epochs=epoch // 2, network=network, start=start)
    ...     print(branch.table().epoch.tolist(), schedule(start.steps))
    [3] 0.05
    [5, 6] 0.05
    """

    epoch: int
    runs: tuple[Run, ...]
    tensors: dict[str, dict[str, Tensor]] = field(repr=False)
    settings: dict[str, Any] = field(repr=False)

    @property
    def steps(self) -> int:
        """The updates done: schedules that go on from here are asked for this step first."""
        return self.epoch * int(self.settings["steps_per_epoch"])

    def select(self, keep: Callable[[Run], bool]) -> "State":
        """The same with the runs alone for which ``keep(run)`` is true."""
        places = [k for k, run in enumerate(self.runs) if keep(run)]
        rows, chosen = self._rows(), dict[str, list[int]]()
        for place in places:
            chosen.setdefault(self.runs[place].network, []).append(rows[place])
        return State(
            self.epoch,
            tuple(self.runs[place] for place in places),
            {network: _taken(self.tensors[network], rows) for network, rows in chosen.items()},
            self.settings,
        )

    def network(self, run: Run, make: Network) -> nn.Sequential:
        """The network of a run with the weights and statistics that it has here.

        Args:
            run: the run; its schedule does not matter.
            make: what makes its network, as ``network`` of :func:`train`.

        Raises:
            TypeError: no run, or no function that makes a ``torch.nn.Sequential``.
            ValueError: a run that is not here, or a network of other layers than its own.
        """
        if not isinstance(run, Run):
            raise TypeError(f"run must be a lab.Run, got {run!r}")
        keys = [(each.network, each.label, each.seed) for each in self.runs]
        key = run.network, run.label, run.seed
        if key not in keys:
            raise ValueError(f"run must be one of {_listed(map(repr, self.runs))}, got {run!r}")
        row = self._rows()[keys.index(key)]
        network = made("make", make, run.seed)
        self._check_network("make", run.network, network)
        with torch.no_grad():
            for name, own in _named(network).items():
                own.copy_(self.tensors[run.network][name][row])
        return network

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state into a file, whole or not at all; what was there before is replaced.

        Raises:
            TypeError or ValueError: no path of a file, or a run whose schedule has no plain form.
            CheckpointError: the file cannot be written.
        """
        file = checkpoints.checked_file("path", path)
        content = {
            "epoch": self.epoch,
            "runs": json.dumps([run.to_dict() for run in self.runs]),
            "tensors": self.tensors,
            "settings": json.dumps(self.settings),
        }
        checkpoints.write(file, content, "state")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "State":
        """The state in a file that :meth:`save` wrote.

        Raises:
            TypeError or ValueError: no path of a file, or a schedule of one's own whose module is
                not imported.
            CheckpointError: the file cannot be read, is damaged, or is none of a state.
        """
        file = checkpoints.checked_file("path", path)
        try:
            content = checkpoints.read(file, "state")
        except FileNotFoundError as error:
            raise checkpoints.CheckpointError(
                f"state {file} cannot be read: {error.strerror}"
            ) from error
        runs = tuple(map(Run.from_dict, json.loads(content["runs"])))
        return cls(content["epoch"], runs, content["tensors"], json.loads(content["settings"]))

    def rows_of(self, runs: Sequence[Run]) -> dict[str, Tensor]:
        """What runs of one network start from, each by its seed: tensors by name, [runs, ...]."""
        network = runs[0].network
        mine = zip(self.runs, self._rows(), strict=True)
        row_of = {run.seed: row for run, row in mine if run.network == network}
        return _taken(self.tensors[network], [row_of[run.seed] for run in runs])

    def fingerprint(self) -> str:
        """The same for the same tensors, in whatever order runs of different seeds were trained."""
        rows = self._rows()
        order = sorted(
            range(len(rows)), key=lambda place: (self.runs[place].network, self.runs[place].seed)
        )
        return fingerprint(
            tensor[rows[place]]
            for place in order
            for tensor in self.tensors[self.runs[place].network].values()
        )

    def _rows(self) -> list[int]:
        """Where each run is in the tensors of its network: runs of one network keep their order."""
        counts: dict[str, int] = dict.fromkeys(self.tensors, -1)
        rows = []
        for run in self.runs:
            counts[run.network] += 1
            rows.append(counts[run.network])
        return rows

    def _check_network(self, name: str, label: str, network: nn.Sequential) -> None:
        """Refuse one with other layers or weights than that of the runs."""
        said = self.settings.get("networks") or {"": self.settings["network"]}
        if printed(network) != said[label]:
            raise ValueError(
                f"{name} must make the network of the state, {said[label]}, got {printed(network)}"
            )
        mine = {
            key: f"{tensor.dtype} {list(tensor.shape[1:])}"
            for key, tensor in self.tensors[label].items()
            if key.startswith(("parameters.", "buffers."))
        }
        theirs = {key: f"{t.dtype} {list(t.shape)}" for key, t in _named(network).items()}
        if mine != theirs:
            raise ValueError(
                f"{name} must make a network with the weights of the state, {mine}, got {theirs}"
            )


def checked_start(
    start: State,
    runs: Sequence[Run],
    settings: Settings,
    networks: Mapping[str, nn.Sequential],
) -> State:
    """The check for an argument to go on from: the part of it that these runs need.

    Raises:
        ValueError: it does not hold one run for each of them, or is of another training than
            one with these settings and networks.
    """
    ours = settings.to_dict()
    for name in SAME:
        if start.settings[name] != ours[name]:
            raise ValueError(
                f"start must be of training with the same {name}: {start.settings[name]!r} there, "
                f"{ours[name]!r} here"
            )
    held: dict[tuple[str, int], list[Run]] = {}
    for run in start.runs:
        held.setdefault((run.network, run.seed), []).append(run)
    for place, run in enumerate(runs):
        found = held.get((run.network, run.seed), [])
        if len(found) == 1:
            continue
        if found:
            raise ValueError(
                f"start must hold one run of {_origin(run)} for runs[{place}], {run.label!r}, got "
                f"{_listed(repr(each.label) for each in found)}: choose by start.select(...)"
            )
        raise ValueError(
            f"start must hold a run of {_origin(run)} for runs[{place}], {run.label!r}, got "
            f"{_listed(dict.fromkeys(map(_origin, start.runs)))}"
        )
    for label in dict.fromkeys(run.network for run in runs):
        start._check_network(f"network[{label!r}]" if label else "network", label, networks[label])
    wanted = {(run.network, run.seed) for run in runs}
    return start.select(lambda run: (run.network, run.seed) in wanted)


def joined(
    epoch: int,
    runs: Sequence[Run],
    groups: Sequence[Sequence[int]],
    parts: Sequence[dict[str, Tensor]],
    settings: dict[str, Any],
) -> State:
    """The state of runs from the tensors of groups, whose places among the runs are given."""
    tensors = {}
    for network in dict.fromkeys(run.network for run in runs):
        own = [k for k, places in enumerate(groups) if runs[places[0]].network == network]
        order = np.argsort(np.concatenate([groups[k] for k in own])).tolist()
        tensors[network] = {
            name: torch.cat([parts[k][name] for k in own])[_index(order)] for name in parts[own[0]]
        }
    return State(epoch, tuple(runs), tensors, settings)


def _named(network: nn.Sequential) -> dict[str, Tensor]:
    """The weights and running statistics of a network, by their names in a state."""
    weights = {f"parameters.{name}": p for name, p in network.named_parameters()}
    return weights | {f"buffers.{name}": b for name, b in network.named_buffers()}


def _taken(tensors: Mapping[str, Tensor], rows: Sequence[int]) -> dict[str, Tensor]:
    """Copies of some rows of each."""
    return {name: tensor[_index(rows)] for name, tensor in tensors.items()}


def _index(rows: Sequence[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64, device="cpu")


def _origin(run: Run) -> str:
    """What decides where a run comes from."""
    return f"seed {run.seed}" + f" of network {run.network!r}" * bool(run.network)


def _listed(values: Iterable[str]) -> str:
    """The first few."""
    every = list(values)
    return ", ".join(every[:LISTED]) + ", ..." * (len(every) > LISTED) or "none"
