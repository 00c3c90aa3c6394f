"""Records: what the full edition measured, kept as JSON beside the code.

``make record`` writes them. Prose takes its numbers from them, and a test trains a little
anew and compares.
"""

import datetime
import json
import math
import numbers
import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..lab import Results, Run, checkpoints
from ..lab.plain import text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["checked_columns", "record", "record_table", "write", "write_table"]

RECORDS = resources.files(__package__) / "records"

DIGITS = 5  # significant: more than any text quotes, and less than seeds differ by


def record(name: str) -> Results:
    """The record of an experiment.

    Raises ValueError if there is none of this name.
    """
    kept = _read(name, "runs")
    return Results(
        runs=tuple(Run.from_dict(run) for run in kept["runs"]),
        metrics={metric: _array(values) for metric, values in kept["metrics"].items()},
        rates=None,
        losses=None,
        rate=None,
        distances={layer: _array(values) for layer, values in kept["distances"].items()},
        distance_steps=np.array(kept["distance_steps"], dtype=int),
        diverged=np.array(kept["diverged"]),
        seconds=_array(kept["seconds"]),
        settings=kept["settings"],
        surroundings=kept["surroundings"],
    )


def record_table(name: str) -> "pd.DataFrame":
    """The record of a result: what :func:`lrsched.book.keep` was given in the full edition.

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


def write_table(name: str, source: Results, result: "pd.DataFrame") -> Path:
    """Write what was computed from results as :func:`write` does the results."""
    columns = checked_columns(result)
    return _write(
        name,
        {
            "settings": source.settings | {"seeds": len(source.seeds)},
            "surroundings": source.surroundings | _origin(),
            "seconds": _rounded(float(source.seconds.sum())),
            "columns": [name for name, _ in columns],
            "rows": list(map(list, zip(*(values for _, values in columns), strict=True))),
        },
    )


def write(name: str, results: Results) -> Path:
    """Write the record of results, whole or not at all; return its path.

    A record that holds the same results already stays, with the date on which it was measured.
    """
    kept = {
        "settings": results.settings,
        "surroundings": results.surroundings | _origin(),
        "seconds": _rounded(results.seconds),
        "runs": [run.to_dict() for run in results.runs],
        "metrics": {metric: _rounded(values) for metric, values in results.metrics.items()},
        "distance_steps": results.distance_steps.tolist(),
        "distances": {layer: _rounded(values) for layer, values in results.distances.items()},
        "diverged": results.diverged.tolist(),
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


def checked_columns(result: "pd.DataFrame") -> list[tuple[str, list[Any]]]:
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
