r"""Schedules that fall, or rise, along one curve: one class and one formula each.

In the formulas :math:`t` is the step, counted from 0, and :math:`\eta_0` is ``base_lr``.
Rates are learning rates, finite and at least 0; lengths are in steps and need not be whole.
Every schedule raises TypeError for an argument of the wrong kind (a string, a bool in
place of a number) and ValueError for one out of range; the errors named under *Raises*
come on top of these.
"""

from dataclasses import KW_ONLY
from typing import Any

from .arguments import Duration, Flag, Number, PositiveNumber, Rate
from .namespaces import Namespace
from .schedule import Schedule
from .shapes import between, geometric, progress, whole_periods

__all__ = [
    "Exponential",
    "Factor",
    "InverseTime",
    "Linear",
    "NaturalExponential",
    "Polynomial",
    "Power",
]


class Exponential(Schedule):
    r"""Exponential decay, as Keras's ``ExponentialDecay`` and PyTorch's ``ExponentialLR``.

    .. math:: \eta_t = \eta_0 \, r^{t / s}

    Args:
        base_lr: the rate at step 0.
        decay_rate: the factor per ``decay_steps``, :math:`r`, at least 0 (PyTorch's gamma).
        decay_steps: the steps in which the rate falls once by it, :math:`s`.
        staircase: if true, :math:`\lfloor t/s \rfloor` in place of :math:`t/s`.

    >>> Exponential(0.1, decay_rate=0.5, decay_steps=10)([0, 5, 10])
    array([0.1       , 0.07071068, 0.05      ])
    """

    base_lr: Rate
    _: KW_ONLY
    decay_rate: Number
    decay_steps: Duration = 1
    staircase: Flag = False

    @property
    def formula(self) -> str:
        return rf"\eta_0 \, r^{{{_ratio(self.staircase)}}}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return geometric(xp, self.base_lr, self.decay_rate, _periods(xp, t, self))

    def falls_from(self) -> float | None:
        return 0 if self.decay_rate <= 1 else None


class NaturalExponential(Schedule):
    r"""Exponential decay to base e, as ``tf.compat.v1.train.natural_exp_decay``.

    .. math:: \eta_t = \eta_0 \, e^{-k t / s}

    It is :class:`Exponential` with ``decay_rate`` :math:`e^{-k}`.

    Args:
        base_lr: the rate at step 0.
        decay_rate: the exponent per ``decay_steps``, :math:`k`, at least 0.
        decay_steps: :math:`s`.
        staircase: if true, :math:`\lfloor t/s \rfloor` in place of :math:`t/s`.

    >>> NaturalExponential(0.1, decay_rate=0.5, decay_steps=10)(10)
    0.06065306597126335
    """

    base_lr: Rate
    _: KW_ONLY
    decay_rate: Number
    decay_steps: Duration = 1
    staircase: Flag = False

    @property
    def formula(self) -> str:
        return rf"\eta_0 \, e^{{-k \, {_ratio(self.staircase)}}}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return self.base_lr * xp.exp(-self.decay_rate * _periods(xp, t, self))

    def falls_from(self) -> float | None:
        return 0


class InverseTime(Schedule):
    r"""Inverse time decay, as Keras's ``InverseTimeDecay``.

    .. math:: \eta_t = \frac{\eta_0}{1 + k t / s}

    Args:
        base_lr: the rate at step 0.
        decay_rate: :math:`k`, at least 0; the rate is halved when :math:`t = s / k`.
        decay_steps: :math:`s`.
        staircase: if true, :math:`\lfloor t/s \rfloor` in place of :math:`t/s`.

    >>> InverseTime(0.1, decay_rate=0.5, decay_steps=10)([0, 20])
    array([0.1 , 0.05])
    """

    base_lr: Rate
    _: KW_ONLY
    decay_rate: Number
    decay_steps: Duration = 1
    staircase: Flag = False

    @property
    def formula(self) -> str:
        return rf"\frac{{\eta_0}}{{1 + k \, {_ratio(self.staircase)}}}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return self.base_lr / (1.0 + self.decay_rate * _periods(xp, t, self))

    def falls_from(self) -> float | None:
        return 0


def _periods(
    xp: Namespace, t: Any, schedule: Exponential | NaturalExponential | InverseTime
) -> Any:
    """t / s, or its floor in a staircase."""
    steps = schedule.decay_steps
    return whole_periods(xp, t, steps) if schedule.staircase else t / steps


def _ratio(staircase: bool) -> str:
    return r"\lfloor t / s \rfloor" if staircase else "t / s"


class Power(Schedule):
    r"""Power decay; ``power=0.5`` is the square-root schedule.

    .. math:: \eta_t = \eta_0 \left(1 + \frac{t}{s}\right)^{-p}

    Args:
        base_lr: the rate at step 0.
        power: the exponent :math:`p`, at least 0.
        decay_steps: :math:`s`.

    >>> Power(0.1)([0, 3])
    array([0.1 , 0.05])
    """

    base_lr: Rate
    _: KW_ONLY
    power: Number = 0.5
    decay_steps: Duration = 1

    formula = r"\eta_0 \left(1 + \frac{t}{s}\right)^{-p}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return self.base_lr * (1.0 + t / self.decay_steps) ** -self.power

    def falls_from(self) -> float | None:
        return 0


class Factor(Schedule):
    r"""A factor at each step, down to a floor.

    .. math:: \eta_t = \max(\eta_{\min}, \eta_0 \, \alpha^t)

    Args:
        base_lr: the rate at step 0.
        factor: the factor at each step, :math:`\alpha`, at least 0.
        floor_lr: the rate below which it does not fall, at most ``base_lr``.

    Raises:
        ValueError: a floor above ``base_lr``.

    >>> Factor(2.0, factor=0.9, floor_lr=0.01)([0, 1, 100])
    array([2.  , 1.8 , 0.01])
    """

    base_lr: Rate
    _: KW_ONLY
    factor: Number
    floor_lr: Rate = 0.0

    formula = r"\max(\eta_{\min}, \eta_0 \, \alpha^t)"

    def prepare(self) -> None:
        if self.floor_lr > self.base_lr:
            raise ValueError(
                f"Factor: floor_lr must be at most base_lr={self.base_lr!r}, got {self.floor_lr!r}"
            )

    def rate(self, xp: Namespace, t: Any) -> Any:
        return xp.maximum(geometric(xp, self.base_lr, self.factor, t), self.floor_lr)

    def falls_from(self) -> float | None:
        return 0 if self.factor <= 1 else None


class Linear(Schedule):
    r"""A straight line, then flat, as PyTorch's ``LinearLR``.

    .. math:: \eta_t = \eta_0 + (\eta_1 - \eta_0) \min(t / s, 1)

    Args:
        start_lr: the rate at step 0, :math:`\eta_0`.
        end_lr: the rate from step ``decay_steps`` on, :math:`\eta_1`; above or below the start.
        decay_steps: the length of the line, :math:`s`.

    >>> Linear(0.1, 0.0, decay_steps=10)([0, 5, 10, 20])
    array([0.1 , 0.05, 0.  , 0.  ])
    """

    start_lr: Rate
    end_lr: Rate
    _: KW_ONLY
    decay_steps: Duration

    formula = r"\eta_0 + (\eta_1 - \eta_0) \min(t / s, 1)"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return between(self.start_lr, self.end_lr, progress(xp, t, self.decay_steps))

    def falls_from(self) -> float | None:
        return 0 if self.end_lr <= self.start_lr else self.decay_steps


class Polynomial(Schedule):
    r"""Polynomial decay, as Keras's ``PolynomialDecay`` and PyTorch's ``PolynomialLR``.

    .. math:: \eta_t = \eta_1 + (\eta_0 - \eta_1) \left(1 - \min(t / s, 1)\right)^p

    With ``cycle`` the length :math:`s` is stretched to its first multiple that is not
    below :math:`t`, so the rate rises again after each end, to lower and lower peaks:

    .. math:: \eta_t = \eta_1 + (\eta_0 - \eta_1)
        \left(1 - \frac{t}{s \max(1, \lceil t / s \rceil)}\right)^p

    Args:
        base_lr: the rate at step 0, :math:`\eta_0`.
        decay_steps: the steps to the end rate, :math:`s`.
        end_lr: the end rate, :math:`\eta_1` (Keras's default is 0.0001).
        power: the exponent :math:`p`, above 0.
        cycle: whether to rise again.

    >>> Polynomial(1.0, 10)([0, 5, 10, 11])
    array([1. , 0.5, 0. , 0. ])
    >>> Polynomial(1.0, 10, cycle=True)([0, 5, 10, 11]).round(2)
    array([1.  , 0.5 , 0.  , 0.45])
    """

    base_lr: Rate
    decay_steps: Duration
    _: KW_ONLY
    end_lr: Rate = 0.0
    power: PositiveNumber = 1.0
    cycle: Flag = False

    @property
    def formula(self) -> str:
        p = r"\min(t / s, 1)"
        if self.cycle:
            p = r"\frac{t}{s \max(1, \lceil t / s \rceil)}"
        return rf"\eta_1 + (\eta_0 - \eta_1) \left(1 - {p}\right)^p"

    def rate(self, xp: Namespace, t: Any) -> Any:
        steps = self.decay_steps
        if self.cycle:
            steps = steps * xp.maximum(xp.ceil(xp.divide(t, steps)), 1.0)
        left = 1.0 - progress(xp, t, steps)
        if self.power != 1:
            left = left**self.power
        return between(self.end_lr, self.base_lr, left)

    def falls_from(self) -> float | None:
        if self.cycle:
            return None
        return 0 if self.end_lr <= self.base_lr else self.decay_steps
