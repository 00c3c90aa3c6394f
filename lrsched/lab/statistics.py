"""From the results of several seeds to an interval."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["interval", "ratio"]


def interval(values: npt.ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    r"""The mean of the values and the ends of Student's confidence interval for it.

    .. math:: \bar x \pm t_{n-1} \, s / \sqrt{n}

    Args:
        values: one for each seed, at least two, finite.
        level: the share of such intervals that would hold the true mean.

    Returns:
        ``mean, low, high``.

    Raises:
        ValueError: fewer than two values, one that is not finite, or a level that is not
            between 0 and 1.

    >>> mean, low, high = interval([1.0, 2.0, 3.0])
    >>> print(f"{mean:.2f}, {low:.2f} to {high:.2f}")
    2.00, -0.48 to 4.48
    """
    from scipy.stats import t

    x: Any = np.asarray(values, dtype=float)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(f"values must be at least two finite numbers, got {values!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")
    half = float(t.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    mean = float(x.mean())
    return mean, mean - half, mean + half


def ratio(
    values: npt.ArrayLike,
    others: npt.ArrayLike,
    statistic: Callable[..., Any] = np.median,
    level: float = 0.95,
) -> tuple[float, float, float]:
    r"""A statistic of the values divided by that of the others, and its bootstrap interval.

    .. math:: T(x) / T(y)

    The pairs are drawn anew with replacement 2,000 times; the interval holds the middle of
    the ratios that come out (the percentile method). The draws are the same each time.

    Args:
        values, others: one for each seed, in the same order, at least two, finite.
        statistic: called with an array and ``axis``; reduces that axis.
        level: the share of the ratios in the interval.

    Returns:
        ``ratio, low, high``.

    Raises:
        ValueError: fewer than two pairs, arrays of other shapes, a value that is not finite,
            or a level that is not between 0 and 1.

    Efron, *Bootstrap Methods: Another Look at the Jackknife*, 1979.

    >>> ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    (2.0, 2.0, 2.0)
    """
    from scipy.stats import bootstrap

    x, y = (np.asarray(each, dtype=float) for each in (values, others))
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not np.isfinite([x, y]).all():
        raise ValueError(
            "values and others must be equally many finite numbers, at least two, "
            f"got {values!r} and {others!r}"
        )
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")

    def quotient(a: Any, b: Any, axis: int = -1) -> Any:
        return statistic(a, axis=axis) / statistic(b, axis=axis)

    ends = bootstrap(
        (x, y), quotient, paired=True, vectorized=True, method="percentile",
        n_resamples=2000, batch=200, confidence_level=level, random_state=0,
    ).confidence_interval  # fmt: skip
    return float(quotient(x, y)), float(ends.low), float(ends.high)
