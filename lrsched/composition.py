r"""Schedules made of schedules. They nest in any order and depth.

In the formulas :math:`f(t)` is the rate of the schedule inside at step :math:`t`.
"""

import math
import sys
from typing import Annotated, Any, ClassVar

from .arguments import (
    Boundaries,
    Choice,
    Count,
    Duration,
    Flag,
    Number,
    OptionalRate,
    Rate,
    Several,
)
from .namespaces import NUMBERS, Namespace
from .schedule import Schedule, is_schedule
from .schedules import between, progress, whole_periods

__all__ = ["Clipped", "PerEpoch", "Scaled", "Sequence", "Warmup"]

Inner = Annotated[Schedule, is_schedule]


class Warmup(Schedule):
    r"""A warmup before any schedule, whose own clock starts when the warmup ends.

    .. math:: \eta_t = \begin{cases} W(t / w) & t < w \\ f(t - w) & t \ge w \end{cases}

    where :math:`W` leads from :math:`\eta_s` to :math:`f(0)`: "linear",
    :math:`\eta_s + (f(0) - \eta_s) p`; "exponential", :math:`\eta_s (f(0) / \eta_s)^p`;
    "constant", :math:`\eta_s` until the warmup ends.

    The first update is made with the rate of step 0, which is ``start_lr``: with the
    default of 0 it changes nothing.

    Args:
        schedule: what follows the warmup.
        warmup_steps: its length in steps, :math:`w`; 0 is no warmup.
        start_lr: the rate at step 0, :math:`\eta_s`; above 0 for an exponential warmup.
        shape: "linear", "exponential" or "constant".

    Raises:
        TypeError: a ``schedule`` that is none.
        ValueError: an exponential warmup from, or to, a rate of 0.

    >>> from lrsched import Constant
    >>> Warmup(Constant(0.4), 4, start_lr=0.1)([0, 2, 4, 6])
    array([0.1 , 0.25, 0.4 , 0.4 ])
    """

    schedule: Inner
    warmup_steps: Count
    start_lr: Rate = 0.0
    shape: Annotated[str, Choice(("linear", "exponential", "constant"))] = "linear"

    _target: ClassVar[float]

    @property
    def formula(self) -> str:  # type: ignore[override]
        rise = {
            "linear": r"\eta_s + (f(0) - \eta_s) \, t / w",
            "exponential": r"\eta_s \, (f(0) / \eta_s)^{t / w}",
            "constant": r"\eta_s",
        }[self.shape]
        return (
            rf"\begin{{cases}} {rise} & t < w \\ f(t - w) & t \ge w \end{{cases}},"
            rf" \quad f(t) = {self.schedule.formula}"
        )

    def prepare(self) -> None:
        self.keep(_target=float(self.schedule.rate(NUMBERS, 0.0)))
        if self.shape == "exponential":
            if not self.start_lr > 0:
                raise ValueError(
                    "Warmup: start_lr must be above 0 for an exponential warmup, "
                    f"got {self.start_lr!r}"
                )
            if not self._target > 0:
                raise ValueError(
                    "Warmup: schedule must start above 0 for an exponential warmup, "
                    f"got {self.schedule!r}"
                )

    def rate(self, xp: Namespace, t: Any) -> Any:
        w = self.warmup_steps
        rate = self.schedule.rate(xp, xp.maximum(t - w, 0.0))
        if w == 0:
            return rate
        p = progress(xp, t, w)
        start = self.start_lr
        if self.shape == "constant":
            rise = xp.full_like(t, start)
        elif self.shape == "exponential":
            rise = start ** (1.0 - p) * self._target**p  # a quotient could overflow
        else:
            rise = between(start, self._target, p)
        return xp.where(t < w, rise, rate)

    def falls_from(self) -> float | None:
        inner = self.schedule.falls_from()
        return None if inner is None else self.warmup_steps + inner


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
    >>> Sequence([Constant(0.1), Linear(0.1, 0.0, 10)], boundaries=[5])([0, 4, 5, 10, 15])
    array([0.1 , 0.1 , 0.1 , 0.05, 0.  ])
    """

    schedules: Annotated[tuple[Schedule, ...], Several(is_schedule, at_least=1)]
    boundaries: Boundaries

    @property
    def formula(self) -> str:  # type: ignore[override]
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


class Scaled(Schedule):
    r"""A schedule times a number: what ``schedule * factor`` makes.

    .. math:: \eta_t = c f(t)

    Args:
        schedule: what is scaled.
        factor: the number :math:`c`, at least 0.

    Raises:
        TypeError: a ``schedule`` that is none.

    >>> from lrsched import Constant
    >>> (Constant(0.1) * 0.5)(0), 0.5 * Constant(0.1) == Scaled(Constant(0.1), 0.5)
    (0.05, True)
    """

    schedule: Inner
    factor: Number

    @property
    def formula(self) -> str:  # type: ignore[override]
        return rf"{self.factor:g} \, f(t), \quad f(t) = {self.schedule.formula}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        rate = self.schedule.rate(xp, t)
        if self.factor > 1:  # a product of finite numbers need not be one
            rate = xp.minimum(rate, sys.float_info.max / self.factor)
        return rate * self.factor

    def falls_from(self) -> float | None:
        return self.schedule.falls_from()


class Clipped(Schedule):
    r"""A schedule kept between two rates: what ``schedule.clip(min_lr, max_lr)`` makes.

    .. math:: \eta_t = \min(\max(f(t), \eta_{\min}), \eta_{\max})

    Args:
        schedule: what is kept between the two.
        min_lr: the lowest rate.
        max_lr: the highest, at least ``min_lr``; None: no upper limit.

    Raises:
        TypeError: a ``schedule`` that is none.
        ValueError: ``max_lr`` below ``min_lr``.

    >>> from lrsched import Linear
    >>> Clipped(Linear(1.0, 0.0, 10), 0.2, 0.8)([0, 5, 10])
    array([0.8, 0.5, 0.2])
    """

    schedule: Inner
    min_lr: Rate = 0.0
    max_lr: OptionalRate = None

    @property
    def formula(self) -> str:  # type: ignore[override]
        clipped = r"\max(f(t), \eta_{\min})"
        if self.max_lr is not None:
            clipped = rf"\min({clipped}, \eta_{{\max}})"
        return rf"{clipped}, \quad f(t) = {self.schedule.formula}"

    def prepare(self) -> None:
        if self.max_lr is not None and self.max_lr < self.min_lr:
            raise ValueError(
                f"Clipped: max_lr must be at least min_lr={self.min_lr!r}, got {self.max_lr!r}"
            )

    def rate(self, xp: Namespace, t: Any) -> Any:
        rate = xp.maximum(self.schedule.rate(xp, t), self.min_lr)
        return rate if self.max_lr is None else xp.minimum(rate, self.max_lr)

    def falls_from(self) -> float | None:
        return self.schedule.falls_from()


class PerEpoch(Schedule):
    r"""A schedule written in epochs, used step by step: what ``schedule.per_epoch(n)`` makes.

    .. math:: \eta_t = f(\lfloor t / n \rfloor), \quad\text{or smoothly}\quad f(t / n)

    Args:
        schedule: the schedule over epochs, counted from 0.
        steps_per_epoch: the steps of an epoch, :math:`n`.
        smooth: if true, the rate also changes within an epoch.

    Raises:
        TypeError: a ``schedule`` that is none.

    >>> from lrsched import Linear
    >>> epochs = Linear(0.4, 0.0, 4)
    >>> PerEpoch(epochs, 10)([0, 5, 10, 15])
    array([0.4, 0.4, 0.3, 0.3])
    >>> PerEpoch(epochs, 10, smooth=True)([0, 5, 10, 15])
    array([0.4 , 0.35, 0.3 , 0.25])
    """

    schedule: Inner
    steps_per_epoch: Duration
    smooth: Flag = False

    @property
    def formula(self) -> str:  # type: ignore[override]
        epoch = "t / n" if self.smooth else r"\lfloor t / n \rfloor"
        return rf"f({epoch}), \quad f(t) = {self.schedule.formula}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        n = self.steps_per_epoch
        return self.schedule.rate(xp, t / n if self.smooth else whole_periods(xp, t, n))

    def falls_from(self) -> float | None:
        inner = self.schedule.falls_from()
        return None if inner is None else math.ceil(inner) * self.steps_per_epoch
