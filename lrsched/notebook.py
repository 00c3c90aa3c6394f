"""Small things that the notebooks of the book share, and its benchmarks."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Findings", "judged", "quiet", "table"]


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


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> None:
    """Show a table in a notebook: its header, and the cells of each row as they are printed."""
    from IPython.display import Markdown, display

    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    display(Markdown(text))


class Findings(dict[str, str]):
    """The verdicts of a notebook, by claim."""

    def conclude(self, claim: str, verdict: str) -> None:
        """Keep a verdict, and show it in the notebook."""
        from IPython.display import Markdown, display

        self[claim] = verdict
        display(Markdown(f"**Verdict** on *{claim}*: **{verdict}**."))


def judged(differences: npt.ArrayLike, digits: int = 3) -> tuple[str, str]:
    """What differences, one for each seed, say by :func:`lrsched.lab.interval`.

    Returns their mean and its interval as text, with so many digits behind the point, and the
    :func:`lrsched.lab.verdict`: "undecided" if there are fewer than two.

    >>> judged([0.1, 0.2, 0.3])
    ('+0.200 (-0.048 to +0.448)', 'undecided')
    """
    from .lab.claims import interval, verdict

    if len(np.asarray(differences)) < 2:
        return "too few seeds", "undecided"
    mean, low, high = (f"{value:+.{digits}f}" for value in interval(differences))
    return f"{mean} ({low} to {high})", verdict(differences)
