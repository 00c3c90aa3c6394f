r"""Schedules along a cosine: one class and one formula each.

In the formulas :math:`t` is the step, counted from 0, and :math:`\eta_0` is ``base_lr``.
Rates are learning rates, finite and at least 0; lengths are in steps and need not be whole.
Every schedule raises TypeError for an argument of the wrong kind (a string, a bool in
place of a number) and ValueError for one out of range; the errors named under *Raises*
come on top of these.
"""

import functools
import math
from dataclasses import KW_ONLY
from decimal import Decimal, localcontext
from typing import Annotated, Any

from .arguments import (
    Duration,
    Number,
    Rate,
    Real,
)
from .namespaces import LAST_STEP, Namespace
from .schedule import Schedule
from .shapes import between, geometric, half_wave, progress, whole_periods

__all__ = ["Cosine", "CosineAnnealing", "CosineRestarts", "LinearCosine"]


class Cosine(Schedule):
    r"""Half a cosine wave, then flat, as Keras's ``CosineDecay`` (arXiv 1608.03983).

    .. math:: \eta_t = \eta_1 + \frac{\eta_0 - \eta_1}{2}
        \left(1 + \cos(\pi \min(t / s, 1))\right)

    Args:
        base_lr: the rate at step 0, :math:`\eta_0`.
        decay_steps: the steps to the end rate, :math:`s`.
        end_lr: the end rate, :math:`\eta_1`. Keras's ``alpha`` is ``end_lr / base_lr``.

    >>> Cosine(0.3, 20, end_lr=0.01)([0, 10, 20, 30])
    array([0.3  , 0.155, 0.01 , 0.01 ])
    """

    base_lr: Rate
    decay_steps: Duration
    _: KW_ONLY
    end_lr: Rate = 0.0

    formula = r"\eta_1 + \tfrac{1}{2} (\eta_0 - \eta_1) \left(1 + \cos(\pi \min(t / s, 1))\right)"

    def rate(self, xp: Namespace, t: Any) -> Any:
        wave = half_wave(xp, progress(xp, t, self.decay_steps))
        return between(self.end_lr, self.base_lr, wave)

    def falls_from(self) -> float | None:
        return 0 if self.end_lr <= self.base_lr else self.decay_steps


class CosineAnnealing(Schedule):
    r"""A cosine wave that goes on for ever, as PyTorch's ``CosineAnnealingLR``.

    .. math:: \eta_t = \eta_1 + \frac{\eta_0 - \eta_1}{2} \left(1 + \cos(\pi t / s)\right)

    After ``t_max`` steps the rate rises again. For a wave that stops there, take
    :class:`Cosine`; for one that jumps back up, :class:`CosineRestarts`.

    Args:
        base_lr: the rate at step 0, :math:`\eta_0`.
        t_max: half the period, :math:`s`.
        end_lr: the rate at step ``t_max``, :math:`\eta_1` (PyTorch's ``eta_min``).

    >>> CosineAnnealing(0.1, 10)([0, 5, 10, 15, 20])
    array([0.1 , 0.05, 0.  , 0.05, 0.1 ])
    """

    base_lr: Rate
    t_max: Duration
    _: KW_ONLY
    end_lr: Rate = 0.0

    formula = r"\eta_1 + \tfrac{1}{2} (\eta_0 - \eta_1) \left(1 + \cos(\pi t / s)\right)"

    def rate(self, xp: Namespace, t: Any) -> Any:
        # A large argument would lose digits of the phase.
        period = 2 * self.t_max
        phase = (t - period * whole_periods(xp, t, period)) / self.t_max
        return between(self.end_lr, self.base_lr, half_wave(xp, phase))


class CosineRestarts(Schedule):
    r"""Half cosine waves one after another, as PyTorch's ``CosineAnnealingWarmRestarts``
    and Keras's ``CosineDecayRestarts`` (arXiv 1608.03983).

    .. math:: \eta_t = \eta_1 + \frac{(\eta_0 - \eta_1) \, a^i}{2}
        \left(1 + \cos\left(\pi \frac{t - b_i}{s \, m^i}\right)\right),
        \quad b_i = s \sum_{j<i} m^j \le t < b_{i+1}

    Each restart begins exactly at its step: the restarts are added up in decimal
    arithmetic from the arguments as they are written, not found by a logarithm.

    Args:
        base_lr: the first peak, :math:`\eta_0`.
        first_decay_steps: the length of the first wave, :math:`s` (PyTorch's ``T_0``).
        t_mul: how much longer each wave is than the one before, :math:`m`: 1, or at least 1.001.
        m_mul: how much higher each peak is than the one before, :math:`a`, at least 0.
        end_lr: the rate at the end of each wave, :math:`\eta_1`, at most ``base_lr``.

    Raises:
        ValueError: ``t_mul`` between 1 and 1.001 (too many restarts to list), or
            ``end_lr`` above ``base_lr``.

    >>> CosineRestarts(1.0, 50, t_mul=1.1)([0, 25, 50, 105])
    array([1. , 0.5, 1. , 1. ])
    """

    base_lr: Rate
    first_decay_steps: Duration
    _: KW_ONLY
    t_mul: Annotated[float, Real(low=1)] = 2
    m_mul: Number = 1.0
    end_lr: Rate = 0.0

    formula = (
        r"\eta_1 + \tfrac{1}{2} (\eta_0 - \eta_1) \, a^i "
        r"\left(1 + \cos\left(\pi \frac{t - b_i}{s \, m^i}\right)\right),"
        r" \quad b_i = s \sum_{j<i} m^j \le t < b_{i+1}"
    )

    def prepare(self) -> None:
        if 1 < self.t_mul < 1.001:
            raise ValueError(
                f"CosineRestarts: t_mul must be 1 or at least 1.001, got {self.t_mul!r}"
            )
        if self.end_lr > self.base_lr:
            raise ValueError(
                f"CosineRestarts: end_lr must be at most base_lr={self.base_lr!r}, "
                f"got {self.end_lr!r}"
            )

    @functools.cached_property
    def _waves(self) -> "Waves":
        if self.t_mul == 1:  # without number, and of one length
            return (0.0,), (self.first_decay_steps,)
        return _waves(self.first_decay_steps, self.t_mul)

    def rate(self, xp: Namespace, t: Any) -> Any:
        first = self.first_decay_steps
        if self.t_mul == 1:
            wave = whole_periods(xp, t, first)
            p = (t - first * wave) / first
        else:
            starts, lengths = self._waves
            index = xp.count_reached(starts[1:], t)
            wave = xp.float64(index)
            p = (t - xp.take(starts, index)) / xp.take(lengths, index)
        # Rounding can put p a little outside, where a cosine would turn.
        p = xp.minimum(xp.maximum(p, 0.0), 1.0)
        height = geometric(xp, self.base_lr - self.end_lr, self.m_mul, wave)
        return self.end_lr + height * half_wave(xp, p)


Waves = tuple[tuple[float, ...], tuple[float, ...]]


def _waves(first: float, t_mul: float) -> Waves:
    """The starts of the waves up to the last step, and the length of each."""
    with localcontext(prec=60):
        start, length, factor = Decimal(0), Decimal(str(first)), Decimal(str(t_mul))
        starts, lengths = [], []
        while start <= LAST_STEP:
            starts.append(float(start))
            lengths.append(float(length))
            start += length
            length *= factor
    return tuple(starts), tuple(lengths)


class LinearCosine(Schedule):
    r"""A line times a cosine, as ``tf.compat.v1.train.linear_cosine_decay`` (arXiv 1709.07417).

    .. math:: \eta_t = \eta_0 \left(\frac{(\alpha + 1 - p)(1 + \cos(2 \pi n p))}{2}
        + \beta\right), \quad p = \min(t / s, 1)

    Args:
        base_lr: :math:`\eta_0`.
        decay_steps: the steps to the end, :math:`s`.
        num_periods: the cosine's periods in that time, :math:`n`, at least 0.
        alpha: what is added to the line, at least 0.
        beta: what is added to the product, at least 0: the last rate as a share of ``base_lr``.

    >>> LinearCosine(1.0, 100, beta=0)([0, 50, 100])
    array([1.  , 0.25, 0.  ])
    """

    base_lr: Rate
    decay_steps: Duration
    _: KW_ONLY
    num_periods: Number = 0.5
    alpha: Number = 0.0
    beta: Number = 0.001

    formula = (
        r"\eta_0 \left(\tfrac{1}{2} (\alpha + 1 - p)(1 + \cos(2 \pi n p)) + \beta\right),"
        r" \quad p = \min(t / s, 1)"
    )

    def rate(self, xp: Namespace, t: Any) -> Any:
        t = xp.minimum(t, self.decay_steps)
        w = 0.5 + 0.5 * xp.cos(2 * math.pi * self.num_periods / self.decay_steps * t)
        return self.base_lr * ((self.alpha + self._line(xp, t)) * w + self.beta)

    def _line(self, xp: Namespace, t: Any) -> Any:
        return 1.0 - xp.divide(t, self.decay_steps)

    def falls_from(self) -> float | None:
        return 0 if self.num_periods <= 0.5 else self.decay_steps
