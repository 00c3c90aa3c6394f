"""The one rule by which the book judges a claim, and how its verdicts are shown."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..lab import interval
from .display import show, table

__all__ = ["Findings", "decide", "judged", "together", "verdict"]


def decide(low: float, high: float, bound: float = 0.0) -> str:
    """What an interval says of the claim that a value is above the bound.

    "supported" if the interval lies above it, "refuted" if it lies below, else "undecided".

    >>> decide(1.1, 1.4, bound=1)
    'supported'
    """
    return "supported" if low > bound else "refuted" if high < bound else "undecided"


def verdict(differences: npt.ArrayLike) -> str:
    """What differences, one for each seed, say of the claim that they are above 0.

    :func:`decide` of their :func:`lrsched.lab.interval` of 95 %; "undecided" if there are fewer
    than two of them, or one is not finite, since a run was lost.

    >>> verdict([0.2, 0.3, 0.25])
    'supported'
    >>> verdict([0.2, -0.3, 0.1])
    'undecided'
    """
    return judged(differences)[1]


def judged(differences: npt.ArrayLike, digits: int = 3) -> tuple[str, str]:
    """The :func:`verdict` on differences, and before it why: their mean and its interval.

    Args:
        differences: one for each seed.
        digits: behind the point, in the text.

    Raises:
        ValueError: anything but one row of differences.

    >>> judged([0.1, 0.2, 0.3])
    ('+0.200 (-0.048 to +0.448)', 'undecided')
    >>> judged([0.1])
    ('too few seeds', 'undecided')
    """
    values: Any = np.asarray(differences, dtype=float)
    lost = int((~np.isfinite(values)).sum())
    if values.ndim == 1 and lost:
        return f"{lost} of {len(values)} seeds lost", "undecided"
    if values.ndim == 1 and len(values) < 2:
        return "too few seeds", "undecided"
    mean, low, high = interval(values)
    text = "{:+.{d}f} ({:+.{d}f} to {:+.{d}f})".format(mean, low, high, d=digits)
    return text, decide(low, high)


def together(verdicts: Iterable[str]) -> str:
    """The verdict on a claim about several cases, which says that it holds in all of them.

    "supported" if every case is, "refuted" if at least one is, else "undecided".

    >>> together(["supported", "supported", "refuted"])
    'refuted'
    """
    different = set(verdicts)
    if different == {"supported"}:
        return "supported"
    return "refuted" if "refuted" in different else "undecided"


class Findings(dict[str, str]):
    """The verdicts of a notebook, by claim."""

    def conclude(self, claim: str, verdict: str, why: str = "") -> None:
        """Keep a verdict, and show it in the notebook."""
        self[claim] = verdict
        show(f"**Verdict** on *{claim}*: **{verdict}**{f'; {why}' if why else ''}.")

    def judge(
        self,
        claim: str,
        differences: npt.ArrayLike | Mapping[Any, npt.ArrayLike],
        heads: tuple[str, str] = ("case", "difference (95 %)"),
        digits: int = 3,
    ) -> None:
        """Judge the claim that differences are above 0; keep the verdict, and show it.

        Args:
            claim: what is claimed.
            differences: one for each seed; or several cases of them by name, which are shown
                as a table, and the claim is one about all of them: see :func:`together`.
            heads: of the table's first two columns.
            digits: behind the point.
        """
        if not isinstance(differences, Mapping):
            text, decision = judged(differences, digits)
            self.conclude(claim, decision, text)
            return
        cases = {name: judged(values, digits) for name, values in differences.items()}
        table([*heads, "verdict"], [[name, *case] for name, case in cases.items()])
        verdicts = [decision for _, decision in cases.values()]
        count = verdicts.count("supported")
        self.conclude(claim, together(verdicts), f"{count} of {len(cases)} cases support it")
