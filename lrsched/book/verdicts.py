"""The rule by which the book judges a claim, and how it is shown."""

import numpy as np
import numpy.typing as npt

from ..lab import interval

__all__ = ["Findings", "judged", "verdict"]


def verdict(differences: npt.ArrayLike) -> str:
    """What differences over seeds say of the claim that they are above 0.

    "supported" if their 95 % interval lies above 0, "refuted" if it lies below, else
    "undecided".

    >>> verdict([0.2, 0.3, 0.25])
    'supported'
    >>> verdict([0.2, -0.3, 0.1])
    'undecided'
    """
    _, low, high = interval(differences)
    return "supported" if low > 0 else "refuted" if high < 0 else "undecided"


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
    :func:`verdict`: "undecided" if there are fewer than two.

    >>> judged([0.1, 0.2, 0.3])
    ('+0.200 (-0.048 to +0.448)', 'undecided')
    """
    if len(np.asarray(differences)) < 2:
        return "too few seeds", "undecided"
    mean, low, high = (f"{value:+.{digits}f}" for value in interval(differences))
    return f"{mean} ({low} to {high})", verdict(differences)
