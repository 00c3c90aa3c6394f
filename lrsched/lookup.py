"""At which step a schedule falls below a rate."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .namespaces import BLOCK, LAST_STEP

__all__ = ["first_below"]


def first_below(
    schedule: Callable[[Any], Any], rate: float, within: int, falls_from: float | None
) -> int | None:
    """The first whole step with a rate below ``rate``, or None where none is found.

    The steps to ``within`` are looked at one by one. From ``falls_from`` on, where it is
    known, the schedule never rises again, and the step is found by halving.
    """
    low, high = math.ceil(within + 1 if falls_from is None else falls_from), LAST_STEP
    for start in range(0, min(low, within + 1), BLOCK):
        steps = np.arange(start, min(start + BLOCK, low, within + 1))
        for step in steps[schedule(steps) < rate]:
            if schedule(int(step)) < rate:  # an array's last bit may differ from a number's
                return int(step)
    if low > within or not schedule(high) < rate:
        return None
    while low < high:
        middle = (low + high) // 2
        if schedule(middle) < rate:
            high = middle
        else:
            low = middle + 1
    return high
