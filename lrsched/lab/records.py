"""Records: what the full edition measured, kept as JSON beside the code.

``make record`` writes them. Prose takes its numbers from them, and a test trains a little
anew and compares.
"""

import datetime
import json
import math
import os
import re
import subprocess
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from . import checkpoints
from .editions import Plan, edition
from .history import METRICS, History, Run
from .training import train

__all__ = ["experiment", "record"]

RECORDS = resources.files(__package__) / "records"

DIGITS = 5  # significant: more than any text quotes, and less than seeds differ by


def experiment(plan: Plan, runs: Sequence[Run], **settings: Any) -> History:
    """Train the runs as the plan says. ``make record`` also writes the result as a record.

    The rates that were applied are checked against the schedules before anything is returned.

    Args:
        plan: which experiment, and how large.
        runs: what to train.
        **settings: further arguments for :func:`train`.
    """
    folder = os.environ.get("LRSCHED_RECORD")
    arguments = {"name": plan.name} | plan.settings() | settings
    if folder:
        if edition() != "full":
            raise ValueError(
                "LRSCHED_RECORD needs LRSCHED_EDITION=full: records are of that edition"
            )
        arguments["checkpoint"] = Path(folder) / f"{plan.name}.checkpoint"
    history = train(runs, plan.data, **arguments)
    history.check_rates()
    if folder:
        write(plan.name, history)
    return history


def record(name: str) -> History:
    """The record of an experiment.

    Raises ValueError if there is none of this name.
    """
    file = RECORDS / f"{name}.json"
    if not file.is_file():
        files = RECORDS.iterdir() if RECORDS.is_dir() else ()
        known = sorted(f.name[:-5] for f in files if f.name.endswith(".json"))
        raise ValueError(
            f"name must be that of a record ({', '.join(map(repr, known)) or 'there is none'}), "
            f"got {name!r}"
        )
    kept = json.loads(file.read_text(encoding="utf-8"))
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


def write(name: str, history: History) -> Path:
    """Write the record of a history, whole or not at all; return its path.

    A record that holds the same results already stays, with the date on which it was measured.
    """
    file = Path(str(RECORDS)) / f"{name}.json"
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
    if _results(file) == json.loads(json.dumps(kept | {"surroundings": None})):
        return file
    # A line for each run, and one for each epoch: a change can be read.
    text = json.dumps(kept, indent=1, ensure_ascii=False, allow_nan=False)
    checkpoints.write_whole(file, lambda f: f.write(_compact(text).encode()))
    return file


def _results(file: Path) -> Any:
    """What a record holds but for its surroundings; None if it cannot be read."""
    try:
        return json.loads(file.read_text(encoding="utf-8")) | {"surroundings": None}
    except (OSError, ValueError, TypeError):
        return None


def _rounded(values: Any) -> Any:
    """Nested lists of numbers of ``DIGITS`` digits; None for NaN, which JSON has not."""
    if isinstance(values, np.ndarray):
        return [_rounded(value) for value in values]
    return float(f"{values:.{DIGITS}g}") if math.isfinite(values) else None


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
        changes = git("status", "--porcelain", "--untracked-files=no", "../*.py", ".")
        commit = git("rev-parse", "--short=12", "HEAD") + ("+changes" if changes else "")
    except FileNotFoundError:  # no git here
        commit = ""
    return {"date": datetime.date.today().isoformat(), "commit": commit or "unknown"}
