r"""Schedules that are constant but for jumps: one class and one formula each.

In the formulas :math:`t` is the step, counted from 0, and :math:`\eta_0` is ``base_lr``.
Rates are learning rates, finite and at least 0; lengths are in steps and need not be whole.
Every schedule raises TypeError for an argument of the wrong kind (a string, a bool in
place of a number) and ValueError for one out of range; the errors named under *Raises*
come on top of these.
"""

import functools
from dataclasses import KW_ONLY
from typing import Any

from .arguments import (
    Boundaries,
    Duration,
    Number,
    Rate,
    Rates,
)
from .namespaces import NUMBERS, Namespace
from .schedule import Schedule
from .shapes import geometric, whole_periods

__all__ = ["Constant", "MultiStep", "PiecewiseConstant", "StepDecay"]


class Constant(Schedule):
    r"""The same rate at every step.

    .. math:: \eta_t = \eta_0

    Args:
        base_lr: the rate.

    >>> Constant(0.1)(1000)
    0.1
    """

    base_lr: Rate

    formula = r"\eta_0"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return xp.full_like(t, self.base_lr)

    def falls_from(self) -> float | None:
        return 0


class PiecewiseConstant(Schedule):
    r"""Constant between boundaries.

    .. math:: \eta_t = v_k, \quad k = |\{i : t \ge b_i\}|

    The value changes at ``step >= boundary``, as PyTorch's milestones do. Keras's
    ``PiecewiseConstantDecay`` and TensorFlow 1's ``piecewise_constant`` change at
    ``step > boundary``: give them boundaries one lower for the same rates.

    Args:
        boundaries: the steps at which the value changes, above 0 and increasing.
        values: one rate more than there are boundaries.

    Raises:
        ValueError: boundaries that do not increase, or lengths that do not match.

    >>> PiecewiseConstant([10, 20], [0.1, 0.05, 0.025])([9, 10, 20])
    array([0.1  , 0.05 , 0.025])
    """

    boundaries: Boundaries
    values: Rates

    formula = r"v_k, \quad k = |\{i : t \ge b_i\}|"

    def prepare(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"PiecewiseConstant: values must be one more than boundaries, got "
                f"{len(self.values)} value(s) for {len(self.boundaries)} boundaries"
            )

    def rate(self, xp: Namespace, t: Any) -> Any:
        return xp.take(self.values, xp.count_reached(self.boundaries, t))

    def falls_from(self) -> float | None:
        starts = (0.0, *self.boundaries)
        for k in range(len(self.boundaries), 0, -1):
            if self.values[k] > self.values[k - 1]:
                return starts[k]
        return 0


class StepDecay(Schedule):
    r"""A factor every so many steps, as ``torch.optim.lr_scheduler.StepLR``.

    .. math:: \eta_t = \eta_0 \, \gamma^{\lfloor t / s \rfloor}

    Args:
        base_lr: the rate at step 0.
        step_size: the steps between two falls, :math:`s`.
        gamma: the factor at each, at least 0.

    >>> StepDecay(0.05, step_size=30)([0, 29, 30, 60])
    array([0.05  , 0.05  , 0.005 , 0.0005])
    """

    base_lr: Rate
    step_size: Duration
    _: KW_ONLY
    gamma: Number = 0.1

    formula = r"\eta_0 \, \gamma^{\lfloor t / s \rfloor}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        periods = whole_periods(xp, t, self.step_size)
        return geometric(xp, self.base_lr, self.gamma, periods)

    def falls_from(self) -> float | None:
        return 0 if self.gamma <= 1 else None


class MultiStep(Schedule):
    r"""A factor at each milestone, as ``torch.optim.lr_scheduler.MultiStepLR``.

    .. math:: \eta_t = \eta_0 \, \gamma^k, \quad k = |\{i : t \ge m_i\}|

    Args:
        base_lr: the rate at step 0.
        milestones: the steps at which the rate falls, above 0 and increasing. None: constant.
        gamma: the factor at each, at least 0.

    Raises:
        ValueError: milestones that do not increase (PyTorch sorts them instead).

    >>> MultiStep(0.05, milestones=[30, 80])([29, 30, 80])
    array([0.05  , 0.005 , 0.0005])
    """

    base_lr: Rate
    milestones: Boundaries
    _: KW_ONLY
    gamma: Number = 0.1

    formula = r"\eta_0 \, \gamma^k, \quad k = |\{i : t \ge m_i\}|"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return xp.take(self._values, xp.count_reached(self.milestones, t))

    @functools.cached_property
    def _values(self) -> tuple[float, ...]:
        falls = range(len(self.milestones) + 1)
        return tuple(geometric(NUMBERS, self.base_lr, self.gamma, float(k)) for k in falls)

    def falls_from(self) -> float | None:
        return 0 if self.gamma <= 1 or not self.milestones else self.milestones[-1]
