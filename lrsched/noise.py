r"""A schedule with noise that every framework draws alike."""

import functools
import math
from dataclasses import KW_ONLY
from typing import Annotated, Any

from .arguments import (
    Number,
    Whole,
)
from .cosines import LinearCosine
from .namespaces import Namespace

__all__ = ["NoisyLinearCosine"]


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

    _: KW_ONLY
    initial_variance: Number = 1.0
    variance_decay: Number = 0.55
    seed: Annotated[int, Whole()] = 0

    @functools.cached_property
    def _keys(self) -> tuple[int, int]:
        return _keys_of(self.seed)

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


def _keys_of(seed: int) -> tuple[int, int]:
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
