"""Records: what the full edition measured, kept as JSON beside the code.

``make record`` writes them. Prose takes its numbers from them, and a test trains a little
anew and compares.
"""

import datetime
import json
import math
import numbers
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..lab import History, Run, checkpoints, sweep, train
from ..lab.groups import Network
from ..lab.history import METRICS
from ..lab.plain import text
from ..lab.sweeps import Rate
from ..plateau import Plateau
from .editions import Plan, SweepPlan, edition

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["experiment", "keep", "planned_sweep", "record", "record_table"]

RECORDS = resources.files(__package__) / "records"

DIGITS = 5  # significant: more than any text quotes, and less than seeds differ by


def experiment(plan: Plan, runs: Sequence[Run], whole: bool = True, **settings: Any) -> History:
    """Train the runs as the plan says. ``make record`` also writes the result as a record.

    The rates that were applied are checked against the schedules before anything is returned.

    Args:
        plan: which experiment, and how large.
        runs: what to train.
        whole: False if the history is too large for a record: give what a text needs of it to
            :func:`keep`.
        **settings: further arguments for :func:`train`.
    """
    arguments = {"name": plan.name, **_checkpoint(plan.name), **plan.settings(), **settings}
    runs = list(runs)
    if _recording() and whole:
        _check_kept(runs)
    history = train(runs, plan.data, **arguments)
    history.check_rates()
    if _recording() and whole:
        write(plan.name, history)
    return history


def planned_sweep(
    plan: SweepPlan,
    networks: Mapping[str, Network],
    schedules: Mapping[str, Rate] | Iterable[float],
    **settings: Any,
) -> "pd.DataFrame":
    """Train every combination as the plan says; see :func:`sweep`.

    The table is too large for a record: give what a text needs of it to :func:`keep`.

    Args:
        plan: which sweep, and how large.
        networks, schedules: what to train.
        **settings: further arguments for :func:`sweep`.
    """
    arguments = {"name": plan.name, **_checkpoint(plan.name), **plan.settings(), **settings}
    return sweep(networks, schedules, data=plan.data, **arguments)


def keep(
    plan: Plan | SweepPlan,
    source: "pd.DataFrame | History",
    result: "pd.DataFrame",
    part: str = "",
) -> "pd.DataFrame":
    """Return a result. ``make record`` also writes it as a record.

    Args:
        plan: the sweep, or the experiment.
        source: what :func:`planned_sweep` or :func:`experiment` returned.
        result: what was computed from it, of columns of numbers and strings. Their names are
            strings; the index is not kept.
        part: what the result is of it, if there are several. The record of the part "searches"
            of "decay-epochs" is called "decay-epochs-searches".

    Raises:
        TypeError: other values or names in the result, whether or not it is written.
    """
    _columns(result)
    if _recording():
        write_table(f"{plan.name}-{part}" if part else plan.name, source, result)
    return result


def _recording() -> str | None:
    """The folder for checkpoints if records are to be written, else None."""
    folder = os.environ.get("LRSCHED_RECORD")
    if folder and edition() != "full":
        raise ValueError("LRSCHED_RECORD needs LRSCHED_EDITION=full: records are of that edition")
    return folder


def _checkpoint(name: str) -> dict[str, Path]:
    folder = _recording()
    return {"checkpoint": Path(folder) / f"{name}.checkpoint"} if folder else {}


def record(name: str) -> History:
    """The record of an experiment.

    Raises ValueError if there is none of this name.
    """
    kept = _read(name, "runs")
    return History(
        runs=tuple(Run.from_dict(run) for run in kept["runs"]),
        rates=None,
        losses=None,
        metrics={metric: _array(kept["metrics"][metric]) for metric in METRICS},
        distances={layer: _array(values) for layer, values in kept["distances"].items()},
        distance_steps=np.array(kept["distance_steps"], dtype=int),
        diverged=np.array(kept["diverged"]),
        seconds=_array(kept["seconds"]),
        settings=kept["settings"],
        surroundings=kept["surroundings"],
    )


def record_table(name: str) -> "pd.DataFrame":
    """The record of a result: what :func:`keep` was given in the full edition.

    ``attrs`` holds ``settings``, ``surroundings`` and the ``seconds`` that the training took.

    Raises ValueError if there is none of this name.
    """
    import pandas as pd

    kept = _read(name, "rows")
    rows = [[math.nan if value is None else value for value in row] for row in kept["rows"]]
    table = pd.DataFrame(rows, columns=kept["columns"])
    table.attrs = {part: kept[part] for part in ("settings", "surroundings", "seconds")}
    return table


def _read(name: str, part: str) -> Any:
    """The record of this name, which must have this part."""
    folder = RECORDS.iterdir() if RECORDS.is_dir() else ()
    files = {file.name[:-5]: file for file in folder if file.name.endswith(".json")}

    def read(one: str) -> Any:
        return json.loads(files[one].read_text(encoding="utf-8"))

    if name in files and part in (kept := read(name)):
        return kept
    names = ", ".join(repr(one) for one in sorted(files) if part in read(one)) or "there is none"
    raise ValueError(f"name must be that of a record ({names}), got {name!r}")


def write_table(name: str, source: "pd.DataFrame | History", result: "pd.DataFrame") -> Path:
    """Write a result as :func:`write` does a history."""
    if isinstance(source, History):
        seeds = len({run.seed for run in source.runs})
        settings, where, seconds = source.settings, source.surroundings, source.seconds.sum()
    else:
        seeds = int(source["seed"].nunique())
        settings, where, seconds = (
            source.attrs[each] for each in ("settings", "surroundings", "seconds")
        )
    columns = _columns(result)
    kept = {
        "settings": settings | {"seeds": seeds},
        "surroundings": where | _origin(),
        "seconds": _rounded(float(seconds)),
        "columns": [name for name, _ in columns],
        "rows": list(map(list, zip(*(values for _, values in columns), strict=True))),
    }
    return _write(name, kept)


def write(name: str, history: History) -> Path:
    """Write the record of a history, whole or not at all; return its path.

    A record that holds the same results already stays, with the date on which it was measured.
    """
    kept = {
        "settings": history.settings,
        "surroundings": history.surroundings | _origin(),
        "seconds": _rounded(history.seconds),
        "runs": [run.to_dict() for run in history.runs],
        "metrics": {metric: _rounded(values) for metric, values in history.metrics.items()},
        "distance_steps": history.distance_steps.tolist(),
        "distances": {layer: _rounded(values) for layer, values in history.distances.items()},
        "diverged": history.diverged.tolist(),
    }
    return _write(name, kept)


def _write(name: str, kept: dict[str, Any]) -> Path:
    file = Path(str(RECORDS)) / f"{name}.json"
    if _results(file) == _compared(json.loads(json.dumps(kept))):
        return file
    # A line for each run, and one for each epoch: a change can be read.
    text = json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False)
    checkpoints.write_whole(file, lambda f: f.write(_compact(text).encode()))
    return file


def _results(file: Path) -> Any:
    """What a record holds but for its surroundings; None if it cannot be read."""
    try:
        return _compared(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _compared(kept: dict[str, Any]) -> dict[str, Any]:
    """A record without what may differ between equal results."""
    sweeps = {"seconds": None} if "rows" in kept else {}
    return kept | {"surroundings": None} | sweeps


def _columns(result: "pd.DataFrame") -> list[tuple[str, list[Any]]]:
    """The columns of a table as JSON has them, numbers rounded unless they are integers."""

    def simple(name: str, value: Any) -> Any:
        if isinstance(value, str):
            return text(f"result[{name!r}]", value)
        if isinstance(value, numbers.Integral | np.bool_):
            return int(value)
        if isinstance(value, numbers.Real):
            return _rounded(float(value))
        raise TypeError(f"result[{name!r}] must hold numbers and strings, got {value!r}")

    return [
        (text("the name of a column of result", name), [simple(name, value) for value in values])
        for name, values in result.items()
    ]


def _check_kept(runs: Sequence[Any]) -> None:
    """Refuse runs that a record could not give back, before they are trained."""
    for place, run in enumerate(runs):
        if not isinstance(run, Run):
            continue  # which train() refuses
        try:
            written = json.dumps(run.to_dict(), allow_nan=False)
            back = Run.from_dict(json.loads(written))
            if isinstance(run.schedule, Plateau):
                run = replace(run, schedule=replace(run.schedule))  # as it starts
            why = "" if back == run else f"it would come back as {back}"
        except (TypeError, ValueError) as error:
            why = str(error)
        if why:
            raise ValueError(f"runs[{place}] must be one that a record can hold, got {run}: {why}")


def _rounded(values: Any) -> Any:
    """Nested lists of numbers of ``DIGITS`` digits; None for NaN, which JSON has not."""
    if isinstance(values, np.ndarray):
        return [_rounded(value) for value in values]
    if not math.isfinite(values):
        return None
    rounded = float(f"{values:.{DIGITS}g}")
    return rounded if math.isfinite(rounded) else float(values)  # the largest float rounds up


def _array(values: Any) -> Any:
    return np.array(values, dtype=float)


def _compact(text: str) -> str:
    """Innermost lists and objects on one line each."""
    return re.sub(
        r"[\[{][^][{}]*[\]}]", lambda match: re.sub(r"\s*\n\s*", " ", match.group()), text
    )


def _origin() -> dict[str, str]:
    """The date, and the commit of the code."""

    def git(*command: str) -> str:
        here = ["git", "-C", str(Path(__file__).parent)]
        return subprocess.run([*here, *command], capture_output=True, text=True).stdout.strip()

    try:
        code = ("..", ":(exclude)records")
        changes = git("status", "--porcelain", "--untracked-files=no", *code)
        commit = git("rev-parse", "--short=12", "HEAD") + ("+changes" if changes else "")
    except FileNotFoundError:  # no git here
        commit = ""
    return {"date": datetime.date.today().isoformat(), "commit": commit or "unknown"}
