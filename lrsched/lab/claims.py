"""From the results of several seeds to an interval, and from an interval to a verdict."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["interval", "verdict"]


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


def verdict(differences: npt.ArrayLike) -> str:
    """What differences over seeds say of the claim that they are above 0.

    "supported" if their 95 % interval lies above 0, "refuted" if it lies below, else
    "undecided".

    >>> verdict([0.2, 0.3, 0.25])
    'supported'
    >>> verdict([0.2, -0.3, 0.1])
    'undecided'
    """
    _, low, high = interval(differences)
    return "supported" if low > 0 else "refuted" if high < 0 else "undecided"
