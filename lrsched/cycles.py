r"""Schedules that rise and fall: one class and one formula each.

In the formulas :math:`t` is the step, counted from 0, and :math:`\eta_0` is ``base_lr``.
Rates are learning rates, finite and at least 0; lengths are in steps and need not be whole.
Every schedule raises TypeError for an argument of the wrong kind (a string, a bool in
place of a number) and ValueError for one out of range; the errors named under *Raises*
come on top of these.
"""

import math
from dataclasses import KW_ONLY
from typing import Annotated, Any, Literal

from .arguments import (
    AsFloat,
    Duration,
    DurationOrZero,
    Flag,
    Number,
    PositiveNumber,
    Rate,
    Real,
)
from .namespaces import Namespace
from .schedule import Schedule
from .shapes import between, geometric, half_wave, progress, whole_periods
from .value import tells_keywords

__all__ = ["CycleMomentum", "Cyclical", "OneCycle", "WarmupStableDecay"]


class Cyclical(Schedule):
    r"""A triangle wave, as PyTorch's ``CyclicLR`` (arXiv 1506.01186).

    .. math:: \eta_t = \eta_0 + (\eta_1 - \eta_0) \, g_t
        \min\left(\frac{u}{s_1}, \frac{s_1 + s_2 - u}{s_2}\right),
        \quad u = t \bmod (s_1 + s_2)

    These are the rates. ``CyclicLR`` by default also moves the momentum (or Adam's first
    beta), against the rate: give an optimizer both by ``lrsched.pytorch.scheduler(optimizer,
    cycle, momentum=cycle.momentum())``.

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
    _: KW_ONLY
    step_size_up: Duration
    step_size_down: Duration | None = None
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Number = 1.0

    @property
    def formula(self) -> str:
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
        if self.mode == "exp_range":
            height = self.max_lr - self.base_lr
            return self.base_lr + self._triangle(xp, t) * geometric(xp, height, self.gamma, t)
        return between(self.base_lr, self.max_lr, self._triangle(xp, t))

    def height(self, xp: Namespace, t: Any) -> Any:
        """How far the rate is on its way from ``base_lr`` to ``max_lr``."""
        triangle = self._triangle(xp, t)
        if self.mode == "exp_range":
            return triangle * geometric(xp, 1.0, self.gamma, t)
        return triangle

    def _triangle(self, xp: Namespace, t: Any) -> Any:
        up = self.step_size_up
        down = up if self.step_size_down is None else self.step_size_down
        cycle = whole_periods(xp, t, up + down)
        u = t - (up + down) * cycle
        triangle = xp.maximum(xp.minimum(u / up, (up + down - u) / down), 0.0)
        return triangle * 0.5**cycle if self.mode == "triangular2" else triangle

    @tells_keywords
    def momentum(self, *, base_momentum: float = 0.8, max_momentum: float = 0.9) -> "CycleMomentum":
        """The momentum that goes with it, as ``CyclicLR`` has it; see :class:`CycleMomentum`."""
        return CycleMomentum(self, base_momentum=base_momentum, max_momentum=max_momentum)


class OneCycle(Schedule):
    r"""One rise and one long fall, as PyTorch's ``OneCycleLR`` (arXiv 1708.07120).

    .. math:: \eta_t = \begin{cases}
        A(\eta_1 / d, \eta_1, t / b) & t \le b \\
        A(\eta_1, \eta_1 / (d f), (t - b) / (T - 1 - b)) & t > b
        \end{cases}, \quad b = q T - 1

    with :math:`A(x, y, p)` half a cosine wave or a line from :math:`x` to :math:`y`. From
    step :math:`T - 1` on the rate stays at its end, where PyTorch raises an error.

    With ``three_phase`` the fall leads in as many steps as the rise back to the first rate,
    and the steps that are left from there to the last one:

    .. math:: \eta_t = \begin{cases}
        A(\eta_1, \eta_1 / d, (t - b) / b) & b < t \le 2 b \\
        A(\eta_1 / d, \eta_1 / (d f), (t - 2 b) / (T - 1 - 2 b)) & t > 2 b
        \end{cases}

    These are the rates. ``OneCycleLR`` by default also moves the momentum (or Adam's first
    beta), against the rate: give an optimizer both by ``lrsched.pytorch.scheduler(optimizer,
    cycle, momentum=cycle.momentum())``.

    Args:
        max_lr: the peak, :math:`\eta_1`.
        total_steps: the steps of the whole training, :math:`T`.
        pct_start: the share of them that belongs to the rise, :math:`q`, between 0 and 1.
        anneal: "cos" or "linear".
        div_factor: the peak over the first rate, :math:`d`, above 0.
        final_div_factor: the first rate over the last, :math:`f`, above 0.
        three_phase: whether the fall stops at the first rate on its way to the last.

    Raises:
        ValueError: if ``pct_start * total_steps`` is not above 1, which leaves no rise, or, for
            three phases, if twice that is not below ``total_steps + 1``, which leaves no third.

    >>> OneCycle(1.0, total_steps=11, pct_start=0.5, anneal="linear", div_factor=10)(4.5)
    1.0
    """

    max_lr: Rate
    total_steps: Duration
    _: KW_ONLY
    pct_start: Annotated[float, Real(low=0, low_excluded=True, high=1)] = 0.3
    anneal: Literal["cos", "linear"] = "cos"
    div_factor: PositiveNumber = 25.0
    final_div_factor: PositiveNumber = 1e4
    three_phase: Flag = False

    @property
    def formula(self) -> str:
        fall = r"A(\eta_1, \eta_1 / (d f), (t - b) / (T - 1 - b)) & t > b"
        if self.three_phase:
            fall = (
                r"A(\eta_1, \eta_1 / d, (t - b) / b) & b < t \le 2 b \\"
                r" A(\eta_1 / d, \eta_1 / (d f), (t - 2 b) / (T - 1 - 2 b)) & t > 2 b"
            )
        return (
            rf"\begin{{cases}} A(\eta_1 / d, \eta_1, t / b) & t \le b \\ {fall} \end{{cases}},"
            r" \quad b = q T - 1"
        )

    def prepare(self) -> None:
        given = f"got {self.pct_start!r} * {self.total_steps!r}"
        if not self._peak > 0:
            raise ValueError(
                "OneCycle: pct_start * total_steps must be above 1, so that there are steps to "
                f"rise in, {given}"
            )
        if self.three_phase and not 2 * self._peak < self.total_steps - 1:
            raise ValueError(
                "OneCycle: 2 * pct_start * total_steps must be below total_steps + 1, so that "
                f"there are steps for the third phase, {given}"
            )

    @property
    def _peak(self) -> float:
        return self.pct_start * self.total_steps - 1

    def rate(self, xp: Namespace, t: Any) -> Any:
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        end: Any = last
        if self.three_phase:
            end = between(first, last, self._way(xp, t, 2 * self._peak, self.total_steps - 1))
        up, down = self._ways(xp, t)
        # Before the peak `down` is 0, after it `up` is 1: one formula for both phases.
        return between(first, between(self.max_lr, end, down), up)

    def height(self, xp: Namespace, t: Any) -> Any:
        """How far the cycle has risen, from 0 to 1, and not fallen again."""
        up, down = self._ways(xp, t)
        return up * (1.0 - down)

    def _ways(self, xp: Namespace, t: Any) -> tuple[Any, Any]:
        """How far it is on its way up to the peak, and on that down from it."""
        bottom = 2 * self._peak if self.three_phase else self.total_steps - 1
        return self._way(xp, t, 0, self._peak), self._way(xp, t, self._peak, bottom)

    def _way(self, xp: Namespace, t: Any, start: float, end: float) -> Any:
        since = xp.maximum(t - start, 0.0) if start else t
        p = progress(xp, since, end - start)
        return 0.5 - 0.5 * xp.cos(math.pi * p) if self.anneal == "cos" else p

    @tells_keywords
    def momentum(
        self, *, base_momentum: float = 0.85, max_momentum: float = 0.95
    ) -> "CycleMomentum":
        """The momentum that goes with it, as ``OneCycleLR`` has it; see :class:`CycleMomentum`."""
        return CycleMomentum(self, base_momentum=base_momentum, max_momentum=max_momentum)

    def falls_from(self) -> float | None:
        falls = [self.final_div_factor * self.div_factor >= 1]
        if self.three_phase:
            falls = [self.div_factor >= 1, self.final_div_factor >= 1]
        return self._peak if all(falls) else self.total_steps


_momentum = AsFloat(Real(low=0, high=1))


def _cycle(name: str, value: Any) -> Schedule:
    if not isinstance(value, Cyclical | OneCycle):
        raise TypeError(f"{name} must be a Cyclical or a OneCycle, got {value!r}")
    return value


class CycleMomentum(Schedule):
    r"""The momentum that moves against the rate of a cycle: what ``cycle.momentum()`` makes.

    .. math:: m_t = m_1 - (m_1 - m_0) h_t

    where :math:`h_t` is how high the cycle is, 0 where it begins and 1 at its peak: for
    :class:`OneCycle` :math:`A(0, 1, t / b)` and then back to 0, for :class:`Cyclical` the
    triangle as its ``mode`` scales it. This is the momentum of PyTorch's ``OneCycleLR`` and
    ``CyclicLR``, which by default replace that of the optimizer:
    ``lrsched.pytorch.scheduler(optimizer, cycle, momentum=cycle.momentum())``.

    Args:
        schedule: the cycle.
        base_momentum: the momentum at the peak, :math:`m_0`, below 1. By default
            ``cycle.momentum()`` takes 0.85 for a ``OneCycle`` and 0.8 for a ``Cyclical``.
        max_momentum: that where the cycle begins, :math:`m_1`, at least ``base_momentum`` and
            below 1. By default 0.95, or 0.9.

    Raises:
        TypeError: a ``schedule`` that is neither of the two.
        ValueError: a ``max_momentum`` below ``base_momentum``, or a ``Cyclical`` whose gamma is
            above 1, which grows past its peak.

    >>> cycle = OneCycle(0.3, total_steps=11, pct_start=0.5, anneal="linear")
    >>> cycle.momentum()([0, 4.5, 10])
    array([0.95, 0.85, 0.95])
    """

    schedule: Annotated[Schedule, _cycle]
    _: KW_ONLY
    base_momentum: Annotated[float, _momentum]
    max_momentum: Annotated[float, _momentum]

    formula = r"m_1 - (m_1 - m_0) \, h_t"

    def prepare(self) -> None:
        if self.max_momentum < self.base_momentum:
            raise ValueError(
                f"CycleMomentum: max_momentum must be at least base_momentum="
                f"{self.base_momentum!r}, got {self.max_momentum!r}"
            )
        if getattr(self.schedule, "gamma", 1.0) > 1:
            raise ValueError(
                "CycleMomentum: schedule must have a gamma of at most 1, so that the momentum "
                f"stays between its limits, got {self.schedule!r}"
            )

    def rate(self, xp: Namespace, t: Any) -> Any:
        cycle: Any = self.schedule
        return between(self.max_momentum, self.base_momentum, cycle.height(xp, t))


class WarmupStableDecay(Schedule):
    r"""A rise, a plateau and a fall: the trapezoidal schedule (arXiv 2405.18392).

    .. math:: \eta_t = \begin{cases}
        \eta_0 \, t / w & t < w \\
        \eta_0 & w \le t < w + p \\
        \eta_1 + (\eta_0 - \eta_1) \, h\big(\min((t - w - p) / s, 1)\big) & t \ge w + p
        \end{cases}

    with :math:`h(x) = 1 - x`, :math:`\tfrac{1}{2} (1 + \cos \pi x)` or
    :math:`1 - \sqrt{x}`. The kinds of fall are named as in ``get_wsd_schedule`` of Hugging Face's
    transformers.

    Args:
        base_lr: the rate of the plateau, :math:`\eta_0`.
        warmup_steps: the steps of the linear rise from 0, :math:`w`; may be 0.
        stable_steps: the steps of the plateau, :math:`p`; may be 0.
        decay_steps: the steps of the fall, :math:`s`.
        end_lr: the rate from then on, :math:`\eta_1`.
        decay: "linear", "cosine" or "1-sqrt".

    >>> trapezoid = WarmupStableDecay(0.1, warmup_steps=10, stable_steps=80, decay_steps=10)
    >>> trapezoid([0, 5, 10, 90, 95, 100])
    array([0.  , 0.05, 0.1 , 0.1 , 0.05, 0.  ])
    """

    base_lr: Rate
    _: KW_ONLY
    warmup_steps: DurationOrZero
    stable_steps: DurationOrZero
    decay_steps: Duration
    end_lr: Rate = 0.0
    decay: Literal["linear", "cosine", "1-sqrt"] = "linear"

    @property
    def formula(self) -> str:
        height = {
            "linear": "1 - x",
            "cosine": r"\tfrac{1}{2} (1 + \cos \pi x)",
            "1-sqrt": r"1 - \sqrt{x}",
        }[self.decay]
        return (
            r"\begin{cases} \eta_0 \, t / w & t < w \\ \eta_0 & w \le t < w + p \\"
            r" \eta_1 + (\eta_0 - \eta_1) \, h(x) & t \ge w + p \end{cases},"
            rf" \quad x = \min((t - w - p) / s, 1), \quad h(x) = {height}"
        )

    def rate(self, xp: Namespace, t: Any) -> Any:
        since = xp.maximum(t - (self.warmup_steps + self.stable_steps), 0.0)
        p = progress(xp, since, self.decay_steps)
        if self.decay == "cosine":
            p = 1.0 - half_wave(xp, p)
        elif self.decay == "1-sqrt":
            falling = p > 0.0  # at 0 the root has no slope, which would spoil gradients
            p = xp.where(falling, xp.sqrt(xp.where(falling, p, 1.0)), 0.0)
        rate = between(self.base_lr, self.end_lr, p)
        return rate * progress(xp, t, self.warmup_steps) if self.warmup_steps else rate

    def falls_from(self) -> float | None:
        rising = self.warmup_steps + self.stable_steps + self.decay_steps
        return self.warmup_steps if self.end_lr <= self.base_lr else rising
