"""Schedules one after another."""

from typing import Annotated, Any

from .arguments import Boundaries, Instance, Several
from .namespaces import Namespace
from .schedule import Schedule

__all__ = ["Sequence"]


class Sequence(Schedule):
    r"""One schedule after another, each on a clock of its own.

    .. math:: \eta_t = f_k(t - b_k), \quad b_k \le t < b_{k+1}, \quad b_0 = 0

    Args:
        schedules: the schedules in their order.
        boundaries: the steps at which the second, third ... begin, above 0 and increasing.

    Raises:
        TypeError: an item of ``schedules`` that is no schedule.
        ValueError: boundaries that do not increase, or lengths that do not match.

    >>> from lrsched import Constant, Linear
    >>> fall = Linear(0.1, 0.0, decay_steps=10)
    >>> Sequence([Constant(0.1), fall], boundaries=[5])([0, 4, 5, 10, 15])
    array([0.1 , 0.1 , 0.1 , 0.05, 0.  ])
    """

    schedules: Annotated[tuple[Schedule, ...], Several(Instance(Schedule), at_least=1)]
    boundaries: Boundaries

    @property
    def formula(self) -> str:
        starts = ["0", *(f"{b:g}" for b in self.boundaries)]
        rows = r" \\ ".join(
            rf"f_{{{k}}}(t - {start}) & t \ge {start}"
            for k, start in reversed(list(enumerate(starts)))
        )
        inner = "".join(
            rf", \quad f_{{{k}}}(t) = {s.formula}" for k, s in enumerate(self.schedules)
        )
        return rf"\begin{{cases}} {rows} \end{{cases}}{inner}"

    def prepare(self) -> None:
        if len(self.schedules) != len(self.boundaries) + 1:
            raise ValueError(
                "Sequence: schedules must be one more than boundaries, got "
                f"{len(self.schedules)} schedule(s) for {len(self.boundaries)} boundaries"
            )

    def rate(self, xp: Namespace, t: Any) -> Any:
        rate = self.schedules[0].rate(xp, t)
        for schedule, start in zip(self.schedules[1:], self.boundaries, strict=True):
            rate = xp.where(t < start, rate, schedule.rate(xp, xp.maximum(t - start, 0.0)))
        return rate

    def falls_from(self) -> float | None:
        inner = self.schedules[-1].falls_from()
        return None if inner is None else (self.boundaries or (0,))[-1] + inner
