"""The experiments of the book: trained as the plan says, and recorded by ``make record``."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import lab
from ..lab import Results, Run
from ..lab.runs import Rule
from ..lab.seeds import Network
from . import records
from .editions import Plan, edition

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["arguments", "experiment", "keep", "recording", "sweep"]


def experiment(plan: Plan, runs: Sequence[Run], whole: bool = True, **settings: Any) -> Results:
    """Train the runs as the plan says. ``make record`` also writes the results as a record.

    With ``LRSCHED_RECORD_GROW`` set, runs that are in a record of the same settings already are
    taken from it, and what is written holds both.

    Args:
        plan: which experiment, and how large.
        runs: what to train.
        whole: False if the results are too large for a record: give what a text needs of them
            to :func:`keep`.
        **settings: further arguments for :func:`lrsched.lab.train`.
    """
    runs = list(runs)
    how = arguments(plan) | settings
    if not (whole and recording()):
        return lab.train(runs, plan.data, **how)
    _check_kept(runs)
    data = plan.data
    grow = os.environ.get("LRSCHED_RECORD_GROW")
    known = records.begun(plan.name, _telling(data, how)) if grow else None
    if known is None:
        results = lab.train(runs, data, **how)
    else:
        measured = set(known.runs)
        missing = [run for run in runs if run not in measured]
        if not missing:
            return known
        results = known.joined(lab.train(missing, data, **how), runs)
    records.write(plan.name, results)
    return results


def sweep(
    plan: Plan,
    networks: Mapping[str, Network],
    schedules: Mapping[str, float | Rule] | Iterable[float],
    **settings: Any,
) -> Results:
    """Train every combination as the plan says; see :func:`lrsched.lab.sweep`.

    The results are too large for a record: give what a text needs of them to :func:`keep`.

    Args:
        plan: which sweep, and how large.
        networks, schedules: what to train.
        **settings: further arguments for :func:`lrsched.lab.sweep`.
    """
    return lab.sweep(networks, schedules, plan.seeds, plan.data, **arguments(plan) | settings)


def keep(plan: Plan, source: Results, result: "pd.DataFrame", part: str = "") -> "pd.DataFrame":
    """Return a result. ``make record`` also writes it as a record.

    Args:
        plan: the experiment.
        source: what :func:`experiment` or :func:`sweep` returned.
        result: what was computed from it, of columns of numbers and strings. Their names are
            strings; the index is not kept.
        part: what the result is of it, if there are several. The record of the part "searches"
            of "decay-epochs" is called "decay-epochs-searches".

    Raises:
        TypeError: other values or names in the result, whether or not it is written.
    """
    records.checked_columns(result)
    if recording():
        records.write_table(f"{plan.name}-{part}" if part else plan.name, source, result)
    return result


def recording() -> str | None:
    """The folder for checkpoints if records are to be written, else None."""
    folder = os.environ.get("LRSCHED_RECORD")
    if folder and edition() != "full":
        raise ValueError("LRSCHED_RECORD needs LRSCHED_EDITION=full: records are of that edition")
    return folder


def arguments(plan: Plan, part: str = "") -> dict[str, Any]:
    """The arguments of :func:`lrsched.lab.train` for a training that the plan is of."""
    name, folder = f"{plan.name}-{part}" if part else plan.name, recording()
    where = {"checkpoint": Path(folder) / f"{name}.checkpoint"} if folder else {}
    return {"name": name} | where | plan.settings()


def _telling(data: Any, how: Mapping[str, Any]) -> dict[str, Any]:
    """What tells, before a training, whether a record has the settings that it will have."""
    optimizer = how.get("optimizer") or lab.SGD()
    return {
        "checksum": data.checksum,
        "optimizer": optimizer.to_dict(),
        "epochs": how["epochs"],
        "batch_size": how["batch_size"],
        "distances_every": how.get("distances_every"),
    }


def _check_kept(runs: Sequence[Any]) -> None:
    """Refuse runs that a record could not give back, before they are trained."""
    for place, run in enumerate(runs):
        if not isinstance(run, Run):
            continue  # which train() refuses
        try:
            written = json.dumps(run.to_dict(), allow_nan=False)
            back = Run.from_dict(json.loads(written))
            start: Any = run.schedule
            start = replace(start)  # a Plateau as it starts
            why = "" if back == replace(run, schedule=start) else f"it would come back as {back}"
        except (TypeError, ValueError) as error:
            why = str(error)
        if why:
            raise ValueError(f"runs[{place}] must be one that a record can hold, got {run}: {why}")
