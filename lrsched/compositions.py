r"""The schedules that are made of a schedule.

Compositions nest in any order and depth. In their formulas :math:`f(t)` is the rate of the
schedule inside at step :math:`t`.
"""

import functools
import math
from dataclasses import KW_ONLY
from typing import Annotated, Any

from .arguments import Duration, DurationOrZero, Flag, Number, OrNone, Rate, Whole
from .namespaces import NUMBERS, Namespace
from .schedule import Schedule, WarmupShape
from .shapes import LARGEST, between, geometric, multiplied, progress, whole_periods

__all__ = ["Clipped", "PerEpoch", "Product", "Repeat", "Scaled", "Warmup"]


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

    schedule: Schedule
    warmup_steps: DurationOrZero
    _: KW_ONLY
    start_lr: Rate = 0.0
    shape: WarmupShape = "linear"

    @property
    def formula(self) -> str:
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

    @functools.cached_property
    def _target(self) -> float:
        return float(self.schedule.rate(NUMBERS, 0.0))

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

    schedule: Schedule
    factor: Number

    @property
    def formula(self) -> str:
        return rf"{self.factor:g} \, f(t), \quad f(t) = {self.schedule.formula}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        rate = self.schedule.rate(xp, t)
        if self.factor <= 1:
            return rate * self.factor
        return xp.minimum(xp.minimum(rate, LARGEST / self.factor) * self.factor, LARGEST)

    def falls_from(self) -> float | None:
        return self.schedule.falls_from()


class Product(Schedule):
    r"""Two schedules multiplied step by step: what ``schedule * other`` makes.

    .. math:: \eta_t = f(t) \, g(t)

    One of them gives the rate and the other a factor, as the members of PyTorch's
    ``ChainedScheduler`` do.

    Args:
        schedule: the first, :math:`f`.
        other: the second, :math:`g`.

    Raises:
        TypeError: an argument that is no schedule.

    >>> from lrsched import Exponential, Linear
    >>> rise, fall = Linear(0.1, 0.4, decay_steps=2), Exponential(1.0, decay_rate=0.5)
    >>> (rise * fall)([0, 1, 2, 3]), rise * fall == Product(rise, fall)
    (array([0.1  , 0.125, 0.1  , 0.05 ]), True)
    """

    schedule: Schedule
    other: Schedule

    @property
    def formula(self) -> str:
        return (
            rf"f(t) \, g(t), \quad f(t) = {self.schedule.formula},"
            rf" \quad g(t) = {self.other.formula}"
        )

    def rate(self, xp: Namespace, t: Any) -> Any:
        rate, factor = self.schedule.rate(xp, t), self.other.rate(xp, t)
        return multiplied(xp, rate, factor)

    def falls_from(self) -> float | None:
        starts = [self.schedule.falls_from(), self.other.falls_from()]
        known = [start for start in starts if start is not None]
        return max(known) if len(known) == 2 else None


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
    >>> Clipped(Linear(1.0, 0.0, decay_steps=10), 0.2, 0.8)([0, 5, 10])
    array([0.8, 0.5, 0.2])
    """

    schedule: Schedule
    min_lr: Rate = 0.0
    max_lr: Rate | None = None

    @property
    def formula(self) -> str:
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
    >>> epochs = Linear(0.4, 0.0, decay_steps=4)
    >>> PerEpoch(epochs, 10)([0, 5, 10, 15])
    array([0.4, 0.4, 0.3, 0.3])
    >>> PerEpoch(epochs, 10, smooth=True)([0, 5, 10, 15])
    array([0.4 , 0.35, 0.3 , 0.25])
    """

    schedule: Schedule
    steps_per_epoch: Duration
    _: KW_ONLY
    smooth: Flag = False

    @property
    def formula(self) -> str:
        epoch = "t / n" if self.smooth else r"\lfloor t / n \rfloor"
        return rf"f({epoch}), \quad f(t) = {self.schedule.formula}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        n = self.steps_per_epoch
        return self.schedule.rate(xp, xp.divide(t, n) if self.smooth else whole_periods(xp, t, n))

    def falls_from(self) -> float | None:
        inner = self.schedule.falls_from()
        return None if inner is None else math.ceil(inner) * self.steps_per_epoch


class Repeat(Schedule):
    r"""A schedule that starts anew each so many steps: what ``schedule.repeat(n)`` makes.

    .. math:: \eta_t = c^k f(t - k n), \quad
        k = \min\left(\lfloor t / n \rfloor, m - 1\right)

    After the last repetition the schedule simply goes on. Rates that grow end at 1e300.

    Args:
        schedule: what is repeated, say a warmup and a decay of :math:`n` steps together.
        steps: the steps from each start to the next, :math:`n`.
        times: how often it starts, :math:`m`, the first time included; None: without end.
        factor: what the rates are multiplied with at each restart, :math:`c`, at least 0.

    Raises:
        TypeError: a ``schedule`` that is none.

    >>> from lrsched import Linear
    >>> Repeat(Linear(0.4, 0.0, decay_steps=4), 4, times=2, factor=0.5)(range(9))
    array([0.4 , 0.3 , 0.2 , 0.1 , 0.2 , 0.15, 0.1 , 0.05, 0.  ])
    """

    schedule: Schedule
    steps: Duration
    _: KW_ONLY
    times: Annotated[int | None, OrNone(Whole(1))] = None
    factor: Number = 1.0

    @property
    def formula(self) -> str:
        scale = "" if self.factor == 1 else r"c^k \, "
        k = r"\lfloor t / n \rfloor"
        if self.times is not None:
            k = rf"\min({k}, {self.times - 1})"
        return rf"{scale}f(t - k n), \quad k = {k}, \quad f(t) = {self.schedule.formula}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        k = whole_periods(xp, t, self.steps)
        if self.times is not None:
            k = xp.minimum(k, self.times - 1.0)
        rate = self.schedule.rate(xp, xp.maximum(t - k * self.steps, 0.0))
        if self.factor == 1:
            return rate
        scale = geometric(xp, 1.0, self.factor, k)
        return multiplied(xp, rate, scale) if self.factor > 1 else rate * scale

    def falls_from(self) -> float | None:
        inner = self.schedule.falls_from()
        if inner is None or self.times is None:
            return None
        return (self.times - 1) * self.steps + inner
