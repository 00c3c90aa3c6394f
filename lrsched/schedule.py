r"""What every schedule can do, and the schedules that are made of schedules.

Compositions nest in any order and depth. In their formulas :math:`f(t)` is the rate of the
schedule inside at step :math:`t`.
"""

import functools
import math
import numbers
import sys
from dataclasses import KW_ONLY
from typing import TYPE_CHECKING, Any, Literal

from .arguments import (
    Duration,
    DurationOrZero,
    Flag,
    Number,
    Rate,
    Real,
    Whole,
)
from .lookup import first_below
from .namespaces import LAST_STEP, NUMBERS, Namespace, evaluate
from .plotting import plot_schedule
from .shapes import between, progress, whole_periods
from .value import Value, tells_keywords

if TYPE_CHECKING:
    import matplotlib.axes

__all__ = ["Clipped", "PerEpoch", "Scaled", "Schedule", "Warmup", "is_schedule"]

WarmupShape = Literal["linear", "exponential", "constant"]


class Schedule(Value, abstract=True):
    r"""A learning-rate schedule: an immutable value that maps a step to a rate.

    Call it with a step, counted from 0, or with an array of steps; the rates come back in
    the same shape: a float for a number; a float64 tensor for a torch or a TensorFlow tensor
    (also where ``tf.function``, ``torch.compile``, ``torch.func.vmap`` or a tracer follows
    it); a NumPy array of float64 for whatever else holds real numbers, be it a list, a NumPy
    array or a pandas column. Steps need not be whole.

    A schedule of your own is a subclass that names its arguments and gives one formula;
    checks, comparison, printing, JSON, arrays and both frameworks come with it:

    >>> from lrsched.arguments import Duration, Rate
    >>> class Halving(Schedule):
    ...     base_lr: Rate
    ...     half_life: Duration
    ...     formula = r"\eta_0\,2^{-t/h}"
    ...     def rate(self, xp, t):
    ...         return self.base_lr * 2.0 ** (-t / self.half_life)
    >>> halving = Halving(0.8, half_life=10)
    >>> halving(20), halving
    (0.2, Halving(base_lr=0.8, half_life=10))
    >>> halving([0, 10])
    array([0.8, 0.4])

    Arguments stand in the order in which they are declared; those after ``_: KW_ONLY`` (of
    ``dataclasses``) are given by keyword.

    Raises (when called): TypeError for a step that is no number and no array of numbers, or
    that has a mask or a unit, ValueError for a step that is negative, NaN, or 2**53 and more,
    which float64 no longer counts one by one. Inside a compiled or traced graph, and on an
    accelerator, steps are not checked; an accelerator that has no float64 cannot compute
    rates.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        text = vars(cls).get("formula")
        if isinstance(text, str):  # as good as a property that gives it
            setattr(cls, "formula", property(lambda self: text, doc=text))  # noqa: B010

    @property
    def formula(self) -> str:
        r"""The rate at step :math:`t` in LaTeX, without dollar signs; "" if the class has none.

        A class gives it as a property or, where it is the same for all arguments, as a string.
        """
        return ""

    def rate(self, xp: Namespace, t: Any) -> Any:
        """The formula: the rate at float64 steps ``t``, written with the functions of ``xp``."""
        raise NotImplementedError(f"{type(self).__name__} must define rate(self, xp, t)")

    def __call__(self, step: Any) -> Any:
        if type(step) in (int, float) and 0 <= step <= LAST_STEP:
            return self.rate(NUMBERS, float(step))
        return evaluate(self.rate, step)

    def _repr_latex_(self) -> str | None:
        """What notebooks show."""
        return rf"$\displaystyle \eta_t = {self.formula}$" if self.formula else None

    # Composition

    @tells_keywords
    def warmup(
        self, warmup_steps: float, *, start_lr: float = 0.0, shape: WarmupShape = "linear"
    ) -> "Warmup":
        """This schedule after a warmup; see :class:`lrsched.Warmup`.

        >>> import lrsched
        >>> lrsched.Cosine(0.3, 20).warmup(5)([0, 4, 5, 15, 25])
        array([0.  , 0.24, 0.3 , 0.15, 0.  ])
        """
        return Warmup(self, warmup_steps, start_lr=start_lr, shape=shape)

    def clip(self, min_lr: float = 0.0, max_lr: float | None = None) -> "Clipped":
        """This schedule kept between two rates; see :class:`lrsched.Clipped`.

        >>> import lrsched
        >>> lrsched.Exponential(1.0, decay_rate=0.5).clip(min_lr=0.2)([0, 1, 2, 3])
        array([1.  , 0.5 , 0.25, 0.2 ])
        """
        return Clipped(self, min_lr, max_lr)

    @tells_keywords
    def per_epoch(self, steps_per_epoch: float, *, smooth: bool = False) -> "PerEpoch":
        """This schedule, written in epochs, by the step; see :class:`lrsched.PerEpoch`.

        >>> import lrsched
        >>> lrsched.StepDecay(0.1, step_size=30).per_epoch(100)(3000)
        0.010000000000000002
        """
        return PerEpoch(self, steps_per_epoch, smooth=smooth)

    def __mul__(self, factor: float) -> "Scaled":
        if not isinstance(factor, numbers.Real):
            return NotImplemented
        return Scaled(self, factor)

    __rmul__ = __mul__

    # Looking at it

    def plot(self, steps: Any, ax: Any = None, **line: Any) -> "matplotlib.axes.Axes":
        """Draw the rate over ``steps``; see :func:`lrsched.plotting.plot_schedule`."""
        return plot_schedule(self, steps, ax, **line)

    def first_step_below(self, rate: float, within: int = 10_000_000) -> int | None:
        """The first whole step whose rate is below ``rate``, or None where none is found.

        From the step on at which a schedule falls for good it is searched to step 2**53.
        Before that, and where it grows or rises again and again (``CosineAnnealing``,
        ``CosineRestarts``, ``Cyclical``, ``Polynomial`` with ``cycle``), it is searched
        step by step, to the step ``within`` and no further: a schedule that begins to fall
        after that is not searched from there on.

        >>> import lrsched
        >>> lrsched.Exponential(0.1, decay_rate=0.96, decay_steps=1000).first_step_below(0.01)
        56406
        >>> lrsched.Cosine(0.1, 100, end_lr=0.01).first_step_below(0.01) is None
        True

        Raises TypeError or ValueError for a rate that is not a finite number of at least 0,
        or a ``within`` that is not a whole number of at least 0.
        """
        rate = Real(low=0, largest=math.inf)("rate", rate)
        return first_below(self, rate, Whole()("within", within), self.falls_from())

    def falls_from(self) -> float | None:
        """The step from which the rate never rises again, if one is known."""
        return None


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
        return self.schedule.rate(xp, t / n if self.smooth else whole_periods(xp, t, n))

    def falls_from(self) -> float | None:
        inner = self.schedule.falls_from()
        return None if inner is None else math.ceil(inner) * self.steps_per_epoch


def is_schedule(name: str, value: Any) -> Schedule:
    """The check for an argument that is a schedule."""
    if not isinstance(value, Schedule):
        raise TypeError(f"{name} must be a schedule, got {value!r}")
    return value
