r"""The schedules: one class and one formula each.

In the formulas :math:`t` is the step, counted from 0, and :math:`\eta_0` is ``base_lr``.
Rates are learning rates, finite and at least 0; lengths are in steps and need not be whole.
Every schedule raises TypeError for an argument of the wrong kind (a string, a bool in
place of a number) and ValueError for one out of range; the errors named under *Raises*
come on top of these.
"""

import math
from decimal import Decimal, localcontext
from typing import Annotated, Any, ClassVar

from .arguments import (
    Boundaries,
    Choice,
    Count,
    Duration,
    Flag,
    Number,
    OptionalDuration,
    PositiveNumber,
    Rate,
    Rates,
    Real,
    Whole,
)
from .namespaces import LAST_STEP, NUMBERS, Namespace
from .schedule import Schedule

__all__ = [
    "Constant",
    "Cosine",
    "CosineAnnealing",
    "CosineRestarts",
    "Cyclical",
    "Exponential",
    "Factor",
    "InverseTime",
    "Linear",
    "LinearCosine",
    "MultiStep",
    "NaturalExponential",
    "NoisyLinearCosine",
    "OneCycle",
    "PiecewiseConstant",
    "Polynomial",
    "Power",
    "StepDecay",
    "WarmupStableDecay",
]


def _geometric(xp: Namespace, base: float, ratio: float, n: Any) -> Any:
    """base * ratio**n; where it grows it stops at 1e300, so that it stays finite."""
    if ratio > 1:
        n = xp.minimum(n, max(0.0, math.log(1e300 / max(base, 1.0)) / math.log(ratio)))
    return base * ratio**n


def whole_periods(xp: Namespace, t: Any, length: float) -> Any:
    """How many whole periods of this length lie before t.

    A quotient of whole numbers below 2**53 is never rounded up to the next whole number. For
    another length it can be rounded down from one, as 33 / 1.1 is: a last bit makes up for it.
    """
    periods = t / length
    return xp.floor(periods if length % 1 == 0 else periods * (1 + 2**-52))


def progress(xp: Namespace, t: Any, steps: float) -> Any:
    """How far t is on its way to ``steps``: from 0 to 1, and 1 from there on."""
    return xp.minimum(t / steps, 1.0)


def between(start: float, end: float, p: Any) -> Any:
    """The straight line from start (p = 0) to end (p = 1), exact at both."""
    return start * (1.0 - p) + end * p


def _half_wave(xp: Namespace, p: Any) -> Any:
    """Half a cosine wave from 1 (p = 0) to 0 (p = 1), exact at both."""
    return 0.5 + 0.5 * xp.cos(math.pi * p)


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
    gamma: Number = 0.1

    formula = r"\eta_0 \, \gamma^{\lfloor t / s \rfloor}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        periods = whole_periods(xp, t, self.step_size)
        return _geometric(xp, self.base_lr, self.gamma, periods)

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
    gamma: Number = 0.1

    formula = r"\eta_0 \, \gamma^k, \quad k = |\{i : t \ge m_i\}|"
    _values: ClassVar[tuple[float, ...]]

    def rate(self, xp: Namespace, t: Any) -> Any:
        return xp.take(self._values, xp.count_reached(self.milestones, t))

    def prepare(self) -> None:
        falls = range(len(self.milestones) + 1)
        values = tuple(_geometric(NUMBERS, self.base_lr, self.gamma, float(k)) for k in falls)
        self.keep(_values=values)

    def falls_from(self) -> float | None:
        return 0 if self.gamma <= 1 or not self.milestones else self.milestones[-1]


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
    decay_rate: Number
    decay_steps: Duration = 1
    staircase: Flag = False

    @property
    def formula(self) -> str:  # type: ignore[override]
        return rf"\eta_0 \, r^{{{_ratio(self.staircase)}}}"

    def rate(self, xp: Namespace, t: Any) -> Any:
        return _geometric(xp, self.base_lr, self.decay_rate, _periods(xp, t, self))

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
    decay_rate: Number
    decay_steps: Duration = 1
    staircase: Flag = False

    @property
    def formula(self) -> str:  # type: ignore[override]
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
    decay_rate: Number
    decay_steps: Duration = 1
    staircase: Flag = False

    @property
    def formula(self) -> str:  # type: ignore[override]
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

    >>> Factor(2.0, 0.9, floor_lr=0.01)([0, 1, 100])
    array([2.  , 1.8 , 0.01])
    """

    base_lr: Rate
    factor: Number
    floor_lr: Rate = 0.0

    formula = r"\max(\eta_{\min}, \eta_0 \, \alpha^t)"

    def prepare(self) -> None:
        if self.floor_lr > self.base_lr:
            raise ValueError(
                f"Factor: floor_lr must be at most base_lr={self.base_lr!r}, got {self.floor_lr!r}"
            )

    def rate(self, xp: Namespace, t: Any) -> Any:
        return xp.maximum(_geometric(xp, self.base_lr, self.factor, t), self.floor_lr)

    def falls_from(self) -> float | None:
        return 0 if self.factor <= 1 else None


class Linear(Schedule):
    r"""A straight line, then flat, as PyTorch's ``LinearLR``.

    .. math:: \eta_t = \eta_0 + (\eta_1 - \eta_0) \min(t / s, 1)

    Args:
        start_lr: the rate at step 0, :math:`\eta_0`.
        end_lr: the rate from step ``decay_steps`` on, :math:`\eta_1`; above or below the start.
        decay_steps: the length of the line, :math:`s`.

    >>> Linear(0.1, 0.0, 10)([0, 5, 10, 20])
    array([0.1 , 0.05, 0.  , 0.  ])
    """

    start_lr: Rate
    end_lr: Rate
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
    end_lr: Rate = 0.0
    power: PositiveNumber = 1.0
    cycle: Flag = False

    @property
    def formula(self) -> str:  # type: ignore[override]
        p = r"\min(t / s, 1)"
        if self.cycle:
            p = r"\frac{t}{s \max(1, \lceil t / s \rceil)}"
        return rf"\eta_1 + (\eta_0 - \eta_1) \left(1 - {p}\right)^p"

    def rate(self, xp: Namespace, t: Any) -> Any:
        steps = self.decay_steps
        if self.cycle:
            steps = steps * xp.maximum(xp.ceil(t / steps), 1.0)
        left = 1.0 - progress(xp, t, steps)
        if self.power != 1:
            left = left**self.power
        return between(self.end_lr, self.base_lr, left)

    def falls_from(self) -> float | None:
        if self.cycle:
            return None
        return 0 if self.end_lr <= self.base_lr else self.decay_steps


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
    end_lr: Rate = 0.0

    formula = r"\eta_1 + \tfrac{1}{2} (\eta_0 - \eta_1) \left(1 + \cos(\pi \min(t / s, 1))\right)"

    def rate(self, xp: Namespace, t: Any) -> Any:
        wave = _half_wave(xp, progress(xp, t, self.decay_steps))
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
    end_lr: Rate = 0.0

    formula = r"\eta_1 + \tfrac{1}{2} (\eta_0 - \eta_1) \left(1 + \cos(\pi t / s)\right)"

    def rate(self, xp: Namespace, t: Any) -> Any:
        # A large argument would lose digits of the phase.
        period = 2 * self.t_max
        phase = (t - period * whole_periods(xp, t, period)) / self.t_max
        return between(self.end_lr, self.base_lr, _half_wave(xp, phase))


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
    t_mul: Annotated[float, Real(low=1)] = 2
    m_mul: Number = 1.0
    end_lr: Rate = 0.0

    _restarts: ClassVar["Restarts"]

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
        if self.t_mul > 1:
            self.keep(_restarts=_restarts(self.first_decay_steps, self.t_mul))

    def rate(self, xp: Namespace, t: Any) -> Any:
        first = self.first_decay_steps
        if self.t_mul == 1:
            wave = whole_periods(xp, t, first)
            p = (t - first * wave) / first
        else:
            starts, lengths = self._restarts
            index = xp.count_reached(starts[1:], t)
            wave = xp.float64(index)
            p = (t - xp.take(starts, index)) / xp.take(lengths, index)
        # Rounding can put p a little outside, where a cosine would turn.
        p = xp.minimum(xp.maximum(p, 0.0), 1.0)
        height = _geometric(xp, self.base_lr - self.end_lr, self.m_mul, wave)
        return self.end_lr + height * _half_wave(xp, p)


Restarts = tuple[tuple[float, ...], tuple[float, ...]]


def _restarts(first: float, t_mul: float) -> Restarts:
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
        return 1.0 - t / self.decay_steps

    def falls_from(self) -> float | None:
        return 0 if self.num_periods <= 0.5 else self.decay_steps


class NoisyLinearCosine(LinearCosine):
    r"""A noisy line times a cosine, as ``tf.compat.v1.train.noisy_linear_cosine_decay``.

    .. math:: \eta_t = \max\left(0, \eta_0 \left(
        \frac{(\alpha + 1 - p + \varepsilon_t)(1 + \cos(2 \pi n p))}{2} + \beta\right)\right),
        \quad \varepsilon_t \sim \mathcal{N}\left(0, \frac{v}{(1 + \min(t, s))^d}\right)

    The noise has TensorFlow's mean and variance, but is a function of the whole step and
    the seed: the same in every framework, on every call and after resuming. Where it
    would push the rate below 0, the rate is 0, which raises its mean a little. From step
    :math:`s` on the rate stands still, where TensorFlow's goes on drawing.

    Args:
        base_lr, decay_steps, num_periods, alpha, beta: as in :class:`LinearCosine`.
        initial_variance: the noise's variance at step 0, :math:`v`, at least 0.
        variance_decay: how fast the variance falls, :math:`d`, at least 0.
        seed: a whole number, at least 0.

    >>> schedule = NoisyLinearCosine(0.1, 100, seed=3)
    >>> schedule(10) == schedule(10), schedule(10) == NoisyLinearCosine(0.1, 100, seed=4)(10)
    (True, False)
    """

    initial_variance: Number = 1.0
    variance_decay: Number = 0.55
    seed: Annotated[int, Whole()] = 0

    _keys: ClassVar[tuple[int, int]]

    def prepare(self) -> None:
        self.keep(_keys=_keys(self.seed))

    formula = (
        r"\max\left(0, \eta_0 \left(\tfrac{1}{2} (\alpha + 1 - p + \varepsilon_t)"
        r"(1 + \cos(2 \pi n p)) + \beta\right)\right),"
        r" \quad \varepsilon_t \sim \mathcal{N}\left(0, v / (1 + \min(t, s))^d\right)"
    )

    def rate(self, xp: Namespace, t: Any) -> Any:
        return xp.maximum(super().rate(xp, t), 0.0)

    def _line(self, xp: Namespace, t: Any) -> Any:
        spread = self.initial_variance**0.5 * (1.0 + t) ** (-0.5 * self.variance_decay)
        return super()._line(xp, t) + spread * _normal(xp, t, self._keys)

    def falls_from(self) -> float | None:
        return self.decay_steps


def _normal(xp: Namespace, t: Any, keys: tuple[int, int]) -> Any:
    """Standard normal noise, a pure function of the whole part of t and of the keys.

    The bits of the step are mixed with multiplications and shifts (as in hash functions)
    that stay below 2**63, so that every framework gets the same integers; Box and Muller's
    transform turns two of them into a normal number.
    """
    step = xp.int64(t)
    low, high = step % 2**32, step // 2**32
    first, second = ((xp.float64(_mix(_mix(low ^ key) ^ high)) + 0.5) / 2**32 for key in keys)
    return xp.sqrt(-2.0 * xp.log(first)) * xp.cos(2 * math.pi * second)


def _keys(seed: int) -> tuple[int, int]:
    """Two numbers of 32 bits that depend on every bit of the seed."""
    key = 0x5EED
    while seed:
        key, seed = _mix(key ^ seed % 2**32), seed // 2**32
    return _mix(key ^ 0x1234567), _mix(key ^ 0x7654321)


def _mix(h: Any) -> Any:
    """Scramble 32 bits, one to one."""
    h = h ^ h // 2**16
    h = h * 0x7FEB352D % 2**32
    h = h ^ h // 2**15
    h = h * 0x5BD1E995 % 2**32
    return h ^ h // 2**16


class Cyclical(Schedule):
    r"""A triangle wave, as PyTorch's ``CyclicLR`` (arXiv 1506.01186).

    .. math:: \eta_t = \eta_0 + (\eta_1 - \eta_0) \, g_t
        \min\left(\frac{u}{s_1}, \frac{s_1 + s_2 - u}{s_2}\right),
        \quad u = t \bmod (s_1 + s_2)

    The rate alone is cycled. ``CyclicLR`` by default also moves the momentum (or Adam's
    first beta), against the rate: from 0.9 where the rate is lowest to 0.8 at its peak, in
    place of the optimizer's own. To compare the two, pass it ``cycle_momentum=False``.

    Args:
        base_lr: the lowest rate, :math:`\eta_0`, where each cycle begins.
        max_lr: the highest, :math:`\eta_1`, at least ``base_lr``.
        step_size_up: the steps of the rise, :math:`s_1`.
        step_size_down: the steps of the fall, :math:`s_2`; None: as many.
        mode: what scales the triangle: "triangular", :math:`g_t = 1`; "triangular2",
            :math:`g_t = 2^{-i}` in cycle :math:`i = 0, 1, \dots`; "exp_range",
            :math:`g_t = \gamma^t`.
        gamma: for "exp_range" alone, at least 0.

    Raises:
        ValueError: ``max_lr`` below ``base_lr``, or a gamma with another mode.

    >>> Cyclical(0.1, 0.5, step_size_up=4)([0, 2, 4, 6, 8]).round(3)
    array([0.1, 0.3, 0.5, 0.3, 0.1])
    """

    base_lr: Rate
    max_lr: Rate
    step_size_up: Duration
    step_size_down: OptionalDuration = None
    mode: Annotated[str, Choice(("triangular", "triangular2", "exp_range"))] = "triangular"
    gamma: Number = 1.0

    @property
    def formula(self) -> str:  # type: ignore[override]
        scale = {"triangular": "", "triangular2": r"2^{-i} \,", "exp_range": r"\gamma^t \,"}
        cycle = r", \quad i = \lfloor t / (s_1 + s_2) \rfloor" if self.mode == "triangular2" else ""
        return (
            rf"\eta_0 + (\eta_1 - \eta_0) \, {scale[self.mode]}"
            r"\min\left(\frac{u}{s_1}, \frac{s_1 + s_2 - u}{s_2}\right),"
            rf" \quad u = t \bmod (s_1 + s_2){cycle}"
        )

    def prepare(self) -> None:
        if self.max_lr < self.base_lr:
            raise ValueError(
                f"Cyclical: max_lr must be at least base_lr={self.base_lr!r}, got {self.max_lr!r}"
            )
        if self.gamma != 1 and self.mode != "exp_range":
            raise ValueError(
                f"Cyclical: gamma goes with mode 'exp_range', got gamma={self.gamma!r} "
                f"with mode {self.mode!r}"
            )

    def rate(self, xp: Namespace, t: Any) -> Any:
        up = self.step_size_up
        down = up if self.step_size_down is None else self.step_size_down
        cycle = whole_periods(xp, t, up + down)
        u = t - (up + down) * cycle
        triangle = xp.maximum(xp.minimum(u / up, (up + down - u) / down), 0.0)
        if self.mode == "triangular2":
            triangle = triangle * 0.5**cycle
        elif self.mode == "exp_range":
            return self.base_lr + triangle * _geometric(
                xp, self.max_lr - self.base_lr, self.gamma, t
            )
        return between(self.base_lr, self.max_lr, triangle)


class OneCycle(Schedule):
    r"""One rise and one long fall, as PyTorch's ``OneCycleLR`` (arXiv 1708.07120).

    .. math:: \eta_t = \begin{cases}
        A(\eta_1 / d, \eta_1, t / b) & t \le b \\
        A(\eta_1, \eta_1 / (d f), (t - b) / (T - 1 - b)) & t > b
        \end{cases}, \quad b = q T - 1

    with :math:`A(x, y, p)` half a cosine wave or a line from :math:`x` to :math:`y`. From
    step :math:`T - 1` on the rate stays at its end, where PyTorch raises an error.

    The rate alone is cycled. ``OneCycleLR`` by default also moves the momentum (or Adam's
    first beta), against the rate: from 0.95 down to 0.85 at the peak and back to 0.95, in
    place of the optimizer's own. To compare the two, pass it ``cycle_momentum=False``.

    Args:
        max_lr: the peak, :math:`\eta_1`.
        total_steps: the steps of the whole training, :math:`T`.
        pct_start: the share of them that belongs to the rise, :math:`q`, between 0 and 1.
        anneal: "cos" or "linear".
        div_factor: the peak over the first rate, :math:`d`, above 0.
        final_div_factor: the first rate over the last, :math:`f`, above 0.

    Raises:
        ValueError: if ``pct_start * total_steps`` is not above 1, which leaves no rise.

    >>> OneCycle(1.0, total_steps=11, pct_start=0.5, anneal="linear", div_factor=10)(4.5)
    1.0
    """

    max_lr: Rate
    total_steps: Duration
    pct_start: Annotated[float, Real(low=0, low_excluded=True, high=1)] = 0.3
    anneal: Annotated[str, Choice(("cos", "linear"))] = "cos"
    div_factor: PositiveNumber = 25.0
    final_div_factor: PositiveNumber = 1e4

    formula = (
        r"\begin{cases} A(\eta_1 / d, \eta_1, t / b) & t \le b \\"
        r" A(\eta_1, \eta_1 / (d f), (t - b) / (T - 1 - b)) & t > b \end{cases},"
        r" \quad b = q T - 1"
    )

    def prepare(self) -> None:
        if not self._peak > 0:
            raise ValueError(
                "OneCycle: pct_start * total_steps must be above 1, so that there are steps to "
                f"rise in, got {self.pct_start!r} * {self.total_steps!r}"
            )

    @property
    def _peak(self) -> float:
        return self.pct_start * self.total_steps - 1

    def rate(self, xp: Namespace, t: Any) -> Any:
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        up = progress(xp, t, self._peak)
        down = progress(xp, xp.maximum(t - self._peak, 0.0), self.total_steps - 1 - self._peak)
        if self.anneal == "cos":
            up, down = ((0.5 - 0.5 * xp.cos(math.pi * p)) for p in (up, down))
        # Before the peak `down` is 0, after it `up` is 1: one formula for both phases.
        return between(first, between(self.max_lr, last, down), up)

    def falls_from(self) -> float | None:
        return self._peak if self.final_div_factor * self.div_factor >= 1 else self.total_steps


class WarmupStableDecay(Schedule):
    r"""A rise, a plateau and a fall: the trapezoidal schedule (arXiv 2405.18392).

    .. math:: \eta_t = \begin{cases}
        \eta_0 \, t / w & t < w \\
        \eta_0 & w \le t < w + p \\
        \eta_0 + (\eta_1 - \eta_0) \min((t - w - p) / s, 1) & t \ge w + p
        \end{cases}

    Args:
        base_lr: the rate of the plateau, :math:`\eta_0`.
        warmup_steps: the steps of the linear rise from 0, :math:`w`; may be 0.
        stable_steps: the steps of the plateau, :math:`p`; may be 0.
        decay_steps: the steps of the linear fall, :math:`s`.
        end_lr: the rate from then on, :math:`\eta_1`.

    >>> WarmupStableDecay(0.1, 10, 80, 10)([0, 5, 10, 90, 95, 100])
    array([0.  , 0.05, 0.1 , 0.1 , 0.05, 0.  ])
    """

    base_lr: Rate
    warmup_steps: Count
    stable_steps: Count
    decay_steps: Duration
    end_lr: Rate = 0.0

    formula = (
        r"\begin{cases} \eta_0 \, t / w & t < w \\ \eta_0 & w \le t < w + p \\"
        r" \eta_0 + (\eta_1 - \eta_0) \min((t - w - p) / s, 1) & t \ge w + p \end{cases}"
    )

    def rate(self, xp: Namespace, t: Any) -> Any:
        since = xp.maximum(t - (self.warmup_steps + self.stable_steps), 0.0)
        rate = between(self.base_lr, self.end_lr, progress(xp, since, self.decay_steps))
        return rate * progress(xp, t, self.warmup_steps) if self.warmup_steps else rate

    def falls_from(self) -> float | None:
        rising = self.warmup_steps + self.stable_steps + self.decay_steps
        return self.warmup_steps if self.end_lr <= self.base_lr else rising
