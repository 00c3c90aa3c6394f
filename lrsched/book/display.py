"""What pages show, and what they do not."""

import contextlib
import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..lab import Results

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["described", "overview", "quiet", "show", "spread", "table"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send nowhere what libraries write to the process's standard error by themselves.

    TensorFlow logs past Python's ``sys.stderr`` while it is imported. Exceptions are raised
    as ever::

        with quiet():
            import tensorflow
    """
    shown = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(shown, 2)
        os.close(shown)


def show(text: str) -> None:
    """Show Markdown in a notebook."""
    from IPython.display import Markdown, display

    display(Markdown(text))


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> None:
    """Show a table in a notebook: its header, and the cells of each row as they are printed."""
    lines = [header, ["---"] * len(header), *rows]
    show("\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines))


def spread(values: npt.ArrayLike, digits: int = 3) -> str:
    """The mean over the seeds, with the lowest and the highest of them, as text.

    Runs that diverged have NaN; they are left out, and counted.

    >>> spread([0.25, 0.5, 0.75])
    '0.500 (0.250–0.750)'
    >>> spread([0.25, 0.75, float("nan")], digits=2)
    '0.50 (0.25–0.75; 1 diverged)'
    """
    values = np.asarray(values, dtype=float)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return "diverged"
    mean, low, high = (f"{v:.{digits}f}" for v in (finite.mean(), finite.min(), finite.max()))
    if len(values) == 1:
        return mean
    lost = len(values) - len(finite)
    return f"{mean} ({low}–{high}{f'; {lost} diverged' if lost else ''})"


def described(source: "Results | pd.DataFrame") -> str:
    """Where a result comes from, in one line.

    Args:
        source: what :func:`experiment`, :func:`record` or :func:`record_table` returned.
    """
    if isinstance(source, Results):
        settings, where = source.settings, source.surroundings
        counts = {len(columns) for _, columns in source.columns()}
        seeds, limit = max(counts), "up to " if len(counts) > 1 else ""
    else:
        settings, where = (source.attrs[part] for part in ("settings", "surroundings"))
        seeds, limit = settings["seeds"], ""
    epochs = settings["epochs"]
    when = f"record of {where['date']}" if "date" in where else "trained on this page"
    return (
        f"{settings['data']}, {settings['samples']:,} images, {epochs} epoch{'s' * (epochs > 1)}, "
        f"{limit}{seeds} seed{'s' * (seeds > 1)}; {when}"
    )


def overview(
    results: Results,
    metrics: Sequence[str] = ("train_loss", "test_accuracy"),
    more: Mapping[str, Mapping[str, Any]] | None = None,
    digits: int = 3,
) -> None:
    """Show where results come from, and its metrics after the last epoch by label.

    Args:
        results: what :func:`experiment` or :func:`record` returned.
        metrics: of those that the results have; each is shown as its :func:`spread`.
        more: further columns by their heads, each by label.
        digits: behind the point.
    """
    print(textwrap.fill(described(results), 76))
    columns: dict[str, Mapping[str, Any]] = {
        metric.replace("_", " "): {
            label: spread(values, digits) for label, values in results.final(metric).items()
        }
        for metric in metrics
    }
    columns.update(more or {})
    rows = [[label, *(column[label] for column in columns.values())] for label in results.labels]
    table(["run", *columns], rows)
