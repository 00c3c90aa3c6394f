"""The shapes that formulas are made of, over any array namespace."""

import math
from typing import Any

from .namespaces import Namespace

__all__ = ["between", "geometric", "half_wave", "multiplied", "progress", "whole_periods"]

LARGEST = 1e300  # where rates that grow end


def geometric(xp: Namespace, base: float, ratio: float, n: Any) -> Any:
    """base * ratio**n; where it grows it stops at 1e300, so that it stays finite."""
    if ratio <= 1:
        return base * ratio**n
    n = xp.minimum(n, max(0.0, math.log(LARGEST / max(base, 1.0)) / math.log(ratio)))
    return xp.minimum(base * ratio**n, LARGEST)  # a logarithm is rounded


def multiplied(xp: Namespace, rate: Any, factor: Any) -> Any:
    """rate * factor, at most 1e300: a product of finite numbers need not be finite."""
    rate = xp.minimum(rate, LARGEST / xp.maximum(factor, 1.0))
    return xp.minimum(rate * factor, LARGEST)  # a quotient is rounded


def whole_periods(xp: Namespace, t: Any, length: float) -> Any:
    """How many whole periods of this length lie before t.

    A quotient of whole numbers below 2**53 is never rounded up to the next whole number. For
    another length it can be rounded down from one, as 33 / 1.1 is: a last bit makes up for it.
    """
    periods = xp.divide(t, length)
    return xp.floor(periods if length % 1 == 0 else periods * (1 + 2**-52))


def progress(xp: Namespace, t: Any, steps: float) -> Any:
    """How far t is on its way to ``steps``: from 0 to 1, and 1 from there on."""
    return xp.minimum(xp.divide(t, steps), 1.0)


def between(start: float, end: float, p: Any) -> Any:
    """The straight line from start (p = 0) to end (p = 1), exact at both."""
    return start * (1.0 - p) + end * p


def half_wave(xp: Namespace, p: Any) -> Any:
    """Half a cosine wave from 1 (p = 0) to 0 (p = 1), exact at both."""
    return 0.5 + 0.5 * xp.cos(math.pi * p)
