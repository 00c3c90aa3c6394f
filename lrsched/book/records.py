"""Records: what the full edition measured, kept as JSON beside the code.

``make record`` writes them. Prose takes its numbers from them, and a test trains a little
anew and compares. The environment variable ``LRSCHED_RECORDS_DIR`` names another folder.
"""

import datetime
import json
import math
import numbers
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..lab import Results, Run, checkpoints
from ..lab.plain import text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "begun",
    "checked_columns",
    "commit",
    "described_parts",
    "instead",
    "record",
    "record_table",
    "settings",
    "summary",
    "write",
    "write_parts",
    "write_table",
]  # fmt: skip

FOLDER_VARIABLE = "LRSCHED_RECORDS_DIR"

# Tables that stand for records of their names: see instead().
_INSTEAD: ContextVar[Mapping[str, "pd.DataFrame"]] = ContextVar("instead")

DIGITS = 5  # significant: more than any text quotes, and less than seeds differ by


def record(name: str) -> Results:
    """The record of an experiment.

    Raises ValueError if there is none of this name.
    """
    content = _read(name, "runs")
    return Results(
        runs=tuple(Run.from_dict(run) for run in content["runs"]),
        metrics={metric: _array(values) for metric, values in content["metrics"].items()},
        rates=None,
        losses=None,
        rate=None,
        distances={layer: _array(values) for layer, values in content["distances"].items()},
        distance_steps=np.array(content["distance_steps"], dtype=int),
        diverged=np.array(content["diverged"]),
        seconds=_array(content["seconds"]),
        settings=content["settings"],
        surroundings=content["surroundings"],
    )


def record_table(name: str) -> "pd.DataFrame":
    """The record of a result: what :func:`lrsched.book.keep` was given in the full edition.

    ``attrs`` holds ``settings``, ``surroundings`` and the ``seconds`` that the training took.

    Raises ValueError if there is none of this name.
    """
    import pandas as pd

    if name in (tables := _INSTEAD.get({})):
        return tables[name]
    content = _read(name, "rows")
    rows = [[math.nan if value is None else value for value in row] for row in content["rows"]]
    table = pd.DataFrame(rows, columns=content["columns"])
    table.attrs = {part: content[part] for part in ("settings", "surroundings", "seconds")}
    return table


def settings(name: str) -> dict[str, Any]:
    """What decided the results of a record, of runs or of a table.

    Raises ValueError if there is none of this name.
    """
    if name in (tables := _INSTEAD.get({})):
        return dict(tables[name].attrs["settings"])
    return dict(_read(name, "settings")["settings"])


@contextmanager
def instead(tables: Mapping[str, "pd.DataFrame"]) -> Iterator[None]:
    """In here, these tables stand for the records of their names.

    So claims are judged from what a page has measured, such as on other data.
    """
    token = _INSTEAD.set(tables)
    try:
        yield
    finally:
        _INSTEAD.reset(token)


def begun(name: str, wanted: Mapping[str, Any]) -> Results | None:
    """The record of an experiment if there is one, and its settings are these as far as they go."""
    try:
        known = record(name)
    except ValueError:
        return None
    same = all(known.settings.get(key) == value for key, value in wanted.items())
    return known if same else None


def summary() -> "pd.DataFrame":
    """Each record with its reach and the seconds that its training took.

    The columns are ``record``, ``data``, ``samples``, ``epochs``, ``seeds``, ``runs``, ``threads``,
    ``seconds`` and ``date``. Parts of one training all have the seconds of the whole; ``epochs`` is
    None where they differ, ``runs`` where a record is a table of results.
    """
    import pandas as pd

    rows = []
    for file in sorted(_folder().glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        said, around = content["settings"], content["surroundings"]
        runs = content.get("runs")
        seeds = said["seeds"] if runs is None else len({run["seed"] for run in runs})
        seconds = float(np.sum(_array(content["seconds"])))
        row = [file.stem, said["data"], said.get("samples"), said.get("epochs"), seeds]
        row += [None if runs is None else len(runs), around["threads"], seconds, around["date"]]
        rows.append(row)
    names = ["record", "data", "samples", "epochs", "seeds", "runs", "threads", "seconds", "date"]
    return pd.DataFrame(rows, columns=names)


def _folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE) or str(resources.files(__package__) / "records"))


def _read(name: str, part: str) -> Any:
    """The content of the record of this name, which must have this part."""
    files = {file.stem: file for file in sorted(_folder().glob("*.json"))}

    def content(each: str) -> Any:
        return json.loads(files[each].read_text(encoding="utf-8"))

    if name in files and part in (wanted := content(name)):
        return wanted
    known = ", ".join(repr(each) for each in files if part in content(each)) or "there is none"
    raise ValueError(f"name must be that of a record ({known}), got {name!r}")


def write_table(name: str, source: Results, result: "pd.DataFrame") -> Path:
    """Write what was computed from results as :func:`write` does the results."""
    content = {
        "settings": source.settings | {"seeds": len(source.seeds)},
        "surroundings": source.surroundings | _origin(),
        "seconds": _rounded(float(source.seconds.sum())),
    }
    return _write(name, content | _content(result))


def _content(result: "pd.DataFrame") -> dict[str, Any]:
    """A table as a record has it."""
    columns = checked_columns(result)
    return {
        "columns": [column for column, _ in columns],
        "rows": list(map(list, zip(*(values for _, values in columns), strict=True))),
    }


def described_parts(parts: Mapping[str, Results]) -> dict[str, Any]:
    """The settings that all parts share, with those of each as "parts"; surroundings; seconds."""
    said = {name: results.settings for name, results in parts.items()}
    first = next(iter(said.values()))
    shared = [key for key in first if all(each.get(key) == first[key] for each in said.values())]
    own = {
        name: {key: value for key, value in each.items() if key not in shared}
        | {"seconds": _rounded(float(parts[name].seconds.sum()))}
        for name, each in said.items()
    }
    seeds = {seed for results in parts.values() for seed in results.seeds}
    return {
        "settings": {key: first[key] for key in shared} | {"seeds": len(seeds), "parts": own},
        "surroundings": next(iter(parts.values())).surroundings,
        "seconds": _rounded(sum(float(results.seconds.sum()) for results in parts.values())),
    }


def write_parts(name: str, parts: Mapping[str, Results], result: "pd.DataFrame") -> Path:
    """Write a table that was computed from several trainings as :func:`write` does results."""
    described = described_parts(parts)
    origin = {"surroundings": described["surroundings"] | _origin()}
    return _write(name, described | origin | _content(result))


def write(name: str, results: Results) -> Path:
    """Write the record of results, whole or not at all; return its path.

    A record that holds the same results already stays, with the date on which it was measured.
    """
    content = {
        "settings": results.settings,
        "surroundings": results.surroundings | _origin(),
        "seconds": _rounded(results.seconds),
        "runs": [run.to_dict() for run in results.runs],
        "metrics": {metric: _rounded(values) for metric, values in results.metrics.items()},
        "distance_steps": results.distance_steps.tolist(),
        "distances": {layer: _rounded(values) for layer, values in results.distances.items()},
        "diverged": results.diverged.tolist(),
    }
    return _write(name, content)


def _write(name: str, content: dict[str, Any]) -> Path:
    file = _folder() / f"{name}.json"
    # A line for each run, and one for each epoch: a change can be read.
    written = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    if _measured(file) != _alike(json.loads(written)):
        checkpoints.write_whole(file, lambda draft: draft.write(_compact(written).encode()))
    return file


def _measured(file: Path) -> Any:
    """What a record says was measured; None if it cannot be read."""
    try:
        return _alike(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _alike(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a record without what may differ between equal results."""
    sweeps = {"seconds": None} if "rows" in content else {}
    return content | {"surroundings": None} | sweeps


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


def _compact(written: str) -> str:
    """Innermost lists and objects on one line each."""
    innermost = r"[\[{][^][{}]*[\]}]"
    return re.sub(innermost, lambda found: re.sub(r"\s*\n\s*", " ", found.group()), written)


def _origin() -> dict[str, str]:
    """The date, and the commit of the code."""
    return {"date": datetime.date.today().isoformat(), "commit": commit(Path(__file__))}


def commit(file: Path) -> str:
    """The commit that a file of ``lrsched.book`` is of, "unknown" unless git keeps this very file.

    An installed package may lie within another repository. ``+changes`` says that the code has
    some since that commit.
    """

    def git(*command: str) -> str | None:
        done = subprocess.run(
            ["git", "-C", str(file.parent), *command], capture_output=True, text=True
        )
        return None if done.returncode else done.stdout.strip()

    try:
        if git("ls-files", "--error-unmatch", "--", file.name) is None:
            return "unknown"
        head = git("rev-parse", "--short=12", "HEAD")
        code = ("..", ":(exclude)records")
        changes = git("status", "--porcelain", "--untracked-files=no", *code)
    except OSError:  # no git here
        return "unknown"
    return head + ("+changes" if changes else "") if head else "unknown"
