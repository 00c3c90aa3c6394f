"""A claim: what is said, by whom, and how the records answer it."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass

import numpy.typing as npt

from ..records import settings
from ..sources import OURS, SOURCES
from ..verdicts import VERDICTS, Finding, Interval, together, weigh

__all__ = ["Cases", "Claim"]

#: For each case the differences, one for each seed, or an interval of them.
Cases = Mapping[str, npt.ArrayLike | Interval]


@dataclass(frozen=True)
class Claim:
    """A claim that a difference is above a bound, in all of its cases.

    It is judged anew from the records each time that it is asked.

    Attributes:
        name: by which it is found, in words with hyphens.
        text: the claim in our words, without a point at the end.
        source: whose it is, a number of ``SOURCES``; 0: ours.
        records: the names of those that it is judged from.
        difference: what is measured, with its unit.
        page: where it is judged, as "trial_schedules#are-the-curves-smoother".
        cases: computes the differences from the records.
        margin: the smallest difference that matters, in the unit of the difference; None:
            there is none.
        bound: what the difference is above if the claim is true: 0, or 1 for a ratio.
        digits: behind the point, where the difference is told.

    Raises ValueError for a source that is not there, no record, or a margin that is not above 0.
    """

    name: str
    text: str
    _: KW_ONLY
    source: int
    records: tuple[str, ...]
    difference: str
    page: str
    cases: Callable[[], Cases]
    margin: float | None = None
    bound: float = 0.0
    digits: int = 3

    def __post_init__(self) -> None:
        if self.source not in (OURS, *SOURCES):
            raise ValueError(f"source must be 0 or one of {[*SOURCES]}, got {self.source!r}")
        if not self.records:
            raise ValueError(f"records must name at least one, got {self.records!r}")
        if self.margin is not None and not self.margin > 0:
            raise ValueError(f"margin must be above 0, or None, got {self.margin!r}")

    def findings(self) -> dict[str, Finding]:
        """What the records say, by case."""
        return {
            str(case): weigh(values, self.bound, self.margin)
            for case, values in self.cases().items()
        }

    @property
    def verdict(self) -> str:
        """That on all cases together."""
        return together(found.verdict for found in self.findings().values())

    @property
    def link(self) -> str:
        """The page, as pages link to it."""
        page, mark, heading = self.page.partition("#")
        return f"{page}.ipynb{mark}{heading}"

    @property
    def data(self) -> str:
        """The data sets of the records."""
        names = dict.fromkeys(settings(name)["data"] for name in self.records)
        return ", ".join(map(str, names))

    def told(self, found: Finding) -> str:
        """A finding as text: the mean and its interval, or why there is none."""
        return found.text(self.digits, sign="" if self.bound == 1 else "+")

    def why(self, findings: Mapping[str, Finding]) -> str:
        """What decides: the interval of a single case, or how many cases say what."""
        if len(findings) == 1:
            (found,) = findings.values()
            small = found.verdict == "no difference"
            return self.told(found) + (f", within ±{self.margin:g}" if small else "")
        counts = Counter(found.verdict for found in findings.values())
        answers = ", ".join(f"{counts[each]} {each}" for each in VERDICTS if counts[each])
        return f"{len(findings)} cases: {answers}" if findings else "no case"
