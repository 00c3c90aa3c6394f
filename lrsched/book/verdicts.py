"""The one rule by which the book judges a claim, and how its verdicts are shown."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..lab import interval
from .display import show, table

__all__ = [
    "VERDICTS",
    "Finding",
    "Findings",
    "Interval",
    "decide",
    "judged",
    "together",
    "verdict",
    "weigh",
]

#: All answers. The first three are decided.
VERDICTS = ("supported", "refuted", "no difference", "undecided")


def decide(low: float, high: float, bound: float = 0.0, margin: float | None = None) -> str:
    """What an interval says of the claim that a value is above the bound.

    "supported" if the interval lies above it, "refuted" if it lies below. If it holds the bound
    and reaches no further than the margin to either side, the answer is "no difference": none
    that matters, as an equivalence test finds (Schuirmann, *A Comparison of the Two One-Sided
    Tests Procedure and the Power Approach*, 1987; the margins enclose what others call a region
    of practical equivalence). Else "undecided". A difference that is sure, though smaller than the
    margin, stays supported or refuted: how large it is, the interval says.

    Args:
        low, high: the ends of the interval.
        bound: what the claim says that the value is above.
        margin: the smallest difference that matters, stated before the figures; None: there is
            none, and an interval that holds the bound is undecided.

    >>> decide(1.1, 1.4, bound=1)
    'supported'
    >>> decide(-0.004, 0.002, margin=0.01)
    'no difference'
    """
    if low > bound:
        return "supported"
    if high < bound:
        return "refuted"
    small = margin is not None and bound - low <= margin and high - bound <= margin
    return "no difference" if small else "undecided"


class Interval(NamedTuple):
    """An interval that is at hand already, such as that of a ratio by the bootstrap.

    Attributes:
        mean, low, high: what is measured, and the ends; all the same for what has no interval.
        seeds: from how many it comes.
    """

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Finding:
    """What the seeds say of a claim in one case.

    Attributes:
        mean, low, high: the mean difference and the ends of its interval of 95 %; NaN if there
            are fewer than two seeds, or one was lost.
        seeds: how many were compared.
        lost: how many of them have no difference, since a run was lost.
        verdict: one of ``VERDICTS``.
    """

    mean: float
    low: float
    high: float
    seeds: int
    lost: int
    verdict: str

    def text(self, digits: int = 3, sign: str = "+") -> str:
        """The mean and its interval, or why there is none.

        Args:
            digits: behind the point; of a mean beyond 10,000 three digits in all.
            sign: "+" shows that of a difference; "" is for a ratio.
        """
        if self.lost:
            return f"{self.lost} of {self.seeds} seeds lost"
        if math.isnan(self.low):
            return "too few seeds"
        ends = (self.mean, self.low, self.high)
        form = f"{sign}.{digits}f" if abs(self.mean) < 1e4 else f"{sign}.3g"
        mean, low, high = (f"{value:{form}}" for value in ends)
        return mean if self.low == self.high else f"{mean} ({low} to {high})"


def weigh(
    differences: npt.ArrayLike | Interval, bound: float = 0.0, margin: float | None = None
) -> Finding:
    """What differences, one for each seed, say of the claim that they are above the bound.

    :func:`decide` of their :func:`lrsched.lab.interval` of 95 %; "undecided" if there are fewer
    than two of them, or one is not finite, since a run was lost.

    Args:
        differences: one for each seed, or an interval of them.
        bound, margin: as for :func:`decide`.

    Raises:
        ValueError: anything but one row of differences.

    >>> print(weigh([0.2, 0.3, 0.25]).text())
    +0.250 (+0.126 to +0.374)
    """
    if isinstance(differences, Interval):
        mean, low, high, seeds = differences
        return Finding(mean, low, high, seeds, 0, decide(low, high, bound, margin))
    values: Any = np.asarray(differences, dtype=float)
    lost = int((~np.isfinite(values)).sum())
    if values.ndim == 1 and (lost or len(values) < 2):
        return Finding(math.nan, math.nan, math.nan, len(values), lost, "undecided")
    mean, low, high = interval(values)
    return Finding(mean, low, high, len(values), 0, decide(low, high, bound, margin))


def verdict(differences: npt.ArrayLike, margin: float | None = None) -> str:
    """What differences, one for each seed, say of the claim that they are above 0.

    That of :func:`weigh`.

    >>> verdict([0.2, 0.3, 0.25])
    'supported'
    >>> verdict([0.2, -0.3, 0.1])
    'undecided'
    """
    return weigh(differences, margin=margin).verdict


def judged(
    differences: npt.ArrayLike, digits: int = 3, margin: float | None = None
) -> tuple[str, str]:
    """The :func:`verdict` on differences, and before it why: their mean and its interval.

    Args:
        differences: one for each seed.
        digits: behind the point, in the text.
        margin: as for :func:`decide`.

    Raises:
        ValueError: anything but one row of differences.

    >>> judged([0.1, 0.2, 0.3])
    ('+0.200 (-0.048 to +0.448)', 'undecided')
    >>> judged([0.1])
    ('too few seeds', 'undecided')
    """
    found = weigh(differences, margin=margin)
    return found.text(digits), found.verdict


def together(verdicts: Iterable[str]) -> str:
    """The verdict on a claim about several cases, which says that it holds in all of them.

    "supported" if every case is, "refuted" if at least one is; "no difference" if at least one
    is, and each of the others, or supported; else "undecided".

    >>> together(["supported", "supported", "refuted"])
    'refuted'
    >>> together(["supported", "no difference"])
    'no difference'
    """
    different = set(verdicts)
    if different == {"supported"}:
        return "supported"
    if "refuted" in different:
        return "refuted"
    return "no difference" if different - {"supported"} == {"no difference"} else "undecided"


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
        margin: float | None = None,
    ) -> None:
        """Judge the claim that differences are above 0; keep the verdict, and show it.

        Args:
            claim: what is claimed.
            differences: one for each seed; or several cases of them by name, which are shown
                as a table, and the claim is one about all of them: see :func:`together`.
            heads: of the table's first two columns.
            digits: behind the point; of a mean beyond 10,000 three digits in all.
            margin: the smallest difference that matters, as for :func:`decide`.
        """
        if not isinstance(differences, Mapping):
            text, decision = judged(differences, digits, margin)
            self.conclude(claim, decision, text)
            return
        cases = {name: judged(values, digits, margin) for name, values in differences.items()}
        table([*heads, "verdict"], [[name, *case] for name, case in cases.items()])
        verdicts = [decision for _, decision in cases.values()]
        count = verdicts.count("supported")
        self.conclude(claim, together(verdicts), f"{count} of {len(cases)} cases support it")
